/**
 * What recovery makes of what a crash, damage or malice left: against the log itself, cut off in the middle of batches, and
 * against a model that is written from docs/format.md.
 */
import test from 'ava';
import fc from './properties.js';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { SLOT_BEYOND, SLOT_VALID } from '../native/index.js';
import { create, IndexView, Pool, PoolReader, RECORD_BYTES, recover, sequenceOf, type Geometry, type LaneRecovery } from '../logger/index.js';
import { bootHeader, Forge, Keeper, scratch, testFrame, type Forged } from './pool_maker.js';

const MiB = 1 << 20;

function aPool(t: { teardown(fn: () => void): void }, options: { bytes?: number; lanes?: number; chunk?: number } = {}): { path: string; geometry: Geometry } {
  const path = join(scratch(t), 'a.pool');
  create(path, { bytes: MiB, ...options });
  const pool = Pool.open(path), { geometry } = pool;
  pool.close();
  return { path, geometry };
}

/** Opens, recovers, and reads all frames in the reader's order. */
function reopen(path: string): { lanes: readonly LaneRecovery[]; lastBoot: number; frames: { lane: number; sequence: number; boot: number; bytes: Uint8Array; wire: number }[]; overtaken: number; orphans: number } {
  const pool = Pool.open(path), reader = new PoolReader(pool), frames = [];
  while (reader.next()) {
    frames.push({
      lane: reader.lane, sequence: reader.sequence, boot: reader.boot, wire: reader.wire, bytes: reader.bytes.slice(reader.offset, reader.offset + reader.captured),
    });
  }
  const { lanes, lastBoot } = reader.recovery;
  pool.close();
  return { lanes, lastBoot, frames, overtaken: reader.overtaken, orphans: reader.orphans };
}

/** Writes the boots of a table; `starts` are their first sequences in every lane. */
function boots(path: string, starts: Record<number, number>): void {
  const pool = Pool.open(path, { writable: true }), found = recover(pool);
  for (const [id, start] of Object.entries(starts)) pool.writeBoot(bootHeader(found, { id: Number(id), firstSequence: found.lanes.map(() => start) }));
  pool.close();
}

// ------------------------------------------------------------------------------------------------- what a crash leaves

