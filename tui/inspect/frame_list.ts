/**
 * The frames of a pool as a list: eight bytes each (its number), in the order of `PoolReader`, made from the index alone. 10^6 of
 * them take 8 MB and some 20 ms; no frame is touched. Of a living pool the list grows at its end and is cut at its beginning, where the
 * switch has replaced frames.
 */
import { SLOT_VALID } from '../../native/index.js';
import { FLAG_CONTINUED } from '../../logger/format.js';
import { LANE_UNIT } from '../../logger/frame_access.js';
import { IndexView, sequenceOf } from '../../logger/index_view.js';
import type { Pool } from '../../logger/pool.js';
import { fullBootId, type Recovery } from '../../logger/recover.js';

/** Numbers that are added at the end and dropped at the beginning. */
export class Numbers {
  private data = new Float64Array(1024);
  private start = 0;
  length = 0;

  at(i: number): number { return this.data[this.start + i]; }
  push(x: number): void {
    const end = this.start + this.length;
    if (end === this.data.length) this.makeRoom();
    this.data[this.start + this.length++] = x;
  }
  dropFirst(count: number): void {
    this.start += count;
    this.length -= count;
  }
  /** The first place whose number is not below x, in ascending numbers. */
  search(x: number): number {
    let low = 0, high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.at(middle) < x) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  private makeRoom(): void {
    const kept = this.data.subarray(this.start, this.start + this.length);
    if (this.start < this.data.length >>> 1) {
      const larger = new Float64Array(this.data.length * 2);
      larger.set(kept);
      this.data = larger;
    } else this.data.copyWithin(0, this.start, this.start + this.length);
    this.start = 0;
  }
}

export class FrameList {
  /** Frames dropped from the beginning since the list was made: the first row is number `dropped` from 0. */
  dropped = 0;
  private readonly ids = new Numbers();
  private readonly pool: Pool;
  private readonly views: readonly IndexView[];
  /** By lane: the newest sequence in the list. */
  private readonly newest: Float64Array;

  constructor(pool: Pool, recovery: Recovery) {
    this.pool = pool;
    this.views = pool.geometry.lanes.map((lane) => new IndexView(pool.head, lane));
    this.newest = new Float64Array(this.views.length).fill(-1);
    const lanes = recovery.lanes.map((_, n) => this.sequences(recovery, n));
    if (lanes.length === 1) for (let i = 0; i < lanes[0].length; i++) this.append(lanes[0].at(i));
    else this.merge(lanes, recovery.lastBoot);
  }

  get length(): number { return this.ids.length; }
  /** One past the number of the last row. */
  get end(): number { return this.dropped + this.ids.length; }
  /** The frame of a row: lane × 2^48 + sequence. */
  id(row: number): number { return this.ids.at(row); }

  append(id: number): void {
    this.ids.push(id);
    const lane = Math.floor(id / LANE_UNIT);
    this.newest[lane] = Math.max(this.newest[lane], id - lane * LANE_UNIT);
  }

  /** Takes away the rows at the beginning that are replaced for sure. @returns how many */
  prune(): number {
    let gone = 0;
    while (gone < this.ids.length) {
      const id = this.ids.at(gone), lane = Math.floor(id / LANE_UNIT);
      if (id - lane * LANE_UNIT > this.newest[lane] - this.pool.geometry.lanes[lane].slots) break;
      gone++;
    }
    this.ids.dropFirst(gone);
    this.dropped += gone;
    return gone;
  }

  /** A row's time, ns since 1970, exact to 256 ns; undefined: the frame was replaced. */
  time(row: number): number | undefined {
    const view = this.view(row);
    return view === undefined ? undefined : view.timeHigh * 2 ** 32 + view.timeLow;
  }

  /** A row's record; undefined: replaced. Valid until the next call. */
  view(row: number): IndexView | undefined {
    const id = this.ids.at(row), lane = Math.floor(id / LANE_UNIT), sequence = id - lane * LANE_UNIT, { slots } = this.pool.geometry.lanes[lane];
    const view = this.views[lane].at(sequence % slots);
    return view.generation === Math.floor(sequence / slots) + 1 ? view : undefined;
  }

  /** A lane's frames in the order of their sequence: what an earlier lap left behind comes first. */
  private sequences(recovery: Recovery, n: number): Numbers {
    const lane = recovery.lanes[n], view = this.views[n], { slots } = view, list = new Numbers(), lap = lane.next - slots;
    const take = (slot: number, sequence: number): void => {
      if (lane.state[slot] === SLOT_VALID && sequenceOf(view.at(slot).generation, slots, slot) === sequence
        && (view.flags & FLAG_CONTINUED) === 0) list.push(n * LANE_UNIT + sequence);
    };
    if (lane.newest < 0) return list;
    if (lane.oldest < lap) {
      const before: number[] = [];
      for (let slot = 0; slot < slots; slot++) {
        const sequence = lane.state[slot] === SLOT_VALID ? sequenceOf(view.at(slot).generation, slots, slot) : lap;
        if (sequence < lap) before.push(sequence);
      }
      for (const sequence of before.sort((a, b) => a - b)) take(sequence % slots, sequence);
    }
    for (let sequence = Math.max(lane.oldest, lap, 0); sequence < lane.next; sequence++) take(sequence % slots, sequence);
    return list;
  }

  /** Several lanes: by run, then by time. */
  private merge(lanes: readonly Numbers[], lastBoot: number): void {
    const at = lanes.map(() => 0), boot = lanes.map(() => 0), high = lanes.map(() => 0), low = lanes.map(() => 0);
    const load = (n: number): void => {
      if (at[n] >= lanes[n].length) { boot[n] = Infinity; return; }
      const view = this.views[n].at((lanes[n].at(at[n]) - n * LANE_UNIT) % this.views[n].slots);
      boot[n] = fullBootId(lastBoot, view.boot);
      high[n] = view.timeHigh;
      low[n] = view.timeLow;
    };
    lanes.forEach((_, n) => load(n));
    for (;;) {
      let best = 0;
      for (let n = 1; n < lanes.length; n++) if (boot[n] < boot[best] || (boot[n] === boot[best]
        && (high[n] < high[best] || (high[n] === high[best] && low[n] < low[best])))) best = n;
      if (boot[best] === Infinity) return;
      this.append(lanes[best].at(at[best]++));
      load(best);
    }
  }
}
