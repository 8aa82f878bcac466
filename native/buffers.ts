/** Buffers on and off rings, a burst at a time (native/src/buffers.cc). Their memory is a Buffers' (switch/buffers.ts). All hot. */
import { addon } from './addon.js';

/** Words at the head of that memory (struct Head). The states and the stack of free buffers follow. */
export const BUFFERS_HEAD = { count: 0, first: 1, chunkShift: 2, checked: 3, freeCount: 4, wrongBuffer: 5, wrongFrom: 6, wrongTo: 7 } as const;
export const BUFFERS_HEAD_BYTES = 64;
/** What the passes return when the checker found a transition that is not allowed; the head says which. */
export const OWNERSHIP_BROKEN = -71;  // -EPROTO

/**
 * Lists what goes where, from the burst's first frame on, as far as each goes to one open port.
 * @param burst   `count` frames, `egress` decided
 * @param open    by verdict: 1 for a port that frames may go out of
 * @param lists   256 bytes a port: indices into the burst
 * @param listed  by port: how many
 * @returns frames that are listed; the next one, if there is one, goes nowhere or to several; or a negative errno
 */
export const burstList: (burst: Uint8Array, open: Uint8Array, lists: Uint8Array, listed: Uint16Array) => number = addon['burstList'] as any;

/**
 * Puts frames of a burst onto a TX ring, in the list's order, and notes the port as a holder of each. The caller has made sure of room.
 * @param list     indices into the burst
 * @param flooded  by buffer - first: 1 for those that other TX rings have as well
 * @param at       free-running index of the ring's next entry
 * @returns bytes of those frames, or a negative errno
 */
export const buffersPut: (buffers: Uint8Array, burst: Uint8Array, list: Uint8Array, count: number, port: number, flooded: Uint8Array,
  ring: Uint32Array, entries: number, mask: number, at: number) => number = addon['buffersPut'] as any;

/**
 * Takes the addresses of sent frames off a completion ring: one holder fewer, free when it was the last.
 * @param others  two words each: addresses of frames that are not of this lane; room for `count`
 * @returns how many those are, or a negative errno
 */
export const buffersTakeBack: (buffers: Uint8Array, flooded: Uint8Array, others: Uint32Array, ring: Uint32Array, entries: number, mask: number, at: number,
  count: number) => number = addon['buffersTakeBack'] as any;

/** Gives a port `count` free buffers to receive into, by its fill ring. @returns 0 or a negative errno */
export const buffersGive: (buffers: Uint8Array, port: number, ring: Uint32Array, entries: number, mask: number, at: number, count: number) => number = addon['buffersGive'] as any;

/** One holder fewer of each buffer of the list's first `count`, but for 0xFFFFFFFF. @returns 0 or a negative errno */
export const buffersRelease: (buffers: Uint8Array, list: Uint32Array, count: number) => number = addon['buffersRelease'] as any;