test('a batch cut off by a crash: holes at both ends, nothing acknowledged within the guarantee lost, twice and more', (t) => {
  // In each round the log runs on; then a crash lets some of the next batch's records through, some torn, some not at all.
  fc.assert(fc.property(fc.array(fc.record({
    frames: fc.integer({ min: 0, max: 900 }), batch: fc.integer({ min: 1, max: 40 }), fate: fc.array(fc.constantFrom('old', 'new', 'torn', 'half'), { minLength: 40, maxLength: 40 }),
  }), { minLength: 1, maxLength: 5 }), (rounds) => {
    const { path, geometry } = aPool(t), [{ slots, indexOffset }] = geometry.lanes;
    const sent = new Map<number, Uint8Array>();  // sequence → frame, as acknowledged last
    let number = 0, largest = 0;
    for (const { frames, batch, fate } of rounds) {
      largest = Math.max(largest, batch);
      const pool = Pool.open(path, { writable: true }), keeper = new Keeper(pool, { maxBatch: batch });
      for (const sequence of sent.keys()) if (sequence >= keeper.recovery.lanes[0].next) sent.delete(sequence);  // never came back, and may be given out again
      for (let i = 0; i < frames; i++) {
        const frame = testFrame(++number, 20 + number % 700);
        sent.set(keeper.keep(frame), frame);
      }
      keeper.commit();
      const acknowledged = keeper.logs[0].nextSequence - 1;
      // The batch in flight: commit it, then take back what the crash did not let through.
      const before = readFileSync(path).subarray(0, geometry.buffersOffset);
      const flying = new Set<number>();
      for (let i = 0; i < batch; i++) {
        const frame = testFrame(++number, 20 + number % 700), sequence = keeper.keep(frame);
        sent.set(sequence, frame);
        flying.add(sequence);
      }
      keeper.close();
      pool.close();
      const forge = new Forge(path, geometry), after = readFileSync(path);
      [...flying].forEach((sequence, i) => {
        const at = indexOffset + sequence % slots * RECORD_BYTES, kind = fate[i];
        if (kind === 'old') forge.write(at, before.subarray(at, at + RECORD_BYTES));
        if (kind === 'half') forge.write(at + 16, before.subarray(at + 16, at + RECORD_BYTES));
        if (kind === 'torn') forge.write(at + 8, Buffer.of(after[at + 8] ^ 0x55));
        if (kind !== 'new') sent.delete(sequence);
      });
      forge.close();

      const { lanes: [lane], frames: found, lastBoot } = reopen(path), got = new Map(found.map((f) => [f.sequence, f]));
      t.is(lastBoot, keeper.boot);
      t.is(got.size, found.length, 'none twice');
      t.is(lane.valid, found.length);
      t.deepEqual([lane.ghosts, lane.conflicts, lane.beyond], [0, 0, 0]);
      // All within the guarantee are there: the newest slots - B numbers, B the largest batch of any run.
      for (let sequence = Math.max(0, acknowledged - (slots - largest) + 1); sequence <= acknowledged; sequence++) {
        if (sent.has(sequence)) t.true(got.has(sequence), `acknowledged ${sequence} of ${acknowledged}`);
      }
      // What is there is what was sent; a record that is reported was never one of those that did not get through.
      for (const f of found) t.deepEqual(f.bytes, sent.get(f.sequence), `frame ${f.sequence}`);
      t.deepEqual(found.map((f) => f.sequence), found.map((f) => f.sequence).sort((a, b) => a - b), 'in order');
      // Gaps: exactly the numbers between oldest and newest that are missing and were not overtaken in order by a later lap.
      const missing: number[] = [];
      for (let s = Math.max(lane.oldest, 0); s <= lane.newest; s++) if (!got.has(s) && s > lane.newest - slots) missing.push(s);
      t.deepEqual(lane.gaps.flatMap((g) => Array.from({ length: g.to - g.from + 1 }, (_, i) => g.from + i)), missing);
      t.is(lane.next, Math.max(lane.newest + 1, keeper.recovery.lanes[0].next));
      t.is(lane.valid + lane.torn + lane.empty, slots);
    }
    return true;
  }), { numRuns: 40 });
});

test('the worst batch: holes at both ends are reported, and the older part is not cut off', (t) => {
  const { path, geometry } = aPool(t), [{ slots, indexOffset }] = geometry.lanes;
  const pool = Pool.open(path, { writable: true }), keeper = new Keeper(pool, { maxBatch: 16 });
  const end = 3 * slots + 100;
  for (let i = 0; i < end; i++) keeper.keep(testFrame(i));
  keeper.close();
  pool.close();
  // Of the last 16, torn: 1, 2, 5 and the last three; so newest = end - 4.
  const forge = new Forge(path, geometry);
  for (const back of [16, 15, 12, 3, 2, 1]) forge.write(indexOffset + (end - back) % slots * RECORD_BYTES + 28, Buffer.of(0xde, 0xad, 0xbe, 0xef));
  forge.close();
  const { lanes: [lane], frames } = reopen(path);
  t.deepEqual(lane.gaps, [{ from: end - 16, to: end - 15 }, { from: end - 12, to: end - 12 }]);
  t.deepEqual([lane.newest, lane.next, lane.torn, lane.valid], [end - 4, end - 3, 6, slots - 6]);
  t.is(lane.oldest, end - slots, 'records older than the holes stay');
  t.is(frames.length, slots - 6);
});

