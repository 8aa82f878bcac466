/**
 * The circular log and its reader: what a commit keeps, gives back and counts, and what a reader sees while a switch in
 * another process overwrites at full speed.
 */
import test from 'ava';
import fc from './properties.js';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bestFlush, FramekeepError, mapMemory, unmap, type Mapping } from '../native/index.js';
import { create, FLAG_FRAME_CRC, IndexView, Log, NO_BUFFER, Pool, PoolReader, recover, unreferenced, type CreateOptions, type OpenOptions } from '../logger/index.js';
import { busyWriter } from './busy_writer.js';
import { appendFrame } from './append_frame.js';
import { difference } from './alike.js';
import { PATIENCE_MS } from './patience.js';
import { Forge, Keeper, scratch, testFrame } from './pool_maker.js';

const MiB = 1 << 20;
interface Test { teardown(fn: () => void): void; log(text: string): void }

function aPool(t: Test, options: CreateOptions & { where?: string; open?: OpenOptions } = {}): Pool {
  const path = join(scratch(t, options.where), 'a.pool');
  create(path, { bytes: MiB, ...options });
  const pool = Pool.open(path, { writable: true, ...options.open });
  t.teardown(() => { try { pool.close(); } catch { /* the test closed it */ } });
  return pool;
}

interface Seen { sequence: number; bytes: Uint8Array; wire: number; ingress: number; verdict: number; flags: number; boot: number; ns: bigint }
function read(pool: Pool): Seen[] {
  const reader = new PoolReader(pool), all: Seen[] = [];
  while (reader.next()) {
    all.push({
      sequence: reader.sequence, bytes: reader.bytes.slice(reader.offset, reader.offset + reader.captured), wire: reader.wire, ingress: reader.ingress,
      verdict: reader.verdict, flags: reader.flags, boot: reader.boot, ns: BigInt(reader.timeHigh) << 32n | BigInt(reader.timeLow),
    });
  }
  return all;
}

test('what is kept comes back: bytes, lengths, ports, verdict, flags, boot, and the time of day', (t) => {
  const pool = aPool(t), keeper = new Keeper(pool, { maxBatch: 7 });
  const before = BigInt(Date.now()) * 1_000_000n;
  const all = fc.sample(fc.record({
    length: fc.constantFrom(0, 1, 14, 60, 61, 1514, 1792, 2048), wire: fc.integer({ min: 0, max: 0xffffff }), ingress: fc.integer({ min: 0, max: 63 }),
    verdict: fc.integer({ min: 0, max: 255 }), flags: fc.constantFrom(0, 4, 16, 20), offset: fc.constantFrom(0, 1, 64, 255, 256),
  }), 300).map((f, i) => ({ ...f, wire: Math.max(f.wire, f.length), offset: Math.min(f.offset, 2048 - f.length), frame: testFrame(i, f.length) }));
  for (const f of all) keeper.keep(f.frame, f);
  keeper.close();
  const found = read(pool);
  t.is(difference(found.map(({ bytes, wire, ingress, verdict, flags }) => [bytes, wire, ingress, verdict, flags]),
    all.map(({ frame, wire, ingress, verdict, flags }) => [frame, wire, ingress, verdict, flags])), '');
  t.true(found.every((f, i) => f.sequence === i && f.boot === 1));
  const after = BigInt(Date.now() + 1) * 1_000_000n;
  t.true(found.every((f, i) => f.ns >= before - 1_000_000n && f.ns <= after && (i === 0 || f.ns >= found[i - 1].ns)));
});

