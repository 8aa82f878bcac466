/**
 * The enumeration has to notice each of these faults, switched on one at a time: in the commit and the door (native/src/record.h, the
 * recording build only), and in the order in which a switch uses the log (test/crash/run.ts). Without any it finds nothing.
 */
import './crash/recording_build.js';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FAULTS, type Fault } from '../native/record.js';
import { complaints, enumerate, ImageFile, type Tally } from './crash/enumerate.js';
import { Expected } from './crash/expected.js';
import { MODELS, seeded } from './crash/medium.js';
import { record, type CallerFault, type RunOptions } from './crash/run.js';
import { scratch, tinyGeometry, tinyPool } from './pool_maker.js';

/** Faults of the commit and the tables, and the invariant of test/crash/check.ts that has to tell of each. `twins together` shows while a pool is made: 26-crash-format. */
const BY: Readonly<Record<Exclude<Fault, 'twins together'>, string>> = {
  'no frame flush': 'I2', 'no first fence': 'I2', 'no record flush': 'I1', 'no second fence': 'I1', 'early release': 'I2', 'checksum unchecked': 'I2', 'sequence first': 'I2',
  'lap not counted': 'I3', 'zero is valid': 'I8', 'no table flush': 'I6', 'no table fence': 'I6', 'releases its own': 'I4', 'recovery clears': 'I5',
  'recovery gives up': 'I5', 'reads to first hole': 'I7',
};
/** Shows only where an image is looked at deeply. */
const DEEP: readonly string[] = ['recovery clears'];
/** … and of whoever uses the log. */
const CALLERS_BY: Readonly<Record<CallerFault, string>> = {
  'boot id not raised': 'I1', 'boot header after records': 'I2', 'ports after records': 'I2', 'checkpoint over the last': 'I2', 'log goes on too early': 'I1',
};
const SEED = 3, geometry = tinyGeometry(1, 16, 28);

/** A run in order that fills most of the index, and behind it one with the fault, over a lap: every crash image of the second. */
async function enumerated(t: ExecutionContext, fault?: Fault, callerFault?: CallerFault): Promise<Tally[]> {
  const path = join(scratch(t), 'a.pool'), file = new ImageFile(join(scratch(t), 'image'), geometry.fileBytes), random = seeded(SEED);
  const plan: RunOptions = { batches: Array.from({ length: 8 }, () => 3), maxBatch: 3, lengths: [40, 120], random, checkpoints: 2, durability: 'power' };
  writeFileSync(path, tinyPool(geometry));
  const first = record(path, { ...plan, batches: [3, 3, 3, 3] }), expected = new Expected(geometry), base = new Uint8Array([...first.head, ...first.buffers]);
  for (const event of first.events) if (event.kind === 'mark') first.facts[event.mark](expected);
  const faults = fault === undefined ? [] : [fault], second = record(path, { ...plan, faults, callerFault }), tallies: Tally[] = [];
  for (const model of MODELS) tallies.push(await enumerate(file, base, second, expected, { model, limit: 250, random, faults, shallow: fault === undefined || !DEEP.includes(fault) }));
  file.close();
  return tallies;
}

test.serial('without a fault, nothing is noticed', async (t) => {
  for (const tally of await enumerated(t)) t.deepEqual(complaints(tally), []);
});

test.serial('every fault that can be switched on is tried', (t) => {
  t.deepEqual([...Object.keys(BY), 'twins together'].sort(), [...FAULTS].sort());
  t.deepEqual([...new Set([...Object.values(BY), ...Object.values(CALLERS_BY)])].sort(), ['I1', 'I2', 'I3', 'I4', 'I5', 'I6', 'I7', 'I8'], 'each invariant has a fault that it must tell');
});

for (const [fault, invariant] of [...Object.entries(BY), ...Object.entries(CALLERS_BY)]) {
  test.serial(`planted: ${fault}`, async (t) => {
    const tallies = fault in CALLERS_BY ? await enumerated(t, undefined, fault as CallerFault) : await enumerated(t, fault as Fault);
    let noticed = 0;
    const by = new Map<string, { images: number; first: string }>();
    const images = tallies.map((tally) => {
      let n = 0;
      for (const [which, b] of tally.broken) {
        n += b.images;
        by.set(which, { images: (by.get(which)?.images ?? 0) + b.images, first: by.get(which)?.first ?? b.first });
      }
      noticed += n;
      return `${tally.model} ${n.toLocaleString('en')} of ${tally.images.toLocaleString('en')}`;
    });
    t.log(`${fault}: ${images.join(', ')}; ${[...by].map(([which, b]) => `${which} in ${b.images}`).join(', ')}`);
    for (const { first } of by.values()) t.log(`  ${first.split('\n')[0]}`);
    t.true(noticed > 0, `${fault} goes unnoticed`);
    t.true(by.has(invariant), `${invariant} does not notice it`);
  });
}
