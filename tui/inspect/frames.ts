/**
 * What the inspector shows of a pool: all frames or those of a filter, marked ones, a living pool followed. Everything that takes
 * long is done in slices, so that keys are answered in between; nothing here knows of a terminal.
 *
 * Measured with 10^6 frames of 214 bytes on average in a pool of 2.2 GB on tmpfs (two shared cores, Node 20): opened in 0.2 to 0.5 s; a filter's
 * first pass, which also maps the pool's pages, 0.32 to 0.62 s, later ones 0.06 to 0.08: of each frame as much is copied as the filter can look
 * at. With whole frames they took 0.16 to 0.26.
 */
import type { FrameMatch } from '../../logger/filter/index.js';
import type { LaneTraces } from '../../logger/crash_traces.js';
import type { Boot } from '../../logger/format.js';
import { FrameAccess, LANE_UNIT } from '../../logger/frame_access.js';
import type { Pool } from '../../logger/pool.js';
import { PoolReader } from '../../logger/reader.js';
import type { Recovery } from '../../logger/recover.js';
import { surveyPool, type PoolReport } from '../../logger/report.js';
import { FrameList, Numbers } from './frame_list.js';

/** A slice's length: a key waits no longer. */
const SLICE_MS = 12;
/** Frames between two looks at the clock. */
const BETWEEN = 128;

interface Filtering { readonly expression: string; readonly match: FrameMatch; readonly access: FrameAccess; readonly numbers: Numbers; next: number; readonly began: number; seconds: number }

export class Frames {
  readonly pool: Pool;
  readonly access: FrameAccess;
  /** As of when it was opened, or looked at again: what happened, and which slots do not hold. */
  report: PoolReport;
  traces: readonly LaneTraces[];
  boots: readonly Boot[];
  /** By lane: what recovery said of each slot, kept up to date by following. */
  readonly states: readonly { readonly state: Uint8Array }[];
  /** Marked frames, by lane × 2^48 + sequence. */
  readonly marks = new Set<number>();
  live: boolean;
  /** Frames that came since it was opened. */
  arrived = 0;
  readonly all: FrameList;
  private readonly tail: PoolReader;
  private readonly recovery: Recovery;
  private filtering: Filtering | undefined;

  constructor(pool: Pool) {
    this.pool = pool;
    const { report, recovery, traces } = surveyPool(pool);
    this.report = report;
    this.traces = traces;
    this.boots = recovery.boots;
    this.states = recovery.lanes;
    this.live = report.live;
    this.recovery = recovery;
    this.access = new FrameAccess(pool, recovery);
    this.all = new FrameList(pool, recovery);
    // One recovery for all three: what the reader finds out about slots, `access` knows.
    this.tail = new PoolReader(pool, recovery);
    this.tail.seekLast(0);
  }

  /** Frames in the list, filtered or not. */
  get count(): number { return this.filtering === undefined ? this.all.length : this.filtering.numbers.length; }
  get total(): number { return this.all.length; }
  get filter(): string { return this.filtering?.expression ?? ''; }
  get match(): FrameMatch | undefined { return this.filtering?.match; }
  /** How much of the pool the filter has seen: 0–1. */
  get progress(): number { return this.filtering === undefined || this.all.length === 0 ? 1 : (this.filtering.next - this.all.dropped) / this.all.length; }
  get isFiltering(): boolean { return this.filtering !== undefined && this.filtering.next < this.all.end; }
  /** How long the filter took over all that was there. */
  get filterSeconds(): number { return this.filtering?.seconds ?? 0; }

  /** The number of a row, from 1, over all frames that were in the pool since it was opened. */
  number(row: number): number { return (this.filtering === undefined ? this.all.dropped + row : this.filtering.numbers.at(row)) + 1; }
  id(row: number): number { return this.all.id(this.number(row) - 1 - this.all.dropped); }
  /** Moves `access` to a row's frame. @returns false when the switch has replaced it */
  read(row: number): boolean { return this.access.read(this.id(row)); }