test('stragglers: records that a crash kept from being replaced are read before the others, and make no endless walk', (t) => {
  const { path, geometry } = aPool(t), [{ slots }] = geometry.lanes, forge = new Forge(path, geometry);
  // The window is far on; two slots still hold what is many laps older.
  const generation = 4_000_000_000;
  for (let slot = 0; slot < slots; slot++) {
    const straggler = slot === 7 ? 3 : slot === 300 ? 17 : 0;
    forge.record(0, slot, { generation: straggler || (slot < 200 ? generation : generation - 1), buffer: slot });
    forge.frame(slot, 256, testFrame(slot));
  }
  forge.close();
  boots(path, { 1: 0 });
  const begin = process.hrtime.bigint(), { lanes: [lane], frames } = reopen(path);
  t.true(process.hrtime.bigint() - begin < 60_000_000_000n, 'a walk over all four thousand million laps would take far longer');
  t.is(lane.valid, slots);
  t.is(frames.length, slots);
  t.deepEqual(frames.slice(0, 2).map((f) => f.sequence), [2 * slots + 7, 16 * slots + 300]);
  t.deepEqual(frames.map((f) => f.sequence), frames.map((f) => f.sequence).sort((a, b) => a - b));
  for (const f of frames) t.deepEqual(f.bytes, testFrame(f.sequence % slots));
  t.is(lane.newest, (generation - 1) * slots + 199);
  t.deepEqual(lane.gaps, [{ from: (generation - 2) * slots + 300, to: (generation - 2) * slots + 300 }, { from: (generation - 1) * slots + 7, to: (generation - 1) * slots + 7 }]);
});

test('ghosts: numbers that a boot cannot have given out, and buffers that are not the lane\'s', (t) => {
  const { path, geometry } = aPool(t, { bytes: 4 * MiB, lanes: 2 }), forge = new Forge(path, geometry);
  const at = (slot: number, f: Forged): void => forge.record(0, slot, { buffer: slot, ...f });
  at(0, { boot: 1 });                 // sound: 0, in boot 1's 0–9
  at(1, { boot: 2 });                 // ghost: boot 2 began at 10
  at(10, { boot: 1 });                // ghost: boot 1 ended before 10
  at(11, { boot: 2 });                // sound
  at(12, { boot: 4 });                // ghost: boot 4 began at 20
  at(20, { boot: 4 });                // sound
  at(21, { boot: 3 });                // boot 3's block is gone, between two that are there: its record stands
  at(22, { boot: 4, buffer: geometry.lanes[1].firstBuffer });  // ghost: lane 1's buffer
  at(23, { boot: 9 });                // a later boot whose block is gone: stands
  forge.close();
  boots(path, { 1: 0, 2: 10, 4: 20 });
  const { lanes: [lane, other], lastBoot, frames } = reopen(path);
  t.deepEqual([lane.valid, lane.ghosts, lane.newest, lane.next, lastBoot], [5, 4, 23, 24, 9]);
  t.deepEqual(frames.map((f) => [f.sequence, f.boot]), [[0, 1], [11, 2], [20, 4], [21, 3], [23, 9]]);
  t.deepEqual([other.valid, other.next], [0, 20], 'a lane without records continues where its boot began');
});

test('a boot older than the table, and one whose number is of a run before it', (t) => {
  const { path, geometry } = aPool(t), forge = new Forge(path, geometry);
  forge.record(0, 5, { boot: 1, buffer: 1 });     // older than the oldest boot known: stands
  forge.record(0, 60, { boot: 1, buffer: 2 });    // but not with a number from after it began
  forge.record(0, 61, { boot: 7, buffer: 3 });
  forge.close();
  boots(path, { 6: 50, 7: 61 });
  const { lanes: [lane] } = reopen(path);
  t.deepEqual([lane.valid, lane.ghosts, lane.oldest, lane.newest], [2, 1, 5, 61]);
});

