/**
 * What a pool's path stands on, and what that survives. The table is in docs/architecture.md; every line of it was measured
 * or read in kernel sources. MAP_SYNC succeeding proves nothing alone (it succeeds on emulated RAM and on virtio-pmem
 * devdax), so the mapping's own region is asked for its persistence domain (Documentation/ABI/testing/sysfs-bus-nvdimm).
 */
import { existsSync, fstatSync, readFileSync, realpathSync, statfsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bestFlush, type FlushMethod } from './persist.js';
import { mapFile, MapError, unmap } from './memory.js';

export type MediumKind = 'tmpfs' | 'hugetlbfs' | 'devdax' | 'fsdax' | 'file';
/** What a pool survives: a power cut, a kernel crash, or only the end of its process. */
export type Durability = 'power' | 'kernel' | 'process';

export interface Medium {
  readonly kind: MediumKind;
  /** Whether frames can be received straight into it (AF_XDP UMEM); otherwise kept frames are copied once. */
  readonly zeroCopy: boolean;
  /** What it survives without anybody's force. */
  readonly durability: Durability;
  /** How a line reaches the persistence domain. */
  readonly flush: FlushMethod;
  /** `memory_controller`, `cpu_cache`, or what else the region said; '' where it has none. */
  readonly persistenceDomain: string;
  /** Whether it was mapped with MAP_SYNC. */
  readonly sync: boolean;
  /** Mapping granularity that the size must be a multiple of, bytes. */
  readonly alignment: number;
  /** One line for the user: what survives what. */
  readonly promise: string;
}

const TMPFS = 0x01021994, RAMFS = 0x858458f6, HUGETLBFS = 0x958458f6;  // linux/magic.h

/** Looks at an open pool file (writable or not). `path` is only used to ask its file system. */
export function detectMedium(fd: number, path: string): Medium {
  const stat = fstatSync(fd);
  if (stat.isCharacterDevice()) return daxDevice(stat.rdev);
  const fs = statfsSync(existsSync(path) ? path : dirname(path));
  const type = fs.type >>> 0;
  if (type === TMPFS || type === RAMFS) {
    return { kind: 'tmpfs', zeroCopy: true, durability: 'process', flush: 'none', persistenceDomain: '', sync: false, alignment: 4096,
      promise: 'memory (tmpfs): what is kept survives a killed or crashed switch; a kernel crash or a power cut loses it' };
  }
  if (type === HUGETLBFS) {
    return { kind: 'hugetlbfs', zeroCopy: true, durability: 'process', flush: 'none', persistenceDomain: '', sync: false, alignment: fs.bsize,
      promise: 'huge pages (hugetlbfs): what is kept survives a killed or crashed switch; a kernel crash or a power cut loses it' };
  }
  if (acceptsMapSync(fd, stat.size)) return fsdax(stat.dev);
  return { kind: 'file', zeroCopy: false, durability: 'process', flush: 'none', persistenceDomain: '', sync: false, alignment: 4096,
    promise: 'a file in the page cache (one-copy mode): what is kept survives a killed or crashed switch; a kernel crash or a power cut loses '
      + 'what the kernel had not written back (--durability power writes back each commit, slowly)' };
}

/** The same medium with the durability an operator asked for; the promise says that it was forced. */
export function forceDurability(medium: Medium, wanted: Durability): Medium {
  if (wanted === medium.durability) return medium;
  if (medium.kind === 'file' && wanted !== 'process') {
    return { ...medium, durability: wanted, flush: 'msync',
      promise: 'a file written back at each commit (msync, one-copy mode): what is kept survives a killed switch, a kernel crash and a power cut, '
        + 'as far as the disk keeps what it acknowledged' };
  }
  const volatile = medium.kind === 'tmpfs' || medium.kind === 'hugetlbfs';
  const flush: FlushMethod = wanted === 'process' ? 'none' : medium.persistenceDomain === 'cpu_cache' ? 'none' : bestFlush();
  return { ...medium, durability: wanted, flush,
    promise: `forced to '${wanted}' by the operator (${medium.kind}${volatile && wanted !== 'process' ? ': this is memory, and does not survive a power cut whatever is flushed' : ''})` };
}

