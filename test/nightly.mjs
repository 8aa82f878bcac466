// `npm run test:nightly`: what takes too long for `npm test`. Ends with `N passed, N failed`.
//
//   FRAMEKEEP_MUTANTS   pools with anything in them, over all cores (default 1,000,000)
//   FRAMEKEEP_KILLS     kills of a switch under traffic (default 100; as root)
//   FRAMEKEEP_SEED      of mutants, frames and properties (default: of today, and said)
//
//   node test/nightly.mjs mutants properties frames kills sanitize      some of it
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url))), wanted = process.argv.slice(2);
const PROPERTY_RUNS = 5;
const does = (what) => wanted.length === 0 || wanted.includes(what);
const { env } = process, MUTANTS = Number(env.FRAMEKEEP_MUTANTS ?? 1_000_000), KILLS = env.FRAMEKEEP_KILLS ?? '100';
const SEED = Number(env.FRAMEKEEP_SEED ?? new Date().toISOString().slice(0, 10).replaceAll('-', ''));
if (spawnSync(process.execPath, [join(root, 'cli', 'setup.mjs'), '--test'], { stdio: 'inherit' }).status !== 0) process.exit(1);
let passed = 0, failed = 0;

/** Runs one of the others, shows what it says, and counts its last line. */
function runOther(args, more = {}) {
  const { stdout } = spawnSync(process.execPath, args.map((arg) => arg.replace(/^test\//, `${root}/test/`)), { encoding: 'utf8', env: { ...env, ...more }, stdio: ['inherit', 'pipe', 'inherit'], maxBuffer: 1 << 28 });
  process.stdout.write(stdout);
  const last = /^(\d+) passed, (\d+) failed$/m.exec(stdout.trimEnd().split('\n').at(-1));
  passed += Number(last?.[1] ?? 0);
  failed += Number(last?.[2] ?? 1);
}

if (does('mutants')) {
  const { playInChild, sum } = await import(new URL('../dist/test/mutants.js', import.meta.url).href);
  const cores = availableParallelism(), share = Math.ceil(MUTANTS / cores), at = new Array(cores).fill(0), begin = Date.now();
  console.log(`${MUTANTS.toLocaleString('en')} pools with anything in them, seed ${SEED}, ${cores} at a time`);
  const show = setInterval(() => {
    const n = at.reduce((a, b) => a + b), seconds = (Date.now() - begin) / 1000;
    if (n > 0) console.log(`  ${n.toLocaleString('en')} after ${seconds.toFixed(0)} s; ${(seconds * (MUTANTS / n - 1)).toFixed(0)} s to go`);
  }, 30_000);
  try {
    const tallies = await Promise.all(at.map((_, core) => {
      const from = core * share, count = Math.min(share, MUTANTS - from);
      return playInChild(SEED, from, count, { silenceMs: 120_000, mostRssMiB: 600, heard: (mutant) => { at[core] = mutant - from; } });
    }));
    console.log(`  ${JSON.stringify(sum(tallies))} in ${((Date.now() - begin) / 1000).toFixed(0)} s`);
    passed++;
  } catch (error) {
    console.log(`  ${error.message}`);
    failed++;
  }
  clearInterval(show);
}
if (does('properties')) {
  const files = readdirSync(join(root, 'test')).filter((f) => f.endsWith('.test.ts') && /from '\.\/properties\.js'/.test(readFileSync(join(root, 'test', f), 'utf8')));
  for (let i = 0; i < PROPERTY_RUNS; i++) {
    console.log(`properties, FRAMEKEEP_SEED=${SEED + i}`);
    runOther(['test/run.mjs', ...files.map((f) => f.replace('.test.ts', ''))], { FRAMEKEEP_SEED: String(SEED + i) });
  }
}
if (does('frames')) runOther(['test/run.mjs', '36-'], { FRAMEKEEP_ROUNDS: '2000', FRAMEKEEP_SEED: String(SEED) });
if (does('kills')) runOther(['test/run.mjs', '70-kill', '--timeout', '1800s'], { FRAMEKEEP_KILLS: KILLS });
if (does('sanitize')) runOther(['test/sanitize.mjs']);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);  // children that still play end with their listener
