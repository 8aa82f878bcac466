/**
 * A burst of frames, taken apart: one array a property, so that each pass over it is a straight loop. Filled by the gather
 * pass (native/src/gather.cc), decided by the switching logic, marked by the selection, carried out by the dispatch.
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

/** Words of `Burst.asked`: what the gather pass is told (struct Burst, native/src/gather.cc). */
export const ASK = {
  entries: 0, first: 1, count: 2, mask: 3, minFrame: 4, maxFrame: 5, chunkShift: 6, firstBuffer: 7, options: 8, seed: 9, runt: 10, oversize: 11, undecided: 12,
  flagCompleted: 13, flagSwitchTime: 14, buffers: 15,
} as const;
/** Bits of ASK.options. */
export const ASK_STAMPED = 1, ASK_CHECKSUMS = 2;
/** Places in `Burst.measured`: ns of the queue's newest stamp (in and out); bytes on the wire; ns and s of CLOCK_MONOTONIC. */
export const MEASURED = { lastStamp: 0, bytes: 1, now: 2, seconds: 3 } as const;

const HEAD_BYTES = 64 + 32, BYTES = HEAD_BYTES + BURST * 4 * 15 + BURST * 5;

export class Burst {
  count = 0;
  /** Port the frames came in at. */
  ingress = 0;
  /** Seconds, CLOCK_MONOTONIC, for ageing. */
  now = 0;
  /** All the arrays below lie in it. */
  readonly memory = new Uint8Array(BYTES);
  readonly asked = new Uint32Array(this.memory.buffer, 0, 16);
  readonly measured = new Float64Array(this.memory.buffer, 64, 4);
  /** Where each frame begins, relative to the UMEM. */
  readonly addressLow = this.words(0);
  readonly addressHigh = this.words(1);
  readonly length = this.words(2);
  /** Its buffer's number, less the lane's first: what Buffers' arrays go by. */
  readonly buffer = this.words(3);
  /** MAC bytes 0–3 and 4–5 as little-endian loads give them. */
  readonly dstLow = this.words(4);
  readonly dstHigh = this.words(5);
  readonly srcLow = this.words(6);
  readonly srcHigh = this.words(7);
  /** Bytes 12–15 as a little-endian load gives them: EtherType, and the TCI of a tagged frame; 0 past the frame's end. */
  readonly type = this.words(8);
  /** `macHash` of the addresses, with the seed of the logic's table. */
  readonly dstHash = this.words(9);
  readonly srcHash = this.words(10);
  /** ns, CLOCK_MONOTONIC. */
  readonly stampLow = this.words(11);
  readonly stampHigh = this.words(12);
  readonly set = new Uint32Array(this.memory.buffer, HEAD_BYTES + 13 * BURST * 4, 2 * BURST);
  /** Record flags gathered on the way (FLAG_SWITCH_TIME, …). */
  readonly flags = this.octets(0);
  /** A port, FLOOD, SEVERAL, or VERDICT_DROPPED + reason. */
  readonly egress = this.octets(1);
  /** KEEP_*; after the selection: 1 kept, 0 not. */
  readonly keep = this.octets(2);
  /** The same, four frames a word: what is rare is found sooner. The gather pass clears the last word's rest. */
  readonly keepWords = new Uint32Array(this.memory.buffer, HEAD_BYTES + 15 * BURST * 4 + 2 * BURST, BURST / 4);
  /** 1: the port completed its checksum. */
  readonly completed = this.octets(3);
  /** Where the destination is, of frames that were looked up (`fdbProbe`): a port, or 255. */
  readonly dstPort = this.octets(4);
  /** The UMEM's bytes, by address >>> 30. */
  readonly segments: readonly Uint8Array[];

  constructor(segments: readonly Uint8Array[]) {
    this.segments = segments;
  }

  /** Whether the logic has said of any frame whether to keep it. */
  isAsked(): boolean {
    const { keepWords } = this, words = (this.count + 3) >>> 2;
    for (let w = 0; w < words; w++) if (keepWords[w] !== 0) return true;
    return false;
  }

  private words(n: number): Uint32Array { return new Uint32Array(this.memory.buffer, HEAD_BYTES + n * BURST * 4, BURST); }
  private octets(n: number): Uint8Array { return new Uint8Array(this.memory.buffer, HEAD_BYTES + 15 * BURST * 4 + n * BURST, BURST); }
}

/**
 * Two multiply-xorshift rounds over an address, as the gather pass computes them: a weak hash on little-endian keys doubles
 * the cost of a lookup. Takes the words in one after the other, so that who does not know the seed cannot compute addresses
 * that collide. @returns 32 bits, as a signed number
 */
export function macHash(low: number, high: number, seed: number): number {
  let h = Math.imul(low ^ seed, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15) ^ Math.imul(high, 0x9e3779b1), 0xc2b2ae35);
  return h ^ (h >>> 13);
}

/** The UMEM segment that holds an address, and the offset in it. */
export const segmentOf = (low: number, high: number): number => (high << 2) | (low >>> 30);
export const offsetOf = (low: number): number => low & 0x3fffffff;
