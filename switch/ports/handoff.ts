/**
 * A port that another worker owns: frames for it are handed over to that worker through two rings that the two share, and the
 * owner hands the buffers back when its port has sent them.
 *
 *   this worker                    shared                     the owner
 *   PlanePort(HandoffPort) ── frames ──────────▶ Inlet ──▶ the port's own TX ring
 *        buffers come free ◀────────── returns ──        ◀── its completion ring
 *
 * Single producer, single consumer each. The owner takes as much as the port has room for; what it does not take fills the
 * ring, so that a port that cannot keep up is this worker's full TX ring, counted like any other.
 */
import { eventSignal, mapFile, type Mapping } from '../../native/index.js';
import { emptyRing, Ring, ringsOf, softRingBytes, type RingSet } from '../ring.js';
import type { PortDriver } from './driver.js';

/** Frames that may wait for, or be in, another worker's port. */
export const HANDOFF_RING_SIZE = 2048;
export const HANDOFF_BYTES = softRingBytes(HANDOFF_RING_SIZE);

/** The rings of one worker and one port of another's. */
export interface HandoffPlace {
  /** A memory file of HANDOFF_BYTES; open in every thread. */
  readonly fd: number;
  /** Who hands over, and who owns the port. */
  readonly from: number;
  readonly owner: number;
  /** Numbers of the buffers of who hands over: [firstBuffer, endBuffer). */
  readonly firstBuffer: number;
  readonly endBuffer: number;
}

/** How workers wake each other. */
export interface Doorbells {
  /** 1 for each worker that sleeps in poll(2), or is about to. */
  readonly asleep: Int32Array;
  /** eventfds, by worker. */
  readonly fds: readonly number[];
}

/** Publishing comes before, and the sleeper looks at its rings after it said that it sleeps: one of the two sees the other. */
export function wake(bells: Doorbells, worker: number): void {
  if (Atomics.load(bells.asleep, worker) === 1) eventSignal(bells.fds[worker]);
}

// Of this thread, by descriptor. Never unmapped: places are used again, and unmapping detaches (native/memory.ts, `unmap`).
const mapped = new Map<number, Mapping>();

function mapPlace({ fd }: HandoffPlace): Mapping {
  const memory = mapped.get(fd) ?? mapFile(fd, HANDOFF_BYTES, { writable: true });
  mapped.set(fd, memory);
  return memory;
}

export class HandoffPort implements PortDriver {
  readonly queues: readonly RingSet[];
  readonly stamped = false;
  readonly partialChecksums = false;
  readonly fds: readonly number[] = [];
  readonly mac = new Uint8Array(6);
  readonly mtu = 0;
  readonly due = Infinity;
  readonly finished = false;
  readonly handsOver = true;
  readonly note: string;
  private readonly bells: Doorbells;
  private readonly owner: number;

  constructor(place: HandoffPlace, bells: Doorbells) {
    const { tx, completion } = ringsOf(mapPlace(place).segments[0], HANDOFF_RING_SIZE, 0, false);
    this.queues = [{ rx: emptyRing(false, 4), fill: emptyRing(true, 2), tx, completion }];
    this.bells = bells;
    this.owner = place.owner;
    this.note = `worker ${place.owner}'s`;
  }

  receive(): void { /* its frames come in at its owner */ }
  transmit(): void { wake(this.bells, this.owner); }
  close(): void { /* its rings are another port's next */ }
}

/** The owner's end. */
export class Inlet {
  /** Whose frames these are. */
  readonly worker: number;
  readonly firstBuffer: number;
  readonly endBuffer: number;
  readonly frames: Ring;
  readonly returns: Ring;
  /** Taken in, and not handed back yet. */
  inFlight = 0;
  private readonly bells: Doorbells;

  constructor(place: HandoffPlace, bells: Doorbells) {
    this.worker = place.from;
    this.firstBuffer = place.firstBuffer;
    this.endBuffer = place.endBuffer;
    this.bells = bells;
    const { tx, completion } = ringsOf(mapPlace(place).segments[0], HANDOFF_RING_SIZE, 0, true);
    this.frames = tx;
    this.returns = completion;
  }

  /** How many frames can be taken in now: there, and with room to hand them back. */
  available(): number {
    const n = this.frames.available();
    return n === 0 ? 0 : Math.min(n, this.returns.room(this.inFlight + n) - this.inFlight);
  }

  /** Buffers were put on `returns`. */
  handBack(): void {
    this.returns.publish();
    wake(this.bells, this.worker);
  }
}
