/**
 * Every crash image of a switch that appends, over laps of the index, on one lane and on several, by each way of flushing; and that all
 * of it went through the door, as many lines and fences as there must be.
 */
import './crash/recording_build.js';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../native/addon.js';
import { bestFlush } from '../native/index.js';
import { RECORD_BYTES } from '../logger/index.js';
import { complaints, enumerate, enumerateOrder, ImageFile, tell } from './crash/enumerate.js';
import { Expected } from './crash/expected.js';
import { Medium, MODELS, seeded } from './crash/medium.js';
import { record, type Recorded, type RunOptions } from './crash/run.js';
import { scratch, tinyGeometry, tinyPool } from './pool_maker.js';

const SEED = 1, SLOTS = 16, BUFFERS = 28;

interface Scenario { what: string; where?: string; lanes?: number; slots?: number; buffers?: number; batches: readonly number[]; maxBatch: number; durability?: 'power' | 'process' }
/** A batch of three has 4,096 images in the word model, one of two 256. */
const MIXED = [2, 1, 2, 3, 2, 1, 2, 2, 1, 2, 2, 3, 1, 2, 2, 2, 1, 2, 3, 2, 2, 1, 2, 2, 1, 2, 2];
const someBatches = (count: number, most: number): number[] => Array.from({ length: count }, ((random) => () => 1 + Math.floor(random() * most))(seeded(SEED)));

// One recording a process: the tests of these files run one after the other. Words by themselves include all that the other models make;
// what is slow is done with them.
function recordedRun(t: ExecutionContext, s: Scenario): { recorded: Recorded; base: Uint8Array } {
  const base = tinyPool(tinyGeometry(s.lanes ?? 1, s.slots ?? SLOTS, s.buffers ?? BUFFERS)), path = join(scratch(t, s.where), 'a.pool');
  writeFileSync(path, base);
  const options: RunOptions = { batches: s.batches, maxBatch: s.maxBatch, lengths: [40, 150], random: seeded(SEED), checkpoints: 16, durability: s.durability ?? 'power' };
  return { recorded: record(path, options), base };
}

async function everyImageIsSound(t: ExecutionContext, s: Scenario): Promise<Recorded> {
  const { recorded, base } = recordedRun(t, s), { geometry } = recorded, file = new ImageFile(join(scratch(t), 'image'), geometry.fileBytes), random = seeded(SEED);
  t.true(s.batches.reduce((a, b) => a + b) >= 3 * geometry.lanes[0].slots * geometry.lanes.length, 'three laps at least');
  const tallies = s.durability === 'process' ? [await enumerateOrder(file, base, recorded, new Expected(geometry))] : [];
  if (s.durability !== 'process') for (const model of MODELS) tallies.push(await enumerate(file, base, recorded, new Expected(geometry), { model, limit: 20_000, random, shallow: model !== 'words' }));
  file.close();
  for (const tally of tallies) {
    t.log(tell(s.what, tally));
    t.deepEqual(complaints(tally), []);
  }
  return recorded;
}

test.serial('one lane: every crash image, over three laps, recovers all that was acknowledged and nothing else', async (t) => {
  const { copies, flush } = await everyImageIsSound(t, { what: 'one lane', batches: MIXED, maxBatch: 3 });
  t.deepEqual([copies, flush], [false, bestFlush()]);
});

test.serial('two lanes: the same', async (t) => {
  await everyImageIsSound(t, { what: 'two lanes', lanes: 2, batches: someBatches(68, 2), maxBatch: 2 });
});

test.serial('four lanes, of eight slots: the same', async (t) => {
  await everyImageIsSound(t, { what: 'four lanes', lanes: 4, slots: 8, buffers: 14, batches: someBatches(68, 2), maxBatch: 2 });
});

test.serial('a killed process, stores in program order up to any 8 bytes: the same', async (t) => {
  await everyImageIsSound(t, { what: 'killed', batches: someBatches(30, 4), maxBatch: 4, durability: 'process' });
});

test.serial('one-copy mode on a page-cache file, msync: the same', async (t) => {
  const { copies, flush, medium } = await everyImageIsSound(t, { what: 'msync', where: tmpdir(), batches: MIXED, maxBatch: 3 });
  if (medium === 'file') t.deepEqual([copies, flush], [true, 'msync']);
  else t.log(`${tmpdir()} is ${medium}: not looked at`);
});

