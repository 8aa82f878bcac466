/**
 * The guest's disks: one ext4 image with Node and Debian's programs (kept in the cache), one with framekeep as it is built
 * now; and the initramfs that mounts them.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { packageRoot } from '../../native/index.js';
import { cpio, type ArchiveEntry } from './archive.js';
import { cacheDirectory, CannotRun, programPath, type Kernel } from './packages.js';

/** In the order in which they must be loaded. */
const MODULES = ['virtio_blk', 'veth', 'libnvdimm', 'nd_btt', 'nd_pmem', 'nfit', 'nd_virtio', 'virtio_pmem', 'device_dax', 'dax_pmem'];
const PROGRAMS = ['busybox', 'ip', 'ndctl', 'tcpdump', 'mke2fs'];
const WRITABLE = ['dev', 'proc', 'sys', 'tmp', 'run', 'mnt', 'huge', 'disk'];
/** What `framekeep` needs at run time, of this checkout. */
const PROJECT = ['package.json', 'cli', 'dist', 'build/framekeep.node', 'test/vm/guest'];

/** Node, its libraries and the guest's programs. */
export function baseImage(say: (line: string) => void): string {
  const files = new Map<string, string>([['bin/node', realpathSync(process.execPath)]]);
  for (const name of PROGRAMS) files.set(`bin/${name}`, realpathSync(programPath(name)!));
  files.set('bin/mkfs.ext4', files.get('bin/mke2fs')!);
  files.set('etc/mke2fs.conf', '/etc/mke2fs.conf');
  for (const library of libraries([...files.values()])) files.set(library.slice(1), realpathSync(library));
  const key = createHash('sha256');
  for (const [to, from] of files) { const { size, mtimeMs } = statSync(from); key.update(`${to}\0${from}\0${size}\0${mtimeMs}\0`); }
  const cache = cacheDirectory(), image = join(cache, `base-${key.digest('hex').slice(0, 16)}.img`);
  if (existsSync(image)) return image;
  for (const old of readdirSync(cache).filter((name) => name.startsWith('base-'))) rmSync(join(cache, old));
  say('building the guest\'s disk with Node');
  const root = mkdtempSync(join(cache, 'new-'));
  try {
    for (const directory of [...WRITABLE, 'framekeep']) mkdirSync(join(root, directory));
    for (const [to, from] of files) {
      mkdirSync(dirname(join(root, to)), { recursive: true });
      copyFileSync(from, join(root, to));
    }
    for (const applet of run(programPath('busybox')!, ['--list']).split('\n').filter(Boolean)) {
      if (!existsSync(join(root, 'bin', applet))) symlinkSync('busybox', join(root, 'bin', applet));
    }
    writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/tmp:/bin/sh\n');
    writeFileSync(join(root, 'etc/group'), 'root:x:0:\n');
    ext4(root, `${image}.new`);
    renameSync(`${image}.new`, image);
  } finally { rmSync(root, { recursive: true, force: true }); }
  return image;
}

/** framekeep: built afresh each time, it is small. */
export function projectImage(directory: string): string {
  const root = packageRoot(), stage = join(directory, 'project'), image = join(directory, 'project.img');
  if (!existsSync(join(root, 'build/framekeep.node'))) throw new CannotRun('the native addon is not built', 'npm run setup');
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as { packages: Record<string, { dev?: boolean; optional?: boolean }> };
  const modules = Object.entries(packages).filter(([path, p]) => path !== '' && p.dev !== true && p.optional !== true).map(([path]) => path);
  for (const part of [...PROJECT, ...modules]) {
    cpSync(join(root, part), join(stage, part), { recursive: true, dereference: true });
  }
  ext4(stage, image);
  rmSync(stage, { recursive: true });
  return image;
}

/** busybox, modules and guest/init.sh, without a script. */
export function initramfs(kernel: Kernel): Buffer {
  const modules = readdirSync(kernel.modules, { recursive: true, encoding: 'utf8' });
  const entries: ArchiveEntry[] = ['bin', 'modules', 'proc', 'sys', 'dev', 'root'].map((path) => ({ path }));
  entries.push({ path: 'bin/busybox', content: readFileSync(programPath('busybox')!) });
  entries.push({ path: 'init', content: readFileSync(join(packageRoot(), 'test/vm/guest/init.sh')) });
  for (const name of MODULES) {
    const file = modules.find((path) => path.endsWith(`/${name}.ko`) || path.endsWith(`/${name}.ko.xz`) || path.endsWith(`/${name}.ko.zst`));
    if (file === undefined) continue;  // built in, in another kernel
    const path = join(kernel.modules, file);
    const content = file.endsWith('.xz') ? runBytes('xz', ['-dc', path]) : file.endsWith('.zst') ? runBytes('zstd', ['-dcq', path]) : readFileSync(path);
    entries.push({ path: `modules/${String(entries.length).padStart(2, '0')}-${name}.ko`, content });
  }
  return cpio(entries);
}

function libraries(programs: readonly string[]): Set<string> {
  const found = new Set<string>();
  for (const program of programs) {
    const { stdout } = spawnSync('ldd', [program], { encoding: 'utf8' });
    for (const [, path] of stdout.matchAll(/(\/\S*\.so\S*)/g)) found.add(path);
  }
  return found;
}

function ext4(from: string, image: string): void {
  const used = Number(run('du', ['-sk', from]).split('\t')[0]);
  rmSync(image, { force: true });
  run(programPath('mke2fs')!, ['-q', '-t', 'ext4', '-O', '^has_journal', '-m', '0', '-d', from, image, `${Math.ceil(used * 1.1) + 4096}k`]);
}

function run(program: string, args: readonly string[]): string {
  return runBytes(program, args).toString();
}

function runBytes(program: string, args: readonly string[]): Buffer {
  const { status, stdout, stderr, error } = spawnSync(program, args, { maxBuffer: 1 << 28 });
  if (status !== 0) throw new CannotRun(`${program} ${args.join(' ')}: ${error?.message ?? stderr}`, 'is there space left for images (400 MB)?');
  return stdout;
}
