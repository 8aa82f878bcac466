/**
 * What the rig needs of Debian: programs, which are installed (as root) or named in one line; and a kernel, which is
 * downloaded, unpacked and never installed. Kernels and images are kept in the user's cache.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** A reason why nothing can be tried here, with what to do about it. */
export class CannotRun extends Error {
  readonly remedy: string;
  constructor(what: string, remedy: string) { super(what); this.remedy = remedy; }
}

const PROGRAMS: readonly (readonly [program: string, debianPackage: string])[] = [
  ['qemu-system-x86_64', 'qemu-system-x86'], ['busybox', 'busybox-static'], ['ndctl', 'ndctl'], ['mke2fs', 'e2fsprogs'],
  ['ip', 'iproute2'], ['tcpdump', 'tcpdump'], ['xz', 'xz-utils'], ['dpkg-deb', 'dpkg'],
];
/** The cloud flavour: ext4, AF_XDP and virtio are in it, all for NVDIMMs and veth are modules of it. */
const KERNEL = /^linux-image-(\d\S*)-cloud-amd64-unsigned$/;

/** Where kernels and images are kept: some 300 MB, which may be deleted at any time. */
export function cacheDirectory(): string {
  const directory = process.env['FRAMEKEEP_VM_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'framekeep-vm');
  mkdirSync(directory, { recursive: true });
  return directory;
}

/** A program's path; an ordinary user's PATH has no sbin. */
export function programPath(name: string): string | undefined {
  return [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'].filter(Boolean).map((dir) => join(dir, name)).find(existsSync);
}

/** @throws CannotRun naming the line that installs what is missing */
export function needPrograms(say: (line: string) => void): void {
  if (process.arch !== 'x64') throw new CannotRun(`this is ${process.arch}: the machine that is emulated runs this Node, so it must be x86-64`, 'run it on such a machine');
  const missing = PROGRAMS.filter(([program, name]) => programPath(program) === undefined || (name === 'busybox-static' && !isStatic(programPath(program)!)));
  if (missing.length === 0) return;
  const names = missing.map(([, name]) => name), line = `apt-get install -y --no-install-recommends ${names.join(' ')}`;
  if (process.getuid!() !== 0 || programPath('apt-get') === undefined) throw new CannotRun(`missing: ${names.join(' ')}`, `install as root: ${line}`);
  say(`installing Debian packages: ${names.join(' ')}`);
  const install = () => apt(['install', '-y', '--no-install-recommends', ...names]);
  let done = install();
  if (!done.ok && apt(['update']).ok) done = install();
  if (!done.ok) throw new CannotRun(`could not be installed: ${names.join(' ')}\n${done.output}`, line);
}

export interface Kernel { readonly version: string; readonly image: string; readonly modules: string }

/** The newest kernel that the archive has, from the cache if there is one. @throws CannotRun */
export function kernel(say: (line: string) => void): Kernel {
  const cache = cacheDirectory();
  const have = readdirSync(cache).filter((name) => name.startsWith('kernel-')).sort(byVersion).at(-1);
  if (have !== undefined) return unpacked(join(cache, have));
  let names = available();
  if (names.length === 0 && process.getuid!() === 0 && apt(['update']).ok) names = available();
  const name = names.at(-1);
  if (name === undefined) throw new CannotRun('this system\'s package lists have no linux-image-*-cloud-amd64-unsigned', 'use Debian (12 or later), and run: apt-get update');
  say(`downloading ${name}`);
  const scratch = mkdtempSync(join(cache, 'new-'));
  try {
    const done = apt(['download', name], scratch);
    const file = readdirSync(scratch).find((f) => f.endsWith('.deb'));
    if (file === undefined) throw new CannotRun(`${name} could not be downloaded\n${done.output}`, 'apt-get update, and check that the Debian mirror is reachable');
    const unpack = spawnSync('dpkg-deb', ['-x', join(scratch, file), join(scratch, 'root')], { encoding: 'utf8' });
    if (unpack.status !== 0) throw new CannotRun(`${file} cannot be unpacked: ${unpack.stderr}`, 'is the disk full?');
    const to = join(cache, `kernel-${KERNEL.exec(name)![1]}`);
    renameSync(join(scratch, 'root'), to);
    return unpacked(to);
  } finally { rmSync(scratch, { recursive: true, force: true }); }
}

function available(): string[] {
  const { stdout } = spawnSync('apt-cache', ['search', '--names-only', 'linux-image-.*-cloud-amd64-unsigned'], { encoding: 'utf8' });
  return (stdout ?? '').split('\n').map((line) => line.split(' ')[0]).filter((name) => KERNEL.test(name)).sort(byVersion);
}

function unpacked(root: string): Kernel {
  const modules = join(root, existsSync(join(root, 'usr/lib/modules')) ? 'usr/lib/modules' : 'lib/modules');
  const [version] = readdirSync(modules);
  return { version, image: join(root, 'boot', `vmlinuz-${version}`), modules: join(modules, version) };
}

/** 6.12.117+deb12 comes after 6.1.0-56. */
function byVersion(a: string, b: string): number {
  const [x, y] = [a, b].map((name) => (name.match(/\d+/g) ?? []).map(Number));
  for (let i = 0; i < Math.max(x.length, y.length); i++) if ((x[i] ?? 0) !== (y[i] ?? 0)) return (x[i] ?? 0) - (y[i] ?? 0);
  return 0;
}

function isStatic(path: string): boolean {
  return spawnSync('ldd', [path], { encoding: 'utf8' }).status !== 0;
}

function apt(args: readonly string[], cwd = '/'): { ok: boolean; output: string } {
  const { status, stdout, stderr } = spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=300', '-o', 'APT::Sandbox::User=root', '-qq', ...args],
    { cwd, encoding: 'utf8', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
  return { ok: status === 0, output: `${stdout}${stderr}` };
}
