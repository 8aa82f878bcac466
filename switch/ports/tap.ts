/**
 * `tap:NAME`: a tap device, made if it is not there, for VMs, containers and the machine itself. What the other side sends is
 * received here, and the other way round. It may be moved to another network namespace: its state is not followed, only whether
 * it is there at all. Options:
 *   vnet-hdr   takes and gives super-frames: segments of up to 64 KiB that the kernel has not cut, as long as every port of the
 *              switch does (native/src/vnet_header.h). Needs a pool with buffers of 65,536 bytes.
 */
import { closeFd, errnoName, FramekeepError, limitSegments, releaseSoftRings, TAP, tapAttach, tapDetach, tapOffer, tapOpen, tapReceive, tapTransmit, type Mapping, type TapRings } from '../../native/index.js';
import { DROP_OVERSIZE } from '../../logger/format.js';
import { BURST } from '../burst.js';
import { PORT } from '../counters.js';
import { makeSoftRings, type RingSet } from '../ring.js';
import { HEADROOM, SUPER_CHUNK, SUPER_HEADROOM, type PortContext, type PortDriver } from './driver.js';
import { macBytes, type PortOptions } from './options.js';
import { SOFT_RING_SIZE } from './soft.js';

const EIO = -5, EBADFD = -77;

export class TapPort implements PortDriver {
  readonly queues: readonly RingSet[];
  readonly stamped = false;
  partialChecksums = false;
  /** Undefined: takes none. */
  readonly superFrames: ((on: boolean) => void) | undefined;
  readonly fds: readonly number[];
  readonly note: string;
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly due = Infinity;
  readonly finished = false;
  private readonly fd: number;
  private readonly memory: Mapping;
  private readonly tap: TapRings;
  private oversizeSeen = 0;
  private gone: string | undefined;

  constructor(context: PortContext, options: PortOptions, name: string) {
    const header = options.flag('vnet-hdr'), headroom = header ? SUPER_HEADROOM : HEADROOM;
    options.done();
    if (header && context.chunk !== SUPER_CHUNK) {
      throw new FramekeepError('E_TAP_BUFFERS', `tap:${name},vnet-hdr takes frames of up to 64 KiB, and this pool has buffers of ${context.chunk} bytes`, 'use a new pool made with --chunk 65536');
    }
    const opened = tapOpen(name, header);
    this.fd = opened.fd;
    if (header && opened.created) limitSegments(opened.ifindex, SUPER_CHUNK - SUPER_HEADROOM);
    const rings = makeSoftRings(SOFT_RING_SIZE);
    this.memory = rings.memory;
    this.queues = [rings.plane];
    this.tap = tapAttach(this.fd, this.memory, SOFT_RING_SIZE, context.umem, Math.log2(context.chunk), headroom, header);
    this.fds = [this.fd];
    this.mac = macBytes(opened.mac);
    this.mtu = opened.mtu;
    this.note = `tap ${opened.name}, ${header ? 'super-frames' : 'the kernel completes checksums'}`;
    this.superFrames = header ? (on) => this.offer(on) : undefined;
  }

  private offer(on: boolean): void {
    if (on === this.partialChecksums) return;
    const error = tapOffer(this.tap.handle, on ? 1 : 0);
    if (error < 0) this.gone = `its offloads cannot be set (${errnoName(error)})`;
    this.partialChecksums = on;
  }

  receive(): void {
    const n = tapReceive(this.tap.handle, BURST);
    if (n === EBADFD || n === EIO) this.gone = 'its interface is gone';
  }

  transmit(): void { tapTransmit(this.tap.handle); }

  failed(): string | undefined { return this.gone; }

  statistics(counters: Float64Array): string | undefined {
    const counts = this.tap.counters, oversize = counts[TAP.oversize] - this.oversizeSeen;
    this.oversizeSeen = counts[TAP.oversize];
    counters[PORT.received] += oversize;
    counters[PORT.notSelected] += oversize;
    counters[PORT.dropped + DROP_OVERSIZE] += oversize;
    counters[PORT.txErrors] = counts[TAP.short] + counts[TAP.down] + counts[TAP.invalid] + counts[TAP.refused];
    return undefined;
  }

  close(): void {
    tapDetach(this.tap);
    closeFd(this.fd);
    releaseSoftRings(SOFT_RING_SIZE, this.memory);
  }
}
