/** One pass over a pool's records, without the frames: what each run kept, from which ports, when. */
import {
  censusOf, SUM_BACKWARDS, SUM_BOOT, SUM_COMPLETED, SUM_FIRST_HIGH, SUM_FIRST_LOW, SUM_FRAMES, SUM_KEPT_BYTES, SUM_LAST_HIGH, SUM_LAST_LOW, SUM_PORT_BYTES, SUM_PORT_FRAMES,
  SUM_SNAPPED, SUM_STRANGE, SUM_VERDICTS, SUM_WIRE_BYTES, SUM_WORDS,
} from '../native/index.js';
import { MAX_PORTS } from './format.js';
import { IndexView } from './index_view.js';
import type { Pool } from './pool.js';
import { fullBootId, type Recovery } from './recover.js';

export interface BootCensus {
  readonly boot: number;
  /** A frame over several buffers is one. */
  frames: number;
  /** Of them, cut off by a snap length. */
  snapped: number;
  /** Of them, with a checksum that the port completed. */
  completed: number;
  keptBytes: number;
  wireBytes: number;
  /** Earliest and latest time, ns since 1970. */
  firstNs: bigint;
  lastNs: bigint;
  /** How often a record is more than a millisecond older than the one before it in its lane: the clock was set back. */
  backwards: number;
  /** By port number: frames, bytes on the wire. */
  readonly portFrames: Float64Array;
  readonly portBytes: Float64Array;
  /** Frames by verdict. */
  readonly verdicts: Float64Array;
  /** Frames of a port number that cannot be. */
  strange: number;
}

/** By boot id, of what recovery stands by; boots without frames are not in it. Some 8 ns a record. */
export function takeCensus(pool: Pool, recovery: Recovery): Map<number, BootCensus> {
  const sums = new Map<number, Float64Array>();
  recovery.lanes.forEach((lane, n) => {
    const geometry = pool.geometry.lanes[n], { slots } = geometry, index = new IndexView(pool.head, geometry), start = Math.max(lane.next, 0) % slots;
    let current = emptySums(-1);                                // of no run: the first record is another's
    for (let at = 0; at < slots;) {
      at = censusOf(pool.head, geometry.indexOffset, start, lane.state, at, current);
      if (at >= slots) break;
      const low = index.at((start + at) % slots).boot, boot = fullBootId(recovery.lastBoot, low);
      current = sums.get(boot) ?? emptySums(low);
      sums.set(boot, current);
    }
  });
  return new Map([...sums].map(([boot, s]) => [boot, {
    boot, frames: s[SUM_FRAMES], snapped: s[SUM_SNAPPED], completed: s[SUM_COMPLETED], keptBytes: s[SUM_KEPT_BYTES], wireBytes: s[SUM_WIRE_BYTES],
    firstNs: wide(s[SUM_FIRST_HIGH], s[SUM_FIRST_LOW]), lastNs: wide(s[SUM_LAST_HIGH], s[SUM_LAST_LOW]), backwards: s[SUM_BACKWARDS],
    portFrames: s.subarray(SUM_PORT_FRAMES, SUM_PORT_BYTES), portBytes: s.subarray(SUM_PORT_BYTES, SUM_VERDICTS), verdicts: s.subarray(SUM_VERDICTS, SUM_WORDS), strange: s[SUM_STRANGE],
  }]));
}

function emptySums(low: number): Float64Array {
  const sums = new Float64Array(SUM_WORDS);
  sums[SUM_BOOT] = low;
  return sums;
}

const wide = (high: number, low: number): bigint => BigInt(high) << 32n | BigInt(low);

export function emptyCensus(boot: number): BootCensus {
  return {
    boot, frames: 0, snapped: 0, completed: 0, keptBytes: 0, wireBytes: 0, firstNs: 0n, lastNs: 0n, backwards: 0,
    portFrames: new Float64Array(MAX_PORTS), portBytes: new Float64Array(MAX_PORTS), verdicts: new Float64Array(256), strange: 0,
  };
}
