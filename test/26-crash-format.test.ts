/** Every crash image of a pool being made, in place and over an earlier one, and of a superblock copy being repaired. */
import './crash/recording_build.js';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { FramekeepError } from '../native/index.js';
import { doorPlant, doorRecord, doorRecording, type DoorEvent, type Fault } from '../native/record.js';
import { create, Pool, recover, type CreateOptions } from '../logger/index.js';
import { Checker } from './crash/check.js';
import { enumerate, ImageFile, newTally, tell, type Tally } from './crash/enumerate.js';
import { Expected } from './crash/expected.js';
import { everyImage, Medium, MODELS, product, seeded, type Model } from './crash/medium.js';
import { record } from './crash/run.js';
import { scratch, tinyGeometry, tinyPool } from './pool_maker.js';

const MiB = 1 << 20, SEED = 1;
const pool: CreateOptions = { bytes: MiB, boots: 2, durability: 'power' };

function watched(path: string, faults: readonly Fault[], act: () => void): DoorEvent[] {
  const fd = openSync(path, 'r');
  doorPlant(faults);
  doorRecord(fd);
  closeSync(fd);
  act();
  doorPlant([]);
  return doorRecording().events;
}

/** What `judge` says of each image, but '' for those it finds nothing wrong with. */
async function enumerateFormat(file: ImageFile, base: Uint8Array, events: readonly DoorEvent[], model: Model, limit: number, judge: () => string): Promise<Tally> {
  const tally = newTally(model), medium = new Medium(base, Infinity), random = seeded(SEED), began = process.hrtime.bigint();
  const point = async (): Promise<void> => {
    if (!medium.changed) return;
    const lines = medium.varying(model), total = product(lines);
    file.bytes.set(medium.durable);
    const images = await everyImage(lines, file.bytes, limit, random, () => {
      const wrong = judge();
      if (wrong === '') return undefined;
      const before = tally.broken.get(wrong);
      if (before === undefined) tally.broken.set(wrong, { images: 1, first: wrong }); else before.images++;
      return undefined;
    });
    tally.points++;
    tally.images += images;
    if (images < total) { tally.capped++; tally.leftOut += total - images; }
  };
  for (const event of events) {
    if (event.kind === 'fence' || event.kind === 'sync') await point();
    medium.apply(event);
  }
  await point();
  tally.milliseconds = Number(process.hrtime.bigint() - began) / 1e6;
  return tally;
}

function opened(path: string): Pool | string {
  try { return Pool.open(path); } catch (error) {
    if (error instanceof FramekeepError) return error.code;
    throw error;
  }
}

/** Nothing but what a new pool holds. */
function isNew(p: Pool): boolean {
  const { boots, lanes } = recover(p);
  return boots.length === 0 && lanes.every((lane) => lane.next === 0 && lane.empty === lane.state.length);
}

async function inPlace(t: ExecutionContext, faults: readonly Fault[]): Promise<Tally[]> {
  const path = join(scratch(t), 'a.pool'), base = new Uint8Array(MiB), file = new ImageFile(join(scratch(t), 'image'), MiB);
  writeFileSync(path, base);
  const events = watched(path, faults, () => Pool.open(path, { writable: true, create: pool, durability: 'power' }).close());
  const kinds = new Map<string, number>(), tallies: Tally[] = [];
  for (const model of MODELS) {
    tallies.push(await enumerateFormat(file, base, events, model, 400, () => {
      const p = opened(file.path), what = typeof p === 'string' ? p : p.findings.length > 0 ? 'a pool with one sound copy' : 'a pool';
      const n = (kinds.get(what) ?? 0) + 1;
      kinds.set(what, n);
      try {
        if (typeof p !== 'string') return isNew(p) ? '' : 'a new pool with something in it';
        if (p !== 'E_POOL_EMPTY') return `neither a pool nor empty: ${p}`;
        if (n % 25 === 1) goesOn(path, file.bytes);
        return '';
      } finally { if (typeof p !== 'string') p.close(); }
    }));
  }
  if (faults.length === 0) t.log([...kinds].map(([what, n]) => `${n} × ${what}`).join(', '));
  file.close();
  return tallies;
}

/** The same start again, on what the crash left. */
function goesOn(path: string, image: Uint8Array): void {
  writeFileSync(path, image);
  const p = Pool.open(path, { writable: true, create: pool, durability: 'power' });
  const ok = isNew(p) && p.findings.length === 0;
  p.close();
  if (!ok) throw new Error('the second start finds something');
}

