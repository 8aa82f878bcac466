/**
 * Reads the kept frames of a pool, in order, also while a switch is writing to it: a reader never slows the switch, it can
 * only be told that it was overtaken.
 *
 * Each lane has a window: a burst of records and their frames, copied out of the pool and checked in one native call
 * (native/src/read.cc), so that what is delivered cannot change any more. Frames stay readable until the next `next()`.
 *
 * Fields instead of objects: `next()` moves on and the frame's properties are read off the reader.
 */
import { framesRead, indexScan, PLACE_OVERTAKEN, SLOT_BEYOND, SLOT_VALID } from '../native/index.js';
import { FLAG_CONTINUED, FLAG_MORE, recordSeed, type Boot } from './format.js';
import { IndexView, sequenceOf } from './index_view.js';
import type { Pool } from './pool.js';
import { fullBootId, recover, type LaneRecovery, type Recovery } from './recover.js';

/** Frames of up to this many bytes can be put together from several buffers (64 KiB and its headers). */
const LARGEST_FRAME = 1 << 17;
/** Records a window; with its staging it stays in the second-level cache. */
const WINDOW = 256;
const STAGING_BYTES = 1 << 18;
/** Records that `extend` looks at in one call. */
const LOOK_AHEAD = 1024;

interface LaneCursor {
  readonly lane: number;
  readonly indexOffset: number;
  readonly slots: number;
  readonly seed: Uint8Array;
  readonly state: Uint8Array;
  readonly index: IndexView;
  /** Where the known window of sequence numbers begins; those of an earlier lap are in `stragglers`. */
  readonly begin: number;
  /** Sequence numbers more than a lap behind the newest, oldest first: what a crash kept from being replaced. */
  readonly stragglers: Float64Array;
  straggler: number;       // the next of them
  sequence: number;        // the next to read into the window
  end: number;             // one past the last known
  hole: number;            // where `extend` met a hole last time
  readonly records: Uint32Array;
  readonly places: Uint32Array;
  /** The lane's part of the reader's memory, and where it begins there. */
  readonly staging: Uint8Array;
  readonly stagingAt: number;
  first: number;           // sequence of the window's first entry
  filled: number; at: number;
  pending: boolean;        // the entry at `at` is there and not delivered yet
  boot: number; timeHigh: number; timeLow: number;
}

export class PoolReader {
  readonly pool: Pool;
  readonly recovery: Recovery;
  /** Whether a switch was writing when the reader began. */
  readonly live: boolean;

  // The frame that `next()` moved to:
  lane = 0;
  sequence = 0;
  /** Full boot id. */
  boot = 0;
  /** ns since the Unix epoch, as two u32 words. */
  timeHigh = 0;
  timeLow = 0;
  ingress = 0;
  verdict = 0;
  flags = 0;
  /** Length on the wire, bytes. */
  wire = 0;
  /** The frame's kept bytes are bytes[offset, offset + captured). */
  readonly bytes: Uint8Array;
  offset = 0;
  captured = 0;

  /** Frames that the switch overwrote before they could be read. */
  overtaken = 0;
  /** Parts of frames whose beginning is gone. */
  orphans = 0;

  private readonly cursors: readonly LaneCursor[];
  private readonly range = new Float64Array(5);
  private bootIds: Map<number, number>;
  private lastLow = -1;
  private lastFull = 0;

  /**
   * @param recovery  what `recover` just found; undefined: found now
   * @param memory    where frames are copied to, `readerBytes` of it; undefined: memory of its own
   */
  constructor(pool: Pool, recovery?: Recovery, memory?: Uint8Array) {
    this.pool = pool;
    this.live = pool.isLive();
    this.recovery = recovery ?? recover(pool);
    // One memory for all lanes, and before them the frames that are put together: `bytes` never changes.
    this.bytes = memory ?? new Uint8Array(readerBytes(pool));
    this.bootIds = fullIds(this.recovery.boots);
    this.range[0] = Math.log2(pool.geometry.chunk);
    this.range[1] = pool.geometry.buffers;
    this.cursors = this.recovery.lanes.map((lane, i) => cursorOf(pool, lane, i, this.bytes));
  }

  /** How many records there were to read when the reader began; a frame over several buffers has several. */
  get total(): number { return this.recovery.lanes.reduce((sum, lane) => sum + lane.valid, 0); }

  /** Starts again with the newest `count` sequence numbers of each lane; Infinity: with the oldest there is. */
  seekLast(count: number): void {
    this.overtaken = this.orphans = 0;
    for (const c of this.cursors) {
      const from = c.end - count;
      c.sequence = Math.max(c.begin, from);
      c.straggler = 0;
      while (c.straggler < c.stragglers.length && c.stragglers[c.straggler] < from) c.straggler++;
      c.filled = c.at = 0;
      c.pending = false;
    }
  }

