/**
 * libpcap's filter compiler and interpreter, loaded at run time (`libpcap.so.0.8`, else `libpcap.so.1`).
 *
 * A program is a `Uint32Array`, two words an instruction, the bytes of `struct sock_filter` (linux/filter.h):
 *
 *     word 2i    opcode (16 bit) | jt << 16 | jf << 24
 *     word 2i+1  k
 */
import { addon } from './addon.js';
import { FramekeepError, errnoName } from './error.js';

/** The longest expression that is given to libpcap, in UTF-8 bytes: measured in native/src/pcap_filter.cc. */
export const LONGEST_FILTER = 4096;

/** libpcap's own words, "libpcap version 1.10.3 (with TPACKET_V3)"; undefined where there is no libpcap. */
export function libpcapVersion(): string | undefined {
  return addon['pcapVersion']();
}

/**
 * Compiles a pcap-filter(7) expression for Ethernet, optimised, for no interface in particular. 40 to 120 µs for what
 * people type; a name that must be resolved (`host example.org`) waits for the resolver.
 * @param snapLength  what a matching program returns, in bytes, 1 to 2^31-1
 * @returns the program, or, for a bad expression, libpcap's message as it is
 * @throws `E_LIBPCAP_MISSING`; `E_FILTER_LENGTH` past {@link LONGEST_FILTER}
 */
export function pcapCompile(expression: string, snapLength: number): Uint32Array | string {
  const result: Uint32Array | string | number = addon['pcapCompile'](expression, snapLength);
  if (typeof result !== 'number') return result;
  switch (errnoName(result)) {
    case 'ENOENT': throw missing();
    case 'EINVAL': return 'the expression contains a NUL character';  // libpcap would stop reading there
    case 'ENOMEM': throw new FramekeepError('E_MEMORY', 'no memory to compile a filter');
    default: throw new FramekeepError('E_FILTER_LENGTH',
      `the filter is ${Buffer.byteLength(expression)} bytes long; libpcap compiles up to ${LONGEST_FILTER} in reasonable time and memory`,
      'name networks instead of single hosts (net 10.1.0.0/16), or port ranges instead of single ports (portrange 6000-6100)');
  }
}

/**
 * Runs a program over many frames with libpcap's own interpreter: the oracle of tests and the peer of benchmarks.
 * @param bytes    what the frames lie in
 * @param frames   three words a frame: offset in `bytes`, captured length, length on the wire
 * @param results  one word a frame: what the program returned, 0 = not matched
 * @throws `E_FILTER_PROGRAM` if the interpreter cannot be given this program
 */
export function pcapFilterBurst(program: Uint32Array, bytes: Uint8Array, frames: Uint32Array, results: Uint32Array,
  count = results.length): void {
  const r: number = addon['pcapFilterBurst'](program, bytes, frames, results, count);
  if (r === 0) return;
  switch (errnoName(r)) {
    case 'ENOENT': throw missing();
    case 'EINVAL': throw new FramekeepError('E_FILTER_PROGRAM', 'libpcap cannot run this BPF program: an unknown instruction, a wild jump or a loop');
    default: throw new RangeError('a frame lies outside its bytes, or an array is too short');
  }
}

/** {@link pcapFilterBurst} for one frame: what the program returns for it, 0 = not matched. */
export function pcapFilterRun(program: Uint32Array, frame: Uint8Array, wireLength: number): number {
  const result = new Uint32Array(1);
  pcapFilterBurst(program, frame, Uint32Array.of(0, frame.length, wireLength), result);
  return result[0];
}

function missing(): FramekeepError {
  return new FramekeepError('E_LIBPCAP_MISSING', `filters need libpcap, which does not load: ${addon['pcapLoadError']()}`,
    'install it with: apt-get install libpcap0.8');
}
