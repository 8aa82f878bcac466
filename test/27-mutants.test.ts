/** Pools that hold anything at all (mutants.ts): no crash, no loop without end, no memory without bound. */
import test from 'ava';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ByteSink } from '../logger/capture/index.js';
import { exportPool, inspectPool, Pool } from '../logger/index.js';
import { playInChild, sum } from './mutants.js';
import { Keeper, portEntry, scratch, testFrame, tinyGeometry, tinyPool } from './pool_maker.js';

/** `FRAMEKEEP_MUTANTS=1000000 FRAMEKEEP_SEED=7 npx ava dist/test/27-mutants.test.js` for a longer look; test/nightly.mjs takes a million. */
const MUTANTS = Number(process.env['FRAMEKEEP_MUTANTS'] ?? 10_000), SEED = Number(process.env['FRAMEKEEP_SEED'] ?? 20251121);

/** Address sanitizer holds back 256 MiB of what was freed. */
const MOST_RSS = process.env['ASAN_OPTIONS'] === undefined ? 400 : 1000;

test.serial(`${MUTANTS.toLocaleString('en')} pools with anything in them (seed ${SEED}): recovered, inspected, verified, exported and continued without a crash, an endless loop or a great deal of memory`, async (t) => {
  t.timeout(120_000 + MUTANTS * 50);
  const begin = performance.now(), half = MUTANTS >> 1, watch = { silenceMs: 60_000, mostRssMiB: MOST_RSS };
  const tally = sum(await Promise.all([playInChild(SEED, 0, half, watch), playInChild(SEED, half, MUTANTS - half, watch)]));
  t.log(`${JSON.stringify(tally)} in ${((performance.now() - begin) / 1000).toFixed(1)} s`);
  t.is(tally.mutants, MUTANTS);
  t.true(tally.opened > MUTANTS / 2 && tally.refused > MUTANTS / 50 && tally.continued > MUTANTS / 50 && tally.frames > MUTANTS * 30 && tally.findings > MUTANTS / 10);
});

test.serial('what longer runs have found: a checkpoint whose counters do not fit an export\'s statistics', async (t) => {
  const path = join(scratch(t), 'a.pool'), out = join(scratch(t), 'out.pcapng'), most = 2 ** 64 - 2048;
  writeFileSync(path, tinyPool(tinyGeometry(1, 64, 96)));
  const pool = Pool.open(path, { writable: true }), keeper = new Keeper(pool, { ports: [portEntry(0)] });
  t.teardown(() => pool.close());
  for (let i = 0; i < 3; i++) keeper.keep(testFrame(i), { ingress: 0 });
  keeper.close();
  pool.writeCheckpoint(1, { generation: 1, timeNs: 1n, clean: true, ports: [{ received: most, dropped: most, kept: most, notSelected: most, lost: most }] });
  const fd = openSync(out, 'w');
  t.teardown(() => closeSync(fd));
  t.is((await exportPool(pool, new ByteSink(fd, out))).frames, 3);
  t.is(inspectPool(pool).boots[0].ports[0].counters?.received, Number.MAX_SAFE_INTEGER);
});
