/** Pools that hold anything at all (mutants.ts): no crash, no loop without end, no memory without bound. */
import test from 'ava';
import { playInChild, sum } from './mutants.js';

/** `FRAMEKEEP_MUTANTS=1000000 FRAMEKEEP_SEED=7 npx ava dist/test/27-mutants.test.js` for a longer look; test/nightly.mjs takes a million. */
const MUTANTS = Number(process.env['FRAMEKEEP_MUTANTS'] ?? 10_000), SEED = Number(process.env['FRAMEKEEP_SEED'] ?? 20251121);

test.serial(`${MUTANTS.toLocaleString('en')} pools with anything in them (seed ${SEED}): recovered, inspected, verified, exported and continued without a crash, an endless loop or a great deal of memory`, async (t) => {
  t.timeout(120_000 + MUTANTS * 50);
  const begin = performance.now(), half = MUTANTS >> 1, watch = { silenceMs: 60_000, mostRssMiB: 400 };
  const tally = sum(await Promise.all([playInChild(SEED, 0, half, watch), playInChild(SEED, half, MUTANTS - half, watch)]));
  t.log(`${JSON.stringify(tally)} in ${((performance.now() - begin) / 1000).toFixed(1)} s`);
  t.is(tally.mutants, MUTANTS);
  t.true(tally.opened > MUTANTS / 2 && tally.refused > MUTANTS / 50 && tally.continued > MUTANTS / 50 && tally.frames > MUTANTS * 50 && tally.findings > MUTANTS / 10);
});

/** What longer runs have found: seed and number of each, and what it was. */
const FOUND = [
  [20261121, 20584, 'a checkpoint whose counters do not fit the 64 bits of an export\'s statistics'],
] as const;

test.serial('mutants that once made a reader throw', async (t) => {
  for (const [seed, mutant, what] of FOUND) t.is((await playInChild(seed, mutant, 1, { silenceMs: 30_000, mostRssMiB: 400 })).opened, 1, what);
});
