/**
 * Reads the kept frames of a pool, in order, also while a switch is writing to it: a reader never slows the switch, it can
 * only be told that it was overtaken.
 *
 * Each lane has a window: a burst of records and their frames, copied out of the pool and checked in one native call
 * (native/src/read.cc), so that what is delivered cannot change any more. Frames stay readable until the next `next()`.
 *
 * Fields instead of objects: `next()` moves on and the frame's properties are read off the reader.
 */
import { indexScan, PLACE_OVERTAKEN, SLOT_BEYOND, SLOT_VALID } from '../native/index.js';
import { FLAG_CONTINUED, FLAG_MORE } from './format.js';
import { FrameWindow, LARGEST_FRAME, readerBytes, WHOLE } from './frame_window.js';
import { sequenceOf } from './index_view.js';
import { KeptFrame } from './kept_frame.js';
import type { Pool } from './pool.js';
import { recover, type LaneRecovery, type Recovery } from './recover.js';

export { readerBytes, WHOLE } from './frame_window.js';

/** Records that `extend` looks at in one call. */
const LOOK_AHEAD = 1024;

/** A lane's window, and where in it the reader is. */
export class LaneCursor extends FrameWindow {
  /** Where the known window of sequence numbers begins; those of an earlier lap are in `stragglers`. */
  readonly begin: number;
  /** Sequence numbers more than a lap behind the newest, oldest first: what a crash kept from being replaced. */
  readonly stragglers: Float64Array;
  /** The next of them. */
  straggler = 0;
  /** The next to read into the window. */
  sequence: number;
  /** One past the last known. */
  end: number;
  /** Where `extend` met a hole last time. */
  hole = -1;
  at = 0;
  /** The entry at `at` is there and not delivered yet. */
  pending = false;
  boot = 0;
  timeHigh = 0;
  timeLow = 0;

  constructor(pool: Pool, lane: number, recovery: LaneRecovery, memory: Uint8Array) {
    super(pool, lane, recovery.state, memory);
    const { slots, state, index } = this, lap = recovery.next - slots, stragglers: number[] = [];
    if (recovery.newest >= 0 && recovery.oldest < lap) {
      for (let slot = 0; slot < slots; slot++) {
        if (state[slot] !== SLOT_VALID && state[slot] !== SLOT_BEYOND) continue;
        const sequence = sequenceOf(index.at(slot).generation, slots, slot);
        if (sequence < lap) stragglers.push(sequence);
      }
    }
    this.stragglers = Float64Array.from(stragglers).sort();
    this.begin = this.sequence = Math.max(recovery.oldest, lap, 0);
    this.end = recovery.next;
  }

  /** Copies the next burst into the window. @returns false when nothing is left */
  refill(): boolean {
    if (this.straggler < this.stragglers.length) {
      if (this.read(this.stragglers[this.straggler], 1) === 0) return false;
      this.straggler++;
    } else {
      if (this.sequence >= this.end) return false;
      const done = this.read(this.sequence, this.end - this.sequence);
      if (done === 0) return false;
      this.sequence += done;
    }
    this.at = 0;
    return true;
  }
}

/** The frame that `next()` moved to, until the next `next()`. */
export class PoolReader extends KeptFrame {
  readonly pool: Pool;
  /** Whether a switch was writing when the reader began. */
  readonly live: boolean;
  lane = 0;
  sequence = 0;

  /** Frames that the switch overwrote before they could be read. */
  overtaken = 0;
  /** Parts of frames whose beginning is gone. */
  orphans = 0;
  untilHigh = 0;
  untilLow = 0;

  private readonly cursors: readonly LaneCursor[];
  /** Where one frame at a time is put together. */
  private readonly long: Uint8Array;

