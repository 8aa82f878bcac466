/** What the ports written in TypeScript have in common: rings in plain memory, and both ends of them in this thread. */
import { releaseSoftRings, type Mapping } from '../../native/index.js';
import { makeSoftRings, type RingSet } from '../ring.js';
import { segmentOf, offsetOf } from '../burst.js';
import { HEADROOM, type PortContext, type PortDriver } from './driver.js';

export const SOFT_RING_SIZE = 1024;

/** Discards what is sent to it; a kind of port overrides `receive` to bring frames in. */
export abstract class SoftPort implements PortDriver {
  readonly queues: readonly RingSet[];
  readonly stamped: boolean = false;
  readonly partialChecksums: boolean = false;
  readonly fds: readonly number[] = [];
  readonly mac = new Uint8Array(6);
  readonly mtu: number;
  abstract readonly note: string;
  due = Infinity;
  finished = false;
  /** The port's side of the rings. */
  protected readonly side: RingSet;
  protected readonly context: PortContext;
  protected readonly words: readonly Uint32Array[];
  private readonly memory: Mapping;

  constructor(context: PortContext) {
    const rings = makeSoftRings(SOFT_RING_SIZE);
    this.memory = rings.memory;
    this.queues = [rings.plane];
    this.side = rings.port;
    this.context = context;
    this.words = context.segments.map((s) => new Uint32Array(s.buffer));
    this.mtu = context.maxFrame - 14;
  }

  abstract receive(now: number): void;

  /** Takes every frame off the TX ring and hands its buffer back. */
  transmit(): void {
    const { tx, completion } = this.side, n = tx.available(), from = tx.words;
    for (let i = 0; i < n; i++) {
      const d = tx.at(tx.next + i);
      completion.pushAddress(from[d], from[d + 1]);
    }
    tx.next = (tx.next + n) >>> 0;
    tx.publish();
    completion.publish();
  }

  /** How many frames can be brought in now: free buffers and room in the rx ring. */
  protected capacity(want: number): number {
    return Math.min(this.side.fill.available(), this.side.rx.room(want), want);
  }

  /** Takes the next free buffer; `frameAt` is then where the frame goes. The caller has looked at `capacity`. */
  protected takeBuffer(): void {
    const { fill } = this.side, e = fill.at(fill.next);
    this.addressLow = fill.words[e] + HEADROOM;
    this.addressHigh = fill.words[e + 1];
    fill.next = (fill.next + 1) >>> 0;
    this.segment = segmentOf(this.addressLow, this.addressHigh);
    this.frameAt = offsetOf(this.addressLow);
  }
  protected addressLow = 0;
  protected addressHigh = 0;
  protected segment = 0;
  protected frameAt = 0;

  /** The frame is in the buffer that `takeBuffer` took. */
  protected give(length: number): void {
    this.side.rx.pushDescriptor(this.addressLow, this.addressHigh, length);
  }

  protected publish(): void {
    this.side.fill.publish();
    this.side.rx.publish();
  }

  close(): void { releaseSoftRings(SOFT_RING_SIZE, this.memory); }
}
