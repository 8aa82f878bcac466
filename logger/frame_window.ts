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
import { FLAG_CONTINUED, FLAG_FRAME_CRC, FLAG_MORE, recordSeed } from './format.js';
import { IndexView } from './index_view.js';
import type { Pool } from './pool.js';

/** Frames of up to this many bytes can be put together from several buffers (64 KiB and its headers). */
export const LARGEST_FRAME = 1 << 17;
/** Records a window; with its staging it stays in the second-level cache. */
export const WINDOW = 256;
const STAGING_BYTES = 1 << 18;
/** A reach that leaves nothing out. */
export const WHOLE = Infinity;
/** Frames with one of these are copied whole, whatever the reach (native/src/read.cc). */
const ALWAYS_WHOLE = FLAG_MORE | FLAG_CONTINUED | FLAG_FRAME_CRC;

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
  /**
   * How many bytes of each frame the next `read` copies, for who looks at no more of them: a filter's reach (logger/filter/reach.ts). Most frames
   * of a filtered pool are looked at for two lines of the processor's cache, and 1,500 bytes are 24.
   */
  reach = WHOLE;
  /** … and how many the last one did. */
  private reached = WHOLE;
  private readonly pool: Pool;
  private readonly range = new Float64Array(6);
  private readonly record = new Uint32Array(8);
  private readonly place = new Uint32Array(1);

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
    range[5] = this.reached = this.reach;
    const done = framesRead(pool.head.id, this.indexOffset, pool.buffers.id, range, this.seed, this.state, this.records, this.places, this.staging);
    if (done <= 0) throw new RangeError(`reading ${range[3]} frames from sequence ${first} of lane ${this.lane}: ${done}`);
    this.first = first;
    return this.filled = done;
  }

  /** Copies all that was kept of one frame to the beginning of `into`. @returns how many bytes; -1: it was replaced since */
  readWhole(sequence: number, into: Uint8Array): number {
    const { range, pool, slots, record, place } = this;
    if (pool.buffers === undefined) return -1;
    range[2] = sequence % slots;
    range[3] = 1;
    range[4] = Math.floor(sequence / slots) + 1;
    range[5] = WHOLE;
    const done = framesRead(pool.head.id, this.indexOffset, pool.buffers.id, range, this.seed, this.state, record, place, into);
    return done === 1 && place[0] === 0 ? record[4] >>> 16 : -1;
  }

  /** How many bytes of an entry that is there are in the window: what was kept, or the beginning of it. */
  bytesOf(entry: number): number {
    const kept = this.records[entry * 8 + 4] >>> 16;
    return kept <= this.reached || (this.records[entry * 8 + 6] >>> 16 & ALWAYS_WHOLE) !== 0 ? kept : this.reached;
  }
}
