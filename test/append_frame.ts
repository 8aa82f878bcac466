/** A frame joins a log's batch as the data plane's do: by a burst, here of one frame. */
import type { Log } from '../logger/index.js';
import { Burst } from '../switch/burst.js';

const burst = new Burst([]);

/** @param address  where it begins, relative to the log's source; its first `kept` bytes are kept */
export function appendFrame(log: Log, frame: { address: number; kept: number; wire: number; ingress: number; verdict: number; flags: number }): void {
  const stamp = process.hrtime.bigint();
  burst.addressLow[0] = frame.address % 2 ** 32;
  burst.addressHigh[0] = Math.floor(frame.address / 2 ** 32);
  burst.length[0] = frame.wire;
  burst.egress[0] = frame.verdict;
  burst.flags[0] = frame.flags;
  burst.stampLow[0] = Number(stamp & 0xffffffffn);
  burst.stampHigh[0] = Number(stamp >> 32n);
  burst.keep[0] = 1;
  log.append(burst.memory, 0, 1, frame.ingress, frame.kept);
}
