/**
 * What a port is to the data plane: rings, and a few calls a turn. Opened, driven and closed in the data-plane thread.
 */
import type { Mapping } from '../../native/index.js';
import type { RingSet } from '../ring.js';

/** Where frames begin within a buffer: XDP_PACKET_HEADROOM (linux/bpf.h); all kinds of port keep it. */
export const HEADROOM = 256;

/** The same for ports of frames of up to 64 KiB, of which a buffer of 65,536 bytes has little to spare: 65,471 bytes fit. */
export const SUPER_HEADROOM = 64;
/** Bytes of a buffer from which on a pool takes such frames. */
export const SUPER_CHUNK = 65536;

/** What a driver is given of the switch. */
export interface PortContext {
  /** What ring addresses are relative to. */
  readonly umem: Mapping;
  /** The UMEM's bytes, by address >>> 30. */
  readonly segments: readonly Uint8Array[];
  readonly chunk: number;
  readonly maxFrame: number;
  /** Descriptors of AF_XDP sockets that are bound to this UMEM: one is enough to share it. */
  readonly xdpSockets: Set<number>;
  /** How many workers share a port's queues among them; 1 by default. */
  readonly workers?: number;
}

export interface PortDriver {
  /** One a queue; frames are sent on the first. */
  readonly queues: readonly RingSet[];
  /** Another worker owns the port, receives there, and counts what it sends (ports/handoff.ts). */
  readonly handsOver?: boolean;
  /** Whether eight bytes before a frame hold the driver's time stamp (ns, CLOCK_MONOTONIC). */
  readonly stamped: boolean;
  /** Whether frames may come with checksums that the sender left to the NIC. May change between turns. */
  readonly partialChecksums: boolean;
  /** Waited for with poll(2) when the switch is idle. */
  readonly fds: readonly number[];
  /** What it turned out to be, for people: `AF_XDP, native copy mode, 1 queue`. */
  readonly note: string;
  /** What else a person should do or know, now that it is open; one line each. */
  readonly advice?: readonly string[];
  /** Zeros where it has none. */
  readonly mac: Uint8Array;
  readonly mtu: number;
  /** Before the rx rings are looked at: soft ports fill theirs. @param now ns, CLOCK_MONOTONIC */
  receive(now: number): void;
  /** The fill ring was refilled, and asked to be told (XDP_RING_NEED_WAKEUP: zero-copy drivers). */
  wakeReceive?(): void;
  /** After tx was published. */
  transmit(): void;
  /**
   * Only of ports that take super-frames: segments of up to 64 KiB that are still to be cut, with a header in the buffer (native/src/vnet_header.h).
   * Told between turns, whenever ports came or went. @param on whether every port takes them, so that they may come
   */
  superFrames?(on: boolean): void;
  /** When it will have frames of its own accord: ns, CLOCK_MONOTONIC; Infinity: only when a descriptor says so. */
  readonly due: number;
  /** A replay or generator that has given all it had. */
  readonly finished: boolean;
  /** Once a second: what only the port knows, into its counters (see counters.ts, PORT). @returns a warning to log once */
  statistics?(counters: Float64Array): string | undefined;
  /** poll(2) said that one of `fds` is readable: a doorbell is emptied here. */
  woken?(): void;
  /** poll(2) said POLLERR, POLLHUP or POLLNVAL. @returns why, when the port is gone for good */
  failed?(): string | undefined;
  close(): void;
}
