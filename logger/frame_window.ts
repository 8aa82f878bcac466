/**
 * A lane's window: a burst of records and their frames, copied out of the pool and checked in one native call (native/src/read.cc), so
 * that they cannot change any more.
 *
 * The windows of all lanes lie in one memory, behind the frames that are put together from several buffers: whoever reads frames through
 * them names bytes of one array, whatever lane they are of.
 *
 *     memory  | a frame of several buffers | lane 0's window | lane 1's window | …
 *             0                  LARGEST_FRAME           + STAGING_BYTES
 */
import { framesRead } from '../native/index.js';
import { recordSeed } from './format.js';
import { IndexView } from './index_view.js';
import type { Pool } from './pool.js';

/** Frames of up to this many bytes can be put together from several buffers (64 KiB and its headers). */
export const LARGEST_FRAME = 1 << 17;
/** Records a window; with its staging it stays in the second-level cache. */
export const WINDOW = 256;
const STAGING_BYTES = 1 << 18;

/** How much memory the windows of a pool need. */
export const readerBytes = (pool: Pool): number => LARGEST_FRAME + pool.geometry.lanes.length * STAGING_BYTES;

export class FrameWindow {
  readonly lane: number;
  readonly indexOffset: number;
  readonly slots: number;
  readonly seed: Uint8Array;
  /** What is known of each slot, a byte each. */
  readonly state: Uint8Array;
  readonly index: IndexView;
  /** Of the window's entries: the record, eight words each; and where in `staging` the frame is, or PLACE_NOTHING, PLACE_OVERTAKEN. */
  readonly records = new Uint32Array(WINDOW * 8);
  readonly places = new Uint32Array(WINDOW);
  /** The lane's part of the memory, and where it begins there. */
  readonly staging: Uint8Array;
  readonly stagingAt: number;
  /** Sequence of the first entry, and how many there are. */
  first = 0;
  filled = 0;
  private readonly pool: Pool;
  private readonly range = new Float64Array(5);

  /**
   * @param state   what is known of each slot, SLOT_* (native/persist.ts): others than SLOT_VALID are passed over
   * @param memory  `readerBytes` of it, for the windows of all lanes
   */
  constructor(pool: Pool, lane: number, state: Uint8Array, memory: Uint8Array) {
    const { indexOffset, slots } = pool.geometry.lanes[lane];
    this.pool = pool;
    this.lane = lane;
    this.indexOffset = indexOffset;
    this.slots = slots;
    this.seed = recordSeed(pool.geometry.uuid, lane);
    this.state = state;
    this.index = new IndexView(pool.head, pool.geometry.lanes[lane]);
    this.stagingAt = LARGEST_FRAME + lane * STAGING_BYTES;
    this.staging = memory.subarray(this.stagingAt, this.stagingAt + STAGING_BYTES);
    this.range[0] = Math.log2(pool.geometry.chunk);
    this.range[1] = pool.geometry.buffers;
  }

  /**
   * Copies the records from sequence number `first` on, up to `count` of them: no more than fit, and none of the next lap.
   * @returns how many it dealt with, at least one; 0 where a truncated file has no buffers
   */
  read(first: number, count: number): number {
    const { range, pool, slots } = this, slot = first % slots;
    if (pool.buffers === undefined) return 0;
    range[2] = slot;
    range[3] = Math.min(WINDOW, slots - slot, count);
    range[4] = Math.floor(first / slots) + 1;
    const done = framesRead(pool.head.id, this.indexOffset, pool.buffers.id, range, this.seed, this.state, this.records, this.places, this.staging);
    if (done <= 0) throw new RangeError(`reading ${range[3]} frames from sequence ${first} of lane ${this.lane}: ${done}`);
    this.first = first;
    return this.filled = done;
  }
}
