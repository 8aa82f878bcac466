/**
 * Who talks, and what: from a bounded number of the kept frames of the last minute. So many new frames are looked at a second at
 * most; where more were kept, evenly spread windows of them, and each stands for those between. Says how many were looked at.
 */
import type { FrameMatch } from '../../logger/filter/index.js';
import { classify } from './classify.js';
import type { LaneWindow } from './lane_window.js';
import type { PoolWindow } from './pool_window.js';

export const MINUTE = 60;
/** New frames that are looked at in a second; and of the minute before, when the program begins or the filter is another one. */
const A_SECOND = 1024, AT_ONCE = 8192;
const PARTS = 16;

export interface Amount { frames: number; bytes: number }
export interface Row extends Amount { readonly name: string }

/** What was kept in one second. */
interface Second { at: number; looked: number; of: number; shown: number; readonly talkers: Map<string, Amount>; readonly protocols: Map<string, Amount> }

export class FrameSample {
  /** Of the last minute: frames that were looked at, how many there were, how many of those that were looked at the filter selects. */
  looked = 0;
  of = 0;
  selected = 0;
  /** Most bytes first. Frames and bytes are what was seen times what each frame stands for. */
  talkers: readonly Row[] = [];
  protocols: readonly Row[] = [];
  private readonly seconds: Second[] = Array.from({ length: MINUTE + 1 }, () => ({ at: 0, looked: 0, of: 0, shown: 0, talkers: new Map(), protocols: new Map() }));
  private window: PoolWindow | undefined;
  private match: FrameMatch | undefined;
  /** Where each lane was looked at to; undefined: nowhere yet. */
  private next: readonly number[] | undefined;

  /** Begins again, with the minute before. */
  reset(window: PoolWindow | undefined, match: FrameMatch | undefined): void {
    this.window = window;
    this.match = match;
    this.next = undefined;
    for (const s of this.seconds) this.clear(s, 0);
  }

  /** Looks at what came since, or at the last minute of what there is. @param now the end of the minute, in seconds since 1970 */
  look(now: number): void {
    const { window } = this;
    if (window !== undefined) {
      const { lanes } = window, seen = this.next, most = seen === undefined ? AT_ONCE : A_SECOND;
      const from = lanes.map((lane, n) => seen === undefined || seen[n] > lane.next ? lane.since(now - MINUTE) : Math.max(seen[n], lane.next - lane.slots));
      const all = lanes.reduce((sum, lane, n) => sum + Math.max(0, lane.next - from[n]), 0);
      // Of many, each lane gives as large a part as it has.
      lanes.forEach((lane, n) => this.sample(lane, from[n], lane.next, all <= most ? most : Math.ceil(most * (lane.next - from[n]) / all)));
      this.next = lanes.map((lane) => lane.next);
    }
    this.sum(now);
  }

  private sample(lane: LaneWindow, from: number, to: number, most: number): void {
    const count = to - from;
    if (count <= 0) return;
    const parts = count <= most ? 1 : Math.min(PARTS, most), each = Math.floor(Math.min(count, most) / parts), step = count / parts;
    for (let i = 0; i < parts; i++) {
      const first = from + Math.floor(i * step), weight = parts === 1 ? 1 : step / each;
      lane.read(first, first + each, (bytes, offset, captured, wire, seconds) => this.take(bytes, offset, captured, wire, seconds, weight));
    }
  }

  private take(bytes: Uint8Array, offset: number, captured: number, wire: number, seconds: number, weight: number): void {
    const at = Math.floor(seconds), second = this.seconds[((at % this.seconds.length) + this.seconds.length) % this.seconds.length];
    if (second.at > at) return;  // older than the minute
    if (second.at < at) this.clear(second, at);
    second.looked++;
    second.of += weight;
    if (this.match !== undefined && this.match(bytes, offset, captured, wire) === 0) return;
    second.shown++;
    const { talker, protocol } = classify(bytes, offset, captured);
    add(second.talkers, talker, weight, wire * weight);
    add(second.protocols, protocol, weight, wire * weight);
  }

  private sum(now: number): void {
    const talkers = new Map<string, Amount>(), protocols = new Map<string, Amount>();
    this.looked = this.of = this.selected = 0;
    for (const s of this.seconds) {
      if (s.at <= now - MINUTE - 1 || s.at > now + 1) continue;
      this.looked += s.looked;
      this.of += s.of;
      this.selected += s.shown;
      for (const [name, a] of s.talkers) add(talkers, name, a.frames, a.bytes);
      for (const [name, a] of s.protocols) add(protocols, name, a.frames, a.bytes);
    }
    this.talkers = largest(talkers);
    this.protocols = largest(protocols);
  }

  private clear(second: Second, at: number): void {
    second.at = at;
    second.looked = second.of = second.shown = 0;
    second.talkers.clear();
    second.protocols.clear();
  }
}

function add(map: Map<string, Amount>, name: string, frames: number, bytes: number): void {
  const amount = map.get(name);
  if (amount === undefined) map.set(name, { frames, bytes });
  else {
    amount.frames += frames;
    amount.bytes += bytes;
  }
}

const LISTED = 1000;
const largest = (map: Map<string, Amount>): Row[] =>
  [...map].map(([name, a]) => ({ name, ...a })).sort((a, b) => b.bytes - a.bytes || b.frames - a.frames || (a.name < b.name ? -1 : 1)).slice(0, LISTED);
