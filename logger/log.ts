/**
 * A lane's circular log, as the data plane uses it: append entries, commit the batch, take the replaced records' buffers.
 *
 *   slot = sequence mod slots          sequence, boot id and generation never go back, also across crashes
 *
 * Zero-copy: the frame's own buffer becomes the record's; the caller must not reuse it, and gets the evicted one instead.
 * One-copy (fsdax, ordinary files): the commit copies the frame into a pool buffer that this log takes from its own free
 * list, and the evicted one goes back there; the caller keeps its buffer.
 */
import { logAppend, logBoot, logClose, logCommit, logOpen, SLOT_VALID, SLOT_BEYOND, FramekeepError, errnoName, type Mapping, type NativeLog } from '../native/index.js';
import { NO_BUFFER, recordSeed } from './format.js';
import { IndexView } from './index_view.js';
import type { Pool } from './pool.js';
import type { LaneRecovery } from './recover.js';

/** Words of an entry (struct KeepEntry, native/src/log_context.h). */
export const ENTRY_WORDS = 8;

export interface LogOptions {
  readonly pool: Pool;
  readonly lane: number;
  readonly boot: number;
  readonly recovery: LaneRecovery;
  /** What frame addresses are relative to. The pool's own buffers where the medium allows zero-copy. */
  readonly source: Mapping;
  /** Frames that one commit may take: what can be in flight when a crash comes. */
  readonly maxBatch: number;
}

export class Log {
  /** Entries of the batch, ENTRY_WORDS u32 words each: `append` writes them. */
  readonly entries: Uint32Array;
  pending = 0;
  /** After `commit`: the buffer that entry i's record replaced, or NO_BUFFER. Zero-copy only. */
  readonly evicted: Uint32Array;
  /** The buffer of every slot's record, or NO_BUFFER. */
  readonly slotBuffer: Uint32Array;
  /** f64: next sequence, records, lines flushed, fences, bytes. */
  readonly counters: Float64Array;
  readonly maxBatch: number;
  readonly copies: boolean;
  private readonly native: NativeLog;
  private readonly limit: number;
  // One-copy mode: pool buffers that no record refers to; a stack.
  private readonly free: Uint32Array;
  private freeCount = 0;

  constructor(options: LogOptions) {
    const { pool, lane, recovery } = options, { geometry, medium } = pool, g = geometry.lanes[lane];
    if (options.maxBatch > g.slots) throw new RangeError(`a batch of ${options.maxBatch} frames does not fit an index of ${g.slots} slots`);
    this.maxBatch = options.maxBatch;
    this.limit = Math.min((2 ** 32 - 1) * g.slots, Number.MAX_SAFE_INTEGER - g.slots) - options.maxBatch;
    this.copies = options.source !== pool.buffers;
    this.native = logOpen({
      index: pool.head, indexOffset: g.indexOffset, buffers: pool.buffers!, source: options.source,
      chunkShift: Math.log2(geometry.chunk), slots: g.slots, maxBatch: options.maxBatch, copies: this.copies,
      // A file in the page cache reaches the disk in any order: only a checksum over the frame tells, after a power cut.
      frameCrc: medium.kind === 'file', method: medium.flush,
      boot: options.boot & 0xffff, nextSequence: recovery.next, seed: recordSeed(geometry.uuid, lane),
    });
    this.entries = new Uint32Array(this.native.entries);
    this.evicted = new Uint32Array(this.native.evicted);
    this.slotBuffer = new Uint32Array(this.native.slotBuffer);
    this.counters = new Float64Array(this.native.counters);
    const index = new IndexView(pool.head, g);
    for (let slot = 0; slot < g.slots; slot++) {
      if (recovery.state[slot] === SLOT_VALID || recovery.state[slot] === SLOT_BEYOND) this.slotBuffer[slot] = index.at(slot).buffer;
    }
    this.free = new Uint32Array(this.copies ? g.buffers : 0);
    if (this.copies) for (const buffer of unreferenced(this.slotBuffer, g.firstBuffer, g.buffers)) this.free[this.freeCount++] = buffer;
    // Once the index is full, this is what is left for a commit to take, whatever is free today.
    const spare = g.buffers - g.slots;
    if (this.copies && spare < options.maxBatch) {
      this.close();
      throw new FramekeepError('E_POOL_SIZE', `the pool ${pool.path} has ${spare} spare buffers, fewer than a batch of ${options.maxBatch} frames needs`, 'use a larger pool');
    }
  }

  get nextSequence(): number { return this.counters[0]; }

  /**
   * The kept frames of a gathered burst, [from, to), join the batch; there must be room for so many. @param memory the burst's
   * @returns how many joined
   */
  append(memory: Uint8Array, from: number, to: number, ingress: number, snap: number): number {
    const n = logAppend(this.native.id, memory, from, to, this.pending, ingress, snap);
    if (n < 0) throw new RangeError(`${to - from} frames do not fit a batch of ${this.maxBatch} that has ${this.pending}`);
    this.pending += n;
    return n;
  }

  /**
   * Makes the pending entries durable and findable. On return every one of them is acknowledged: within the medium's
   * promise it will be recovered as long as it is among the newest `slots - maxBatch`.
   * @returns how many were committed; `evicted[0..count)` then names the replaced buffers (zero-copy)
   * @throws FramekeepError E_COMMIT when the medium refuses (msync: a full or failing disk); E_POOL_WORN when the format
   *   cannot number another batch (docs/format.md: after a year at line rate in 256 MiB)
   */
  commit(): number {
    const count = this.pending;
    if (count === 0) return 0;
    const { entries, evicted } = this;
    if (this.counters[0] > this.limit) {
      throw new FramekeepError('E_POOL_WORN', 'the pool has given out all the numbers its format has', 'export it, and start with a new pool');
    }
    if (this.copies) for (let i = 0, e = 7; i < count; i++, e += ENTRY_WORDS) entries[e] = this.free[--this.freeCount];
    const result = logCommit(this.native.id, count);
    this.pending = 0;
    if (result < 0) {
      throw new FramekeepError('E_COMMIT', `the pool's medium refused a commit: ${errnoName(result)}`, 'the frames of this batch may be lost; check the disk');
    }
    if (this.copies) {
      for (let i = 0; i < count; i++) if (evicted[i] !== NO_BUFFER) this.free[this.freeCount++] = evicted[i];
    }
    return count;
  }

  /** The records from now on belong to run `boot`, which the pool knows already. */
  setBoot(boot: number): void {
    logBoot(this.native.id, boot & 0xffff);
  }

  close(): void {
    logClose(this.native);
  }
}

/** The buffers of a lane that no record refers to: what may circulate. Rebuilt from the records at every start. */
export function unreferenced(slotBuffer: Uint32Array, firstBuffer: number, buffers: number): Uint32Array {
  const held = new Uint8Array(buffers);
  for (let slot = 0; slot < slotBuffer.length; slot++) if (slotBuffer[slot] !== NO_BUFFER) held[slotBuffer[slot] - firstBuffer] = 1;
  const free = new Uint32Array(buffers);
  let n = 0;
  for (let i = 0; i < buffers; i++) if (held[i] === 0) free[n++] = firstBuffer + i;
  return free.subarray(0, n);
}