function daxDevice(rdev: number): Medium {
  const sys = sysfsOf('char', rdev);
  const domain = persistenceDomain(sys);
  const alignment = Number(readIfThere(join(sys, 'align')) || readIfThere(join(sys, 'device', 'align')) || 2 << 20);
  return dax('devdax', true, domain, alignment, virtualRegion(sys));
}

function fsdax(dev: number): Medium {
  const sys = sysfsOf('block', dev);
  return dax('fsdax', false, persistenceDomain(sys), 4096, virtualRegion(sys));
}

function dax(kind: 'devdax' | 'fsdax', zeroCopy: boolean, domain: string, alignment: number, isVirtual: boolean): Medium {
  const base = { kind, zeroCopy, persistenceDomain: domain, sync: true, alignment };
  const copy = zeroCopy ? '' : ', one-copy mode';
  if (domain === 'memory_controller' && !isVirtual) {
    return { ...base, durability: 'power', flush: bestFlush(),
      promise: `persistent memory (${kind}${copy}, flushed by ${bestFlush()}): what is kept survives a killed switch, a kernel crash and a power cut` };
  }
  if (domain === 'cpu_cache' && !isVirtual) {
    return { ...base, durability: 'power', flush: 'none',
      promise: `persistent memory with persistent caches (${kind}${copy}, eADR): what is kept survives a killed switch, a kernel crash and a power cut` };
  }
  return { ...base, durability: 'process', flush: bestFlush(),
    promise: `${kind}${copy} whose persistence is unverified (${domain || 'the region names no persistence domain'}${isVirtual ? ', a virtual device' : ''}): `
      + 'what is kept survives a killed switch; what a kernel crash or a power cut leaves is up to the host' };
}

// For reading: who only looks at a pool gets the same answer as who writes it (mmap(2) refuses PROT_WRITE on a read-only descriptor).
function acceptsMapSync(fd: number, size: number): boolean {
  if (size === 0) return false;
  try {
    unmap(mapFile(fd, Math.min(size, 4096), { sync: true, unseen: true }));
    return true;
  } catch (error) {
    if (!(error instanceof MapError)) throw error;
    return false;
  }
}

function sysfsOf(kind: 'char' | 'block', dev: number): string {
  const link = `/sys/dev/${kind}/${major(dev)}:${minor(dev)}`;
  return existsSync(link) ? realpathSync(link) : '';
}

// The device's ancestors: …/ndbus0/region0/… carries the domain; a virtio-pmem region hangs under a virtio device.
function persistenceDomain(sys: string): string {
  for (let dir = sys; dir.length > '/sys/devices'.length; dir = dirname(dir)) {
    const found = readIfThere(join(dir, 'persistence_domain'));
    if (found) return found;
  }
  return '';
}
const virtualRegion = (sys: string): boolean => /\/virtio\d+\//.test(sys);
const readIfThere = (path: string): string => existsSync(path) && statSync(path).isFile() ? readFileSync(path, 'utf8').trim() : '';
// glibc's gnu_dev_major/minor, for the 32-bit numbers that stat(2) gives here.
const major = (dev: number): number => (dev >>> 8) & 0xfff;
const minor = (dev: number): number => (dev & 0xff) | ((dev >>> 12) & 0xfff00);

/** The size of a character device that is a devdax namespace, bytes; undefined for anything else. */
export function daxDeviceSize(fd: number): number | undefined {
  const stat = fstatSync(fd);
  if (!stat.isCharacterDevice()) return undefined;
  const size = readIfThere(join(sysfsOf('char', stat.rdev), 'size'));
  return size === '' ? undefined : Number(size);
}
