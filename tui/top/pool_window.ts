/** The pool from outside, all its lanes as one: how full it is, how old its ends are, which part of it which run wrote. */
import { readerBytes } from '../../logger/frame_window.js';
import { Pool } from '../../logger/pool.js';
import { LaneWindow } from './lane_window.js';

export class PoolWindow {
  readonly pool: Pool;
  readonly lanes: readonly LaneWindow[];
  /** Of all lanes together. */
  readonly slots: number;
  held = 0;
  /** Of all lanes, seconds since 1970; 0 where there is no frame. */
  oldest = 0;
  newest = 0;

  /** @throws FramekeepError E_POOL_* */
  constructor(path: string) {
    this.pool = Pool.open(path);
    const memory = new Uint8Array(readerBytes(this.pool));
    this.lanes = this.pool.geometry.lanes.map((_, n) => new LaneWindow(this.pool, n, memory));
    this.slots = this.lanes.reduce((sum, lane) => sum + lane.slots, 0);
  }

  /** @param next what the counters say comes next in each lane that a worker writes, which are the first ones */
  look(next: readonly (number | undefined)[]): void {
    this.lanes.forEach((lane, n) => lane.look(next[n]));
    const full = this.lanes.filter((lane) => lane.newest > 0);
    this.held = full.reduce((sum, lane) => sum + lane.held, 0);
    this.oldest = full.length > 0 ? Math.min(...full.map((lane) => lane.oldest)) : 0;
    this.newest = Math.max(0, ...full.map((lane) => lane.newest));
  }

  /** The lanes' indexes one after the other in so many parts: what each holds (PART_*). @param boot the run that is going on */
  picture(parts: number, boot: number): Uint8Array {
    const out = new Uint8Array(parts);
    this.lanes.forEach((lane, n) => {
      const [from, to] = this.span(n, parts);
      out.set(lane.picture(to - from, boot), from);
    });
    return out;
  }

  /** In which of so many parts each lane's next frame goes. */
  heads(parts: number): number[] {
    return this.lanes.map((lane, n) => {
      const [from, to] = this.span(n, parts);
      return Math.min(parts - 1, from + Math.floor(lane.next % lane.slots * (to - from) / lane.slots));
    });
  }

  /** A picture's parts [from, to) that are the lane's. */
  private span(n: number, parts: number): [number, number] {
    const before = this.lanes.slice(0, n).reduce((sum, lane) => sum + lane.slots, 0);
    return [Math.round(before * parts / this.slots), Math.round((before + this.lanes[n].slots) * parts / this.slots)];
  }

  close(): void { this.pool.close(); }
}
