/**
 * A port without a switch, for `framekeep gen` and `framekeep sink`: its driver, memory for its buffers, and two loops, one that
 * sends what a maker writes and one that shows each received frame to a reader. Any kind of port; the calling thread drives it.
 *
 *   free ──▶ maker writes ──▶ TX ring ──▶ completion ──▶ free          free ──▶ fill ring ──▶ RX ring ──▶ reader ──▶ free
 */
import { clockRead, mapMemory, pollWait, POLLIN, unmap, type Mapping } from '../native/index.js';
import { BURST, offsetOf, segmentOf } from './burst.js';
import { HEADROOM, type PortContext, type PortDriver } from './ports/driver.js';
import { openPort } from './ports/open.js';
import { preparePort, type PrepareOptions, type Prepared } from './ports/prepare.js';
import type { PortSpec } from './ports/spec.js';
import { XdpDriver } from './ports/xdp.js';
import type { RingSet } from './ring.js';

const BUFFERS = 8192;

/** Writes the next frame to `bytes` at `at`, and says how long it is; 0: none. Called once a frame: it allocates nothing. */
export type Maker = (bytes: Uint8Array, at: number, room: number) => number;
/** Sees a received frame. @param now ns, CLOCK_MONOTONIC: the driver's stamp where it writes one, else the burst's */
export type Reader = (bytes: Uint8Array, at: number, length: number, now: number) => void;

export class LonePort {
  readonly note: string;
  /** What was found and done, for people. */
  readonly report: readonly string[];
  /** ns, CLOCK_MONOTONIC, as of the last turn. */
  now = 0;
  private readonly driver: PortDriver;
  private readonly prepared: Prepared;
  private readonly umem: Mapping;
  private readonly context: PortContext;
  private readonly chunk: number;
  private readonly free = new Uint32Array(BUFFERS);
  private freeCount = 0;
  private readonly clockWords = new Uint32Array(2);
  private readonly clockSeconds = new Float64Array(1);
  private readonly words: readonly Uint32Array[];
  private gone: string | undefined;

  /**
   * @param receives  whether frames of an interface come here; otherwise they go on to the kernel
   * @throws FramekeepError what the kind of port throws
   */
  static async open(spec: PortSpec, options: PrepareOptions & { readonly receives: boolean; readonly longest: number }): Promise<LonePort> {
    const prepared = await preparePort(spec, options);
    try {
      return new LonePort(prepared, options.receives, options.longest);
    } catch (error) {
      await prepared.release();
      throw error;
    }
  }

  private constructor(prepared: Prepared, receives: boolean, longest: number) {
    this.prepared = prepared;
    this.report = prepared.report;
    this.chunk = longest + HEADROOM <= 2048 ? 2048 : 4096;
    this.umem = mapMemory('framekeep-lone-port', BUFFERS * this.chunk);
    this.context = { umem: this.umem, segments: this.umem.segments.map((s) => new Uint8Array(s)), chunk: this.chunk, maxFrame: this.chunk - HEADROOM, xdpSockets: new Set() };
    this.words = this.umem.segments.map((s) => new Uint32Array(s));
    for (let b = BUFFERS - 1; b >= 0; b--) this.free[this.freeCount++] = b * this.chunk;
    try {
      this.driver = openPort(this.context, prepared.request);
    } catch (error) {
      unmap(this.umem);
      throw error;
    }
    this.note = this.driver.note;
    prepared.onGone(() => { this.gone = 'its helper process ended'; });
    if (!receives) return;
    for (const queue of this.driver.queues) this.refill(queue);
    if (this.driver instanceof XdpDriver) this.driver.deliver();
  }

  /** Whether somebody is at the other end, where the port can tell. */
  get isConnected(): boolean { return (this.driver as { isConnected?: boolean }).isConnected ?? true; }
  /** Why it is of no use any more. */
  get failure(): string | undefined { return this.gone ?? this.driver.failed?.(); }
  /** Frames on the TX ring that were not sent yet. */
  get outstanding(): number { return this.driver.queues[0].tx.outstanding(); }

  readClock(): void {
    clockRead(this.clockWords, this.clockSeconds);
    this.now = this.clockWords[1] * 4294967296 + this.clockWords[0];
  }

  /** Sends at most `most` frames. @returns how many went onto the ring; fewer: it is full, or the maker has no more */
  send(most: number, make: Maker): number {
    const { tx, completion } = this.driver.queues[0], done = completion.available();
    this.readClock();
    for (let i = 0; i < done; i++) {
      const e = completion.at(completion.next + i);
      this.free[this.freeCount++] = completion.words[e] - completion.words[e] % this.chunk;
    }
    if (done > 0) { completion.next = (completion.next + done) >>> 0; completion.publish(); }
    this.driver.receive(this.now);   // pipes look there whether their other end is taken
    let n = 0;
    for (const room = tx.room(BURST); n < most && n < room && n < BURST && this.freeCount > 0; n++) {
      const base = this.free[this.freeCount - 1], at = base + HEADROOM, length = make(this.context.segments[segmentOf(at, 0)], offsetOf(at), this.chunk - HEADROOM);
      if (length === 0) break;
      this.freeCount--;
      tx.pushDescriptor(at, 0, length);
    }
    if (n > 0) tx.publish();
    if (n > 0 || tx.outstanding() > 0) this.driver.transmit();
    return n;
  }

  /** Shows what came in to the reader. @returns how many frames that was */
  receive(read: Reader): number {
    this.readClock();
    this.driver.receive(this.now);
    let handled = 0;
    for (const queue of this.driver.queues) {
      const { rx } = queue, n = Math.min(rx.available(), BURST), { stamped } = this.driver;
      if (n > 0) this.readClock();  // after they were seen: no frame's stamp is later
      for (let i = 0; i < n; i++) {
        const d = rx.at(rx.next + i), at = rx.words[d], segment = segmentOf(at, 0), offset = offsetOf(at);
        let now = this.now;
        if (stamped) {
          const w = offset >>> 2, words = this.words[segment], stamp = words[w - 1] * 4294967296 + words[w - 2];
          if (stamp <= now && now - stamp < 1e9) now = stamp;
        }
        read(this.context.segments[segment], offset, rx.words[d + 2], now);
        this.free[this.freeCount++] = at - at % this.chunk;
      }
      if (n > 0) { rx.next = (rx.next + n) >>> 0; rx.publish(); this.refill(queue); }
      handled += n;
    }
    return handled;
  }

  private refill({ fill }: RingSet): void {
    let n = Math.min(fill.room(fill.size >>> 1), this.freeCount, BUFFERS / 2 - fill.outstanding());
    if (n <= 0) return;
    for (; n > 0; n--) fill.pushAddress(this.free[--this.freeCount], 0);
    fill.publish();
    if (fill.needsWakeup()) this.driver.wakeReceive?.();
  }

  /** Until a descriptor of the port is readable, or so long. */
  sleep(ns: number): void {
    const { fds } = this.driver, poll = new Int32Array(fds.length * 2);
    fds.forEach((fd, i) => { poll[2 * i] = fd; poll[2 * i + 1] = POLLIN; });
    if (pollWait(poll, fds.length, ns) > 0) this.driver.woken?.();
  }

  async close(): Promise<void> {
    this.driver.close();
    unmap(this.umem);
    await this.prepared.release();
  }
}
