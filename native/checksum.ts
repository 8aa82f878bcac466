/** Partial checksums, which veth delivers as the sender's stack left them. */
import { addon } from './addon.js';

/**
 * Hot, one call a burst: finishes the TCP, UDP and SCTP checksums that the sender left to its NIC, in place, over `count`
 * descriptors (`struct xdp_desc`) of an RX ring. Which frames, and why no valid one is altered: native/src/checksum.cc.
 *
 * @param mappingId  the UMEM: descriptors' addresses are relative to it; a descriptor that points outside is passed over
 * @param words      the ring's memory
 * @param entries    index in `words` of the ring's first entry
 * @param first      free-running index of the first descriptor; slot = index & mask
 * @param completed  gets 1 for each frame that was changed, else 0; at least `count` long
 * @returns how many were changed, or a negative errno (-22: no such mapping, or a range outside of its array)
 */
export const completeChecksums: (
  mappingId: number, words: Uint32Array, entries: number, first: number, count: number, mask: number, completed: Uint8Array,
) => number = addon['completeChecksums'] as any;
