/** What inspect and verify say of pools: sound ones, crashed ones, damaged ones, and one that a switch is filling. */
import test from 'ava';
import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../native/addon.js';
import { create, inspectPool, Pool, verifyPool, type BootHeader, type PoolReport, type VerifyResult } from '../logger/index.js';
import { busyWriter } from './busy_writer.js';
import { PATIENCE_MS } from './patience.js';
import { Forge, Keeper, portEntry, scratch, testFrame } from './pool_maker.js';

const MiB = 1 << 20;
interface Test { teardown(fn: () => void): void }
const bin = join(packageRoot(), 'cli', 'framekeep.mjs');
const here = Uint8Array.from(Buffer.from(readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').replaceAll('-', '').trim(), 'hex'));

interface Run { frames: number; clean?: boolean; header?: Partial<BootHeader>; length?: number }
/** A pool with some runs of batches of 16. */
function aPool(t: Test, runs: readonly Run[], options: { bytes?: number; lanes?: number } = {}): string {
  const path = join(scratch(t), 'a.pool');
  create(path, { bytes: 4 * MiB, ...options });
  const pool = Pool.open(path, { writable: true });
  for (const { frames, clean = true, header, length } of runs) {
    const keeper = new Keeper(pool, { maxBatch: 16, ports: [portEntry(0), portEntry(1, { spec: 'tap:vm1' })], header: { kernelBootId: here, maxBatch: 16, ...header } });
    for (let i = 0; i < frames; i++) keeper.keep(testFrame(i, length ?? 60 + i % 900), { ingress: i % 2, verdict: i % 3 === 0 ? 255 : 1 - i % 2, wire: i % 10 === 0 ? 1514 : undefined }, i % keeper.logs.length);
    keeper.close();
    if (clean) pool.writeCheckpoint(keeper.boot, { generation: 2, timeNs: BigInt(Date.now()) * 1_000_000n, clean: true, ports: [0, 1].map((n) => ({ received: frames, dropped: n, kept: frames / 2, notSelected: frames / 2, lost: 0 })) });
  }
  pool.close();
  return path;
}
function inspected(path: string): PoolReport {
  const pool = Pool.open(path);
  try { return inspectPool(pool); } finally { pool.close(); }
}
async function verified(path: string): Promise<VerifyResult> {
  const pool = Pool.open(path);
  try { return await verifyPool(pool); } finally { pool.close(); }
}
/** Spoils the sums of some slots of lane 0. */
function tear(path: string, slots: readonly number[]): void {
  const pool = Pool.open(path), { geometry } = pool;
  pool.close();
  const forge = new Forge(path, geometry), good = readFileSync(path);
  for (const slot of slots) {
    const at = geometry.lanes[0].indexOffset + slot * 32 + 28;
    forge.write(at, Buffer.of(good[at] ^ 1));
  }
  forge.close();
}
function framekeep(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [bin, ...args], { encoding: 'utf8', env: { ...process.env, TZ: 'Europe/Berlin' } });
}

test('a report counts what was kept: by run, port and verdict, with times and rates', (t) => {
  const path = aPool(t, [{ frames: 100 }, { frames: 1000, clean: false, header: { keep: 'tcp', name: 'sw7' } }]), report = inspected(path);
  t.deepEqual([report.live, report.version, report.medium.kind, report.geometry.bytes, report.geometry.missingBytes], [false, 1, 'tmpfs', 4 * MiB, 0]);
  t.regex(report.uuid, /^[0-9a-f]{32}$/);
  t.is(report.window.frames, 1100);
  t.true(Math.abs(report.window.fill - 1100 / report.geometry.slots) < 1e-9);
  t.is(report.window.guaranteed, report.geometry.slots - 16);
  const [first, second] = report.boots;
  t.deepEqual([first.ending, second.ending], ['in order', 'without a word']);
  t.deepEqual([second.id, second.name, second.keep, second.maxBatch, second.kernelRestarted, second.host], [2, 'sw7', 'tcp', 16, false, 'testhost']);
  t.deepEqual(second.verdicts, { flooded: 334, 'to gen:p0': 333, 'to tap:vm1': 333 });
  t.deepEqual(second.ports.map((p) => [p.spec, p.mac, p.frames, p.counters]), [['gen:p0', '02:00:00:00:00:00', 500, null], ['tap:vm1', '02:00:00:00:00:01', 500, null]]);
  t.deepEqual(first.ports[1].counters, { received: 100, dropped: 1, kept: 50, notSelected: 50, lost: 0 });
  t.is(second.snapped, 100);
  let wire = 0, kept = 0;
  for (let i = 0; i < 1000; i++) { kept += 60 + i % 900; wire += i % 10 === 0 ? 1514 : 60 + i % 900; }
  t.deepEqual([second.keptBytes, second.wireBytes], [kept, wire]);
  t.true(second.seconds > 0 && Math.abs(second.framesPerSecond - 1000 / second.seconds) < 1 && Math.abs(second.bitsPerSecond - wire * 8 / second.seconds) < 100);
  t.regex(second.first!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  t.true(first.started! <= first.first! && first.last! <= second.first! && second.first! < second.last!);
  t.is(report.window.oldest, first.first);
  t.is(report.window.newest, second.last);
  t.deepEqual(report.findings, []);
  t.deepEqual(report.notes, ['boot 2 ended without a word: killed, crashed, or cut off from power']);
  t.deepEqual(JSON.parse(JSON.stringify(report)), report, 'JSON carries all of it');
});

test('what a crash tears is a note; the same anywhere else is damage', async (t) => {
  // 200 frames in batches of 16; then a crash. Slots 192–215 are where its last batches were.
  const crashed: Run[] = [{ frames: 500, clean: true }, { frames: 200, clean: false }], end = 700;
  for (const [what, runs, slots, damaged] of [
    ['behind the end', crashed, [end, end + 3, end + 15], 0], ['before the end', crashed, [end - 1, end - 3, end - 16], 0],
    ['further on', crashed, [end + 16], 1], ['further back', crashed, [end - 17], 1], ['at the end of a run that ended in order', crashed, [499, 501], 2],
    ['far off', crashed, [3, 77], 2], ['of a pool that ended in order', [{ frames: 500 }], [500, 499], 2],
  ] as [string, Run[], number[], number][]) {
    // One lap first, so that what is behind the end holds older records.
    const slotsOf = (Pool.open(aPool(t, [])).geometry.lanes[0].slots);
    const lap = [{ frames: slotsOf }, ...runs], path = aPool(t, lap);
    tear(path, slots);
    const { report: { lanes: [lane] }, sound, findings, notes } = await verified(path);
    t.deepEqual([lane.torn, lane.damaged], [slots.length - damaged, damaged], what);
    t.is(sound, damaged === 0, `${what}: ${findings.join('; ')}`);
    if (damaged > 0) t.regex(findings.join(), /damaged \(no crash tears records there\): slots? \d/);
    else t.regex(notes.join(), /torn by a crash in mid-batch/);
  }
});

test('a crash whose later runs went on: the gap it left is a note, one in the middle of a run is not', (t) => {
  const path = aPool(t, [{ frames: 200, clean: false }, { frames: 100 }]);
  tear(path, [195, 198]);
  const { lanes: [lane], notes, findings } = inspected(path);
  t.deepEqual(lane.gaps, [{ from: 195, to: 195 }, { from: 198, to: 198 }]);
  t.regex(notes.join('\n'), /2 gaps left by a crash: 2 frames missing \(sequence 195 and 198\)/);
  t.deepEqual(findings, []);
  tear(path, [100, 101]);
  t.regex(inspected(path).findings.join(), /2 records damaged .*slots 100 and 101/);
});

test('verify finds what cannot be: conflicts, ghosts, cut files, spoilt superblocks and boot blocks, ports that are not in the table', async (t) => {
  const good = aPool(t, [{ frames: 50 }, { frames: 50 }]), path = `${good}.bad`, pool = Pool.open(good), { geometry } = pool;
  pool.close();
  const result = await verified(good);
  t.true(result.sound);
  t.deepEqual([result.frames, result.findings, result.notes], [100, [], []]);
  for (const [damage, finding] of [
    [(f: Forge) => f.record(0, 100, { buffer: geometry.buffers - 3, boot: 2 }), /1 record sound, and impossible \(0 of .*, 1 of a buffer that a newer one has\)/],
    [(f: Forge) => f.record(0, 30, { buffer: 1000, boot: 2 }), /1 record sound, and impossible \(1 of a number its run cannot have given/],
    [(f: Forge) => f.write(40, Buffer.from('!')), /superblock copy A is damaged; the other one was used/],
    [(f: Forge) => f.write(8192 + 16384 + 70, Buffer.from('!')), /block 1 of the boot table is damaged/],
    [(f: Forge) => f.record(0, 99, { buffer: 1000, boot: 2, ingress: 17 }), /boot 2: port 17 received frames and is not in its port table/],
    [(f: Forge) => f.record(0, 99, { buffer: 1000, boot: 2, ingress: 200 }), /boot 2: 1 frame of a port number above 63/],
    [(f: Forge) => f.record(0, 99, { buffer: 1000, boot: 2, kept: 100, wire: 60 }), /1 frame with more bytes kept than were on the wire/],
    [(f: Forge) => f.record(0, 45, { buffer: 1000, boot: 1, generation: 0 }), /1 record damaged/],
    [(f: Forge) => f.write(geometry.lanes[0].indexOffset + 45 * 32, Buffer.alloc(32)), /1 gap that no crash explains: 1 frame missing \(sequence 45\)/],
  ] as [(f: Forge) => void, RegExp][]) {
    copyFileSync(good, path);
    const forge = new Forge(path, geometry);
    damage(forge);
    forge.close();
    const { sound, findings } = await verified(path);
    t.false(sound, String(finding));
    t.regex(findings.join('\n'), finding);
  }
  copyFileSync(good, path);
  truncateSync(path, geometry.fileBytes - MiB);
  t.regex((await verified(path)).findings.join(), /the file was cut: 1\d{6} bytes of its buffers are missing/);
});

test('a page-cache file after a boot of the machine: torn records anywhere are notes', async (t) => {
  const path = aPool(t, [{ frames: 300, clean: false, header: { medium: 'file', kernelBootId: new Uint8Array(16) } }]);
  tear(path, [5, 6, 150]);
  const { sound, notes } = await verified(path);
  t.true(sound);
  t.regex(notes.join('\n'), /as far as the kernel had written it back/);
});

test('the clock set back is a note', (t) => {
  const path = aPool(t, [{ frames: 10 }]), pool = Pool.open(path), { geometry } = pool;
  pool.close();
  const forge = new Forge(path, geometry);
  forge.record(0, 10, { buffer: 1500, timestamp: 1_000_000_000n });
  forge.close();
  const report = inspected(path);
  t.regex(report.notes.join(), /boot 1: time goes back once: the clock was set/);
  t.is(report.window.oldest, '1970-01-01T00:00:01.000000000Z');
});

test.serial('a pool that a switch is filling at full speed is sound, and nothing in it is called damage', async (t) => {
  const path = join(scratch(t), 'a.pool');
  create(path, { bytes: MiB });
  const writer = busyWriter(path);
  let looks = 0, inFlight = 0;
  await writer.started;
  const began = performance.now(), seconds = (): number => (performance.now() - began) / 1000;
  while (seconds() < 1.5 || (looks <= 3 && seconds() < PATIENCE_MS / 1000)) {
    const pool = Pool.open(path), result = await verifyPool(pool);
    t.true(pool.isLive());
    // Its ports are in no table: that is so, and all there is.
    t.deepEqual(result.findings.filter((f) => !/port 0 received frames and is not in its port table/.test(f)), []);
    t.is(result.report.boots.at(-1)?.ending, 'running');
    inFlight += result.report.lanes[0].inFlight;
    looks++;
    pool.close();
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.log(`${looks} times; ${inFlight} records were in flight`);
  t.true(looks > 3 && await writer.stop() > 50_000);
});

test('framekeep inspect: for a person, and as JSON', (t) => {
  const path = aPool(t, [{ frames: 100 }, { frames: 900, clean: false }], { lanes: 2 });
  const plain = framekeep('inspect', path);
  t.is(plain.status, 0, plain.stderr);
  for (const expected of [
    /^\S+a\.pool {2}no switch has it$/m, /4\.0 MiB on tmpfs, buffers of 2048 bytes, 2 lanes, format 1, made \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+0[12]:00 \(\d\d:\d\d:\d\dZ\)/, /memory \(tmpfs\): what is kept survives/,
    /1,000 frames, [\d.]+ KiB, in [\d.]+ s: [\d,]+ frames\/s, [\d.]+ [kMG]bit\/s/, /from \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9}\+0\d:00 \(.*Z\)/, /lane 1: sequence 0 to 499/, /2 +\S.* killed or crashed /,
    /1 +\S.* in order /, /tap:vm1 +02:00:00:00:00:01 +450/, /Notes\n {2}boot 2 ended without a word/,
  ]) t.regex(plain.stdout, expected);
  t.notRegex(plain.stdout, /\x1b/, 'no colour where nobody looks');
  t.notRegex(plain.stdout, /received/, 'the newest run has no checkpoint');
  t.regex(framekeep('inspect', '--boots', path).stdout, /received/);
  t.true(plain.stdout.split('\n').every((line) => line.length < 160));
  const report = JSON.parse(framekeep('inspect', '--json', path).stdout) as PoolReport;
  t.deepEqual(report, inspected(path));
  const empty = join(path, '..', 'empty.pool');
  create(empty, { bytes: MiB });
  t.regex(framekeep('inspect', empty).stdout, /no frame\n.*0 % used/);
  t.is(framekeep('inspect', `${path}x`).status, 1);
});

test('framekeep verify: exit codes, findings, JSON, quiet', (t) => {
  const path = aPool(t, [{ frames: 300 }]);
  const good = framekeep('verify', path);
  t.deepEqual([good.status, good.stderr], [0, '']);
  t.regex(good.stdout, /a\.pool: sound; 300 frames, [\d,]+ bytes read in/);
  tear(path, [7, 8, 9]);
  const bad = framekeep('verify', path);
  t.is(bad.status, 1);
  t.regex(bad.stdout, /damaged; 297 frames.*\n {2}3 records damaged .*slots 7, 8 and 9/);
  const quiet = framekeep('verify', '-q', path);
  t.deepEqual([quiet.status, quiet.stdout, quiet.stderr], [1, '', '']);
  const json = framekeep('verify', '--json', path);
  t.is(json.status, 1);
  t.like(JSON.parse(json.stdout), { sound: false, frames: 297, complete: true });
  t.is(framekeep('verify', '/dev/null').status, 1);
});
