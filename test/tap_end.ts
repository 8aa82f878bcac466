/** A tap with its rings and memory, driven by hand: what the tap tests run inside a namespace. */
import { closeFd, mapMemory, pollWait, tapAttach, tapDetach, tapOffer, tapOpen, tapReceive, tapTransmit, type Mapping, type Tap, type TapRings } from '../native/index.js';
import { makeSoftRings, type RingSet } from '../switch/ring.js';

export const CHUNK = 2048, HEADROOM = 256;
const POLLIN = 1;

export class TapEnd {
  readonly tap: Tap;
  readonly umem: Mapping;
  readonly bytes: Uint8Array;
  readonly rings: RingSet;
  readonly attached: TapRings;

  /**
   * @param umem        shared with another end, or memory of its own for `chunks` buffers
   * @param vnetHeader  with headers before its frames
   */
  constructor(name: string, options: { size?: number; chunks?: number; umem?: Mapping; vnetHeader?: boolean } = {}) {
    this.tap = tapOpen(name, options.vnetHeader);
    this.umem = options.umem ?? mapMemory('tap-test', (options.chunks ?? 64) * CHUNK);
    this.bytes = new Uint8Array(this.umem.segments[0]);
    const { memory, plane } = makeSoftRings(options.size ?? 64);
    this.rings = plane;
    this.attached = tapAttach(this.tap.fd, memory, options.size ?? 64, this.umem, 11, HEADROOM, options.vnetHeader);
  }

  /** Gives buffers to receive into. */
  give(...addresses: number[]): void {
    for (const a of addresses) this.rings.fill.pushAddress(a, 0);
    this.rings.fill.publish();
  }

  /** @returns tapReceive's answer */
  receive(most = 64): number { return tapReceive(this.attached.handle, most); }

  /** Takes the received frames off the rx ring: where they are and what they hold. */
  take(): { addr: number; frame: string }[] {
    const { rx } = this.rings, n = rx.available();
    const frames = Array.from({ length: n }, (_, i) => {
      const d = rx.at(rx.next + i), addr = rx.words[d];
      return { addr, frame: Buffer.from(this.bytes.subarray(addr, addr + rx.words[d + 2])).toString('hex') };
    });
    rx.next = (rx.next + n) >>> 0;
    rx.publish();
    return frames;
  }

  /** Waits for frames (20 s at most), and receives them. */
  wait(): { addr: number; frame: string }[] {
    pollWait(new Int32Array([this.tap.fd, POLLIN]), 1, 20e9);
    this.receive();
    return this.take();
  }

  /** Puts frames into buffers from `chunk` on and sends them. @returns tapTransmit's answer */
  send(chunk: number, ...frames: Uint8Array[]): number {
    frames.forEach((frame, i) => {
      this.bytes.set(frame, (chunk + i) * CHUNK + HEADROOM);
      this.rings.tx.pushDescriptor((chunk + i) * CHUNK + HEADROOM, 0, frame.length);
    });
    this.rings.tx.publish();
    return tapTransmit(this.attached.handle);
  }

  /** Whether segments that are still to be cut may come. */
  offer(on: boolean): number { return tapOffer(this.attached.handle, on ? 1 : 0); }

  transmit(): number { return tapTransmit(this.attached.handle); }

  /** Takes what was completed off its ring. */
  completed(): number[] {
    const { completion } = this.rings, n = completion.available();
    const all = Array.from({ length: n }, (_, i) => completion.words[completion.at(completion.next + i)]);
    completion.next = (completion.next + n) >>> 0;
    completion.publish();
    return all;
  }

  counters(): number[] { return [...this.attached.counters]; }

  close(): void { tapDetach(this.attached); closeFd(this.tap.fd); }
}

/** Passes frames between two ends over one memory, in the buffers they arrive in, until stdin says something or an end is gone. */
export async function wire(a: TapEnd, b: TapEnd): Promise<{ frames: number; counters: number[][] }> {
  const chunks = a.umem.bytes / CHUNK;
  a.give(...Array.from({ length: chunks / 2 }, (_, i) => i * CHUNK));
  b.give(...Array.from({ length: chunks / 2 }, (_, i) => (chunks / 2 + i) * CHUNK));
  const fds = new Int32Array([a.tap.fd, POLLIN, b.tap.fd, POLLIN]);
  let frames = 0, stop = false;
  process.stdin.once('data', () => { stop = true; });
  const pass = (from: TapEnd, to: TapEnd): number => {
    const n = from.receive(), { rx, fill } = from.rings, { tx, completion } = to.rings;
    for (let i = 0; i < rx.available(); i++) {
      const d = rx.at(rx.next + i);
      tx.pushDescriptor(rx.words[d], 0, rx.words[d + 2]);
    }
    rx.next = (rx.next + rx.available()) >>> 0;
    rx.publish();
    tx.publish();
    to.transmit();
    const done = completion.available();
    for (let i = 0; i < done; i++) fill.pushAddress(completion.words[completion.at(completion.next + i)], 0);
    completion.next = (completion.next + done) >>> 0;
    completion.publish();
    fill.publish();
    if (n < 0) throw new Error(`receiving: ${n}`);
    return n;
  };
  while (!stop) {
    const n = pass(a, b) + pass(b, a);
    frames += n;
    if (n === 0) { pollWait(fds, 2, 5e7); await new Promise(setImmediate); }
  }
  return { frames, counters: [a.counters(), b.counters()] };
}