test('conflicts: of two records with one buffer the newer stands, whatever the order of slots', (t) => {
  const { path, geometry } = aPool(t), [{ slots }] = geometry.lanes, forge = new Forge(path, geometry);
  forge.record(0, 3, { generation: 2, buffer: 40 });   // newer, lower slot
  forge.record(0, 9, { generation: 1, buffer: 40 });
  forge.record(0, 20, { generation: 1, buffer: 41 });
  forge.record(0, 30, { generation: 1, buffer: 41 });  // newer, higher slot
  forge.record(0, 31, { generation: 1, buffer: 41 });  // newer still
  forge.record(0, 50, { generation: 1, buffer: 42 });
  forge.close();
  boots(path, { 1: 0 });
  const { lanes: [lane], frames } = reopen(path);
  t.deepEqual([lane.valid, lane.conflicts, lane.torn, lane.ghosts], [3, 3, 0, 0]);
  t.deepEqual(frames.map((f) => f.sequence), [31, 50, slots + 3]);
});

test('multi-buffer frames: put together, cut off where a part is missing, no frame where the beginning is', (t) => {
  const { path, geometry } = aPool(t), forge = new Forge(path, geometry), [{ slots }] = geometry.lanes;
  const MORE = 1, CONTINUED = 2;
  let buffer = 0;
  const part = (sequence: number, flags: number, length: number): Uint8Array => {
    const bytes = testFrame(sequence, length);
    forge.record(0, sequence % slots, { generation: Math.floor(sequence / slots) + 1, buffer, flags, kept: length, wire: 5000 });
    forge.frame(buffer++, 256, bytes);
    return bytes;
  };
  const whole = Buffer.concat([part(0, MORE, 1700), part(1, MORE | CONTINUED, 1700), part(2, CONTINUED, 1600)]);
  part(3, CONTINUED, 100);                                     // no beginning
  part(4, MORE, 1700);                                         // 5 is missing
  part(6, CONTINUED, 100);
  part(7, 0, 60);
  part(254, MORE, 1700);                                       // over the end of the reader's window
  part(255, MORE | CONTINUED, 1701);
  part(256, MORE | CONTINUED, 1702);
  part(257, CONTINUED, 5);
  part(slots - 1, MORE, 1500);                                 // over the end of the index
  forge.close();
  boots(path, { 1: 0 });
  const { frames, orphans } = reopen(path);
  t.deepEqual(frames.map((f) => [f.sequence, f.bytes.length, f.wire]), [[0, 5000, 5000], [4, 1700, 5000], [7, 60, 5000], [254, 5108, 5000], [slots - 1, 1500, 5000]]);
  t.deepEqual(Buffer.from(frames[0].bytes), whole);
  t.is(orphans, 2);
});

test('a frame over several buffers that wraps from the index\'s end to its beginning', (t) => {
  const { path } = aPool(t, { chunk: 4096, bytes: 2 * MiB }), pool = Pool.open(path, { writable: true }), keeper = new Keeper(pool, { maxBatch: 3 });
  const [{ slots }] = pool.geometry.lanes, parts: Uint8Array[] = [];
  for (let i = 0; i < slots + 1; i++) {
    const place = i - (slots - 1);
    const frame = testFrame(i, 3000);
    if (place >= 0) parts.push(frame);
    keeper.keep(frame, { flags: place === 0 ? 1 : place === 1 ? 2 : 0, wire: place >= 0 ? 6000 : 3000 });
  }
  keeper.close();
  pool.close();
  const { frames } = reopen(path);
  t.is(frames.length, slots - 1);
  t.deepEqual(Buffer.from(frames.at(-1)!.bytes), Buffer.concat(parts));
});

test('several lanes: each numbered and recovered by itself, merged by time', (t) => {
  const { path } = aPool(t, { bytes: 8 * MiB, lanes: 3 }), pool = Pool.open(path, { writable: true });
  const expected: string[] = [];
  for (let boot = 1; boot <= 2; boot++) {
    const keeper = new Keeper(pool, { maxBatch: 1 });
    for (let i = 0; i < 200; i++) {
      const lane = (i * 7) % 3;
      // Each lane follows the wall clock to 1 us by itself.
      for (const until = process.hrtime.bigint() + 3000n; process.hrtime.bigint() < until;);
      expected.push(`${boot} ${lane} ${keeper.keep(testFrame(i, 60 + i), {}, lane)} ${60 + i}`);
    }
    keeper.close();
  }
  pool.close();
  const { frames, lanes } = reopen(path);
  t.deepEqual(frames.map((f) => `${f.boot} ${f.lane} ${f.sequence} ${f.bytes.length}`), expected);
  t.is(lanes.reduce((n, lane) => n + lane.valid, 0), 400);
});