for (const [what, options] of Object.entries<{ where?: string; open?: OpenOptions; chunk?: number; bytes?: number }>({
  'zero-copy on tmpfs': {}, 'zero-copy, flushed': { open: { durability: 'power' } }, 'buffers of 4096': { chunk: 4096, bytes: 2 * MiB },
  'one-copy on a file': { where: tmpdir() }, 'one-copy, msync': { where: tmpdir(), open: { durability: 'power' } },
})) {
  test(`wrapping the index several times, over three runs: ${what}`, (t) => {
    const pool = aPool(t, options), [{ slots }] = pool.geometry.lanes, length = (i: number): number => 40 + i % 1500;
    let sent = 0;
    for (let run = 1; run <= 3; run++) {
      const keeper = new Keeper(pool, { maxBatch: 13 });
      t.is(keeper.logs[0].copies, !pool.medium.zeroCopy);
      t.is(keeper.recovery.lanes[0].next, sent);
      for (const end = sent + (pool.medium.flush === 'msync' ? 150 : 2 * slots + 17); sent < end; sent++) t.is(keeper.keep(testFrame(sent, length(sent))), sent);
      keeper.close();
      const found = read(pool), first = Math.max(0, sent - slots);
      t.is(found.length, sent - first);
      found.forEach((f, i) => {
        t.is(f.sequence, first + i);
        t.true(Buffer.from(f.bytes).equals(testFrame(f.sequence, length(f.sequence))), `frame ${f.sequence}`);
        t.is((f.flags & FLAG_FRAME_CRC) !== 0, pool.medium.kind === 'file');
      });
      t.is(found.at(-1)!.boot, run);
    }
  });
}

test('a full lap gives back exactly the replaced buffers, and none is both held and free', (t) => {
  const pool = aPool(t), [lane] = pool.geometry.lanes, recovery = recover(pool).lanes[0];
  const log = new Log({ pool, lane: 0, boot: 1, recovery, source: pool.buffers!, maxBatch: 16 });
  const free = [...unreferenced(log.slotBuffer, lane.firstBuffer, lane.buffers)], held: number[] = [];
  t.is(free.length, lane.buffers);
  fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 16 }), { maxLength: 60 }), (batches) => {
    for (const n of batches) {
      const taken: number[] = [];
      for (let i = 0; i < n; i++) {
        const buffer = free.pop()!;
        appendFrame(log, { address: buffer * 2048, kept: 60, wire: 60, ingress: 0, verdict: 0, flags: 0 });
        taken.push(buffer);
      }
      t.is(log.commit(), n);
      for (let i = 0; i < n; i++) {
        const expected = held.length + i >= lane.slots ? held[held.length + i - lane.slots] : NO_BUFFER;
        t.is(log.evicted[i], expected);
        if (log.evicted[i] !== NO_BUFFER) free.push(log.evicted[i]);
      }
      held.push(...taken);
      const now = held.slice(-lane.slots);
      t.is(new Set([...free, ...now]).size, lane.buffers, 'free and held are all there are');
      t.is(free.length + now.length, lane.buffers, 'and none is both');
      t.deepEqual([...unreferenced(log.slotBuffer, lane.firstBuffer, lane.buffers)].sort((a, b) => a - b), [...free].sort((a, b) => a - b));
    }
  }), { numRuns: 40 });
  log.close();
  t.deepEqual([...recover(pool).lanes[0].gaps], []);
});

test('the count gate: exactly the touched lines are flushed, and exactly two fences a commit', (t) => {
  const pool = aPool(t, { open: { durability: 'power' } });
  t.is(pool.medium.flush, bestFlush());
  t.regex(pool.medium.promise, /forced to 'power'/);
  const log = new Log({ pool, lane: 0, boot: 1, recovery: recover(pool).lanes[0], source: pool.buffers!, maxBatch: 32 });
  const [, records, lines, fences, bytes] = [0, 1, 2, 3, 4];
  fc.assert(fc.property(fc.array(fc.record({ offset: fc.integer({ min: 0, max: 400 }), length: fc.integer({ min: 1, max: 1600 }) }), { minLength: 1, maxLength: 32 }), (frames) => {
    const before = log.counters.slice();
    let touched = 0, kept = 0;
    frames.forEach(({ offset, length }, i) => {
      appendFrame(log, { address: i * 2048 + offset, kept: length, wire: length, ingress: 0, verdict: 0, flags: 0 });
      const set = new Set<number>();
      for (let b = 0; b < length; b++) set.add((offset + b) >> 6);
      touched += set.size;
      kept += length;
    });
    log.commit();
    t.deepEqual([...log.counters].map((x, i) => x - before[i]), [frames.length, frames.length, touched, 2, kept]);
  }), { numRuns: 200 });
  t.is(log.commit(), 0);
  t.is(log.counters[fences] % 2, 0);
  t.true(log.counters[lines] > 0 && log.counters[bytes] > 0 && log.counters[records] > 0);
  log.close();
});