  /**
   * Shows only what matches; undefined: everything. What matches is found by `work`.
   * @param reach  how far into a frame `match` looks, bytes
   */
  setFilter(expression: string, match: FrameMatch | undefined, reach = Infinity): void {
    this.filtering = match === undefined ? undefined : { expression, match, access: new FrameAccess(this.pool, this.recovery, reach), numbers: new Numbers(),
      next: this.all.dropped, began: performance.now(), seconds: 0 };
  }

  /** Does a slice of what is to be done. @returns whether more is left */
  work(): boolean {
    const f = this.filtering;
    if (f === undefined) return false;
    const until = performance.now() + SLICE_MS, { all } = this, { access } = f;
    f.next = Math.max(f.next, all.dropped);
    while (f.next < all.end) {
      for (let i = Math.min(BETWEEN, all.end - f.next); i > 0; i--, f.next++) {
        if (access.read(all.id(f.next - all.dropped)) && f.match(access.bytes, access.offset, access.captured, access.wire) !== 0) f.numbers.push(f.next);
      }
      if (performance.now() > until) break;
    }
    if (f.next < all.end) return true;
    if (f.seconds === 0) f.seconds = (performance.now() - f.began) / 1000;
    return false;
  }

  /** Looks for frames that came since, for as long as a slice. @returns rows taken away at the beginning of what is shown, and whether anything changed */
  follow(): { readonly dropped: number; readonly changed: boolean; readonly more: boolean } {
    const { tail, all, filtering } = this, before = this.count;
    if (!tail.extend() && this.arrived === 0) return { dropped: 0, changed: false, more: false };
    const until = performance.now() + SLICE_MS;
    let came = 0, more = true;
    do {
      for (let i = 0; i < BETWEEN && more; i++) {
        more = tail.next();
        if (!more) break;
        all.append(tail.lane * LANE_UNIT + tail.sequence);
        came++;
      }
    } while (more && performance.now() < until);
    if (came > 0 && !this.boots.some((b) => b.id === tail.boot)) this.refreshBoots();
    this.arrived += came;
    const gone = all.prune();
    let dropped = gone;
    if (filtering !== undefined) {
      dropped = gone === 0 ? 0 : filtering.numbers.search(all.dropped);
      filtering.numbers.dropFirst(dropped);
    }
    return { dropped, changed: came > 0 || gone > 0 || before !== this.count, more };
  }

  /** Whether a switch has the pool now; its ports may have changed too. */
  look(): void {
    this.live = this.pool.isLive();
    if (this.live) this.refreshBoots();
  }

  /** The report as of now. */
  survey(): void {
    const { report, traces } = surveyPool(this.pool);
    this.report = report;
    this.traces = traces;
  }

  /** The first shown row at or after a time (ns since 1970, exact to 256 ns); the last row, if all are before. */
  rowAt(ns: number): number {
    const { filtering, all } = this, { count } = this;
    for (let row = 0; row < count; row++) {
      const time = all.time(filtering === undefined ? row : filtering.numbers.at(row) - all.dropped);
      if (time !== undefined && time >= ns) return row;
    }
    return Math.max(0, count - 1);
  }

  /** The row that shows frame `number`, or the next one. */
  rowOf(number: number): number {
    const index = number - 1;
    return this.filtering === undefined ? Math.max(0, Math.min(index - this.all.dropped, this.count - 1))
      : Math.min(this.filtering.numbers.search(index), Math.max(0, this.count - 1));
  }

  /** A row's time, ns since 1970; undefined: its frame was replaced. */
  exact(row: number): bigint | undefined {
    const view = this.all.view(this.number(row) - 1 - this.all.dropped);
    return view === undefined ? undefined : (BigInt(view.timeHigh) << 32n) | BigInt(view.timeLow);
  }

  /** The newest frame's time, ns since 1970, exact to 256 ns; 0: there is none. */
  get newest(): number { return this.all.length === 0 ? 0 : this.all.time(this.all.length - 1) ?? 0; }

  private refreshBoots(): void {
    this.boots = this.pool.boots();
    this.access.update(this.boots);
  }
}
