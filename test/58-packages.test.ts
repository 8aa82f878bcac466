/** The packages as their users get them: installed where there is no compiler, run from there. */
import test from 'ava';
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { packageRoot } from '../native/index.js';
import { has } from './needs.js';

const root = packageRoot();
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
type Test = { teardown(then: () => void): void };

function place(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'framekeep-package-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
function run(command: string, args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): SpawnSyncReturns<string> {
  return spawnSync(command, args, { encoding: 'utf8', timeout: 280_000, maxBuffer: 64 << 20, ...options });
}
function ran(done: SpawnSyncReturns<string>): string {
  if (done.status !== 0) throw new Error(`${done.status ?? done.signal ?? String(done.error)}: ${done.stderr}${done.stdout}`);
  return done.stdout;
}
/** A PATH with these programs and no others. */
function pathOf(directory: string, ...programs: string[]): string {
  const bin = join(directory, 'bin');
  mkdirSync(bin);
  for (const name of programs) symlinkSync(ran(run('sh', ['-c', `command -v ${name}`])).trim(), join(bin, name));
  return bin;
}
/** What the installed command does, in a word for each part. */
function works(t: Test & { is(a: unknown, b: unknown, message?: string): void; true(a: boolean, message?: string): void }, framekeep: readonly string[], directory: string, env: NodeJS.ProcessEnv, speed = '0'): void {
  const [command, ...first] = framekeep, pool = join(directory, 'demo.pool');
  const call = (...args: string[]): string => ran(run(command, [...first, ...args], { cwd: directory, env: { ...env, FRAMEKEEP_RUN: join(directory, 'run') } }));
  t.is(call('--version').trim(), version);
  const last = JSON.parse(call('demo', '--json', '--speed', speed, '--pool', pool).trim().split('\n').at(-1)!) as { type: string; global: { committed: number } };
  t.is(last.type, 'stopped');
  t.is(last.global.committed, 348);
  call('export', pool, '-w', join(directory, 'kept.pcapng'));
  t.true(statSync(join(directory, 'kept.pcapng')).size > 40_000);
  t.true(call('verify', pool).includes('sound'));
  t.is(call('up', 'gen:,count=20,rate=0', '--once', '--pool', pool, '--log', '-', '--metrics', '0').trim().split('\n').map((line) => (JSON.parse(line) as { event: string }).event).at(-1), 'stopped');
}

test.serial('the addon for packages needs no glibc that Node 20 does not, and no other library', (t) => {
  t.timeout(300_000);
  ran(run(process.execPath, [join(root, 'native', 'prebuild.mjs'), '--host']));
  const addon = join(root, 'prebuilds', `linux-${process.arch}`, 'framekeep.node');
  t.true(statSync(addon).size < 1_000_000);
  if (run('objdump', ['--version']).status !== 0) return;
  const needed = [...ran(run('objdump', ['-p', addon])).matchAll(/NEEDED +(\S+)/g)].map((m) => m[1]);
  t.deepEqual(needed.filter((library) => !/^(libc\.so\.6|ld-linux-.*)$/.test(library)), []);
  for (const [, major, minor] of ran(run('objdump', ['-T', addon])).matchAll(/GLIBC_(\d+)\.(\d+)/g)) t.true(Number(major) === 2 && Number(minor) <= 28, `${major}.${minor}`);
});

if (has('the npm package', 'npm', 'tar')) {
  test.serial('npm pack, installed into an empty directory without a compiler, runs', (t) => {
    t.timeout(300_000);
    const directory = place(t), both = ['x64', 'arm64'].map((arch) => join(root, 'prebuilds', `linux-${arch}`, 'framekeep.node')), all = both.every((addon) => existsSync(addon));
    // Where `npm run prebuild` was never run the package is made with this machine's addon alone: the other's takes a minute to compile.
    if (!all) t.log('npm run prebuild was not run here: the addon for the other machine is not in this package');
    ran(run('npm', ['pack', ...(all ? [] : ['--ignore-scripts']), '--pack-destination', directory], { cwd: root }));
    const tarball = join(directory, `framekeep-${version}.tgz`), listed = ran(run('tar', ['-tzf', tarball])).split('\n');
    for (const file of ['package.json', 'LICENSE', 'cli/framekeep.mjs', 'dist/cli/main.js', `prebuilds/linux-${process.arch}/framekeep.node`, ...(all ? ['prebuilds/linux-arm64/framekeep.node', 'prebuilds/linux-x64/framekeep.node'] : [])]) {
      t.true(listed.includes(`package/${file}`), file);
    }
    t.deepEqual(listed.filter((file) => /^package\/(test|bench|build|dist\/test|dist\/bench|node_modules)\//.test(file) || file.endsWith('.map')), []);
    const scripts = (JSON.parse(ran(run('tar', ['-xzOf', tarball, 'package/package.json']))) as { scripts: Record<string, string> }).scripts;
    t.deepEqual(Object.keys(scripts).filter((name) => /^(pre|post)?install$|^prepare$/.test(name)), [], 'nothing runs at installation');

    const home = join(directory, 'home'), bin = pathOf(directory, 'node', 'npm', 'npx', 'sh', 'env');
    mkdirSync(home);
    writeFileSync(join(home, 'package.json'), '{ "private": true }');
    const env = { HOME: process.env['HOME'], PATH: bin, NO_COLOR: '1', npm_config_cache: ran(run('npm', ['config', 'get', 'cache'])).trim() };
    const install = (...how: string[]): SpawnSyncReturns<string> => run('npm', ['install', '--omit=optional', '--no-audit', '--no-fund', ...how, tarball], { cwd: home, env });
    if (install('--offline').status !== 0) ran(install());  // what npm's cache lacks is asked of the registry
    const installed = join(home, 'node_modules', 'framekeep');
    t.false(existsSync(join(installed, 'build')));
    works(t, ['npx', '--no-install', 'framekeep'], home, env);
    // `npm start` within it: set-up has nothing to do, and builds nothing.
    const setup = run('node', [join(installed, 'cli', 'setup.mjs'), '--run'], { cwd: installed, env });
    t.is(`${setup.status}${setup.stdout}${setup.stderr}`, '0');
    t.false(existsSync(join(installed, 'build')));
    t.is(ran(run('node', ['--input-type=module', '-e', "import { Switch } from 'framekeep'; import { PoolReader } from 'framekeep/logger'; console.log(typeof Switch.start, typeof PoolReader)"], { cwd: home, env })).trim(), 'function function');

    // The other addon under its machine's Node, emulated: no AF_XDP and no libpcap there, and a thread of the emulator's own; replay, pool and export are the same code.
    const foreign = process.env['FRAMEKEEP_NODE_ARM64'];
    if (foreign === undefined || !all || !has('the arm64 addon under emulation', 'qemu-aarch64-static')) return;
    const arm = (...args: string[]): string => ran(run('qemu-aarch64-static', ['-L', '/usr/aarch64-linux-gnu', foreign, join(installed, 'cli', 'framekeep.mjs'), ...args], { cwd: home, env: { ...process.env, FRAMEKEEP_RUN: join(home, 'run') } }));
    const pool = join(home, 'arm.pool'), last = arm('up', `replay:${join(installed, 'captures', 'nb6-http.pcap')},speed=0`, '--once', '--pool', pool, '--pool-size', '32M', '--json', '--keep-privileges').trim().split('\n').at(-1)!;
    const { kept } = (JSON.parse(last) as { ports: { kept: number }[] }).ports[0];
    t.true(kept > 40);
    t.true(arm('verify', pool).includes('sound'));
    t.regex(ran(run('npx', ['--no-install', 'framekeep', 'verify', pool], { cwd: home, env })), new RegExp(`sound; ${kept} frames`));
  });
}

if (has('the Debian package', 'dpkg-deb', 'npm')) {
  test.serial('npm run deb: its files are where Debian has them, with the right sums, and what is extracted runs', (t) => {
    t.timeout(300_000);
    const directory = place(t), arch = process.arch === 'x64' ? 'amd64' : 'arm64';
    const deb = ran(run(process.execPath, [join(root, 'packaging', 'deb.mjs'), '--out', directory])).trim().split('\n').at(-1)!;
    t.is(deb, join(directory, `framekeep_${version}_${arch}.deb`));
    const rows = ran(run('dpkg-deb', ['-c', deb])).trim().split('\n').map((row) => row.split(/\s+/));
    t.deepEqual([...new Set(rows.map((row) => row[1]))], ['root/root']);
    const paths = rows.map((row) => row[5].slice(1));
    for (const file of ['/usr/bin/framekeep', '/usr/lib/systemd/system/framekeep@.service', '/usr/lib/sysusers.d/framekeep.conf', '/etc/framekeep/example.toml', '/usr/share/man/man1/framekeep.1.gz',
      '/usr/share/bash-completion/completions/framekeep', '/usr/share/zsh/vendor-completions/_framekeep', '/usr/share/fish/vendor_completions.d/framekeep.fish',
      '/usr/share/doc/framekeep/copyright', '/usr/share/doc/framekeep/docs/operating.md', `/usr/lib/framekeep/prebuilds/linux-${process.arch}/framekeep.node`]) {
      t.true(paths.includes(file), file);
    }
    t.deepEqual(paths.filter((path) => /\/(test|typescript|ava|cap)\/|\.(ts|map)$/.test(path)), [], 'nothing for developers');
    t.is(ran(run('dpkg-deb', ['-f', deb, 'Depends'])).trim(), 'nodejs (>= 20.19), libc6 (>= 2.28)');

    const extracted = join(directory, 'root'), control = join(directory, 'control');
    ran(run('dpkg-deb', ['-x', deb, extracted]));
    ran(run('dpkg-deb', ['-e', deb, control]));
    for (const row of readFileSync(join(control, 'md5sums'), 'utf8').trim().split('\n')) {
      const [sum, path] = row.split('  ');
      t.is(createHash('md5').update(readFileSync(join(extracted, path))).digest('hex'), sum, path);
    }
    for (const script of readdirSync(control).filter((name) => name.startsWith('post'))) t.is(run('sh', ['-n', join(control, script)]).status, 0, script);
    // /usr/bin/node is the distribution's; here it may be elsewhere.
    const bin = pathOf(directory, 'node', 'sh', 'env'), framekeep = join(extracted, 'usr/bin/framekeep');
    t.regex(readFileSync(framekeep, 'utf8'), /^#!\/usr\/bin\/node\n/);
    works(t, ['node', framekeep], directory, { PATH: `${bin}:${dirname(framekeep)}`, NO_COLOR: '1' });
    t.regex(ran(run('node', [framekeep, 'up', '--help'], { env: { PATH: bin } })), /--config/);
    // The example reads, but for the ports that only its reader's machine has.
    const example = run('node', [framekeep, 'up', '--config', join(extracted, 'etc/framekeep/example.toml'), '--pool', join(directory, 'x.pool'), '--json'], { env: { PATH: bin, FRAMEKEEP_RUN: join(directory, 'run') } });
    t.regex(example.stderr, /E_INTERFACE_UNKNOWN|E_XDP_PERMISSION|E_PERMISSION/);
  });
}
