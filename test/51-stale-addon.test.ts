/** An addon that was built from other sources than the checkout has: said at load, and built again by the command where it may write. */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { spawnSync } from 'node:child_process';
import { appendFileSync, chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

const LOADED = ['package.json', 'native', 'dist/native', 'build/framekeep.node'];
const WHOLE = ['package.json', 'package-lock.json', 'tsconfig.json', 'cli', 'native', 'logger', 'switch', 'tui', 'test', 'bench', 'dist', 'build/framekeep.node', 'build/obj'];

/** A checkout of its own, built. */
function checkout(t: ExecutionContext, parts: readonly string[]): string {
  const dir = mkdtempSync(join(tmpdir(), 'framekeep-stale-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  for (const part of parts) cpSync(join(root, part), join(dir, part), { recursive: true, preserveTimestamps: true });
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
  return dir;
}

function load(dir: string, env: NodeJS.ProcessEnv = {}): string {
  const script = `try { const { clockNow } = await import('${join(dir, 'dist/native/index.js')}'); console.log('loaded'); }
    catch (error) { console.log(error.code, error.message); }`;
  return spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', env: { ...process.env, ...env } }).stdout;
}

test('an addon of other sources is refused by name; of the same sources with a later time it is not', (t) => {
  const dir = checkout(t, LOADED), source = join(dir, 'native', 'src', 'poll.cc'), addon = join(dir, 'build', 'framekeep.node');
  t.is(load(dir), 'loaded\n');
  const later = statSync(addon).mtimeMs / 1000 + 60;
  utimesSync(source, later, later);
  t.is(load(dir), 'loaded\n', 'touched');
  appendFileSync(source, '// another line\n');
  utimesSync(source, later, later);
  t.is(load(dir), `E_ADDON_STALE the native addon ${addon} was built from other sources than those here\n  build it again with: npm run setup\n`);
  const recorder = join(dir, 'build', 'framekeep-record.node');
  cpSync(addon, recorder, { preserveTimestamps: true });
  t.regex(load(dir, { FRAMEKEEP_ADDON: recorder }), /^E_ADDON_STALE .*\n  build it again with: node native\/build\.mjs --record\n$/);
});

test('a source that went away makes it another addon too', (t) => {
  const dir = checkout(t, LOADED), addon = join(dir, 'build', 'framekeep.node');
  rmSync(join(dir, 'native', 'src', 'populate.cc'));
  const later = statSync(addon).mtimeMs / 1000 + 60;
  utimesSync(join(dir, 'native', 'src'), later, later);
  t.regex(load(dir), /^E_ADDON_STALE /);
});

test('without its sources, as in a package, an addon is loaded whatever its time', (t) => {
  const dir = checkout(t, LOADED), addon = join(dir, 'build', 'framekeep.node');
  rmSync(join(dir, 'native'), { recursive: true });
  utimesSync(addon, 1, 1);
  t.is(load(dir), 'loaded\n');
});

test('the command builds such an addon again, says so on standard error, and goes on', (t) => {
  t.timeout(290_000);
  const dir = checkout(t, WHOLE), addon = join(dir, 'build', 'framekeep.node');
  const framekeep = () => spawnSync(process.execPath, [join(dir, 'cli', 'framekeep.mjs'), 'doctor', '--json'], { encoding: 'utf8', timeout: 280_000 });
  appendFileSync(join(dir, 'native', 'src', 'poll.cc'), '// another line\n');
  const later = statSync(addon).mtimeMs / 1000 + 1, before = readFileSync(addon);
  utimesSync(join(dir, 'native', 'src', 'poll.cc'), later, later);
  const first = framekeep();
  t.regex(first.stderr, /^framekeep setup: addon built \(\d+\.\d s\)$/m);
  const check = (JSON.parse(first.stdout) as { checks: { id: string; ok: boolean }[] }).checks.find(({ id }) => id === 'addon');
  t.true(check?.ok, first.stdout.slice(0, 300));
  t.false(readFileSync(addon).equals(before));
  t.is(framekeep().stderr, '', 'and only once');
});

test('where the build folder is not to be written, the command says what is wrong and changes nothing', (t) => {
  const dir = checkout(t, WHOLE), addon = join(dir, 'build', 'framekeep.node');
  appendFileSync(join(dir, 'native', 'src', 'poll.cc'), '// another line\n');
  const later = statSync(addon).mtimeMs / 1000 + 60;
  utimesSync(join(dir, 'native', 'src', 'poll.cc'), later, later);
  chmodSync(join(dir, 'build'), 0o555);
  chmodSync(dir, 0o755);
  const user = process.getuid!() === 0 ? { uid: 65534, gid: 65534 } : {};
  const { status, stderr } = spawnSync(process.execPath, [join(dir, 'cli', 'framekeep.mjs'), 'inspect', '/nonexistent.pool'], { encoding: 'utf8', cwd: dir, ...user });
  chmodSync(join(dir, 'build'), 0o755);
  t.is(status, 1, stderr);
  t.regex(stderr, /\[E_ADDON_STALE\]/);
});
