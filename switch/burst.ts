/**
 * A burst of frames, taken apart: one array a property, so that each pass over it is a straight loop. Written by the gather
 * pass, decided by the switching logic, marked by the selection, carried out by the dispatch.
 */
import { VERDICT_FLOODED, VERDICT_SEVERAL } from '../logger/format.js';

/** Most frames taken from a queue in one turn. */
export const BURST = 256;

/** `egress[i]` before the logic decided: only such frames are the logic's. Others were dropped for their length. */
export const UNDECIDED = 253;
export const FLOOD = VERDICT_FLOODED;
/** The ports are in `set[2 * i]` (0–31) and `set[2 * i + 1]` (32–63). */
export const SEVERAL = VERDICT_SEVERAL;

/** `keep[i]`: let the selection decide; keep; do not keep. */
export const KEEP_SELECTED = 0, KEEP_YES = 1, KEEP_NO = 2;

export class Burst {
  count = 0;
  /** Port the frames came in at. */
  ingress = 0;
  /** Seconds, CLOCK_MONOTONIC, for ageing. */
  now = 0;
  /** Where each frame begins, relative to the UMEM. */
  readonly addressLow = new Uint32Array(BURST);
  readonly addressHigh = new Uint32Array(BURST);
  readonly length = new Uint32Array(BURST);
  /** MAC bytes 0–3 and 4–5 as little-endian loads give them. */
  readonly dstLow = new Uint32Array(BURST);
  readonly dstHigh = new Uint32Array(BURST);
  readonly srcLow = new Uint32Array(BURST);
  readonly srcHigh = new Uint32Array(BURST);
  /** Bytes 12–15 as a little-endian load gives them: EtherType, and the TCI of a tagged frame; 0 past the frame's end. */
  readonly type = new Uint32Array(BURST);
  /** ns, CLOCK_MONOTONIC. */
  readonly stampLow = new Uint32Array(BURST);
  readonly stampHigh = new Uint32Array(BURST);
  /** Record flags gathered on the way (FLAG_SWITCH_TIME, …). */
  readonly flags = new Uint8Array(BURST);
  /** A port, FLOOD, SEVERAL, or VERDICT_DROPPED + reason. */
  readonly egress = new Uint8Array(BURST);
  readonly set = new Uint32Array(BURST * 2);
  /** KEEP_*; after the selection: 1 kept, 0 not. */
  readonly keep = new Uint8Array(BURST);
  /** The UMEM's bytes, by address >>> 30. */
  readonly segments: readonly Uint8Array[];

  constructor(segments: readonly Uint8Array[]) {
    this.segments = segments;
  }
}

/** The UMEM segment that holds an address, and the offset in it. */
export const segmentOf = (low: number, high: number): number => (high << 2) | (low >>> 30);
export const offsetOf = (low: number): number => low & 0x3fffffff;