test('seekLast: the newest so many, and all of them again', (t) => {
  const { path } = aPool(t), pool = Pool.open(path, { writable: true }), keeper = new Keeper(pool);
  const [{ slots }] = pool.geometry.lanes;
  for (let i = 0; i < 2 * slots; i++) keeper.keep(testFrame(i));
  keeper.close();
  const reader = new PoolReader(pool);
  const count = (): [number, number] => {
    let n = 0, first = -1;
    while (reader.next()) { if (n++ === 0) first = reader.sequence; }
    return [n, first];
  };
  t.deepEqual(count(), [slots, slots]);
  t.deepEqual(count(), [0, -1]);
  for (const [last, n] of [[1, 1], [300, 300], [slots, slots], [slots + 5, slots], [Infinity, slots]]) {
    reader.seekLast(last);
    t.deepEqual(count(), [n, 2 * slots - n]);
  }
  pool.close();
});

// ------------------------------------------------------------------------------------------------------ against a model

interface Planted extends Forged { slot: number; kind: 'record' | 'spoilt' | 'garbage' }
const aRecord = (slots: number): fc.Arbitrary<Planted> => fc.record({
  slot: fc.integer({ min: 0, max: slots - 1 }), kind: fc.constantFrom('record', 'record', 'record', 'record', 'spoilt', 'garbage'),
  generation: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.constantFrom(0, 0xffffffff)), buffer: fc.oneof(fc.integer({ min: 0, max: 60 }), fc.constantFrom(467, 468, 0xffffffff)),
  boot: fc.integer({ min: 0, max: 5 }), offset: fc.constantFrom(0, 256, 1988, 1989, 65535), kept: fc.constantFrom(60, 0, 1792, 65535), flags: fc.constantFrom(0, 0, 0, 1, 2, 3, 8, 16),
});

test('any records at all: recovery agrees with a model written from the specification', (t) => {
  const { path, geometry } = aPool(t), [{ slots, indexOffset, buffers }] = geometry.lanes;
  const zeros = new Uint8Array(slots * RECORD_BYTES), bootTable = new Uint8Array(geometry.boots * 16384);
  let frames = 0, ghosts = 0, conflicts = 0;
  fc.assert(fc.property(fc.uniqueArray(aRecord(slots), { selector: (r) => r.slot, minLength: 5, maxLength: 120, size: 'max' }), fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { maxLength: 4 }),
    fc.array(fc.integer({ min: 0, max: 3 * slots }), { minLength: 4, maxLength: 4 }), (records, ids, cuts) => {
      const starts = [...cuts].sort((a, b) => a - b), table = [...ids].sort();
      const forge = new Forge(path, geometry);
      forge.write(indexOffset, zeros);
      forge.write(8192, bootTable);
      for (const r of records) {
        if (r.kind === 'garbage') forge.write(indexOffset + r.slot * RECORD_BYTES, testFrame(r.slot, RECORD_BYTES));
        else forge.record(0, r.slot, { ...r, spoil: r.kind === 'spoilt' ? 1 << r.slot % 32 : 0 }, (r.flags! & 8) !== 0 ? new Uint8Array(r.kept!) : undefined);
      }
      forge.close();
      boots(path, Object.fromEntries(table.map((id) => [id, starts[id - 1]])));

      // The model: sound, then not a ghost, then not a conflict's older one.
      const sequence = (r: Planted): number => (r.generation! - 1) * slots + r.slot;
      const sound = records.filter((r) => r.kind === 'record' && r.generation! > 0 && r.buffer! < buffers && r.offset! + r.kept! <= 2048);
      const standing = sound.filter((r) => {
        if (sequence(r) >= (2 ** 32 - 1) * slots) return false;
        if (table.length === 0) return true;
        if (!table.includes(r.boot!)) return sequence(r) < starts[table[0] - 1] || r.boot! > table[0];
        const following = table.find((id) => id > r.boot!);
        return sequence(r) >= starts[r.boot! - 1] && (following === undefined || sequence(r) < starts[following - 1]);
      });
      const valid = standing.filter((r) => !standing.some((other) => other.buffer === r.buffer && sequence(other) > sequence(r)));
      const newest = Math.max(-1, ...valid.map(sequence)), next = Math.max(newest + 1, ...table.map((id) => starts[id - 1]));

      const { lanes: [lane], lastBoot, frames: found, orphans } = reopen(path);
      t.deepEqual(
        { valid: lane.valid, torn: lane.torn, empty: lane.empty, ghosts: lane.ghosts, conflicts: lane.conflicts, beyond: lane.beyond, newest: lane.newest, next: lane.next },
        {
          valid: valid.length, torn: records.length - sound.length, empty: slots - records.length, ghosts: sound.length - standing.length,
          conflicts: standing.length - valid.length, beyond: 0, newest, next,
        });
      t.is(lane.oldest, valid.length === 0 ? -1 : Math.min(...valid.map(sequence)));
      t.is(lastBoot, Math.max(0, ...table, ...standing.map((r) => r.boot!)));
      // The reader delivers every valid record once: as a frame, as a part of one, or as an orphan.
      const parts = valid.filter((r) => (r.flags! & 2) !== 0).length;
      t.true(found.length + parts === valid.length && orphans <= parts);
      t.deepEqual(found.map((f) => f.sequence), valid.filter((r) => (r.flags! & 2) === 0).map(sequence).sort((a, b) => a - b));
      frames += found.length;
      ghosts += lane.ghosts;
      conflicts += lane.conflicts;
      return true;
    }), { numRuns: 300 });
  t.true(frames > 500 && ghosts > 300 && conflicts > 100, `${frames} frames, ${ghosts} ghosts, ${conflicts} conflicts were met`);
});

