/**
 * Pools with anything in them, one after the other: recovered, inspected, verified, exported, and some of them continued by a
 * writer. Mutations know the format: most have checksums that fit, as only malice would have them, so that what is behind a checksum is reached.
 *
 *   node dist/test/mutants.js SEED FROM COUNT       mutants FROM … FROM+COUNT-1 of a seed; each follows from the seed and its number alone
 *
 * As a child (test/27-mutants, test/nightly.mjs) it says {mutant} when it begins one, some of the time, and {done: tally} at the end. Who listens
 * ends it when it says nothing for too long: a loop without end is found that way, and by which mutant.
 */
import { fork } from 'node:child_process';
import { closeSync, copyFileSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32c, FramekeepError } from '../native/index.js';
import { ByteSink } from '../logger/capture/index.js';
import { create, encodeSuperblock, exportPool, Pool, recover, SUPERBLOCK_BYTES, verifyPool, type Geometry } from '../logger/index.js';
import { Forge, Keeper, portEntry, testFrame, tinyGeometry, tinyPool } from './pool_maker.js';

/** What became of so many mutants. */
export interface Tally { mutants: number; refused: number; opened: number; continued: number; frames: number; findings: number; slowestMs: number; rssMiB: number }
export type Said = { readonly mutant: number } | { readonly done: Tally } | { readonly wrong: string };

type Roll = (below: number) => number;
/** Numbers that follow from a seed and a mutant's number. */
function dice(seed: number, number: number): Roll {
  let x = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(number + 1, 0xc2b2ae35);
  return (below) => {
    x = (x + 0x6d2b79f5) | 0;
    let t = Math.imul(x ^ (x >>> 15), 1 | x);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor(((t ^ (t >>> 14)) >>> 0) / 2 ** 32 * below);
  };
}

/** What mutants are made of, and the file that each is in turn. */
interface Original { readonly geometry: Geometry; readonly good: Buffer; readonly mutant: string; readonly forge: Forge }

/** Three runs on two lanes, the index gone round once, ports, a checkpoint: at `path`, which is a pool that holds nothing. */
function fill(path: string): Original {
  const pool = Pool.open(path, { writable: true }), { geometry } = pool, slots = geometry.lanes[0].slots;
  for (let run = 1; run <= 3; run++) {
    const keeper = new Keeper(pool, { maxBatch: 4, ports: [0, 1, 2].map((id) => portEntry(id)) });
    for (let i = 0; i < slots >> 1; i++) keeper.keep(testFrame(i, 60 + (i * 31) % 1400), { ingress: i % 3, verdict: [0, 1, 2, 255, 254, 224, 228, 231][i % 8], wire: i % 7 === 0 ? 1514 : undefined, flags: i % 11 === 0 ? 4 : 0 }, i % 3 === 0 ? 1 : 0);
    keeper.close();
    pool.writeCheckpoint(run, { generation: run, timeNs: BigInt(Date.now()) * 1_000_000n, clean: run === 2, ports: [0, 1, 2].map((i) => ({ received: 1000 + i, dropped: 7, kept: 100, notSelected: 898 + i, lost: 2 })) });
  }
  pool.close();
  const mutant = `${path}.mutant`;
  copyFileSync(path, mutant);
  return { geometry, good: readFileSync(path), mutant, forge: new Forge(mutant, geometry) };
}

const seeded = (g: Geometry, number: number | string, bytes: Uint8Array): number => {
  const four = Buffer.alloc(4);
  if (typeof number === 'string') four.write(number, 'latin1'); else four.writeUInt32LE(number >>> 0);
  return crc32c(Buffer.concat([g.uuid, four, bytes]));
};

