/** Where a pool could live on this machine, and what it would survive there. */
import { closeSync, constants, existsSync, ftruncateSync, openSync, readdirSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { asFramekeepError, whatFailed } from './exit.js';

export interface MediumReport {
  path: string;
  ok: boolean;
  /** MediumKind of native/medium.ts; '' when it could not be told. */
  kind: string;
  durability: string;
  zeroCopy: boolean | null;
  /** Bytes; not for devices, of which a pool takes the whole. */
  free?: number;
  /** What survives what, in one line; or why that cannot be said. */
  promise: string;
  remedy: string;
}

// open(2): O_TMPFILE makes a file without a name, which goes with its descriptor; Node has no constant for it.
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;

const NO_PLACE = 'no pool can be in it: it is neither a file nor a devdax device';

/** @param paths  none for the usual places */
export async function media(paths: readonly string[]): Promise<MediumReport[]> {
  let native: typeof import('../native/index.js');
  try {
    native = await import('../native/index.js');
  } catch {
    return [];                                          // the addon's own check says why
  }
  return (paths.length > 0 ? paths : usualPlaces()).map((path) => {
    const unknown = { path, ok: false, kind: '', durability: '', zeroCopy: null };
    let fd: number | undefined;
    try {
      const place = existsSync(path) ? path : dirname(path);
      const what = statSync(place);
      if (!what.isFile() && !what.isDirectory() && !what.isCharacterDevice()) return { ...unknown, promise: NO_PLACE, remedy: 'name a file, a directory or a devdax device' };
      fd = openForLooking(place);
      if (what.isCharacterDevice() && native.daxDeviceSize(fd) === undefined) return { ...unknown, promise: NO_PLACE, remedy: 'name a file, a directory or a devdax device' };
      const medium = native.detectMedium(fd, place);
      const free = medium.kind === 'devdax' ? native.daxDeviceSize(fd) : freeBytes(place);
      const full = free !== undefined && free < 16 * 1024 ** 2;
      return {
        path, ok: !full, kind: medium.kind, durability: medium.durability, zeroCopy: medium.zeroCopy, ...free !== undefined && { free }, promise: medium.promise,
        remedy: !full ? '' : medium.kind === 'hugetlbfs' ? 'no huge pages are free: sysctl vm.nr_hugepages=256' : 'it is full: make room',
      };
    } catch (thrown) {
      const error = asFramekeepError(thrown);
      return { ...unknown, promise: whatFailed(error), remedy: error.remedy };
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  });
}

/** An unnamed file for a directory, the file itself for a file: MAP_SYNC can only be tried on a file. */
function openForLooking(path: string): number {
  if (!statSync(path).isDirectory()) return openWithFallback(path, constants.O_RDWR);
  const fd = openWithFallback(path, O_TMPFILE | constants.O_RDWR);
  if (statSync(`/proc/self/fd/${fd}`).isFile()) ftruncateSync(fd, 4096);
  return fd;
}

function openWithFallback(path: string, flags: number): number {
  try {
    return openSync(path, flags, 0o600);
  } catch {
    return openSync(path, constants.O_RDONLY);   // read-only, or a file system without O_TMPFILE
  }
}

function freeBytes(path: string): number {
  const fs = statfsSync(path);
  return fs.bavail * fs.bsize;
}

function usualPlaces(): string[] {
  const devices = readdirSync('/dev').filter((name) => /^dax\d+\.\d+$/.test(name)).map((name) => `/dev/${name}`);
  // fstab(5)'s fields: device, mount point, type, options; a space in a mount point is written \040.
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n').filter((line) => line !== '').map((line) => line.split(' '));
  const wanted = mounts.filter(([, , type, options]) => type === 'hugetlbfs' || options!.split(',').some((o) => o === 'dax' || o === 'dax=always' || o === 'dax=inode'));
  const points = wanted.map(([, point]) => point!.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))));
  return [...new Set([...devices, ...points, ...existsSync('/dev/shm') ? ['/dev/shm'] : [], process.cwd()])];
}