test('recovery is idempotent and changes nothing', (t) => {
  const { path, geometry } = aPool(t), forge = new Forge(path, geometry);
  for (let i = 0; i < 50; i++) forge.write(geometry.lanes[0].indexOffset + i * 37, testFrame(i, 31));
  for (let i = 100; i < 200; i++) forge.record(0, i, { generation: 1 + i % 3, buffer: i % 80 });
  forge.close();
  const before = readFileSync(path), pool = Pool.open(path, { writable: true });
  const first = recover(pool), second = recover(pool);
  t.true(isDeepStrictEqual(first, second));
  t.true(readFileSync(path).equals(before));
  pool.close();
});

test('no two sound records share a buffer, and none is outside its lane, whatever was there', (t) => {
  const { path, geometry } = aPool(t, { bytes: 4 * MiB, lanes: 2 });
  fc.assert(fc.property(fc.array(fc.record({ lane: fc.integer({ min: 0, max: 1 }), slot: fc.integer({ min: 0, max: 700 }), generation: fc.integer({ min: 1, max: 3 }), buffer: fc.integer({ min: 0, max: 1999 }) }), { maxLength: 200 }), (records) => {
    const forge = new Forge(path, geometry);
    for (const r of records) forge.record(r.lane, r.slot, r);
    forge.close();
    const pool = Pool.open(path), { lanes } = recover(pool);
    lanes.forEach((lane, n) => {
      const g = geometry.lanes[n], index = new IndexView(pool.head, g), buffers = new Set<number>();
      lane.state.forEach((state, slot) => {
        if (state !== SLOT_VALID && state !== SLOT_BEYOND) return;
        const { buffer, generation } = index.at(slot);
        t.true(buffer >= g.firstBuffer && buffer < g.firstBuffer + g.buffers && !buffers.has(buffer));
        t.true(sequenceOf(generation, g.slots, slot) < lane.next);
        buffers.add(buffer);
      });
      t.is(buffers.size, lane.valid + lane.beyond);
    });
    pool.close();
  }), { numRuns: 100 });
});