/** Changes something in one place. */
function mutate(g: Geometry, roll: Roll, good: Buffer, write: (at: number, bytes: Uint8Array) => void): void {
  const u32 = (): number => [0, 1, 2, 255, 65535, 0x7fffffff, 0x80000000, 0xffffffff, roll(2 ** 32), roll(1000)][roll(10)];
  const lane = roll(g.lanes.length), { indexOffset, slots } = g.lanes[lane], boot = 1 + roll(4), block = 8192 + (boot % g.boots) * 16384;
  const withSum = (at: number, length: number, seed: number | string, fields: readonly number[], most: number): void => {
    const bytes = Buffer.from(good.subarray(at, at + length));
    for (let n = 1 + roll(most); n > 0; n--) bytes.writeUInt32LE(u32(), fields[roll(fields.length)]);
    bytes.writeUInt32LE(seeded(g, seed, bytes.subarray(0, length - 4)), length - 4);
    write(at, bytes);
  };
  switch (roll(10)) {
    case 0: { const at = roll(g.buffersOffset); return write(at, Buffer.of(good[at] ^ 1 << roll(8))); }   // any bit of the head
    case 1: return write(indexOffset + roll(slots) * 32 + roll(32), Buffer.of(roll(256)));                // a torn record
    case 2: case 3: { // records of any content, with sums that fit: one, or a row of them
      for (let slot = roll(slots), n = [1, 1, 1, 40][roll(4)]; n > 0 && slot < slots; n--, slot++) {
        const record = Buffer.from(good.subarray(indexOffset + slot * 32, indexOffset + slot * 32 + 32));
        for (let k = 1 + roll(3); k > 0; k--) record.writeUInt32LE(u32(), roll(7) * 4);
        if (roll(3) === 0) record[26] = roll(256);  // flags: parts of longer frames, sums over frames
        const where = Buffer.alloc(8);
        where.writeUInt32LE(lane);
        where.writeUInt32LE(slot, 4);
        record.writeUInt32LE(crc32c(Buffer.concat([g.uuid, where, record.subarray(0, 28)])), 28);
        write(indexOffset + slot * 32, record);
      }
      return undefined;
    }
    case 4: { // superblocks, one copy or both, geometry and all, with sums that fit
      const field = roll(3) === 0 ? roll((SUPERBLOCK_BYTES - 4) >> 2) * 4 : [32, 40, 44, 48, 52, 56, 72, 76, 80, 84, 128, 132, 136, 140, 144, 160, 164, 168, 172, 176][roll(20)], value = u32();
      for (const copy of [[0], [1], [0, 1], [0, 1]][roll(4)] as (0 | 1)[]) {
        const bytes = Buffer.from(encodeSuperblock(g, copy));
        bytes.writeUInt32LE(value, field);
        bytes.writeUInt32LE(crc32c(Buffer.concat([bytes.subarray(16, 32), Buffer.of(1, 0, 0, 0), bytes.subarray(0, SUPERBLOCK_BYTES - 4)])), SUPERBLOCK_BYTES - 4);
        write(copy * SUPERBLOCK_BYTES, bytes);
      }
      return undefined;
    }
    case 5: return withSum(block, 512, 'BOOT', [4, 8, 12, 20, 24, 80, 84, 88, 92], 4);
    case 6: return withSum(block + 512 + 128 * roll(4), 128, boot, [4, 8, 16, 20, 24, 32, 60, 92, 96, 120], 3);
    case 7: return withSum(block + (roll(2) === 0 ? 9216 : 12288), 3072, boot, [4, 8, 12, 16, 20, 32, 36, 40, 44, 72, 76], 3);
    case 8: { const bytes = testFrame(roll(1 << 30), 1 + roll(2000)); return write(indexOffset + roll(Math.max(1, slots * 32 - bytes.length)), bytes); }   // anything over records
    default: return write(g.buffersOffset + roll(g.buffers * g.chunk - 100), testFrame(roll(1 << 30), 1 + roll(100)));
  }
}

/** Bytes of the sink that all mutants are exported to: making one takes longer than to export a small pool. */
const MEMORY = 2 << 20;

