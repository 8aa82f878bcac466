/**
 * Holds one crash image to the invariants, with the recovery and the reader that the product uses:
 *
 *   I1  every acknowledged record within the guarantee is recovered
 *   I2  each recovered frame is byte-equal, with its length, ports (by name) and time; the last checkpoint is there
 *   I3  no sequence number above what was issued, none twice, and the log goes on above all of them
 *   I4  no buffer in two valid records, not even in two of which recovery would put one aside; free = all − referenced
 *   I5  recovery takes whatever is there, changes nothing, and gives the same twice
 *   I6  no ghosts: a record is of the run that wrote it
 *   I7  holes only where the batch in flight was, at both ends, or an earlier recovery had given up; they are reported, and the export
 *       holds exactly the recovered set, in order
 *   I8  the all-zero record is invalid
 */
import { closeSync, copyFileSync, openSync, rmSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { crc32c, SLOT_EMPTY, SLOT_VALID } from '../../native/index.js';
import { exportPool, IndexView, NO_BUFFER, Pool, PoolReader, readerBytes, recover, sequenceOf, unreferenced, verifyPool, type Gap, type Recovery } from '../../logger/index.js';
import { ByteSink, openCapture } from '../../logger/capture/index.js';
import type { Expected, Kept } from './expected.js';

/** An invariant that an image breaks, and how: `I2: frame 7 of lane 0 has 60 bytes`. */
export class Violation extends Error {}
const broken = (invariant: string, how: string): never => { throw new Violation(`${invariant}: ${how}`); };

export interface Outcome {
  readonly recovery: Recovery;
  /** Sequence numbers in the order in which they are read, by lane. */
  readonly delivered: readonly (readonly number[])[];
  readonly frames: readonly Kept[];
  /** Alike for images that recovery makes the same of. */
  readonly key: string;
  /** … and whose tables (all before the first index) are the same. */
  readonly tables: number;
}

export class Checker {
  readonly pool: Pool;
  private readonly memory: Uint8Array;
  private readonly indices: readonly IndexView[];
  private readonly slotBuffers: readonly Uint32Array[];
  private readonly capture: string;
  private due: readonly (readonly number[])[] = [];

  /** @param capture  where exports go, on tmpfs */
  constructor(pool: Pool, capture: string) {
    this.pool = pool;
    this.memory = new Uint8Array(readerBytes(pool));
    this.indices = pool.geometry.lanes.map((lane) => new IndexView(pool.head, lane));
    this.slotBuffers = pool.geometry.lanes.map((lane) => new Uint32Array(lane.slots));
    this.capture = capture;
  }

  /** Once a crash point: what every image of it must hold. */
  expect(expected: Expected): void {
    this.due = expected.lanes.map((lane) => lane.due());
  }

  /** @throws Violation */
  check(expected: Expected): Outcome {
    const { pool } = this;
    let recovery: Recovery;
    try { recovery = recover(pool); } catch (error) { return broken('I5', `recovery fails: ${String(error)}`); }
    const delivered: number[][] = recovery.lanes.map(() => []), frames: Kept[] = [];
    // An old record's buffer circulates again only when the record is gone: recovery must never have to choose.
    recovery.lanes.forEach((lane, n) => lane.conflicts > 0 ? broken('I4', `${lane.conflicts} records of lane ${n} name buffers that newer ones name`) : this.checkBuffers(n, lane.state));
    const reader = new PoolReader(pool, recovery, this.memory);
    while (reader.next()) {
      const { lane, sequence } = reader, of = (): string => `frame ${sequence} of lane ${lane}`;
      const kept = expected.lanes[lane].issued.get(sequence);
      if (sequence > expected.lanes[lane].last) broken('I3', `${of()}, where ${expected.lanes[lane].last} was the last`);
      if (kept === undefined) return broken('I6', `${of()} comes back, which an earlier recovery had given up`);
      const before = delivered[lane].at(-1);
      if (before !== undefined && before >= sequence) broken(before === sequence ? 'I3' : 'I7', `${of()} after ${before}`);
      if (reader.boot !== kept.boot) broken('I6', `${of()} is of boot ${reader.boot}, not ${kept.boot}`);
      if (reader.captured !== kept.bytes.length || reader.wire !== kept.wire) broken('I2', `${of()} has ${reader.captured} of ${reader.wire} bytes, not ${kept.bytes.length} of ${kept.wire}`);
      if (reader.ingress !== kept.ingress || reader.verdict !== kept.verdict || (reader.flags & ~0x08) !== kept.flags) broken('I2', `${of()} has other ports or flags`);
      if (reader.timeHigh !== kept.timeHigh || reader.timeLow !== kept.timeLow) broken('I2', `${of()} has another time`);
      for (let i = 0; i < kept.bytes.length; i++) if (reader.bytes[reader.offset + i] !== kept.bytes[i]) broken('I2', `${of()} differs in byte ${i}`);
      delivered[lane].push(sequence);
      frames.push(kept);
    }
    if (reader.overtaken > 0 || reader.orphans > 0) broken('I7', `${reader.overtaken} overtaken, ${reader.orphans} orphans of a pool that nobody writes to`);

    recovery.lanes.forEach((lane, n) => {
      const got = new Set(delivered[n]), { last } = expected.lanes[n];
      for (const sequence of this.due[n]) if (!got.has(sequence)) broken('I1', `frame ${sequence} of lane ${n} is lost (acknowledged, ${last} was the last issued)`);
      if (lane.valid !== delivered[n].length || lane.beyond > 0) broken('I7', `lane ${n}: ${lane.valid} recovered, ${delivered[n].length} delivered`);
      const newest = delivered[n].at(-1) ?? -1, least = Math.max(newest + 1, ...this.due[n].map((s) => s + 1));
      if (lane.newest !== newest || lane.oldest !== (delivered[n][0] ?? -1)) broken('I7', `lane ${n}: reported as ${lane.oldest} to ${lane.newest}`);
      if (lane.next < least || lane.next > last + 1) broken('I3', `lane ${n} would go on at ${lane.next}, after ${newest}, of ${last} issued`);
      if (!isDeepStrictEqual(lane.gaps, gapsOf(delivered[n], this.indices[n].slots))) broken('I7', `lane ${n}: gaps are reported as ${JSON.stringify(lane.gaps)}`);
    });
    this.checkBoots(expected, recovery, frames);
    return {
      recovery, delivered, frames, key: `${delivered.join(';')} ${recovery.lanes.map((l) => `${l.torn},${l.ghosts},${l.conflicts},${l.next}`).join()} ${recovery.lastBoot}`,
      tables: crc32c(new Uint8Array(pool.head.segments[0], 0, pool.geometry.lanes[0].indexOffset)),
    };
  }

  private checkBuffers(n: number, state: Uint8Array): void {
    const g = this.pool.geometry.lanes[n], index = this.indices[n], held = this.slotBuffers[n], seen = new Set<number>();
    held.fill(NO_BUFFER);
    for (let slot = 0; slot < g.slots; slot++) {
      const { words, base } = index.at(slot);
      let any = 0;
      for (let w = 0; w < 8; w++) any |= words[base + w];
      if (any === 0 && state[slot] !== SLOT_EMPTY) broken('I8', `slot ${slot} of lane ${n} is all zero and taken for a record`);
      if (state[slot] !== SLOT_VALID) continue;
      if (seen.has(index.buffer)) broken('I4', `buffer ${index.buffer} is in two records`);
      if (sequenceOf(index.generation, g.slots, slot) < 0) broken('I8', `slot ${slot} has no number`);
      seen.add(index.buffer);
      held[slot] = index.buffer;
    }
    const free = unreferenced(held, g.firstBuffer, g.buffers);
    if (free.length + seen.size !== g.buffers || free.some((buffer) => seen.has(buffer))) broken('I4', `lane ${n}: ${free.length} free and ${seen.size} held are not ${g.buffers}`);
  }

  /** As the next start does it: on a mapping that it could write to. */
  private recoverTwiceAsWriter(recovery: Recovery): void {
    const { pool } = this, copy = `${this.capture}.copy`;
    copyFileSync(pool.path, copy);
    const writer = Pool.open(copy, { writable: true });
    try {
      // Opening repairs a superblock copy; what recovery makes of the rest is looked at.
      const head = new Uint8Array(writer.head.segments[0]), before = head.slice();
      for (const time of ['first', 'second']) {
        if (!isDeepStrictEqual(recover(writer), recovery)) broken('I5', `recovery by a writer gives something else the ${time} time`);
        if (Buffer.compare(head, before) !== 0) broken('I5', 'recovery changes the pool');
      }
    } finally { writer.close(); rmSync(copy); }
  }

  private checkBoots(expected: Expected, { boots, lastBoot }: Recovery, frames: readonly Kept[]): void {
    if (lastBoot < expected.boot) broken('I6', `the last boot is ${lastBoot}, after boot ${expected.boot} was begun`);
    // A block is given up when a later run begins to take it over.
    const known = new Map(boots.map((b) => [b.id, b])), given = expected.geometry.boots;
    for (const { boot, ingress } of frames) {
      if (boot <= expected.boot + 1 - given && boot !== expected.boot) continue;
      const spec = known.get(boot)?.ports.find((p) => p.id === ingress)?.spec;
      if (spec === undefined) broken('I2', `a frame of boot ${boot} came in by port ${ingress}, which has no name`);
      if (spec !== expected.ports.get(boot)?.get(ingress)) broken('I2', `port ${ingress} of boot ${boot} is named ${spec}`);
    }
    const now = known.get(expected.boot)?.checkpoint?.generation ?? 0;
    if (expected.boot > 0 && lastBoot === expected.boot && now < expected.checkpoint) broken('I2', `checkpoint ${now}, after ${expected.checkpoint} was written`);
  }

  /** What is too slow for every image, for those that recovery makes something new of. @throws Violation */
  async checkDeeply({ recovery, frames }: Outcome): Promise<void> {
    const { pool } = this;
    if (!isDeepStrictEqual(recover(pool), recovery)) broken('I5', 'recovery gives something else the second time');
    this.recoverTwiceAsWriter(recovery);
    const { sound, findings } = await verifyPool(pool);
    if (!sound) broken('I7', `a crash is taken for damage: ${findings.join('; ')}`);
    const fd = openSync(this.capture, 'w');
    let written: number;
    try { written = (await exportPool(pool, (beside) => new ByteSink(fd, this.capture, 1 << 19, beside))).frames; } finally { closeSync(fd); }
    if (written !== frames.length) broken('I7', `${written} frames are exported, ${frames.length} were recovered`);
    const capture = openCapture(this.capture);
    try {
      for (const [i, kept] of frames.entries()) {
        if (!capture.next()) { broken('I7', `the capture ends after ${i} of ${frames.length} frames`); }
        const bytes = capture.bytes.subarray(capture.offset, capture.offset + capture.captured);
        if (Buffer.compare(bytes, kept.bytes) !== 0 || capture.wire !== kept.wire || capture.tsHi !== kept.timeHigh || capture.tsLo !== kept.timeLow) broken('I7', `the capture's frame ${i} is not the one recovered`);
      }
      if (capture.next()) broken('I7', 'the capture holds more than was recovered');
    } finally { capture.close(); }
  }
}

/** The numbers missing between the oldest and the newest, but for those that a whole lap has passed. */
function gapsOf(delivered: readonly number[], slots: number): Gap[] {
  if (delivered.length === 0) return [];
  const newest = delivered.at(-1)!, there = new Set(delivered), gaps: Gap[] = [];
  for (let s = Math.max(delivered[0], newest - slots + 1); s <= newest; s++) {
    if (there.has(s)) continue;
    const from = s;
    while (!there.has(s + 1)) s++;
    gaps.push({ from, to: s });
  }
  return gaps;
}