test.serial('a pool that is being made in place is empty or whole after a crash, and the next start goes on', async (t) => {
  for (const tally of await inPlace(t, [])) {
    t.log(tell('made in place', tally));
    t.deepEqual([...tally.broken.keys()], []);
    t.true(tally.points >= 4 && tally.images > 30);
  }
});

test.serial('planted: without a fence between the superblock copies, a creation that is cut off leaves what is neither pool nor empty', async (t) => {
  const images = (await inPlace(t, ['twins together'])).flatMap((tally) => [...tally.broken.values()].map((b) => b.images));
  t.log(`twins together: noticed in ${images.join(' + ')} images`);
  t.true(images.length > 0);
});

test.serial('a pool that is made over another: all of the old one, or nothing, or the new one', async (t) => {
  const geometry = tinyGeometry(1, 16, 28, 2), random = seeded(SEED), path = join(scratch(t), 'a.pool');
  const old = new Uint8Array(MiB);
  old.set(tinyPool(geometry));
  writeFileSync(path, old);
  const recorded = record(path, { batches: [3, 3, 3, 3, 3, 3, 3], maxBatch: 3, lengths: [60, 90], random, durability: 'power' }), before = new Expected(geometry);
  for (const event of recorded.events) if (event.kind === 'mark') recorded.facts[event.mark](before);
  const base = new Uint8Array(readFileSync(path)), file = new ImageFile(join(scratch(t), 'image'), MiB);
  const events = watched(path, [], () => create(path, { ...pool, force: true }));
  for (const model of MODELS) {
    const kinds = new Map<string, number>();
    const tally = await enumerateFormat(file, base, events, model, 400, () => {
      const p = opened(file.path);
      let what: string, wrong = '';
      if (typeof p === 'string') what = p;
      else {
        const isOld = isDeepStrictEqual(p.geometry.uuid, geometry.uuid);
        what = isOld ? 'the old pool' : 'the new pool';
        if (!isOld) wrong = isNew(p) ? '' : 'the new pool holds something';
        else {
          const checker = new Checker(p, '');
          checker.expect(before);
          try { checker.check(before); } catch (error) { wrong = `of the old pool: ${(error as Error).message}`; }
        }
        p.close();
      }
      kinds.set(what, (kinds.get(what) ?? 0) + 1);
      return wrong || (['the old pool', 'the new pool', 'E_POOL_FOREIGN', 'E_POOL_DAMAGED'].includes(what) ? '' : what);
    });
    t.log(tell('made over another', tally), [...kinds].map(([what, n]) => `${n} × ${what}`).join(', '));
    t.deepEqual([...tally.broken.keys()], []);
    t.true((kinds.get('the old pool') ?? 0) > 0 && (kinds.get('the new pool') ?? 0) > 0);
  }
  file.close();
});

test.serial('a new file is durable before it has its name', (t) => {
  const dir = scratch(t), path = join(dir, 'a.pool');
  doorRecord(-1);
  create(path, pool);
  const medium = new Medium(new Uint8Array(MiB), Infinity);
  for (const event of doorRecording().events) medium.apply(event);
  t.is(medium.pendingLines, 0);
  t.deepEqual(Buffer.compare(medium.durable, readFileSync(path)), 0, 'and nothing was stored but through the door');
});

test.serial('a damaged superblock copy being written again: the pool is whole in every image', async (t) => {
  const geometry = tinyGeometry(1, 16, 28), random = seeded(SEED), path = join(scratch(t), 'a.pool'), file = new ImageFile(join(scratch(t), 'image'), geometry.fileBytes);
  writeFileSync(path, tinyPool(geometry));
  const run = { batches: [3, 3, 3, 3, 3, 3, 3], maxBatch: 3, lengths: [60, 90] as const, random, durability: 'power' as const };
  const first = record(path, run), before = new Expected(geometry);
  for (const event of first.events) if (event.kind === 'mark') first.facts[event.mark](before);
  const whole = new Uint8Array(readFileSync(path));
  for (const [what, at, length] of [['A blank', 0, 4096], ['B blank', 4096, 4096], ['A torn', 0, 64], ['B torn', 4096 + 128, 64]] as const) {
    const base = whole.slice().fill(0, at, at + length);
    writeFileSync(path, base);
    const again = record(path, { ...run, batches: [3] });
    for (const model of MODELS) {
      const tally = await enumerate(file, base, again, before, { model, limit: 300, random, reopen: true, shallow: true });
      t.log(tell(`superblock ${what}`, tally));
      t.deepEqual([...tally.broken.values()].map((b) => b.first), []);
    }
  }
  file.close();
});
