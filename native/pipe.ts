/** A wire between two processes in shared memory (native/src/pipe.cc). */
import { addon } from './addon.js';
import { FramekeepError, errnoName } from './error.js';
import type { Mapping } from './memory.js';

export interface NativePipe {
  readonly handle: unknown;
  /** f64: frames too long for the wire, frames that the other side garbled. */
  readonly counters: ArrayBuffer;
}

/** Size of a pipe's file. */
export const pipeBytes: () => number = addon['pipeBytes'] as any;

/** A FIFO (mkfifo(3)) of mode 0600; one that is there already is fine. */
export function makeFifo(path: string): void {
  const r: number = addon['makeFifo'](path);
  if (r < 0) throw new FramekeepError('E_PIPE', `the doorbell ${path} cannot be made: ${errnoName(r)}`, 'check that the run directory is writable');
}

export function pipeAttach(o: { file: Mapping; side: 0 | 1; rings: Mapping; ringSize: number; umem: Mapping; chunkShift: number; headroom: number; doorbell: number }): NativePipe {
  const r = addon['pipeAttach'](o.file.id, o.side, o.rings.id, o.ringSize, o.umem.id, o.chunkShift, o.headroom, o.doorbell);
  if (typeof r === 'number') throw new FramekeepError('E_PIPE', `the pipe cannot be attached: ${r === -71 ? 'its file is not a pipe of this version' : errnoName(r)}`, 'remove the file, or run the same version at both ends');
  return r;
}

/** Hot: frames brought in, at most `most`. */
export const pipeReceive: (handle: unknown, most: number) => number = addon['pipeReceive'] as any;
/** Hot: frames taken off the tx ring; `present` 0: nobody is at the other end. Or a negative errno. */
export const pipeTransmit: (handle: unknown, present: number) => number = addon['pipeTransmit'] as any;
/** Empties a doorbell after poll(2) said it rang. */
export const drainFd: (fd: number) => void = addon['drainFd'] as any;
