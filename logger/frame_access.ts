/**
 * Any kept frame by its number, in any order: what a list needs that shows a few of a million. `PoolReader` goes through all of them
 * in order; this one reads where it is told to, a burst at a time, so that going forward costs the same.
 *
 * Like the reader it copies before it looks, and hears of every frame that the switch has replaced (native/src/read.cc).
 */
import { framesRead, PLACE_OVERTAKEN } from '../native/index.js';
import { FLAG_CONTINUED, FLAG_MORE, recordSeed, type Boot } from './format.js';
import { IndexView } from './index_view.js';
import type { Pool } from './pool.js';
import { fullBootId, type Recovery } from './recover.js';

const WINDOW = 256, STAGING_BYTES = 1 << 18, LARGEST_FRAME = 1 << 17;

/** A frame's number in a pool: lane × 2^48 + sequence, as in an export's packet ids. */
export const LANE_UNIT = 2 ** 48;

interface Window {
  readonly indexOffset: number;
  readonly slots: number;
  readonly seed: Uint8Array;
  readonly index: IndexView;
  readonly state: Uint8Array;
  readonly records: Uint32Array;
  readonly places: Uint32Array;
  readonly staging: Uint8Array;
  first: number;
  filled: number;
}

export class FrameAccess {
  // The frame that `read` found:
  boot = 0;
  /** ns since the Unix epoch, as two u32 words. */
  timeHigh = 0;
  timeLow = 0;
  ingress = 0;
  verdict = 0;
  flags = 0;
  /** Length on the wire, bytes. */
  wire = 0;
  /** The kept bytes are bytes[offset, offset + captured), until the next `read`. */
  bytes: Uint8Array;
  offset = 0;
  captured = 0;

  private readonly pool: Pool;
  private readonly recovery: Recovery;
  private readonly windows: readonly Window[];
  private readonly range = new Float64Array(5);
  private readonly long = new Uint8Array(LARGEST_FRAME);
  private boots: Map<number, number>;
  private lastLow = -1;

  /** @param recovery  of that pool; who follows a living one shares it with the `PoolReader` that does */
  constructor(pool: Pool, recovery: Recovery) {
    this.pool = pool;
    this.recovery = recovery;
    this.boots = new Map(recovery.boots.map((b) => [b.id & 0xffff, b.id]));
    this.range[0] = Math.log2(pool.geometry.chunk);
    this.range[1] = pool.geometry.buffers;
    this.windows = recovery.lanes.map((lane, i) => {
      const { indexOffset, slots } = pool.geometry.lanes[i];
      return {
        indexOffset, slots, seed: recordSeed(pool.geometry.uuid, i), index: new IndexView(pool.head, pool.geometry.lanes[i]), state: lane.state, records: new Uint32Array(WINDOW * 8), places: new Uint32Array(WINDOW),
        staging: new Uint8Array(STAGING_BYTES), first: 0, filled: 0,
      };
    });
    this.bytes = this.long;
  }

  /** Tells it of runs that began since. */
  update(boots: readonly Boot[]): void {
    this.boots = new Map(boots.map((b) => [b.id & 0xffff, b.id]));
    this.lastLow = -1;
  }

  /** Finds a frame. @param id lane × 2^48 + sequence. @returns false when it is not there any more */
  read(id: number): boolean {
    const lane = Math.floor(id / LANE_UNIT), sequence = id - lane * LANE_UNIT, w = this.windows[lane];
    let i = this.place(w, sequence);
    if (i < 0) return false;
    const base = i * 8, tags = w.records[base + 5], last = w.records[base + 6], low = last & 0xffff;
    if (low !== this.lastLow) {
      this.lastLow = low;
      this.boot = this.boots.get(low) ?? fullBootId(this.recovery.lastBoot, low);
    }
    this.timeLow = w.records[base + 2];
    this.timeHigh = w.records[base + 3];
    this.ingress = (tags >>> 16) & 0xff;
    this.verdict = tags >>> 24;
    this.flags = (last >>> 16) & 0xff;
    this.wire = (tags & 0xffff) | ((last >>> 8) & 0xff0000);
    this.bytes = w.staging;
    this.offset = w.places[i];
    this.captured = w.records[base + 4] >>> 16;
    if ((this.flags & FLAG_MORE) === 0) return true;
    // A frame over several buffers is put together.
    this.long.set(w.staging.subarray(this.offset, this.offset + this.captured));
    this.bytes = this.long;
    this.offset = 0;
    for (let next = sequence + 1, more = true; more; next++) {
      i = this.place(w, next);
      if (i < 0) break;
      const flags = (w.records[i * 8 + 6] >>> 16) & 0xff, kept = w.records[i * 8 + 4] >>> 16;
      if ((flags & FLAG_CONTINUED) === 0 || this.captured + kept > LARGEST_FRAME) break;
      this.long.set(w.staging.subarray(w.places[i], w.places[i] + kept), this.captured);
      this.captured += kept;
      more = (flags & FLAG_MORE) !== 0;
    }
    return true;
  }

  /** Where in the window a record is, after reading it into it; -1: it is not in the pool. */
  private place(w: Window, sequence: number): number {
    const at = sequence - w.first;
    if (at >= 0 && at < w.filled && w.places[at] < PLACE_OVERTAKEN) return at;
    const { range, pool } = this;
    const slot = sequence % w.slots, generation = Math.floor(sequence / w.slots) + 1;
    // A later lap's record is there: of frames that are gone, no burst is copied for each.
    if (pool.buffers === undefined || w.index.at(slot).generation > generation) return -1;
    range[2] = slot;
    range[3] = Math.min(WINDOW, w.slots - slot);
    range[4] = generation;
    const done = framesRead(pool.head.id, w.indexOffset, pool.buffers.id, range, w.seed, w.state, w.records, w.places, w.staging);
    if (done <= 0) throw new RangeError(`reading from sequence ${sequence}: ${done}`);
    w.first = sequence;
    w.filled = done;
    return w.places[0] < PLACE_OVERTAKEN ? 0 : -1;
  }
}
