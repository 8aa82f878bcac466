/** Sleeping in the kernel, being woken, and the clock. */
import { addon } from './addon.js';
import { FramekeepError, errnoName } from './error.js';

/** poll(2) events, asm-generic/poll.h. */
export const POLLIN = 1, POLLOUT = 4, POLLERR = 8, POLLHUP = 16, POLLNVAL = 32;

/**
 * Hot-ish: ppoll(2). `fds` is an array of `struct pollfd`: word 2i the descriptor, word 2i+1 events | revents << 16.
 * @returns how many are ready, or a negative errno (-4: EINTR)
 */
export const pollWait: (fds: Int32Array, count: number, timeoutNs: number) => number = addon['pollWait'] as any;

/** An eventfd (eventfd(2)) for waking a thread that sleeps in `pollWait`. */
export function eventCreate(): number {
  const fd: number = addon['eventCreate']();
  if (fd < 0) throw new FramekeepError('E_LIMIT', `no eventfd: ${errnoName(fd)}`, 'raise the limit of open files (ulimit -n)');
  return fd;
}
export const eventSignal: (fd: number) => number = addon['eventSignal'] as any;
export const eventClear: (fd: number) => number = addon['eventClear'] as any;

/** CLOCK_MONOTONIC into memory: `words` = [ns low, ns high], `seconds[0]`. 36 ns a call. */
export const clockRead: (words: Uint32Array, seconds: Float64Array) => void = addon['clockRead'] as any;

/** Ties the calling thread to one CPU. */
export function pinThread(cpu: number): void {
  const r: number = addon['pinThread'](cpu);
  if (r < 0) throw new FramekeepError('E_CPU', `CPU ${cpu} cannot be used: ${errnoName(r)}`, 'name a CPU that `taskset -p $$` lists');
}
