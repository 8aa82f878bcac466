/** One pass over a pool's records, without the frames: what each run kept, from which ports, when. */
import { SLOT_BEYOND, SLOT_VALID } from '../native/index.js';
import { FLAG_CHECKSUM_COMPLETED, FLAG_CONTINUED, MAX_PORTS } from './format.js';
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

const WORD = 2 ** 32;

/** By boot id, of what recovery stands by; boots without frames are not in it. Some 25 ns a record. */
export function takeCensus(pool: Pool, recovery: Recovery): Map<number, BootCensus> {
  const all = new Map<number, BootCensus>();
  recovery.lanes.forEach((lane, n) => {
    const index = new IndexView(pool.head, pool.geometry.lanes[n]), { slots } = index;
    let low = -1, census: BootCensus | undefined, lastTime = 0, first = 0, firstLow = 0, last = 0, lastLow = 0;
    // Times as doubles are exact to 256 ns, which is enough to compare; the two ends keep their low words.
    const settle = (): void => {
      if (census === undefined || lastTime === 0) return;
      const from = exact(first, firstLow), to = exact(last, lastLow);
      if (census.firstNs === 0n || from < census.firstNs) census.firstNs = from;
      if (to > census.lastNs) census.lastNs = to;
    };
    for (let i = 0, slot = Math.max(lane.next, 0) % slots; i < slots; i++, slot = slot + 1 === slots ? 0 : slot + 1) {
      if (lane.state[slot] !== SLOT_VALID && lane.state[slot] !== SLOT_BEYOND) continue;
      index.at(slot);
      if (index.boot !== low) {
        settle();
        low = index.boot;
        const boot = fullBootId(recovery.lastBoot, low);
        census = all.get(boot) ?? emptyCensus(boot);
        all.set(boot, census);
        lastTime = 0;
      }
      const c = census!, { kept } = index, time = index.timeHigh * WORD + index.timeLow;
      c.keptBytes += kept;
      if ((index.flags & FLAG_CONTINUED) !== 0) continue;
      const { wire, ingress, flags } = index;
      c.frames++;
      c.wireBytes += wire;
      if (kept < wire && (flags & 1) === 0) c.snapped++;
      if ((flags & FLAG_CHECKSUM_COMPLETED) !== 0) c.completed++;
      if (ingress < MAX_PORTS) { c.portFrames[ingress]++; c.portBytes[ingress] += wire; } else c.strange++;
      c.verdicts[index.verdict]++;
      if (lastTime === 0 || time < first) { first = time; firstLow = index.timeLow; }
      if (lastTime === 0 || time > last) { last = time; lastLow = index.timeLow; }
      if (time + 1e6 < lastTime) c.backwards++;
      lastTime = time;
    }
    settle();
  });
  return all;
}

// The high word of a rounded sum and the low word apart: within 2^11 of each other.
function exact(rounded: number, low: number): bigint {
  const near = BigInt(rounded), base = near - (near & 0xffffffffn) + BigInt(low), half = 0x80000000n;
  return base - near > half ? base - 0x100000000n : near - base > half ? base + 0x100000000n : base;
}

export function emptyCensus(boot: number): BootCensus {
  return {
    boot, frames: 0, snapped: 0, completed: 0, keptBytes: 0, wireBytes: 0, firstNs: 0n, lastNs: 0n, backwards: 0,
    portFrames: new Float64Array(MAX_PORTS), portBytes: new Float64Array(MAX_PORTS), verdicts: new Float64Array(256), strange: 0,
  };
}