  /** Looks for frames that came since; true when there are any. For following a living pool. */
  extend(): boolean {
    let any = false;
    for (const c of this.cursors) {
      // Up to the end of the lap or the first record that is not of this lap.
      for (;;) {
        const slot = c.end % c.slots;
        const run = Math.min(c.slots - slot, LOOK_AHEAD);
        this.look(c, slot, run);
        let n = 0;
        while (n < run && this.isAt(c, slot + n, c.end + n)) n++;
        // Still not there since the last call: if later ones are, a crash left it out, and the next run went on behind it.
        if (n === 0 && c.hole === c.end) n = this.behindHole(c, slot, run);
        if (n > 0) {
          c.end += n;
          any = true;
          continue;
        }
        c.hole = c.end;
        // A whole lap or more behind: the slot holds a later lap's record. Jump to what is there now.
        const found = c.state[slot] === SLOT_VALID ? sequenceOf(c.index.at(slot).generation, c.slots, slot) : -1;
        if (found <= c.end) break;
        const oldest = found - c.slots + 1;
        this.overtaken += Math.max(0, oldest - c.sequence);
        c.sequence = Math.max(c.sequence, oldest);
        c.end = found;
      }
    }
    if (any) this.bootIds = fullIds(this.pool.boots());
    return any;
  }

  /**
   * Moves to the next frame: by boot, then by time across lanes, by sequence within one.
   * @returns false at the end of what is known
   */
  next(): boolean {
    for (;;) {
      const c = this.cursors.length === 1 ? this.only(this.cursors[0]) : this.earliest();
      if (c === undefined) return false;
      c.pending = false;
      if (this.deliver(c)) return true;
    }
  }

  private look(c: LaneCursor, slot: number, run: number): void {
    indexScan(this.pool.head, c.indexOffset, this.pool.buffers, slot, run, this.range[0], this.range[1], c.seed, c.state.subarray(slot, slot + run));
  }

  /** How many sequence numbers to skip to the next record of this lap or the beginning of the next; 0: none in sight. */
  private behindHole(c: LaneCursor, slot: number, run: number): number {
    for (let skip = 1; skip < run; skip++) if (this.isAt(c, slot + skip, c.end + skip)) return skip;
    if (slot + run < c.slots) return 0;
    const more = Math.min(c.slots - run, LOOK_AHEAD);
    this.look(c, 0, more);
    for (let skip = 0; skip < more; skip++) if (this.isAt(c, skip, c.end + run + skip)) return run + skip;
    return 0;
  }

  private isAt(c: LaneCursor, slot: number, sequence: number): boolean {
    return c.state[slot] === SLOT_VALID && sequenceOf(c.index.at(slot).generation, c.slots, slot) === sequence;
  }

  private only(c: LaneCursor): LaneCursor | undefined {
    return this.advance(c) ? c : undefined;
  }

  private earliest(): LaneCursor | undefined {
    let best: LaneCursor | undefined;
    for (let i = 0; i < this.cursors.length; i++) {
      const c = this.cursors[i];
      if (!c.pending && !this.advance(c)) continue;
      if (best === undefined || c.boot < best.boot || (c.boot === best.boot && (c.timeHigh < best.timeHigh || (c.timeHigh === best.timeHigh && c.timeLow < best.timeLow)))) best = c;
    }
    return best;
  }

  /** Finds the lane's next record that is there. */
  private advance(c: LaneCursor): boolean {
    for (;;) {
      for (const { filled, places } = c; c.at < filled; c.at++) {
        const place = places[c.at];
        if (place >= PLACE_OVERTAKEN) {
          if (place === PLACE_OVERTAKEN) this.overtaken++;
          continue;
        }
        const base = c.at * 8, low = c.records[base + 6] & 0xffff;
        if (low !== this.lastLow) {
          this.lastLow = low;
          this.lastFull = this.bootIds.get(low) ?? fullBootId(this.recovery.lastBoot, low);
        }
        c.boot = this.lastFull;
        c.timeLow = c.records[base + 2];
        c.timeHigh = c.records[base + 3];
        c.pending = true;
        return true;
      }
      if (!this.refill(c)) return false;
    }
  }

