/**
 * `pipe:NAME`: the other end is a `pipe:NAME` of another switch (or the helper of a `cap:` port). Two rings of frames in a shared
 * file, a FIFO each way as a doorbell; whoever comes first takes end A. Frames are copied across.
 */
import { closeSync, constants, ftruncateSync, openSync } from 'node:fs';
import {
  drainFd, FramekeepError, lockFile, lockHeld, makeFifo, mapFile, pipeAttach, pipeBytes, pipeReceive, pipeTransmit, releaseSoftRings, unmap,
  type Mapping, type NativePipe,
} from '../../native/index.js';
import { makeSoftRings, type RingSet } from '../ring.js';
import { BURST } from '../burst.js';
import { PORT } from '../counters.js';
import { HEADROOM, type PortContext, type PortDriver } from './driver.js';
import type { PortOptions } from './options.js';
import { SOFT_RING_SIZE } from './soft.js';

/** Bytes of the file whose locks say which ends are taken: locks of an open file go with its process. */
const END_LOCK = [1, 2] as const;

export class PipePort implements PortDriver {
  readonly queues: readonly RingSet[];
  readonly stamped = false;
  readonly partialChecksums = false;
  readonly fds: readonly number[];
  readonly note: string;
  readonly mac = new Uint8Array(6);
  readonly mtu: number;
  readonly due = Infinity;
  readonly finished = false;
  private readonly file: number;
  private readonly side: 0 | 1;
  private readonly bells: readonly [own: number, other: number];
  private readonly mapping: Mapping;
  private readonly memory: Mapping;
  private readonly pipe: NativePipe;
  private readonly counts: Float64Array;
  private present = 0;
  private lookAgain = 0;

  /** @throws FramekeepError E_PIPE_BUSY when both ends are taken */
  constructor(context: PortContext, options: PortOptions | undefined, path: string, kind: string) {
    options?.done();
    this.file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    const side = END_LOCK.findIndex((byte) => lockFile(this.file, byte));
    if (side < 0) {
      closeSync(this.file);
      throw new FramekeepError('E_PIPE_BUSY', `both ends of the pipe ${path} are taken`, 'use another name');
    }
    this.side = side as 0 | 1;
    const opened = [this.file], mapped: Mapping[] = [];
    const bell = (end: number): number => {
      const fifo = `${path}.${end === 0 ? 'a' : 'b'}`;
      makeFifo(fifo);
      const fd = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);  // read-write: opening never waits for the other end
      opened.push(fd);
      return fd;
    };
    try {
      ftruncateSync(this.file, pipeBytes());
      mapped.push(this.mapping = mapFile(this.file, pipeBytes(), { writable: true }));
      this.bells = [bell(side), bell(1 - side)];
      drainFd(this.bells[0]);
      const rings = makeSoftRings(SOFT_RING_SIZE);
      mapped.push(this.memory = rings.memory);
      this.queues = [rings.plane];
      this.pipe = pipeAttach({
        file: this.mapping, side: this.side, rings: this.memory, ringSize: SOFT_RING_SIZE, umem: context.umem, chunkShift: Math.log2(context.chunk),
        headroom: HEADROOM, doorbell: this.bells[1],
      });
    } catch (error) {
      mapped.forEach(unmap);
      opened.forEach(closeSync);  // and with it the end that was taken
      throw error;
    }
    this.counts = new Float64Array(this.pipe.counters);
    this.fds = [this.bells[0]];
    this.mtu = context.maxFrame - 14;
    this.note = kind === 'cap' ? 'libpcap, in a helper process' : `shared memory, end ${side === 0 ? 'A' : 'B'}`;
  }

  receive(now: number): void {
    pipeReceive(this.pipe.handle, BURST);
    if (now < this.lookAgain) return;
    this.lookAgain = now + 100e6;
    this.present = lockHeld(this.file, END_LOCK[1 - this.side]) ? 1 : 0;
  }

  transmit(): void { pipeTransmit(this.pipe.handle, this.present); }
  woken(): void { drainFd(this.bells[0]); }

  /** Whether somebody has the other end. */
  get isConnected(): boolean { return this.present === 1; }

  statistics(counters: Float64Array): string | undefined {
    counters[PORT.txErrors] = this.counts[0] + this.counts[1];
    return undefined;
  }

  close(): void {
    unmap(this.mapping);
    releaseSoftRings(SOFT_RING_SIZE, this.memory);
    closeSync(this.bells[0]);
    closeSync(this.bells[1]);
    closeSync(this.file);
  }
}
