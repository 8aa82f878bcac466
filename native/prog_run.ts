/** Frames made by the kernel itself, out of an interface (native/src/prog_run.cc): what saturates a veth or a NIC. */
import { addon } from './addon.js';
import { FramekeepError, errnoName } from './error.js';

export interface ProgRunOptions {
  readonly ifindex: number;
  /** One frame a size, without FCS, 22 bytes or longer; gone through call by call. The program writes number, time and the last three address bytes. */
  readonly frames: readonly Uint8Array[];
  /** Frames a second; 0: as many as there can be. */
  readonly rate: number;
  readonly count: number;
  /** Frames of one call: it cannot be stopped within. 2^20 saturates. */
  readonly most?: number;
  /** Of a rate: most frames that are made up for at once after a pause, the others are left out; by default all are made up for. */
  readonly behind?: number;
  /** -1: any. */
  readonly cpu?: number;
  /** How many addresses each; the first is the frame's. */
  readonly destinations: number;
  readonly sources: number;
}

/** Indices of `counters`: frames handed to the interface, calls, the negative errno that ended it, whether it has ended. */
export const PROG_RUN = { frames: 0, calls: 1, error: 2, ended: 3 } as const;

export interface ProgRun {
  readonly counters: Float64Array;
  stop(): void;
}

/**
 * Starts a thread that makes frames in this thread's network namespace.
 * @throws FramekeepError E_PROG_RUN, E_PROG_RUN_PERMISSION
 */
export function progRun(o: ProgRunOptions): ProgRun {
  const low = (frame: Uint8Array, at: number): number => (frame[at + 3] << 16) | (frame[at + 4] << 8) | frame[at + 5];
  const [first] = o.frames;
  const options = Float64Array.of(o.rate, o.count, o.most ?? 1 << 20, o.cpu ?? -1, low(first, 0), o.destinations, low(first, 6), o.sources, o.behind ?? 0);
  const result = addon['progRunStart'](o.ifindex, options, Uint32Array.from(o.frames, (f) => f.length), Buffer.concat(o.frames));
  if ('errno' in result) {
    if (result.errno === -1) throw new FramekeepError('E_PROG_RUN_PERMISSION', 'the kernel makes frames for the privileged only', 'it needs CAP_NET_ADMIN and CAP_BPF: run it as root');
    throw new FramekeepError('E_PROG_RUN', `the kernel makes no frames (${result.step}: ${errnoName(result.errno)})`, 'it needs Linux 5.18 or later', { cause: result.log });
  }
  return { counters: new Float64Array(result.counters), stop: () => { addon['progRunStop'](result.handle); } };
}