  /** Copies the next burst into the lane's window. */
  private refill(c: LaneCursor): boolean {
    const { range, pool } = this;
    let count = 1;
    if (pool.buffers === undefined) return false;
    if (c.straggler < c.stragglers.length) c.first = c.stragglers[c.straggler++];
    else {
      if (c.sequence >= c.end) return false;
      c.first = c.sequence;
      count = Math.min(WINDOW, c.slots - c.first % c.slots, c.end - c.first);
    }
    range[2] = c.first % c.slots;
    range[3] = count;
    range[4] = Math.floor(c.first / c.slots) + 1;
    const done = framesRead(pool.head.id, c.indexOffset, pool.buffers.id, range, c.seed, c.state, c.records, c.places, c.staging);
    if (done <= 0) throw new RangeError(`reading ${count} frames from sequence ${c.first} of lane ${c.lane}: ${done}`);
    if (c.first === c.sequence) c.sequence += done;
    c.filled = done;
    c.at = 0;
    return true;
  }

  /** Takes the record at the cursor, and what continues it. */
  private deliver(c: LaneCursor): boolean {
    const { records } = c, base = c.at * 8, lengths = records[base + 4], tags = records[base + 5], last = records[base + 6];
    const flags = (last >>> 16) & 0xff;
    this.lane = c.lane;
    this.sequence = c.first + c.at;
    this.boot = c.boot;
    this.timeHigh = c.timeHigh;
    this.timeLow = c.timeLow;
    this.ingress = (tags >>> 16) & 0xff;
    this.verdict = tags >>> 24;
    this.flags = flags;
    this.wire = (tags & 0xffff) | ((last >>> 8) & 0xff0000);
    this.offset = c.stagingAt + c.places[c.at];
    this.captured = lengths >>> 16;
    c.at++;
    if ((flags & (FLAG_MORE | FLAG_CONTINUED)) === 0) return true;
    if ((flags & FLAG_CONTINUED) !== 0) { this.orphans++; return false; }
    this.gather(c);
    return true;
  }

  /** Appends the records that continue the frame, as far as they are there. */
  private gather(c: LaneCursor): void {
    const { bytes } = this;
    bytes.copyWithin(0, this.offset, this.offset + this.captured);
    this.offset = 0;
    for (let expected = this.sequence + 1, more = true; more; expected++) {
      if (c.at >= c.filled && !this.refill(c)) return;
      const base = c.at * 8, place = c.places[c.at], flags = (c.records[base + 6] >>> 16) & 0xff;
      if (c.first + c.at !== expected || place >= PLACE_OVERTAKEN || (flags & FLAG_CONTINUED) === 0) return;
      const kept = c.records[base + 4] >>> 16;
      if (this.captured + kept > LARGEST_FRAME) return;
      bytes.copyWithin(this.captured, c.stagingAt + place, c.stagingAt + place + kept);
      this.captured += kept;
      more = (flags & FLAG_MORE) !== 0;
      c.at++;
    }
  }
}

/** How much memory a reader of the pool copies frames into. */
export const readerBytes = (pool: Pool): number => LARGEST_FRAME + pool.geometry.lanes.length * STAGING_BYTES;

function cursorOf(pool: Pool, lane: LaneRecovery, i: number, memory: Uint8Array): LaneCursor {
  const { indexOffset, slots } = pool.geometry.lanes[i];
  const index = new IndexView(pool.head, pool.geometry.lanes[i]);
  const lap = lane.next - slots;
  const stragglers: number[] = [];
  if (lane.newest >= 0 && lane.oldest < lap) {
    for (let slot = 0; slot < slots; slot++) {
      if (lane.state[slot] !== SLOT_VALID && lane.state[slot] !== SLOT_BEYOND) continue;
      const sequence = sequenceOf(index.at(slot).generation, slots, slot);
      if (sequence < lap) stragglers.push(sequence);
    }
  }
  const begin = Math.max(lane.oldest, lap, 0);
  const stagingAt = LARGEST_FRAME + i * STAGING_BYTES;
  return {
    lane: i, indexOffset, slots, seed: recordSeed(pool.geometry.uuid, i), state: lane.state, index, begin,
    stragglers: Float64Array.from(stragglers).sort(), straggler: 0, sequence: begin, end: lane.next, hole: -1,
    records: new Uint32Array(WINDOW * 8), places: new Uint32Array(WINDOW), stagingAt,
    staging: memory.subarray(stagingAt, stagingAt + STAGING_BYTES),
    first: 0, filled: 0, at: 0, pending: false, boot: 0, timeHigh: 0, timeLow: 0,
  };
}

/** Records carry the low 16 bits of a boot id. */
const fullIds = (boots: readonly Boot[]): Map<number, number> => new Map(boots.map((b) => [b.id & 0xffff, b.id]));
