/** The bench starts, measures, and says so; no figure is looked at. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { packageRoot } from '../native/index.js';
import type { Report } from '../bench/results.js';

const bench = join(packageRoot(), 'dist', 'bench', 'run.js');

test('bench --quick measures a case round after round and writes what it found', (t) => {
  const directory = mkdtempSync('/dev/shm/framekeep-test-');
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const json = join(directory, 'out.json');
  const { status, stdout, stderr } = spawnSync(process.execPath, [bench, 'fabric-commit', '--quick', '--rounds', '2', '--json', json], { encoding: 'utf8', timeout: 100_000 });
  t.is(status, 0, stderr + stdout);
  t.regex(stdout, /commit before forward, of after +≥ 0\.85/);
  const report = JSON.parse(readFileSync(json, 'utf8')) as Report, [result] = report.cases;
  t.is(result.name, 'fabric-commit');
  t.deepEqual(Object.keys(result.rounds), ['before', 'after']);
  for (const rounds of Object.values(result.rounds)) {
    t.is(rounds.length, 2);
    for (const figures of rounds) t.true(figures['keptMpps'] > 0 && figures['busyNs'] > 0);
  }
  t.true(report.machine.kernel.length > 0 && report.machine.medium.startsWith('tmpfs'));
});

test('bench names what it does not know', (t) => {
  const { status, stderr } = spawnSync(process.execPath, [bench, 'fabrics'], { encoding: 'utf8' });
  t.is(status, 2);
  t.regex(stderr, /there is no case 'fabrics'; there are fabric, /);
});
