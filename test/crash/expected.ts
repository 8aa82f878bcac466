/** What a pool was told to keep, and so what any crash image of it must give back. Grows with a recording's marks. */
import type { Geometry } from '../../logger/index.js';

export interface Kept {
  readonly bytes: Uint8Array;
  readonly wire: number; readonly ingress: number; readonly verdict: number; readonly flags: number; readonly boot: number;
  /** Known once it was committed: the record's own, within the clock's readings around the commit. */
  timeHigh: number; timeLow: number;
}

export class LaneExpected {
  /** By sequence number: what was last issued under it. */
  readonly issued: Map<number, Kept>;
  /** Numbers that were acknowledged, or recovered after a crash. */
  readonly acknowledged: Set<number>;
  /** The highest that was issued, or would have been by the runs before. */
  last: number;
  readonly slots: number;

  constructor(slots: number, issued = new Map<number, Kept>(), acknowledged = new Set<number>(), last = -1) {
    this.slots = slots;
    this.issued = issued;
    this.acknowledged = acknowledged;
    this.last = last;
  }
  /** Those that no batch, not even the one in flight, has begun to replace. */
  due(): number[] {
    return [...this.acknowledged].filter((s) => s > this.last - this.slots);
  }
}

export class Expected {
  readonly geometry: Geometry;
  readonly lanes: readonly LaneExpected[];
  /** Boot id → port number → specification, as far as it was durable. */
  readonly ports: Map<number, Map<number, string>>;
  /** The newest boot whose header was durable, and its newest checkpoint's generation. */
  boot: number;
  checkpoint: number;

  constructor(geometry: Geometry, from?: Expected) {
    this.geometry = geometry;
    this.lanes = geometry.lanes.map((lane, n) => {
      const before = from?.lanes[n];
      return before === undefined ? new LaneExpected(lane.slots) : new LaneExpected(lane.slots, new Map(before.issued), new Set(before.acknowledged), before.last);
    });
    this.ports = new Map([...from?.ports ?? []].map(([boot, ports]) => [boot, new Map(ports)]));
    this.boot = from?.boot ?? 0;
    this.checkpoint = from?.checkpoint ?? 0;
  }

  /** The machine came up again and found `recovered` in each lane: that stays from now on, and the rest never comes back. */
  restarted(recovered: readonly (readonly number[])[], next: readonly number[]): void {
    this.lanes.forEach((lane, n) => {
      const stays = new Set(recovered[n]);
      for (const sequence of [...lane.issued.keys()]) if (!stays.has(sequence)) lane.issued.delete(sequence);
      lane.acknowledged.clear();
      for (const sequence of stays) lane.acknowledged.add(sequence);
      lane.last = next[n] - 1;
    });
  }
}

/** What happened between two events of a recording. */
export type Fact = (expected: Expected) => void;
