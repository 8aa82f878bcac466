/**
 * Passes over a burst that are done in C++, since it can fetch ahead: the gather pass over a burst's descriptors and headers (native/src/gather.cc), the look-up
 * of both addresses (native/src/probe.cc). The arrays they fill are switch/burst.ts's.
 */
import { addon } from './addon.js';

/**
 * Hot, one call a burst: reads `count` descriptors of an RX ring, and of each frame the first 16 bytes and the stamp before it.
 * @param mappingId  the UMEM that descriptors' addresses are relative to
 * @param burst      the memory of a Burst (switch/burst.ts), whose first words say which descriptors
 * @param ring       the ring's memory
 * @returns 0, or a negative errno (-14: a descriptor points outside of the UMEM; -22: no such mapping or ring)
 */
export const burstGather: (mappingId: number, burst: Uint8Array, ring: Uint32Array) => number = addon['burstGather'] as any;

/** Byte offsets of the arrays in a Burst's memory as C++ has them, and its size. */
export const burstLayout: () => Record<string, number> = addon['burstLayout'] as any;

/**
 * Hot, one call a burst: looks the burst's undecided frames up in a forwarding table (native/src/probe.cc, switch/fdb.ts). Sets
 * `dstPort` of each to a port or 255, and refreshes sources that are known at `ingress`.
 * @param burst   the memory of a Burst, gathered with the table's seed
 * @param table   the table's entries, four words each
 * @param now     seconds
 * @param ageing  seconds; 0: never
 * @returns how many sources are not known at `ingress` (group addresses among them), or a negative errno
 */
export const fdbProbe: (burst: Uint8Array, table: Uint32Array, ingress: number, now: number, ageing: number, vlanAware: boolean) => number = addon['fdbProbe'] as any;
