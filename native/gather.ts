/** The gather pass over a burst's descriptors and headers (native/src/gather.cc); the arrays it fills are switch/burst.ts's. */
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
