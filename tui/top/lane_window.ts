/**
 * One lane's index from outside: how full it is, how old its ends are, which part of it which run wrote. Looks at single records,
 * never at all of them, so that a lane of any size costs the same; and copies a few frames out where they are asked for.
 */
import { PLACE_OVERTAKEN, SLOT_VALID } from '../../native/index.js';
import { FrameWindow } from '../../logger/frame_window.js';
import { sequenceOf, type IndexView } from '../../logger/index_view.js';
import type { Pool } from '../../logger/pool.js';

/** What a part of the picture holds. */
export const PART_EMPTY = 0, PART_EARLIER = 1, PART_THIS_RUN = 2;

/** Records that are tried to find one that stands, at either end: a crash leaves at most a batch of others. */
const TRIES = 4096;
export interface FrameVisitor { (bytes: Uint8Array, offset: number, captured: number, wire: number, seconds: number, ingress: number): void }

export class LaneWindow {
  readonly slots: number;
  /** One past the newest sequence number. */
  next = 0;
  /** Records in the window, as far as that can be said without looking at each. */
  held = 0;
  /** Seconds since 1970; 0 where there is no frame. */
  oldest = 0;
  newest = 0;
  private readonly index: IndexView;
  private readonly window: FrameWindow;

  /** @param memory  `readerBytes` of it, for all lanes */
  constructor(pool: Pool, n: number, memory: Uint8Array) {
    // Nobody has looked at each slot: the native call passes over what is not there.
    this.window = new FrameWindow(pool, n, new Uint8Array(pool.geometry.lanes[n].slots).fill(SLOT_VALID), memory);
    this.slots = this.window.slots;
    this.index = this.window.index;
  }

  /**
   * @param next what the counters say comes next, and a switch that died may have got some records further; undefined: nobody writes
   *   this lane, and its records say where it ends
   */
  look(next: number | undefined): void {
    let at = next ?? this.findEnd();
    for (let i = 0; i < TRIES && this.isThere(at); i++) at++;
    this.next = at;
    const first = Math.max(0, at - this.slots);
    let newest = at - 1, oldest = first;
    for (let i = 0; i < TRIES && newest > first && !this.isThere(newest); i++) newest--;
    for (let i = 0; i < TRIES && oldest < newest && !this.isThere(oldest); i++) oldest++;
    this.newest = this.isThere(newest) ? this.secondsOf(newest) : 0;
    this.oldest = this.newest > 0 && this.isThere(oldest) ? this.secondsOf(oldest) : this.newest;
    this.held = this.newest > 0 ? newest - oldest + 1 : 0;
  }

  /** The index from its first slot to its last in so many parts: what each holds. @param boot the run that is going on */
  picture(parts: number, boot: number): Uint8Array {
    const out = new Uint8Array(parts);
    for (let i = 0; i < parts; i++) {
      const slot = Math.min(this.slots - 1, Math.floor((i + 0.5) * this.slots / parts)), { generation, boot: wrote } = this.index.at(slot);
      const sequence = sequenceOf(generation, this.slots, slot);
      // The switch may be a good part of a lap further by now.
      if (generation === 0 || sequence >= this.next + this.slots || sequence < this.next - 2 * this.slots) continue;
      out[i] = wrote === (boot & 0xffff) ? PART_THIS_RUN : PART_EARLIER;
    }
    return out;
  }

  /** The first sequence number in the window of a frame not older than that, as the times of the records between say. */
  since(seconds: number): number {
    let low = Math.max(0, this.next - this.held), high = this.next;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.isThere(middle) && this.secondsOf(middle) >= seconds) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Copies the frames of [first, end) and shows each. @returns how many there were, in order, and not replaced meanwhile */
  read(first: number, end: number, visit: FrameVisitor): number {
    const { window } = this, { records, places, staging } = window;
    let seen = 0;
    for (let at = first; at < end;) {
      const done = window.read(at, end - at);
      if (done === 0) break;
      for (let i = 0; i < done; i++) {
        if (places[i] >= PLACE_OVERTAKEN) continue;
        const base = i * 8, lengths = records[base + 4], tags = records[base + 5], last = records[base + 6];
        const seconds = (records[base + 3] * 2 ** 32 + records[base + 2]) / 1e9;
        visit(staging, places[i], lengths >>> 16, (tags & 0xffff) | ((last >>> 8) & 0xff0000), seconds, (tags >>> 16) & 0xff);
        seen++;
      }
      at += done;
    }
    return seen;
  }

  /**
   * One past the newest, without the counters: slots of the last lap come before those of the lap before it, so that halving finds
   * where one ends. Within a batch of a crash it may be a few off.
   */
  private findEnd(): number {
    const lap = this.index.at(0).generation;
    let low = 1, high = this.slots;
    if (lap === 0) return 0;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.index.at(middle).generation >= lap) low = middle + 1;
      else high = middle;
    }
    return sequenceOf(lap, this.slots, low);
  }

  private isThere(sequence: number): boolean {
    if (sequence < 0) return false;
    const slot = sequence % this.slots;
    return sequenceOf(this.index.at(slot).generation, this.slots, slot) === sequence;
  }

  private secondsOf(sequence: number): number {
    const { timeHigh, timeLow } = this.index.at(sequence % this.slots);
    return (timeHigh * 2 ** 32 + timeLow) / 1e9;
  }
}
