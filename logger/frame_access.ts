/**
 * Any kept frame by its number, in any order: what a list needs that shows a few of a million. `PoolReader` goes through all of them
 * in order; this one reads where it is told to, a burst at a time, so that going forward costs the same.
 *
 * Like the reader it copies before it looks, and hears of every frame that the switch has replaced (native/src/read.cc).
 */
import { PLACE_OVERTAKEN } from '../native/index.js';
import { FLAG_MORE } from './format.js';
import { FrameWindow, readerBytes, WHOLE, WINDOW } from './frame_window.js';
import { KeptFrame } from './kept_frame.js';
import type { Pool } from './pool.js';
import type { Recovery } from './recover.js';

/** A frame's number in a pool: lane × 2^48 + sequence, as in an export's packet ids. */
export const LANE_UNIT = 2 ** 48;

/** The frame that `read` found, until the next `read`. */
export class FrameAccess extends KeptFrame {
  private readonly windows: readonly FrameWindow[];

  /**
   * @param recovery  of that pool; who follows a living one shares it with the `PoolReader` that does
   * @param reach     how many bytes of a frame are delivered at least, as far as they were kept: for who looks at no more of them
   */
  constructor(pool: Pool, recovery: Recovery, reach = WHOLE) {
    super(recovery, new Uint8Array(readerBytes(pool)));
    this.windows = recovery.lanes.map(({ state }, i) => new FrameWindow(pool, i, state, this.bytes));
    for (const w of this.windows) w.reach = reach;
  }

  /** Finds a frame. @param id lane × 2^48 + sequence. @returns false when it is not there any more */
  read(id: number): boolean {
    const lane = Math.floor(id / LANE_UNIT), sequence = id - lane * LANE_UNIT, w = this.windows[lane];
    let entry = this.place(w, sequence);
    if (entry < 0) return false;
    this.take(w, entry);
    if ((this.flags & FLAG_MORE) === 0) return true;
    // A frame over several buffers is put together.
    this.beginLong();
    for (let next = sequence + 1, more = true; more; next++) {
      entry = this.place(w, next);
      if (entry < 0 || !this.append(w, entry)) break;
      more = this.goesOn(w, entry);
    }
    return true;
  }

  /** Where in the window a record is, after reading it into it; -1: it is not in the pool. */
  private place(w: FrameWindow, sequence: number): number {
    const at = sequence - w.first;
    if (at >= 0 && at < w.filled && w.places[at] < PLACE_OVERTAKEN) return at;
    // A later lap's record is there: of frames that are gone, no burst is copied for each.
    if (w.index.at(sequence % w.slots).generation > Math.floor(sequence / w.slots) + 1 || w.read(sequence, WINDOW) === 0) return -1;
    return w.places[0] < PLACE_OVERTAKEN ? 0 : -1;
  }
}