test.serial('one door: replaying the recorded stores gives the pool, byte for byte', (t) => {
  for (const s of [
    { what: 'zero-copy, flushed', durability: 'power' }, { what: 'zero-copy', durability: 'process' }, { what: 'one-copy', where: tmpdir(), durability: 'power' }, { what: 'lanes', lanes: 3, durability: 'power' },
  ] as const) {
    const { recorded: { events, head, buffers, elsewhere, geometry }, base } = recordedRun(t, { ...s, batches: someBatches(40, 4), maxBatch: 4 });
    const medium = new Medium(base, Infinity);
    for (const event of events) medium.apply(event);
    t.is(Buffer.compare(medium.seen.subarray(0, geometry.buffersOffset), head), 0, `${s.what}: the head`);
    t.is(Buffer.compare(medium.seen.subarray(geometry.buffersOffset), buffers), 0, `${s.what}: the buffers`);
    t.is(elsewhere, 0);
    if (s.durability === 'power') t.is(Buffer.compare(medium.durable, medium.seen), 0, `${s.what}: and all of it is durable`);
  }
});

test.serial('the count gate, by what was recorded: each line of a frame is flushed once and no other, a commit stores its records once, fences twice', (t) => {
  const { recorded: { events, facts, geometry, flush } } = recordedRun(t, { what: '', batches: someBatches(200, 8), maxBatch: 8 });
  const [{ indexOffset, slots }] = geometry.lanes, expected = new Expected(geometry);
  const streams = flush === 'clwb' || flush === 'clflushopt' || flush === 'clflush';
  let commits = 0, lines = 0, from = -1, last = -1;
  events.forEach((event, i) => {
    if (event.kind !== 'mark') return;
    facts[event.mark](expected);
    const { last: now, acknowledged } = expected.lanes[0];
    if (now > last) { from = i; last = now; return; }                        // a commit begins
    if (from < 0 || !acknowledged.has(last)) return;
    const commit = events.slice(from + 1, i), touched = new Map<number, number>(), flushed = new Map<number, number>(), records: number[] = [];
    const count = (map: Map<number, number>, at: number, length: number): void => {
      for (let line = at >>> 6; line <= (at + length - 1) >>> 6; line++) map.set(line, (map.get(line) ?? 0) + 1);
    };
    // Since the commit before: the frames that this one keeps, each flushed as it joined the batch.
    for (let k = from - 1; k >= 0 && events[k].kind !== 'fence'; k--) {
      const e = events[k];
      if (e.kind === 'store' && e.offset >= geometry.buffersOffset) count(touched, e.offset, e.bytes.length);
      else if (e.kind === 'flush') count(flushed, e.offset, e.length);
    }
    for (const e of commit) {
      if (e.kind === 'flush') count(flushed, e.offset, e.length);
      else if (e.kind === 'store') {
        t.is(e.stream, streams);
        t.is(e.bytes.length, 8);
        records.push((e.offset - indexOffset) / 8);
        if (!streams) touched.set(e.offset >>> 6, 1);
      }
    }
    t.deepEqual([...flushed].sort(), [...touched].sort());
    t.deepEqual(commit.map((e) => e.kind).filter((kind) => kind === 'fence').length, 2);
    t.is(commit.at(-1)!.kind, 'fence');
    t.is(commit.findIndex((e) => e.kind === 'fence'), commit.findIndex((e) => e.kind === 'store') - 1, 'no record before the first fence');
    const words = RECORD_BYTES / 8;
    t.deepEqual(records, Array.from({ length: records.length }, (_, k) => ((last + 1 - records.length / words) % slots * words + k) % (slots * words)));
    commits++;
    lines += flushed.size;
    from = -1;
  });
  t.is(commits, 200);
  t.true(lines > 2 * commits);
});

test.serial('the normal addon has no trace of the recording and its faults', (t) => {
  const build = join(packageRoot(), 'build'), has = (name: string, text: string): boolean => readFileSync(join(build, name)).includes(text);
  for (const text of ['doorPlant', 'doorRecord', 'doorMark']) t.deepEqual([has('framekeep-record.node', text), has('framekeep.node', text)], [true, false], text);
});
