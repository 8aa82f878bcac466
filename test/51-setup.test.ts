/** Set-up and the test runner, from outside: what they print and how they end. */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

// Under build/, so that the files find `ava` and git does not find them.
function testFiles(t: ExecutionContext, files: Record<string, string>): string {
  mkdirSync(join(root, 'build'), { recursive: true });
  const dir = mkdtempSync(join(root, 'build', 'runner-test-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  for (const [name, source] of Object.entries(files)) writeFileSync(join(dir, `${name}.test.js`), source);
  return dir;
}

function runner(dir: string, ...args: string[]): { status: number | null; stdout: string; last: string } {
  const { status, stdout } = spawnSync(process.execPath, [join(root, 'test', 'run.mjs'), '--dir', dir, ...args], { encoding: 'utf8', timeout: 110_000, maxBuffer: 1 << 28 });
  return { status, stdout, last: stdout.split('\n').at(-2)! };
}

const PASSES = "import test from 'ava'; test('one', (t) => t.pass()); test('two', (t) => t.pass());";
const FAILS = "import test from 'ava'; test('wrong', (t) => t.is(1, 2)); test('throws', () => { throw new Error('boom'); }); test('right', (t) => t.pass());";
const LEAVES_OUT = "import 'ava'; console.log('left out: tunnels: needs root');";

test('all pass: the last line is alone and exact, exit code 0', (t) => {
  const { status, last } = runner(testFiles(t, { a: PASSES }));
  t.is(last, '2 passed, 0 failed');
  t.is(status, 0);
});

test('failures are shown with their difference and counted', (t) => {
  const { status, stdout, last } = runner(testFiles(t, { a: PASSES, b: FAILS }));
  t.is(last, '3 passed, 2 failed');
  t.is(status, 1);
  t.regex(stdout, /- 1\n\s+\+ 2/);
  t.true(stdout.includes('boom'));
});

test('what is left out is named; a file that leaves out everything is no failure', (t) => {
  const { status, stdout, last } = runner(testFiles(t, { a: PASSES, b: LEAVES_OUT, c: LEAVES_OUT.replace("import 'ava';", '') }));
  t.is(last, '2 passed, 0 failed');
  t.is(status, 0);
  t.is(stdout.split('left out: tunnels: needs root').length, 2, 'once');
});

test('a file without tests and without a reason is a failure', (t) => {
  const { status, last } = runner(testFiles(t, { a: PASSES, b: "import 'ava';" }));
  t.is(last, '2 passed, 1 failed');
  t.is(status, 1);
});

for (const [how, source] of Object.entries({
  'is killed': "import test from 'ava'; test('dies', () => { process.kill(process.pid, 'SIGKILL'); return new Promise(() => {}); });",
  'does not load': "import 'nothing-of-that-name';",
  'throws between tests': "import test from 'ava'; test('passes', (t) => { t.pass(); setTimeout(() => { throw new Error('late'); }, 5); }); test('never', () => new Promise((r) => setTimeout(r, 5000)));",
  'exits': "import test from 'ava'; test('exits', () => { process.exit(0); });",
  'hangs': "import test from 'ava'; test('hangs', () => new Promise(() => setInterval(() => {}, 100)));",
})) {
  test(`a file that ${how} is a failure, and the rest is still counted`, (t) => {
    // Only what hangs is waited for; the other file must have come that far, however slow the machine is.
    const { status, last } = runner(testFiles(t, { a: PASSES, b: source }), '--timeout', how === 'hangs' ? '15s' : '80s');
    t.regex(last, /^[23] passed, 1 failed$/);
    t.is(status, 1);
  });
}

test('no test at all is a failure', (t) => {
  const dir = testFiles(t, { a: PASSES });
  t.like(runner(dir, 'nothing-like-it'), { status: 1, last: '0 passed, 0 failed' });
  t.like(runner(dir, '--match', 'three'), { status: 1, last: '0 passed, 0 failed' });
  t.like(runner(dir, '--match', 'two'), { status: 0, last: '1 passed, 0 failed' });
});

test('set-up with nothing to do says nothing', (t) => {
  const setup = () => spawnSync(process.execPath, [join(root, 'cli', 'setup.mjs'), '--run'], { encoding: 'utf8' });
  setup();                          // `npm test` has done it; somebody who runs this file alone may not
  const { status, stdout, stderr } = setup();
  t.is(stdout + stderr, '');
  t.is(status, 0);
});

test('without root and without the programs, set-up names them and the line that installs them', (t) => {
  const script = `process.getuid = () => 1000;  // the checkout may be where no other user can read
    import { missingPackages, installPackages } from '${join(root, 'cli', 'setup_packages.mjs')}';
    installPackages(missingPackages(true), (line) => console.log(line), (what, remedy) => { console.log(what, remedy); process.exit(1); });`;
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', env: { PATH: '/nonexistent', CXX: 'c++' }, cwd: '/' });
  t.is(status, 0, stdout);
  t.regex(stdout, /missing, going on without: .*tshark.* \(for tests\)/);
  t.regex(stdout, /install it as root: apt-get install -y .*iperf3/);
});

test('a Node that is too old is told so by set-up and by the command', (t) => {
  for (const file of ['setup.mjs', 'framekeep.mjs']) {
    const script = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.4' } }); await import('${join(root, 'cli', file)}');`;
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    t.is(status, 1, file);
    t.regex(stderr, /^framekeep: Node 18\.20\.4 is too old.*\n  install .*\n  \[E_SETUP\]\n$/, file);
  }
  t.true(existsSync(join(root, 'dist')));
});
