/** Mappings of pool files and of memory; file locks and space. */
import { addon } from './addon.js';
import { FramekeepError, errnoName } from './error.js';

/** Memory mapped into this thread, seen as segments of at most 1 GiB; `address >>> 30` selects the segment. */
export interface Mapping {
  /** What native calls know it by, in this thread only. */
  readonly id: number;
  readonly bytes: number;
  readonly segments: readonly ArrayBuffer[];
}

/** What `mapFile` failed with; the caller says it in the user's words. */
export class MapError extends Error {
  readonly errno: number;
  constructor(errno: number) { super(errnoName(errno)); this.errno = errno; }
}

/**
 * Maps `bytes` bytes of an open file, shared.
 * @param options.offset  where to begin, a multiple of the medium's page; 0 by default
 * @param options.sync  MAP_SYNC (linux/mman.h): only a DAX file accepts it
 * @param options.unseen  for native calls only: no segments, so that unmapping it detaches nothing
 * @throws MapError with the negative errno
 */
export function mapFile(fd: number, bytes: number, options: { offset?: number; writable?: boolean; sync?: boolean; populate?: boolean; unseen?: boolean } = {}): Mapping {
  const flags = (options.writable ? 1 : 0) | (options.sync ? 2 : 0) | (options.populate ? 4 : 0) | (options.unseen ? 8 : 0);
  const result = addon['mapFile'](fd, options.offset ?? 0, bytes, flags);
  if (typeof result === 'number') throw new MapError(result);
  return result;
}

/** A memfd (tmpfs, unnamed) of `bytes` bytes, all of them reserved; the descriptor is closed when the thread ends. */
export function memoryFile(name: string, bytes: number): number {
  const fd: number = addon['memoryFile'](name, bytes);
  if (fd < 0) {
    throw new FramekeepError('E_MEMORY', `${bytes} bytes of memory for ${name} cannot be had: ${errnoName(fd)}`,
      'make the pool smaller (--pool-size) or free memory');
  }
  return fd;
}

/** A memory-backed mapping that nothing else shares. */
export function mapMemory(name: string, bytes: number): Mapping {
  return mapFile(memoryFile(name, bytes), bytes, { writable: true });
}

/** A copy of an open file's first bytes, through a mapping: a device cannot be read. @throws MapError with the negative errno */
export function mapCopy(fd: number, bytes: number): Uint8Array {
  const result: ArrayBuffer | number = addon['mapCopy'](fd, bytes);
  if (typeof result === 'number') throw new MapError(result);
  return new Uint8Array(result);
}

/**
 * Begins to map a writable mapping's pages, in a thread beside, so that the first touch of each is no fault. It must stay mapped until
 * this thread ends. Contents do not change. Where that cannot be done (before Linux 5.14), nothing happens.
 */
export function populate(mapping: Mapping): void {
  addon['populate'](mapping.id);
}

/**
 * Begins to map the buffers that a pool's records name, in a thread beside, for who is going to read all of them; in the order of
 * the records.
 * @param lanes  where the records of each lane begin in `head`, and how many there are
 * @returns ends it: to be called before either of them is unmapped
 */
export function readAhead(head: Mapping, buffers: Mapping, chunkShift: number, lanes: readonly { readonly indexOffset: number; readonly slots: number }[]): () => void {
  const handle: unknown = addon['readAhead'](head.id, buffers.id, chunkShift, Float64Array.from(lanes.flatMap((l) => [l.indexOffset, l.slots])));
  return () => { if (typeof handle !== 'number') addon['readAheadEnd'](handle); };
}

/**
 * Unmaps it and detaches its ArrayBuffers: a late access throws instead of faulting. The first ArrayBuffer that is detached in a
 * thread makes V8 check every access to every array from then on: 43 ns a frame in the data plane became 50. It is avoided there.
 */
export function unmap(mapping: Mapping): void {
  addon['unmap'](mapping.id, mapping.segments);
}

/** Takes a file's exclusive lock, or that of one byte of it (released with the last descriptor, however the process ends). False: somebody has it. */
export function lockFile(fd: number, byte = 0): boolean {
  const result: number = addon['lockFile'](fd, byte);
  if (result === 0) return true;
  if (result === -11 || result === -13) return false;
  throw new FramekeepError('E_LOCK', `the file cannot be locked: ${errnoName(result)}`, 'use a file system that supports fcntl locks');
}

/** Whether another process (or another open of the file) holds its lock. */
export function lockHeld(fd: number, byte = 0): boolean {
  return addon['lockHeld'](fd, byte) === 1;
}

/** Reserves the space of a file. @returns 0 or a negative errno (-28: ENOSPC) */
export function reserve(fd: number, bytes: number): number {
  return addon['reserve'](fd, bytes);
}

// Memory of rings that are not used any more, by size: not unmapped, so that nothing is detached (see `unmap`).
const spareRings = new Map<number, Mapping[]>();

/** Zeroed memory for the four rings of a port that no kernel fills; layout in native/src/soft_rings.h and switch/ring.ts. */
export function softRings(size: number): Mapping {
  const spare = spareRings.get(size)?.pop();
  if (spare !== undefined) {
    new Uint8Array(spare.segments[0]).fill(0);
    return spare;
  }
  const result = addon['softRings'](size);
  if (typeof result === 'number') throw new FramekeepError('E_MEMORY', `memory for rings of ${size} cannot be had: ${errnoName(result)}`, 'use smaller rings');
  return result;
}

/** Nobody reads or writes these rings any more; the next port of this thread gets them. */
export function releaseSoftRings(size: number, memory: Mapping): void {
  const spare = spareRings.get(size) ?? [];
  spareRings.set(size, spare);
  spare.push(memory);
}

/** Closes a descriptor that the native layer opened. */
export function closeFd(fd: number): void {
  addon['closeFd'](fd);
}