test('a log that cannot be is refused: batches larger than the index or than the spare buffers, numbers used up', (t) => {
  const pool = aPool(t, { where: tmpdir(), bytes: MiB, reserve: 8 }), [lane] = pool.geometry.lanes, [recovery] = recover(pool).lanes;
  const source: Mapping = mapMemory('log-test', MiB);
  t.teardown(() => unmap(source));
  const open = (maxBatch: number, next = 0): Log => new Log({ pool, lane: 0, boot: 1, recovery: { ...recovery, next }, source, maxBatch });
  t.throws(() => open(lane.slots + 1), { instanceOf: RangeError });
  // A pool whose records name all but the reserve of eight: larger batches would have no buffer to copy into.
  for (let i = 0; i < lane.slots; i += 8) {
    const log = open(8, i);
    for (let n = 0; n < 8; n++) appendFrame(log, { address: n * 2048, kept: 60, wire: 60, ingress: 0, verdict: 0, flags: 0 });
    log.commit();
    log.close();
    recovery.state.set(recover(pool).lanes[0].state);
  }
  const error = t.throws(() => open(lane.buffers - lane.slots + 1, lane.slots), { instanceOf: FramekeepError }) as FramekeepError;
  t.is(error.code, 'E_POOL_SIZE');
  open(lane.buffers - lane.slots, lane.slots).close();

  const last = open(2, (2 ** 32 - 1) * lane.slots - 4);
  const commitTwo = (): number => {
    last.pending = 0;
    for (let n = 0; n < 2; n++) appendFrame(last, { address: n * 2048, kept: 60, wire: 60, ingress: 0, verdict: 0, flags: 0 });
    return last.commit();
  };
  t.is(commitTwo(), 2);
  t.is(commitTwo(), 2);
  t.is((t.throws(commitTwo, { instanceOf: FramekeepError }) as FramekeepError).code, 'E_POOL_WORN');
  last.close();
});

test('a file in the page cache: a frame that did not reach the disk with its record is told by the sum', (t) => {
  const pool = aPool(t, { where: tmpdir() });
  if (pool.medium.kind !== 'file') return t.pass(`${tmpdir()} is ${pool.medium.kind}`);
  const keeper = new Keeper(pool);
  for (let i = 0; i < 20; i++) keeper.keep(testFrame(i, 300));
  keeper.close();
  const { buffer } = new IndexView(pool.head, pool.geometry.lanes[0]).at(11);
  const forge = new Forge(pool.path, pool.geometry);
  forge.frame(buffer, 120, Buffer.from('what was there before'));
  forge.close();
  const [lane] = recover(pool).lanes;
  t.deepEqual([lane.valid, lane.torn], [19, 1]);
  t.is(read(pool).length, 19);
  return undefined;
});

// --------------------------------------------------------------------------------------------------- a living pool

