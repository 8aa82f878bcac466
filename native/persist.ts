/** The one door to the medium (native/src/door.h), and the commit that uses it (native/src/persist.cc). */
import { addon } from './addon.js';
import { errnoName } from './error.js';
import type { Mapping } from './memory.js';

/** How a line of the pool becomes durable; numbers as in native/src/door.h. */
export type FlushMethod = 'none' | 'clwb' | 'clflushopt' | 'clflush' | 'dc cvap' | 'msync';
const METHODS: readonly FlushMethod[] = ['none', 'clwb', 'clflushopt', 'clflush', 'dc cvap', 'msync'];

/** The best flush instruction of this CPU. */
export function bestFlush(): FlushMethod {
  return METHODS[addon['bestFlush']()];
}

/** Stores bytes into a pool: not durable before `doorFlush` and `doorFence`. */
export function doorStore(mapping: Mapping, offset: number, bytes: Uint8Array): void {
  if (addon['doorStore'](mapping.id, offset, bytes) < 0) throw new RangeError(`store of ${bytes.length} bytes at ${offset} is outside the mapping`);
}

/** Writes back every line (or page) that the range touches. */
export function doorFlush(mapping: Mapping, offset: number, length: number, method: FlushMethod): void {
  const result: number = addon['doorFlush'](mapping.id, offset, length, METHODS.indexOf(method));
  if (result < 0) throw new RangeError(`flush of ${length} bytes at ${offset} failed: ${errnoName(result)}`);
}

export function doorFence(): void {
  addon['doorFence']();
}

/** One lane's commit state; the buffers are native memory, shared with JavaScript for the thread's lifetime. */
export interface NativeLog {
  readonly id: number;
  /** maxBatch entries of eight u32 words (struct KeepEntry, native/src/log_context.h). */
  readonly entries: ArrayBuffer;
  /** u32 each: the buffer whose record entry i replaced, 0xFFFFFFFF for none. */
  readonly evicted: ArrayBuffer;
  /** u32 a slot: the buffer its record holds, 0xFFFFFFFF for none. */
  readonly slotBuffer: ArrayBuffer;
  /** f64: next sequence, records, lines flushed, fences, bytes. */
  readonly counters: ArrayBuffer;
}

export interface NativeLogOptions {
  readonly index: Mapping; readonly indexOffset: number; readonly buffers: Mapping;
  /** What frame addresses are relative to: the pool's buffers (zero-copy) or another mapping (one-copy). */
  readonly source: Mapping;
  readonly chunkShift: number; readonly slots: number; readonly maxBatch: number;
  readonly copies: boolean; readonly frameCrc: boolean; readonly method: FlushMethod;
  readonly boot: number; readonly nextSequence: number;
  /** Pool uuid (16 bytes) and lane number (u32): what the records' CRC starts from. */
  readonly seed: Uint8Array;
}

export function logOpen(o: NativeLogOptions): NativeLog {
  const options = Float64Array.of(o.chunkShift, o.slots, o.maxBatch, +o.copies, +o.frameCrc, METHODS.indexOf(o.method), o.boot, o.nextSequence);
  const result = addon['logOpen'](o.index.id, o.indexOffset, o.buffers.id, o.source.id, options, o.seed);
  if (typeof result === 'number') throw new RangeError(`logOpen: ${result}`);
  return result;
}

/**
 * Hot, one call a burst: the burst's kept frames (`keep[i]` = 1) of [from, to) become the batch's entries from `first` on. Their
 * verdict is `egress[i]`; their bytes come into the burst's measured `bytes`.
 * @param burst    the memory of a Burst (switch/burst.ts)
 * @param snap     most bytes kept of a frame
 * @returns how many they were, or -22: no such log, or no room for `to - from` entries
 */
export const logAppend: (id: number, burst: Uint8Array, from: number, to: number, first: number, ingress: number, snap: number) => number = addon['logAppend'] as any;

/** Hot: commits the first `count` entries. @returns 0 or a negative errno (msync) */
export const logCommit: (id: number, count: number) => number = addon['logCommit'] as any;

/** The records from now on belong to that run. */
export const logBoot: (id: number, boot: number) => void = addon['logBoot'] as any;

export function logClose(log: NativeLog): void {
  addon['logClose'](log.id, log.entries, log.evicted, log.slotBuffer, log.counters);
}

/** States that `indexScan` reports for a slot. */
export const SLOT_EMPTY = 0, SLOT_VALID = 1, SLOT_TORN = 2, SLOT_BEYOND = 3;

/**
 * Checks `slots` records of a lane's index, from `firstSlot` on, by structure and CRC; writes nothing to the pool.
 * @param result one byte a slot: SLOT_*; SLOT_BEYOND: sound, but its frame lies past the end of a truncated file
 * @returns how many are SLOT_VALID
 */
export function indexScan(index: Mapping, indexOffset: number, buffers: Mapping | undefined, firstSlot: number, slots: number, chunkShift: number, bufferCount: number,
  seed: Uint8Array, result: Uint8Array): number {
  const n: number = addon['indexScan'](index.id, indexOffset, buffers?.id ?? -1, firstSlot, slots, chunkShift, bufferCount, seed, result);
  if (n < 0) throw new RangeError(`index scan outside the mapping`);
  return n;
}

/** CRC-32C (RFC 3720), by the CPU's instruction where it has one. */
export const crc32c: (bytes: Uint8Array) => number = addon['crc32c'] as any;
/** The same by table: what machines without the instruction use, and the tests' second opinion. */
export const crc32cTable: (bytes: Uint8Array) => number = addon['crc32cTable'] as any;
/** Field offsets of a record as C++ has them, by name; also `size` and `flagFrameCrc`. */
export const layoutOf: () => Record<string, number> = addon['layoutOf'] as any;
