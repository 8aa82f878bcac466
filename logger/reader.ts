/**
 * Reads the kept frames of a pool, in order, also while a switch is writing to it: a reader never slows the switch, it can
 * only be told that it was overtaken.
 *
 * A buffer is reused only after the record that replaced its own is durable, and so visible. Of a living pool each frame is
 * therefore copied out first, and its record looked at again after: unchanged means the copy is the frame.
 *
 * Fields instead of objects: `next()` moves on and the frame's properties are read off the reader.
 */
import { indexScan, SLOT_BEYOND, SLOT_VALID } from '../native/index.js';
import { FLAG_CONTINUED, FLAG_MORE, recordSeed, type Boot } from './format.js';
import { IndexView, sequenceOf } from './index_view.js';
import type { Pool } from './pool.js';
import { recover, type Recovery } from './recover.js';

/** Frames of up to this many bytes can be put together from several buffers (64 KiB and its headers). */
const LARGEST_FRAME = 1 << 17;

interface LaneCursor {
  readonly lane: number;
  readonly index: IndexView;
  readonly state: Uint8Array;
  sequence: number;      // the next to look at
  end: number;           // one past the last known
  pending: boolean;      // the record at `sequence` is there and not delivered yet
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
  bytes: Uint8Array;
  offset = 0;
  captured = 0;

  /** Frames that the switch overwrote before they could be read. */
  overtaken = 0;
  /** Parts of frames whose beginning is gone. */
  orphans = 0;

  private readonly segments: readonly Uint8Array[];
  private readonly cursors: readonly LaneCursor[];
  private readonly scratch = new Uint8Array(LARGEST_FRAME);
  private readonly chunk: number;
  private bootIds: Map<number, number>;

  constructor(pool: Pool) {
    this.pool = pool;
    this.live = pool.isLive();
    this.recovery = recover(pool);
    this.chunk = pool.geometry.chunk;
    this.segments = (pool.buffers?.segments ?? []).map((s) => new Uint8Array(s));
    this.bytes = this.scratch;
    this.bootIds = fullIds(this.recovery.boots);
    this.cursors = this.recovery.lanes.map((lane, i) => ({
      lane: i, index: new IndexView(pool.head, pool.geometry.lanes[i]), state: lane.state, sequence: Math.max(lane.oldest, 0), end: lane.newest + 1,
      pending: false, boot: 0, timeHigh: 0, timeLow: 0,
    }));
  }

  /** How many frames there were to read when the reader began. */
  get total(): number { return this.recovery.lanes.reduce((sum, lane) => sum + lane.valid, 0); }

  /** Starts again with the newest `count` frames of each lane. */
  seekLast(count: number): void {
    for (const c of this.cursors) {
      c.sequence = Math.max(c.sequence, c.end - count);
      c.pending = false;
    }
  }

  /** Looks for frames that came since; true when there are any. For following a living pool. */
  extend(): boolean {
    const { geometry } = this.pool;
    let any = false;
    for (const c of this.cursors) {
      const lane = geometry.lanes[c.lane], seed = recordSeed(geometry.uuid, c.lane);
      // Up to the end of the lap or the first record that is not of this lap.
      for (;;) {
        const slot = c.end % lane.slots;
        const run = Math.min(lane.slots - slot, 1024);
        indexScan(this.pool.head, lane.indexOffset, this.pool.buffers, slot, run, Math.log2(this.chunk), geometry.buffers, seed, c.state.subarray(slot, slot + run));
        let n = 0;
        while (n < run && c.state[slot + n] === SLOT_VALID && sequenceOf(c.index.at(slot + n).generation, lane.slots, slot + n) === c.end + n) n++;
        c.end += n;
        any ||= n > 0;
        if (n > 0) continue;
        // A whole lap or more behind: the slot holds a later lap's record. Jump to what is there now.
        const found = c.state[slot] === SLOT_VALID ? sequenceOf(c.index.at(slot).generation, lane.slots, slot) : -1;
        if (found <= c.end) break;
        this.overtaken += found - lane.slots + 1 - c.end;
        c.sequence = Math.max(c.sequence, found - lane.slots + 1);
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
      const c = this.earliest();
      if (c === undefined) return false;
      c.pending = false;
      if (this.deliver(c)) return true;
    }
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
    const { index } = c, { slots } = index;
    for (; c.sequence < c.end; c.sequence++) {
      const slot = c.sequence % slots;
      if (c.state[slot] !== SLOT_VALID && c.state[slot] !== SLOT_BEYOND) continue;
      index.at(slot);
      const found = sequenceOf(index.generation, slots, slot);
      if (found !== c.sequence) {
        if (this.live && found > c.sequence) this.overtaken++;
        continue;
      }
      if (c.state[slot] === SLOT_BEYOND) continue;
      c.boot = this.bootIds.get(index.boot) ?? index.boot;
      c.timeHigh = index.timeHigh;
      c.timeLow = index.timeLow;
      c.pending = true;
      return true;
    }
    return false;
  }

  /** Takes the record at the cursor, and what continues it. */
  private deliver(c: LaneCursor): boolean {
    const { index } = c, first = c.sequence++;
    index.at(first % index.slots);
    const { words, base } = index, generation = words[base], crc = words[base + 7];
    this.lane = c.lane;
    this.sequence = first;
    this.boot = c.boot;
    this.timeHigh = index.timeHigh;
    this.timeLow = index.timeLow;
    this.ingress = index.ingress;
    this.verdict = index.verdict;
    this.flags = index.flags;
    this.wire = index.wire;
    const { kept, flags } = index;
    if ((flags & FLAG_CONTINUED) !== 0) { this.orphans++; return false; }
    const at = index.buffer * this.chunk + index.offsetInBuffer;
    const segment = this.segments[Math.floor(at / 2 ** 30)], offset = at % 2 ** 30;
    if (!this.live && (flags & FLAG_MORE) === 0) {
      this.bytes = segment;
      this.offset = offset;
      this.captured = kept;
      return true;
    }
    this.bytes = this.scratch;
    this.offset = 0;
    this.captured = kept;
    this.scratch.set(segment.subarray(offset, offset + kept), 0);
    // Atomics.load is also the barrier that keeps this look after the copy.
    const unchanged = Atomics.load(words, base) === generation && Atomics.load(words, base + 7) === crc;
    if (!unchanged) { this.overtaken++; return false; }
    if ((flags & FLAG_MORE) !== 0) this.gather(c);
    return true;
  }

  /** Appends the records that continue the frame, as far as they are there. */
  private gather(c: LaneCursor): void {
    const { index } = c, { slots } = index;
    for (let more = true; more && c.sequence < c.end; c.sequence++) {
      const slot = c.sequence % slots;
      index.at(slot);
      if (c.state[slot] !== SLOT_VALID || sequenceOf(index.generation, slots, slot) !== c.sequence || (index.flags & FLAG_CONTINUED) === 0) return;
      const { kept, words, base } = index, generation = words[base];
      const at = index.buffer * this.chunk + index.offsetInBuffer;
      const segment = this.segments[Math.floor(at / 2 ** 30)], offset = at % 2 ** 30;
      if (this.captured + kept > LARGEST_FRAME) return;
      this.scratch.set(segment.subarray(offset, offset + kept), this.captured);
      if (Atomics.load(words, base) !== generation) return;
      more = (index.flags & FLAG_MORE) !== 0;
      this.captured += kept;
    }
  }
}

/** Records carry the low 16 bits of a boot id. */
const fullIds = (boots: readonly Boot[]): Map<number, number> => new Map(boots.map((b) => [b.id & 0xffff, b.id]));