/** @param said  now and then */
async function play(seed: number, from: number, count: number, said: (what: Said) => void): Promise<void> {
  const directory = mkdtempSync('/dev/shm/framekeep-mutants-'), nothing = openSync('/dev/null', 'w');
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  // Most of what can go wrong does so in a pool of any size, and the time goes by its size: one in eight is as large as pools of users are, with
  // more records than a reader's window has.
  const large = join(directory, 'large'), small = join(directory, 'small');
  create(large, { bytes: 2 << 20, lanes: 2 });
  writeFileSync(small, tinyPool(tinyGeometry(2, 48, 72, 4)));
  const originals = [fill(large), ...new Array<Original>(7).fill(fill(small))], sink = new ByteSink(nothing, '/dev/null', 1 << 19, MEMORY);
  const base = process.memoryUsage.rss(), tally: Tally = { mutants: 0, refused: 0, opened: 0, continued: 0, frames: 0, findings: 0, slowestMs: 0, rssMiB: 0 };
  let nextWord = 0;
  for (let i = from; i < from + count; i++) {
    const now = performance.now();
    if (now >= nextWord) { said({ mutant: i }); nextWord = now + 500; }
    const { geometry: g, good, mutant, forge } = originals[i % originals.length];
    const roll = dice(seed, i), changed: [number, number][] = [], isCut = roll(8) === 0, isContinued = roll(6) === 0;
    for (let n = 1 + roll(6); n > 0; n--) mutate(g, roll, good, (at, bytes) => { forge.write(at, bytes); changed.push([at, bytes.length]); });
    if (isCut) {
      const cut = roll(good.length);
      truncateSync(mutant, cut);
      changed.push([cut, good.length - cut]);
    }
    if (isContinued) changed.push([0, good.length]);
    try {
      const pool = Pool.open(mutant, isContinued ? { writable: true } : {});
      try {
        if (isContinued) {
          const keeper = new Keeper(pool, { maxBatch: Math.max(1, Math.min(4, ...pool.geometry.lanes.map((l) => l.slots >>> 1))), ports: [portEntry(0)] });
          for (let k = 0; k < 20; k++) keeper.keep(testFrame(k, 60 + k), {}, k % keeper.logs.length);
          keeper.close();
          tally.continued++;
        }
        // What `inspect` prints is what an export begins with.
        if (i % 3 === 0) await verifyPool(pool);
        const { frames, report } = await exportPool(pool, sink, { format: roll(2) === 0 ? 'pcapng' : 'pcap', ...roll(4) !== 0 && { last: roll(100) } });
        tally.frames += frames;
        tally.findings += report.findings.length;
        for (const lane of recover(pool).lanes) {
          if (lane.valid + lane.torn + lane.empty + lane.beyond + lane.ghosts + lane.conflicts !== lane.state.length) throw new Error('the sums of a lane are off');
        }
        tally.opened++;
      } finally { pool.close(); }
    } catch (error) {
      if (!(error instanceof FramekeepError)) { said({ wrong: `mutant ${i} of seed ${seed}: ${(error as Error).stack}` }); process.exitCode = 1; return; }
      tally.refused++;
    }
    tally.mutants++;
    tally.slowestMs = Math.max(tally.slowestMs, performance.now() - now);
    if (i % 16 === 0) tally.rssMiB = Math.max(tally.rssMiB, Math.round((process.memoryUsage.rss() - base) / 2 ** 20));
    for (const [at, length] of changed) forge.write(at, good.subarray(at, at + length));
  }
  for (const { forge } of originals.slice(0, 2)) forge.close();
  closeSync(nothing);
  said({ done: tally });
}

/**
 * Plays mutants in a child, and listens. @param heard  the mutant it is at
 * @throws Error naming the mutant where it threw anything but a FramekeepError, died, said nothing for `silenceMs`, or took too much memory
 */
export function playInChild(seed: number, from: number, count: number, options: { readonly silenceMs: number; readonly mostRssMiB: number; heard?(mutant: number): void }): Promise<Tally> {
  const child = fork(fileURLToPath(import.meta.url), [seed, from, count].map(String), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: [] });
  return new Promise((resolve, reject) => {
    let at = from, done: Tally | undefined;
    const fail = (why: string): void => { clearTimeout(silence); child.kill('SIGKILL'); reject(new Error(`${why}; again with: node dist/test/mutants.js ${seed} ${at} 1000`)); };
    const silence = setTimeout(() => fail(`no end within ${options.silenceMs} ms, from mutant ${at} of seed ${seed} on`), options.silenceMs);
    child.on('message', (m: Said) => {
      silence.refresh();
      if ('wrong' in m) fail(m.wrong);
      else if ('done' in m) done = m.done;
      else options.heard?.(at = m.mutant);
    });
    child.on('error', (error) => fail(error.message));
    child.on('exit', (code, signal) => {
      clearTimeout(silence);
      if (done === undefined) fail(`the child ended (${signal ?? code}) behind mutant ${at} of seed ${seed}`);
      else if (done.rssMiB > options.mostRssMiB) fail(`${done.rssMiB} MiB more than at the beginning`);
      else resolve(done);
    });
  });
}

export function sum(tallies: readonly Tally[]): Tally {
  const all: Tally = { mutants: 0, refused: 0, opened: 0, continued: 0, frames: 0, findings: 0, slowestMs: 0, rssMiB: 0 };
  for (const t of tallies) {
    for (const key of ['mutants', 'refused', 'opened', 'continued', 'frames', 'findings'] as const) all[key] += t[key];
    for (const key of ['slowestMs', 'rssMiB'] as const) all[key] = Math.max(all[key], Math.round(t[key]));
  }
  return all;
}

const [, script, seed, from, count] = process.argv;
if (script?.endsWith('mutants.js') && count !== undefined) {
  process.on('disconnect', () => process.exit(1));
  await play(Number(seed), Number(from), Number(count), (what) => { if (process.send !== undefined) process.send(what); else if (!('mutant' in what)) console.log(JSON.stringify(what)); });
  process.disconnect?.();
}
