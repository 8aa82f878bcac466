/** Every crash image of switches that start on what an earlier run left, and of those that start on what a crash left: crash, recover, write, crash again. */
import './crash/recording_build.js';
import test from 'ava';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { complaints, enumerate, ImageFile, newTally, tell, type Tally } from './crash/enumerate.js';
import { Expected } from './crash/expected.js';
import { MODELS, seeded } from './crash/medium.js';
import { record, type Recorded, type RunOptions } from './crash/run.js';
import { scratch, tinyGeometry, tinyPool } from './pool_maker.js';

const SEED = 2;
const random = seeded(SEED);
const some = (count: number, most: number): number[] => Array.from({ length: count }, () => 1 + Math.floor(random() * most));
const plan = (batches: readonly number[], maxBatch = 3): RunOptions => ({ batches, maxBatch, lengths: [40, 120], random, checkpoints: 4, durability: 'power' });

/** What is expected once all that was recorded is durable. */
function after(recorded: Recorded, from: Expected): Expected {
  const expected = new Expected(recorded.geometry, from);
  for (const event of recorded.events) if (event.kind === 'mark') recorded.facts[event.mark](expected);
  return expected;
}

function add(sum: Tally, t: Tally): void {
  sum.points += t.points;
  sum.images += t.images;
  sum.capped += t.capped;
  sum.leftOut += t.leftOut;
  sum.outcomes += t.outcomes;
  sum.milliseconds += t.milliseconds;
  for (const [invariant, b] of t.broken) {
    const before = sum.broken.get(invariant);
    if (before === undefined) sum.broken.set(invariant, { ...b }); else before.images += b.images;
  }
}

test.serial('five runs one after the other, with room in the table for three', async (t) => {
  const geometry = tinyGeometry(2, 16, 28), path = join(scratch(t), 'a.pool'), file = new ImageFile(join(scratch(t), 'image'), geometry.fileBytes);
  const sums = MODELS.map(newTally);
  let base = tinyPool(geometry), expected = new Expected(geometry);
  writeFileSync(path, base);
  for (let run = 1; run <= 5; run++) {
    const recorded = record(path, plan(some(run === 1 ? 20 : 6, 2), 2));
    for (const [i, model] of MODELS.entries()) add(sums[i], await enumerate(file, base, recorded, expected, { model, limit: 1000, random, shallow: model !== 'words' }));
    expected = after(recorded, expected);
    base = new Uint8Array([...recorded.head, ...recorded.buffers]);
  }
  file.close();
  for (const tally of sums) {
    t.log(tell('reopened', tally));
    t.deepEqual(complaints(tally), []);
  }
});

test.serial('crash, recover, write, crash again, and a third time: nothing that was recovered or acknowledged is lost, nothing given up comes back', async (t) => {
  const geometry = tinyGeometry(1, 16, 28), path = join(scratch(t), 'a.pool'), file = new ImageFile(join(scratch(t), 'image'), geometry.fileBytes);
  writeFileSync(path, tinyPool(geometry));
  let crashed: Crash[] = [];
  const first = record(path, plan(some(14, 3))), crashes: Crash[] = [], tally = await enumerate(file, tinyPool(geometry), first, new Expected(geometry), {
    model: 'words', limit: 5000, random, shallow: true, outcome: (_, expected) => { crashes.push({ image: file.bytes.slice(), expected: new Expected(geometry, expected) }); },
  });
  t.deepEqual(complaints(tally), []);
  crashed = crashes;
  for (const [level, starts, batches] of [['second', 16, 5], ['third', 10, 4]] as const) {
    const chosen = choose(crashed, starts), next: Crash[] = [], sums = MODELS.map(newTally);
    for (const { image, expected } of chosen) {
      writeFileSync(path, image);
      const again = record(path, plan(some(batches, 3)));
      for (const [i, model] of MODELS.entries()) {
        add(sums[i], await enumerate(file, image, again, expected, {
          model, limit: 200, random, shallow: i > 0, outcome: (_, now) => { if (random() < 0.1) next.push({ image: file.bytes.slice(), expected: new Expected(geometry, now) }); },
        }));
      }
    }
    for (const sum of sums) {
      t.log(tell(`${level} crash after ${chosen.length} of ${crashed.length} states`, sum));
      t.deepEqual(complaints(sum), []);
    }
    crashed = next;
  }
  file.close();
});

interface Crash { readonly image: Uint8Array; readonly expected: Expected }
const choose = (from: readonly Crash[], count: number): Crash[] => {
  const left = [...from];
  return Array.from({ length: Math.min(count, left.length) }, () => left.splice(Math.floor(random() * left.length), 1)[0]);
};
