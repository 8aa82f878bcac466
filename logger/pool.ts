/**
 * The pool file: created whole or not at all, opened by one writer (the lock says who) or any number of readers, never
 * overwritten when it holds something that is not ours.
 */
import { closeSync, constants, existsSync, fchmodSync, fstatSync, fsyncSync, ftruncateSync, linkSync, openSync, readSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import {
  daxDeviceSize, detectMedium, doorFence, doorFlush, doorStore, errnoName, forceDurability, FramekeepError, lockFile, lockHeld, mapCopy, mapFile, MapError,
  reserve, unmap, type Durability, type Mapping, type Medium,
} from '../native/index.js';
import { chooseGeometry, type GeometryOptions } from './geometry.js';
import {
  bootBlockOffset, BOOT_BLOCK_BYTES, checkpointOffset, decodeBoot, decodeSuperblock, encodeBootHeader, encodeCheckpoint, encodePort, encodeSuperblock,
  MAGIC, portEntryOffset, SUPERBLOCK_BYTES, VERSION, type Boot, type BootHeader, type Checkpoint, type Geometry, type PortEntry,
} from './format.js';

export interface CreateOptions extends Omit<GeometryOptions, 'bytes' | 'alignment'> {
  /** Bytes; for a devdax device the default is all of it. */
  readonly bytes?: number;
  /** Overwrite what is there. */
  readonly force?: boolean;
  /** What the operator says it survives, against what was detected. */
  readonly durability?: Durability;
}

export interface OpenOptions {
  /** Open for the switch: takes the lock. Otherwise read-only, beside a running switch if there is one. */
  readonly writable?: boolean;
  /** Another thread of the process that has it open, and its lock: takes none. With `writable`. */
  readonly joins?: boolean;
  /** Create it when it is not there (or is a blank device or empty file). Only with `writable`. */
  readonly create?: CreateOptions;
  /** What the operator says it survives, against what was detected. */
  readonly durability?: Durability;
}

export class Pool {
  readonly path: string;
  readonly fd: number;
  readonly geometry: Geometry;
  readonly medium: Medium;
  readonly writable: boolean;
  /** Superblocks, boot table and indices: file offset 0 up to the buffers. */
  readonly head: Mapping;
  /** The buffers: buffer number × chunk = offset. Undefined where a truncated file ends before them. */
  readonly buffers: Mapping | undefined;
  /** How many bytes of the buffers are there: less than the geometry says when the file was truncated. */
  readonly truncatedBy: number;
  /** What was found wrong and lived with (a damaged superblock copy). */
  readonly findings: readonly string[];

  private constructor(path: string, fd: number, geometry: Geometry, medium: Medium, writable: boolean, fileBytes: number, findings: readonly string[]) {
    this.path = path;
    this.fd = fd;
    this.geometry = geometry;
    this.medium = medium;
    this.writable = writable;
    this.findings = findings;
    const how = { writable, sync: medium.sync && writable };
    this.head = mapFile(fd, geometry.buffersOffset, how);
    const wanted = geometry.buffers * geometry.chunk;
    // Whole pages only: an access past the last one is a bus error, not an exception.
    const there = Math.max(0, Math.min(wanted, Math.floor((fileBytes - geometry.buffersOffset) / 4096) * 4096));
    const bytes = Math.ceil(Math.min(wanted, there) / medium.alignment) * medium.alignment;
    this.truncatedBy = wanted - there;
    this.buffers = there > 0 ? mapFile(fd, this.truncatedBy > 0 ? there : bytes, { ...how, offset: geometry.buffersOffset }) : undefined;
  }

  /** @throws FramekeepError E_POOL_* ; nothing is changed when it throws */
  static open(path: string, options: OpenOptions = {}): Pool {
    const writable = options.writable ?? false;
    if (writable && options.create !== undefined && !existsSync(path)) create(path, { ...options.create, durability: options.durability });
    const fd = openFile(path, writable);
    try {
      if (writable && options.joins !== true && !lockFile(fd)) throw locked(path);
      let medium = detectMedium(fd, path);
      if (options.durability !== undefined) medium = forceDurability(medium, options.durability);
      let found = examine(fd, path, medium);
      if (found.state === 'blank' && writable && options.create !== undefined) {
        formatInPlace(fd, path, medium, { ...options.create, durability: options.durability });
        medium = options.durability === undefined ? detectMedium(fd, path) : forceDurability(detectMedium(fd, path), options.durability);
        found = examine(fd, path, medium);
      }
      if (found.state !== 'valid') throw refusal(found, path);
      const bytes = fileSize(fd);
      if (bytes < found.geometry.fileBytes && writable) {
        throw new FramekeepError('E_POOL_TRUNCATED', `the pool ${path} was cut: it has ${bytes} of ${found.geometry.fileBytes} bytes`,
          `what is left can be read (framekeep export ${path} -w OUT), but it cannot be continued: use another file`);
      }
      if (bytes < found.geometry.buffersOffset) {
        throw new FramekeepError('E_POOL_TRUNCATED', `the pool ${path} was cut within its index: it has ${bytes} of ${found.geometry.fileBytes} bytes`,
          'nothing can be read from it');
      }
      const pool = new Pool(path, fd, found.geometry, medium, writable, bytes, found.findings);
      if (writable && options.joins !== true) pool.repairSuperblock(found.damaged);
      return pool;
    } catch (error) {
      closeSync(fd);
      throw error instanceof MapError
        ? new FramekeepError('E_POOL_MAP', `the pool ${path} cannot be mapped: ${error.message}`, 'check its permissions, and that memory is left', { cause: error })
        : error;
    }
  }

  /** Whether a switch has it open. */
  isLive(): boolean {
    return !this.writable && lockHeld(this.fd);
  }

  /** The runs that the boot table remembers, oldest first. */
  boots(): Boot[] {
    const all: Boot[] = [];
    for (let i = 0; i < this.geometry.boots; i++) {
      const boot = decodeBoot(this.geometry, this.headBytes(bootBlockOffset(this.geometry, i), BOOT_BLOCK_BYTES));
      if (boot !== undefined && boot.id % this.geometry.boots === i) all.push(boot);
    }
    return all.sort((a, b) => a.id - b.id);
  }

  /** Makes a new run known, durably, before its first record. */
  writeBoot(boot: BootHeader): void {
    this.writeDurably(bootBlockOffset(this.geometry, boot.id), encodeBootHeader(this.geometry, boot));
  }

  /** Makes a port known, durably, before the first record that names it. */
  writePort(boot: number, port: PortEntry): void {
    this.writeDurably(bootBlockOffset(this.geometry, boot) + portEntryOffset(port.id), encodePort(this.geometry, boot, port));
  }

  /** Counters as of now, into the older of the two copies. */
  writeCheckpoint(boot: number, checkpoint: Checkpoint): void {
    this.writeDurably(bootBlockOffset(this.geometry, boot) + checkpointOffset(checkpoint.generation), encodeCheckpoint(this.geometry, boot, checkpoint));
  }

  close(): void {
    unmap(this.head);
    if (this.buffers !== undefined) unmap(this.buffers);
    closeSync(this.fd);
  }

  /** A copy of some bytes before the buffers. */
  private headBytes(offset: number, length: number): Uint8Array {
    const segment = Math.floor(offset / 2 ** 30);
    return new Uint8Array(this.head.segments[segment], offset % 2 ** 30, length).slice();
  }

  private writeDurably(offset: number, bytes: Uint8Array): void {
    doorStore(this.head, offset, bytes);
    doorFlush(this.head, offset, bytes.length, this.medium.flush);
    doorFence();
  }

  private repairSuperblock(damaged: readonly (0 | 1)[]): void {
    for (const copy of damaged) this.writeDurably(copy * SUPERBLOCK_BYTES, encodeSuperblock(this.geometry, copy));
  }
}

/** Creates a pool under a name that nothing has yet: whole, or not at all. @throws FramekeepError */
export function create(path: string, options: CreateOptions): void {
  if (existsSync(path)) {
    const fd = openFile(path, true);
    try {
      if (!lockFile(fd)) throw locked(path);
      const medium = detectMedium(fd, path);
      const found = examine(fd, path, medium);
      if (found.state !== 'blank' && !options.force) {
        throw new FramekeepError('E_POOL_EXISTS', `${path} is not empty`, `use another name, or say --force to lose what it holds`);
      }
      formatInPlace(fd, path, medium, options);
    } finally { closeSync(fd); }
    return;
  }
  const half = `${dirname(path)}/.${basename(path)}.${process.pid}.new`;
  let fd: number;
  try {
    fd = openSync(half, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
  } catch (cause) { throw cannotOpen(path, cause, true); }
  try {
    formatInPlace(fd, path, detectMedium(fd, dirname(path)), options);
    linkSync(half, path);  // fails when somebody else was faster; never replaces
  } catch (cause) {
    throw cause instanceof FramekeepError ? cause : cannotOpen(path, cause, true);
  } finally {
    unlinkSync(half);
    closeSync(fd);
  }
  syncDirectory(path);
}

/** Makes the name durable too: fsync(2) of a file does not, and a power cut would take a pool that is whole but has no name. */
function syncDirectory(path: string): void {
  const fd = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
    if (code === 'EINVAL') return;  // a file system that cannot
    throw new FramekeepError('E_POOL_CREATE', `the name of the pool ${path} cannot be made durable: ${code}`, 'check the disk', { cause });
  } finally { closeSync(fd); }
}

function formatInPlace(fd: number, path: string, medium: Medium, options: CreateOptions): void {
  const device = daxDeviceSize(fd);
  const wanted = options.bytes ?? device;
  if (wanted === undefined) throw new FramekeepError('E_POOL_SIZE', `no size was given for the new pool ${path}`, 'say how large: --pool-size 256M');
  if (device !== undefined && wanted > device) throw new FramekeepError('E_POOL_SIZE', `${path} has only ${device} bytes`, `say --pool-size ${device} or less`);
  const bytes = Math.floor(wanted / medium.alignment) * medium.alignment;
  const geometry = chooseGeometry({ ...options, bytes, alignment: medium.alignment });
  if (device === undefined) {
    // Not sparse: a file system that fills up later would be a bus error in the middle of a frame.
    const result = reserve(fd, bytes);
    if (result < 0) {
      if (fstatSync(fd).size > 0) try { ftruncateSync(fd, 0); } catch { /* hugetlbfs keeps its size; the file goes away anyway */ }
      throw new FramekeepError(result === -28 || result === -12 ? 'E_POOL_SPACE' : 'E_POOL_CREATE',
        `the pool ${path} of ${bytes} bytes cannot be created: ${errnoName(result)}`,
        medium.kind === 'hugetlbfs' ? 'reserve huge pages (sysctl vm.nr_hugepages=…) or choose another place' : 'free space, choose a smaller --pool-size, or another place');
    }
    if (fstatSync(fd).size > bytes) ftruncateSync(fd, bytes);
    fchmodSync(fd, 0o600);
  }
  // The index needs no zeroing where the file is new; on a device or under --force, what was there has another uuid's
  // checksums and is already invalid. Only the superblocks decide.
  const detected = device === undefined ? detectMedium(fd, path) : medium;
  const mediumNow = options.durability === undefined ? detected : forceDurability(detected, options.durability);
  if (mediumNow.kind === 'fsdax') writeZeros(fd, path, bytes);
  const head = mapFile(fd, geometry.buffersOffset, { writable: true, sync: mediumNow.sync, unseen: true });
  const write = (offset: number, data: Uint8Array): void => {
    doorStore(head, offset, data);
    doorFlush(head, offset, data.length, mediumNow.kind === 'file' ? 'msync' : mediumNow.flush);
    doorFence();
  };
  try {
    const blank = new Uint8Array(SUPERBLOCK_BYTES);
    if (options.force) { write(0, blank); write(SUPERBLOCK_BYTES, blank); }
    zeroIndices(geometry, write, device !== undefined || options.force === true);
    // The magic first: a creation that is cut off is then known for what it is (examine), and copy A is torn only beside a sound B.
    const copyB = encodeSuperblock(geometry, 1);
    write(SUPERBLOCK_BYTES, copyB.subarray(0, MAGIC.length));
    write(SUPERBLOCK_BYTES, copyB);
    write(0, encodeSuperblock(geometry, 0));
  } finally { unmap(head); }
  if (mediumNow.kind === 'file' || mediumNow.kind === 'fsdax') fsyncSync(fd);
}

/**
 * Makes reserved blocks written ones. Through MAP_SYNC each first store to a reserved block waits for the file system's journal: ext4
 * (Linux 6.12) committed 512 times during the first 644 frames of a run, and not once during 15,155 after this.
 */
function writeZeros(fd: number, path: string, bytes: number): void {
  const zeros = Buffer.alloc(1 << 20);
  try {
    for (let at = 0; at < bytes;) at += writeSync(fd, zeros, 0, Math.min(zeros.length, bytes - at), at);
    fsyncSync(fd);
  } catch (cause) {
    throw new FramekeepError('E_POOL_CREATE', `the pool ${path} cannot be written: ${(cause as NodeJS.ErrnoException).code ?? String(cause)}`, 'check the device', { cause });
  }
}

function zeroIndices(geometry: Geometry, write: (offset: number, data: Uint8Array) => void, dirty: boolean): void {
  if (!dirty) return;
  const zeros = new Uint8Array(1 << 20);
  const start = 2 * SUPERBLOCK_BYTES;
  for (let at = start; at < geometry.buffersOffset; at += zeros.length) write(at, zeros.subarray(0, Math.min(zeros.length, geometry.buffersOffset - at)));
}

type Found =
  | { readonly state: 'valid'; readonly geometry: Geometry; readonly damaged: readonly (0 | 1)[]; readonly findings: readonly string[] }
  | { readonly state: 'blank' | 'empty' | 'foreign' | 'damaged' | 'cut' }
  | { readonly state: 'newer'; readonly version: number };

/** What is at the place, by its two superblock copies; writes nothing. */
function examine(fd: number, path: string, medium: Medium): Found {
  const stat = fstatSync(fd);
  if (!stat.isFile() && daxDeviceSize(fd) === undefined) throw new FramekeepError('E_POOL_FOREIGN', `${path} is neither a file nor a devdax device`, 'name a pool file');
  const size = fileSize(fd);
  if (size === 0) return { state: 'blank' };
  if (size < 2 * SUPERBLOCK_BYTES) {
    const start = Buffer.alloc(size);
    readSync(fd, start, 0, size, 0);
    return { state: start.subarray(0, 8).toString('latin1') === MAGIC ? 'cut' : 'foreign' };
  }
  const bytes = mapCopy(fd, Math.max(2 * SUPERBLOCK_BYTES, medium.alignment)).subarray(0, 2 * SUPERBLOCK_BYTES);
  const copies = [decodeSuperblock(bytes.subarray(0, SUPERBLOCK_BYTES)), decodeSuperblock(bytes.subarray(SUPERBLOCK_BYTES))] as const;
  for (const copy of [0, 1] as const) {
    const found = copies[copy];
    if (found.state !== 'valid') continue;
    const other = (1 - copy) as 0 | 1;
    const damaged = copies[other].state === 'valid' ? [] : [other];
    return { state: 'valid', geometry: found.geometry, damaged, findings: damaged.map((d) => `superblock copy ${d === 0 ? 'A' : 'B'} is ${copies[d].state}; the other one was used`) };
  }
  // All zero but for a copy B that has its magic and is torn: a creation that was cut off. Nothing was ever kept there.
  if (copies[0].state === 'blank' && copies[1].state === 'damaged' && isZero(fd, size, 2 * SUPERBLOCK_BYTES)) return { state: 'blank' };
  const newer = copies.find((c) => c.state === 'newer');
  if (newer !== undefined) return newer as { state: 'newer'; version: number };
  if (copies.some((c) => c.state === 'damaged')) return { state: 'damaged' };
  return copies.every((c) => c.state === 'blank') && isZero(fd, size) ? { state: 'blank' } : { state: 'foreign' };
}

/** Whether all of it from `from` on is zero: an ISO 9660 image or a btrfs begins with zeros too, and is not ours to format. */
function isZero(fd: number, size: number, from = 0): boolean {
  const zeros = Buffer.alloc(1 << 20);
  if (daxDeviceSize(fd) === undefined) {
    const block = Buffer.alloc(zeros.length);
    for (let at = from; at < size; at += block.length) {
      const n = readSync(fd, block, 0, block.length, at);
      if (n <= 0) return false;
      if (!block.subarray(0, n).equals(zeros.subarray(0, n))) return false;
    }
    return true;
  }
  const all = mapFile(fd, size);  // a device cannot be read, only mapped
  try {
    return all.segments.every((segment, i) => {
      for (let at = i === 0 ? from : 0; at < segment.byteLength; at += zeros.length) {
        const block = Buffer.from(segment, at, Math.min(zeros.length, segment.byteLength - at));
        if (!block.equals(zeros.subarray(0, block.length))) return false;
      }
      return true;
    });
  } finally { unmap(all); }
}

function refusal(found: Exclude<Found, { state: 'valid' }>, path: string): FramekeepError {
  switch (found.state) {
    case 'newer': return new FramekeepError('E_POOL_VERSION', `the pool ${path} has format version ${found.version}; this framekeep knows version ${VERSION}`, 'use the framekeep that wrote it, or a later one');
    case 'damaged': return new FramekeepError('E_POOL_DAMAGED', `both superblocks of ${path} are damaged`, 'restore a copy of the file; nothing was changed');
    case 'cut': return new FramekeepError('E_POOL_TRUNCATED', `the pool ${path} was cut within its superblock`, 'nothing can be read from it');
    case 'blank': case 'empty': return new FramekeepError('E_POOL_EMPTY', `${path} is empty: there is no pool in it`, `make one: framekeep create ${path} --size 256M`);
    default: return new FramekeepError('E_POOL_FOREIGN', `${path} is not a framekeep pool`,
      isDevice(path) ? `it was not touched; if nothing on it is needed: framekeep create --force ${path}` : 'name another file; this one was not touched');
  }
}

function openFile(path: string, writable: boolean): number {
  try {
    return openSync(path, (writable ? constants.O_RDWR : constants.O_RDONLY) | constants.O_NONBLOCK);
  } catch (cause) { throw cannotOpen(path, cause, writable); }
}

function cannotOpen(path: string, cause: unknown, writable: boolean): FramekeepError {
  const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
  if (code === 'ENOENT') return new FramekeepError('E_POOL_MISSING', `there is no pool ${path}`, 'check the name; `framekeep create` makes one', { cause });
  if (code === 'EACCES' || code === 'EPERM') {
    return new FramekeepError('E_PERMISSION', `no permission to ${writable ? 'write' : 'read'} ${path}`, `pools are readable by their owner only: run as that user, or sudo chown $USER ${path}`, { cause });
  }
  if (code === 'EEXIST') return new FramekeepError('E_POOL_EXISTS', `${path} appeared while it was being created`, 'start again', { cause });
  if (code === 'EISDIR') return new FramekeepError('E_POOL_FOREIGN', `${path} is a directory`, 'name a pool file', { cause });
  return new FramekeepError('E_POOL_OPEN', `the pool ${path} cannot be opened: ${code}`, 'check the path', { cause });
}

function locked(path: string): FramekeepError {
  return new FramekeepError('E_POOL_LOCKED', `the pool ${path} belongs to a running switch`, 'stop that one, or give this one a pool of its own (--pool)');
}

const fileSize = (fd: number): number => daxDeviceSize(fd) ?? fstatSync(fd).size;
const isDevice = (path: string): boolean => statSync(path).isCharacterDevice();
