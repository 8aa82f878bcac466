/** Readers that copy no more of each frame than who asks looks at: what they deliver is the beginning of what was kept, and says so. */
import test from 'ava';
import { join } from 'node:path';
import { FLAG_FRAME_CRC, FLAG_MORE, FLAG_CONTINUED, FrameAccess, LANE_UNIT, Pool, PoolReader, recover } from '../logger/index.js';
import { Keeper, scratch, testFrame } from './pool_maker.js';

const LENGTHS = [60, 1514, 14, 64, 65, 200, 1, 1000];

interface Seen { sequence: number; time: string; wire: number; kept: number; captured: number; flags: number; data: Buffer }

function read(reader: PoolReader): Seen[] {
  const all: Seen[] = [];
  while (reader.next()) {
    const { sequence, timeHigh, timeLow, wire, kept, captured, flags, offset, bytes } = reader;
    all.push({ sequence, time: `${timeHigh}.${timeLow}`, wire, kept, captured, flags, data: Buffer.from(bytes.slice(offset, offset + captured)) });
  }
  return all;
}

function filled(path: string, frames: number): Pool {
  const pool = Pool.open(path, { writable: true, create: { bytes: 4 << 20, lanes: 2 } }), keeper = new Keeper(pool);
  for (let i = 0; i < frames; i++) {
    const length = LENGTHS[i % LENGTHS.length];
    keeper.keep(testFrame(i, length), { wire: length + i % 3, ingress: i % 4 }, i % 2);
  }
  keeper.close();
  return pool;
}

test('a reader with a reach delivers the beginning of each frame, and all that its record says', (t) => {
  const pool = filled(join(scratch(t), 'pool'), 1200);
  t.teardown(() => pool.close());
  const recovery = recover(pool), whole = read(new PoolReader(pool, recovery));
  t.true(whole.length > 800);
  t.true(whole.every(({ captured, kept }) => captured === kept));
  for (const reach of [0, 1, 14, 64, 65, 1000, 65535, Infinity]) {
    t.deepEqual(read(new PoolReader(pool, recovery, undefined, reach)),
      whole.map((f) => ({ ...f, captured: Math.min(f.kept, reach), data: f.data.subarray(0, Math.min(f.kept, reach)) })), `reach ${reach}`);
  }
});

test('the same by frame numbers, forwards and backwards', (t) => {
  const pool = filled(join(scratch(t), 'pool'), 600);
  t.teardown(() => pool.close());
  const recovery = recover(pool), whole = new FrameAccess(pool, recovery), some = new FrameAccess(pool, recovery, 40), ids: number[] = [];
  for (const reader = new PoolReader(pool, recovery); reader.next();) ids.push(reader.lane * LANE_UNIT + reader.sequence);
  for (const id of [...ids, ...ids.toReversed()]) {
    if (!whole.read(id) || !some.read(id)) return t.fail(`frame ${id}`);
    if (some.captured !== Math.min(40, whole.captured) || some.kept !== whole.captured || some.wire !== whole.wire) return t.fail(`frame ${id}: ${some.captured} bytes`);
    if (Buffer.compare(some.bytes.subarray(some.offset, some.offset + some.captured), whole.bytes.subarray(whole.offset, whole.offset + some.captured)) !== 0) return t.fail(`frame ${id}`);
  }
  t.true(ids.length > 400, `${ids.length} frames`);
});

test('the rest of a frame can be fetched, as long as the switch has not replaced it; and then it says so', (t) => {
  const path = join(scratch(t), 'pool'), pool = Pool.open(path, { writable: true, create: { bytes: 4 << 20 } }), keeper = new Keeper(pool), { slots } = pool.geometry.lanes[0];
  t.teardown(() => pool.close());
  for (let i = 0; i < 100; i++) keeper.keep(testFrame(i, LENGTHS[i % LENGTHS.length]));
  keeper.commit();
  const reader = new PoolReader(pool, recover(pool), undefined, 20);
  for (let i = 0; i < 50; i++) {
    t.true(reader.next());
    t.true(reader.complete());
    t.deepEqual(Buffer.from(reader.bytes.slice(reader.offset, reader.offset + reader.captured)), Buffer.from(testFrame(i, LENGTHS[i % LENGTHS.length])));
  }
  for (let i = 0; i < slots; i++) keeper.keep(testFrame(1000 + i));
  keeper.commit();
  t.true(reader.next());                                       // its beginning is in the window still
  t.deepEqual([reader.kept, reader.complete(), reader.overtaken], [14, true, 0]);
  while (reader.kept <= 20) reader.next();
  t.false(reader.complete());
  t.true(reader.overtaken > 0);
  keeper.close();
});

test('frames of several buffers, and those whose checksum covers their bytes, are delivered whole', (t) => {
  const dir = scratch(t), pool = Pool.open(join(dir, 'long'), { writable: true, create: { bytes: 4 << 20 } }), keeper = new Keeper(pool);
  t.teardown(() => pool.close());
  const parts = [testFrame(1, 1700), testFrame(2, 1700), testFrame(3, 500)];
  keeper.keep(testFrame(0, 300));
  parts.forEach((part, i) => keeper.keep(part, { wire: 3900, flags: (i < 2 ? FLAG_MORE : 0) | (i > 0 ? FLAG_CONTINUED : 0) }));
  keeper.keep(testFrame(4, 300));
  keeper.close();
  const seen = read(new PoolReader(pool, recover(pool), undefined, 30));
  t.deepEqual(seen.map(({ captured }) => captured), [30, 3900, 30]);
  t.deepEqual(seen[1].data, Buffer.concat(parts));

  const onDisk = Pool.open(join(scratch(t, process.cwd()), 'pool'), { writable: true, create: { bytes: 4 << 20 } }), other = new Keeper(onDisk);
  t.teardown(() => onDisk.close());
  for (let i = 0; i < 40; i++) other.keep(testFrame(i, 300));
  other.close();
  for (const { flags, captured, data, sequence } of read(new PoolReader(onDisk, recover(onDisk), undefined, 30))) {
    t.is(captured, (flags & FLAG_FRAME_CRC) !== 0 ? 300 : 30);
    t.deepEqual(data, Buffer.from(testFrame(sequence, 300).subarray(0, captured)));
  }
});