// Flushed, records are written past the cache, and become visible in any order.
for (const [lanes, durability] of [[1, 'process'], [2, 'process'], [1, 'power']] as const) {
  test.serial(`reading while another process overwrites, ${lanes} lane(s), durability ${durability}: what is delivered is exact, what is not is counted`, async (t) => {
    const path = join(scratch(t), 'a.pool');
    create(path, { bytes: lanes * MiB, lanes });
    const writer = busyWriter(path, durability);
    let frames = 0, overtaken = 0, passes = 0, followed = 0, lost = 0;
    await writer.started;
    const began = performance.now(), seconds = (): number => (performance.now() - began) / 1000;
    const check = (reader: PoolReader, words: Uint32Array): void => {
      const { sequence, captured, offset } = reader;
      if (captured !== 64 + sequence * 28 % 1400 || reader.ingress !== reader.lane || reader.boot !== 1) throw new Error(`frame ${sequence} has ${captured} bytes`);
      for (let w = offset / 4, end = w + captured / 4; w < end; w++) if (words[w] !== sequence) throw new Error(`frame ${sequence} holds ${words[w]}`);
    };
    while (seconds() < 1.5 || (!(frames > 1000 && followed > 1000 && overtaken + lost > 0) && seconds() < PATIENCE_MS / 1000)) {
      // Whole passes, as an export makes them …
      const pool = Pool.open(path), reader = new PoolReader(pool), last = new Float64Array(lanes).fill(-1), words = new Uint32Array(reader.bytes.buffer);
      if (passes === 0) t.true(reader.live);
      while (reader.next()) {
        check(reader, words);
        if (reader.sequence <= last[reader.lane]) throw new Error('out of order');
        last[reader.lane] = reader.sequence;
        frames++;
      }
      overtaken += reader.overtaken;
      passes++;
      // … and then a while of following.
      const before = reader.overtaken;
      for (let i = 0; i < 200; i++) {
        reader.extend();
        while (reader.next()) {
          check(reader, words);
          if (reader.sequence <= last[reader.lane]) throw new Error('out of order');
          // Every number is either delivered or counted as lost.
          last[reader.lane] = reader.sequence;
          followed++;
        }
      }
      lost += reader.overtaken - before;
      pool.close();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const written = await writer.stop();
    t.log(`${written} frames written; ${passes} passes read ${frames} and were overtaken by ${overtaken}; following read ${followed} and lost ${lost}`);
    t.true(written > 50_000 && frames > 1000 && followed > 1000);
    t.true(overtaken + lost > 0, 'the writer was fast enough to overtake');
  });
}

test('following a pool: each frame once, none invented, over laps, holes and runs', (t) => {
  const path = join(scratch(t), 'a.pool');
  create(path, { bytes: MiB });
  const writer = Pool.open(path, { writable: true }), reader = new PoolReader(Pool.open(path)), { slots } = writer.geometry.lanes[0];
  const got: number[] = [];
  const follow = (): void => { while (reader.next()) got.push(reader.sequence); };
  t.false(reader.extend());
  let sent = 0;
  const run = (counts: number[]): void => {
    const keeper = new Keeper(writer, { maxBatch: 8 });
    for (const n of counts) {
      for (let i = 0; i < n; i++) t.is(keeper.keep(testFrame(sent)), sent++);
      keeper.commit();
      t.is(reader.extend(), n > 0);
      follow();
    }
    keeper.close();
  };
  run([1, 0, 5, 300, 8, 200, 404]);
  t.deepEqual(got, Array.from({ length: sent }, (_, i) => i));
  t.is(reader.overtaken, 0);

  // Two laps at once: all but the newest lap is lost, and counted.
  const keeper = new Keeper(writer, { maxBatch: 8 });
  for (let i = 0; i < 2 * slots; i++) keeper.keep(testFrame(sent++));
  keeper.close();
  t.true(reader.extend());
  got.length = 0;
  follow();
  t.deepEqual(got, Array.from({ length: slots }, (_, i) => sent - slots + i));
  t.is(reader.overtaken, slots);

  // A crash leaves a hole; the next run goes on behind it; the follower gets over it.
  const hole = sent;
  const crashed = new Keeper(writer, { maxBatch: 8 });
  for (let i = 0; i < 8; i++) crashed.keep(testFrame(sent++));
  crashed.close();
  const forge = new Forge(path, writer.geometry);
  forge.write(writer.geometry.lanes[0].indexOffset + hole % slots * 32 + 8, Buffer.from('torn'));
  forge.write(writer.geometry.lanes[0].indexOffset + (hole + 1) % slots * 32 + 8, Buffer.from('torn'));
  forge.close();
  got.length = 0;
  run([3, 2]);
  reader.extend();
  follow();
  t.deepEqual(got, Array.from({ length: sent - hole - 2 }, (_, i) => hole + 2 + i));
  reader.pool.close();
  writer.close();
});