  /**
   * @param recovery  what `recover` just found; undefined: found now
   * @param memory    where frames are copied to, `readerBytes` of it; undefined: memory of its own
   * @param reach     how many bytes of a frame are delivered at least, as far as they were kept: for who looks at no more of them
   */
  constructor(pool: Pool, recovery?: Recovery, memory?: Uint8Array, reach = WHOLE) {
    const live = pool.isLive();
    super(recovery ?? recover(pool), memory ?? new Uint8Array(readerBytes(pool)));
    this.pool = pool;
    this.live = live;
    this.cursors = this.recovery.lanes.map((lane, i) => new LaneCursor(pool, i, lane, this.bytes));
    this.long = this.bytes.subarray(0, LARGEST_FRAME);
    this.reach = reach;
  }

  /** How many bytes of a frame are delivered at least, of those that are yet to be copied out of the pool. */
  get reach(): number { return this.cursors[0].reach; }
  set reach(bytes: number) { for (const c of this.cursors) c.reach = bytes; }

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
    if (any) this.update(this.pool.boots());
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

  /** Fetches what the reach has left of the frame that `next()` moved to. @returns false, and counts it, when the switch has replaced it since */
  complete(): boolean {
    if (this.captured >= this.kept) return true;
    const bytes = this.cursors[this.lane].readWhole(this.sequence, this.long);
    if (bytes < 0) { this.overtaken++; return false; }
    this.offset = 0;
    this.captured = bytes;
    return true;
  }

  /**
   * The window that the next frame is in, for who takes several from it at once and says so by `moveOn`. It holds whole frames where there
   * is no reach. Of the frames behind the next one, those up to (`untilHigh`, `untilLow`) come before any of another lane.
   * @returns undefined at the end of what is known
   */
  window(): LaneCursor | undefined {
    const c = this.cursors.length === 1 ? this.only(this.cursors[0]) : this.earliest();
    this.untilHigh = this.untilLow = 0xffffffff;
    if (c === undefined) return undefined;
    for (const other of this.cursors) {
      if (other === c || !other.pending || other.boot !== c.boot) continue;
      // Of two that are as old the first lane's is first.
      const low = other.lane > c.lane ? other.timeLow : (other.timeLow - 1) >>> 0, high = other.lane > c.lane || other.timeLow > 0 ? other.timeHigh : other.timeHigh - 1;
      if (high > this.untilHigh || (high === this.untilHigh && low > this.untilLow)) continue;
      this.untilHigh = high;
      this.untilLow = low;
    }
    return c;
  }

  /** The entries of that window before this one are taken. */
  moveOn(c: LaneCursor, entry: number): void {
    if (entry === c.at) return;
    c.at = entry;
    c.pending = false;
  }

  private look(c: LaneCursor, slot: number, run: number): void {
    const { head, buffers, geometry } = this.pool;
    indexScan(head, c.indexOffset, buffers, slot, run, Math.log2(geometry.chunk), geometry.buffers, c.seed, c.state.subarray(slot, slot + run));
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
        const base = c.at * 8;
        c.boot = this.bootOf(c.records[base + 6] & 0xffff);
        c.timeLow = c.records[base + 2];
        c.timeHigh = c.records[base + 3];
        c.pending = true;
        return true;
      }
      if (!c.refill()) return false;
    }
  }

  /** Takes the record at the cursor, and what continues it. */
  private deliver(c: LaneCursor): boolean {
    this.take(c, c.at);
    this.lane = c.lane;
    this.sequence = c.first + c.at;
    c.at++;
    if ((this.flags & (FLAG_MORE | FLAG_CONTINUED)) === 0) return true;
    if ((this.flags & FLAG_CONTINUED) !== 0) { this.orphans++; return false; }
    this.gather(c);
    return true;
  }

  /** Appends the records that continue the frame, as far as they are there. */
  private gather(c: LaneCursor): void {
    this.beginLong();
    for (let expected = this.sequence + 1, more = true; more; expected++) {
      if (c.at >= c.filled && !c.refill()) return;
      if (c.first + c.at !== expected || c.places[c.at] >= PLACE_OVERTAKEN || !this.append(c, c.at)) return;
      more = this.goesOn(c, c.at);
      c.at++;
    }
  }
}
