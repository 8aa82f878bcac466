/**
 * The one ring type: AF_XDP's (Documentation/networking/af_xdp.rst, linux/if_xdp.h), whatever the port is. One side
 * produces, the other consumes; each publishes its own index and reads the other's only when what it knew is used up.
 *
 *   rx, completion   the port produces, the data plane consumes
 *   tx, fill         the data plane produces, the port consumes
 *
 *   rx, tx entries           4 words: address low, address high, length, options   (struct xdp_desc)
 *   fill, completion entries 2 words: address low, address high
 *
 * Indices run freely and wrap at 2^32; slot = index & mask. Addresses are relative to the UMEM (the pool's buffers).
 * Publishing and refreshing use Atomics, which is also the barrier between entries and index: 15–43 ns, once a burst.
 */
import { softRings, type Mapping } from '../native/index.js';

/** Where a ring lies: byte offsets within `buffer`. */
export interface RingPlace {
  readonly buffer: ArrayBuffer;
  readonly producer: number;
  readonly consumer: number;
  readonly flags: number;
  readonly entries: number;
  /** A power of two. */
  readonly size: number;
}

export class Ring {
  readonly words: Uint32Array;
  readonly size: number;
  readonly mask: number;
  /** First word of the entries, and log2 of the words an entry takes. */
  readonly entries: number;
  readonly shift: number;
  /** Our own index: the next entry to produce or to consume. */
  next = 0;
  /** The other side's index as last seen. */
  seen = 0;
  private readonly own: number;
  private readonly other: number;
  private readonly flags: number;
  private readonly produces: boolean;

  /**
   * @param produces    whether this side produces
   * @param entryWords  4 for rx and tx, 2 for fill and completion
   */
  constructor(place: RingPlace, produces: boolean, entryWords: 2 | 4) {
    this.words = new Uint32Array(place.buffer);
    this.size = place.size;
    this.mask = place.size - 1;
    this.entries = place.entries >>> 2;
    this.shift = entryWords === 4 ? 2 : 1;
    this.produces = produces;
    this.own = (produces ? place.producer : place.consumer) >>> 2;
    this.other = (produces ? place.consumer : place.producer) >>> 2;
    this.flags = place.flags >>> 2;
    this.next = Atomics.load(this.words, this.own);
    this.seen = Atomics.load(this.words, this.other);
  }

  /** Consumer: how many entries there are, looking again only when none is known. */
  available(): number {
    if (this.seen === this.next) this.seen = Atomics.load(this.words, this.other);
    return (this.seen - this.next) >>> 0;
  }

  /** Producer: how many entries fit; looks again when fewer than `want` are known to. */
  room(want: number): number {
    let room = this.size - ((this.next - this.seen) >>> 0);
    if (room < want) {
      this.seen = Atomics.load(this.words, this.other);
      room = this.size - ((this.next - this.seen) >>> 0);
    }
    return room;
  }

  /** Makes what was produced visible, or what was consumed reusable. */
  publish(): void {
    Atomics.store(this.words, this.own, this.next);
  }

  /** XDP_RING_NEED_WAKEUP: the kernel wants a system call to go on. */
  needsWakeup(): boolean {
    return (this.words[this.flags] & 1) !== 0;
  }

  /** The first word of the entry with the free-running index `i`. */
  at(i: number): number {
    return this.entries + ((i & this.mask) << this.shift);
  }

  /** Produces one descriptor; the caller has made sure of room, and publishes later. */
  pushDescriptor(low: number, high: number, length: number): void {
    const w = this.words, e = this.entries + ((this.next & this.mask) << 2);
    w[e] = low;
    w[e + 1] = high;
    w[e + 2] = length;
    w[e + 3] = 0;
    this.next = (this.next + 1) >>> 0;
  }

  /** Produces one address. */
  pushAddress(low: number, high: number): void {
    const w = this.words, e = this.entries + ((this.next & this.mask) << 1);
    w[e] = low;
    w[e + 1] = high;
    this.next = (this.next + 1) >>> 0;
  }

  /** How many entries this side produced that the other has not consumed. */
  outstanding(): number {
    if (this.produces) this.seen = Atomics.load(this.words, this.other);
    return (this.next - this.seen) >>> 0;
  }
}

/** The four rings of one queue, as the data plane sees them. */
export interface RingSet {
  readonly rx: Ring;
  readonly tx: Ring;
  readonly fill: Ring;
  readonly completion: Ring;
}

/** A ring that has no entries, for what a port does not do. */
export const emptyRing = (produces: boolean, entryWords: 2 | 4): Ring =>
  new Ring({ buffer: new ArrayBuffer(16), producer: 0, consumer: 4, flags: 8, entries: 16, size: 0 }, produces, entryWords);

const STRIDE_HEAD = 192;  // native/src/soft_rings.h

/** Four rings in plain memory, and both sides' views of them, for ports that no kernel fills. */
export function makeSoftRings(size: number): { readonly memory: Mapping; readonly plane: RingSet; readonly port: RingSet } {
  const memory = softRings(size);
  return { memory, plane: ringsOf(memory.segments[0], size, 0, false), port: ringsOf(memory.segments[0], size, 0, true) };
}

/** Bytes that four rings of `size` entries take. */
export const softRingBytes = (size: number): number => 4 * (STRIDE_HEAD + size * 16);

/** One side's view of four rings laid out as in native/src/soft_rings.h from byte `start` of `buffer`. */
export function ringsOf(buffer: ArrayBuffer, size: number, start: number, asPort: boolean): RingSet {
  const stride = STRIDE_HEAD + size * 16;
  const place = (i: number): RingPlace => {
    const at = start + i * stride;
    return { buffer, producer: at, consumer: at + 64, flags: at + 128, entries: at + STRIDE_HEAD, size };
  };
  return {
    rx: new Ring(place(0), asPort, 4), tx: new Ring(place(1), !asPort, 4),
    fill: new Ring(place(2), !asPort, 2), completion: new Ring(place(3), asPort, 2),
  };
}
