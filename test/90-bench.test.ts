/** The bench starts, measures, and says so; no figure is looked at. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { packageRoot } from '../native/index.js';
import { svg, ticks } from '../bench/plot.js';
import { cells, type Report } from '../bench/results.js';

const bench = join(packageRoot(), 'dist', 'bench', 'run.js');

test('bench --quick measures a case round after round and writes what it found', (t) => {
  t.timeout(290_000);
  const directory = mkdtempSync('/dev/shm/framekeep-test-');
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const json = join(directory, 'out.json');
  const { status, stdout, stderr } = spawnSync(process.execPath, [bench, 'fabric-commit', '--quick', '--rounds', '2', '--json', json], { encoding: 'utf8', timeout: 280_000 });
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

test('interrupted, the bench prints what it has', async (t) => {
  const child = spawn(process.execPath, [bench, 'fabric-commit', '--rounds', '50', '--quick'], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  let stdout = '', stderr = '';
  child.stdout.on('data', (text) => { stdout += text; });
  child.stderr.on('data', (text) => { stderr += text; });
  while (!stderr.includes('round 2 of 50')) await once(child.stderr, 'data');
  child.kill('SIGINT');
  const [code] = await once(child, 'close');
  t.is(code, 130);
  t.regex(stdout, /commit before forward, of after .* [0-9.]+ M frames\/s/);
});

test('a row says whether its target was met, of its ratio first', (t) => {
  t.deepEqual(cells({ what: 'a', ratio: 0.5, value: 3, unit: 'M', target: { atLeast: 0.7 } }), ['a', '≥ 0.70', '0.50', '3.00 M', 'MISSED']);
  t.deepEqual(cells({ what: 'b', value: 3, unit: 'µs', target: { atMost: 35 } }), ['b', '≤ 35.0 µs', '', '3.00 µs', 'met']);
  t.deepEqual(cells({ what: 'd', ratio: undefined, value: 3, unit: 'M', target: { atLeast: 0.7 } }), ['d', '≥ 0.70', '', '3.00 M', '']);
  t.deepEqual(cells({ what: 'c', target: { atMost: 35 } }), ['c', '≤ 35.0', '', '–', '']);
});

test('plots have every point, within the picture, and text that is escaped', (t) => {
  const points = [[10, 1], [1000, 25], [1e6, 7]] as const;
  const text = svg({ name: 'x', title: 'a < b', x: { label: 'x', log: true }, y: { label: 'y' }, lines: [{ label: 'one & only', points }, { label: 'none', points: [] }] });
  t.true(text.includes('a &lt; b') && text.includes('one &amp; only'));
  const circles = [...text.matchAll(/<circle cx="([0-9.]+)" cy="([0-9.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);
  t.is(circles.length, 3);
  for (const [x, y] of circles) t.true(x >= 0 && x <= 760 && y >= 0 && y <= 400);
  t.true(circles[1][1] < circles[2][1] && circles[2][1] < circles[0][1], 'higher is more');
  t.deepEqual(ticks(25), [0, 5, 10, 15, 20, 25]);
  t.deepEqual(ticks(1.1), [0, 0.25, 0.5, 0.75, 1, 1.25]);
});
