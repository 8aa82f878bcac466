/** A lane's index as a cursor over records: no object a record. */
import type { Mapping } from '../native/index.js';
import { RECORD_BYTES, type LaneGeometry } from './format.js';

const SEGMENT_WORDS = 2 ** 28;

export class IndexView {
  readonly slots: number;
  /** The u32 words that hold the record the cursor is at, and where it begins in them. */
  words: Uint32Array;
  base = 0;
  private readonly first: Uint32Array;
  private readonly segments: readonly Uint32Array[];
  /** In words. */
  private readonly offset: number;

  constructor(head: Mapping, lane: LaneGeometry) {
    this.slots = lane.slots;
    this.offset = lane.indexOffset / 4;
    this.segments = head.segments.map((s) => new Uint32Array(s));
    this.words = this.first = this.segments[0];
  }

  /** Moves the cursor; the getters below then read that record. */
  at(slot: number): this {
    const word = this.offset + slot * (RECORD_BYTES / 4);
    // Dividing doubles took an eighth of a recovery.
    if (word < SEGMENT_WORDS) {
      if (this.words !== this.first) this.words = this.first;
      this.base = word;
    } else {
      this.words = this.segments[Math.floor(word / SEGMENT_WORDS)];
      this.base = word % SEGMENT_WORDS;
    }
    return this;
  }
  get generation(): number { return this.words[this.base]; }
  get buffer(): number { return this.words[this.base + 1]; }
  get timeLow(): number { return this.words[this.base + 2]; }
  get timeHigh(): number { return this.words[this.base + 3]; }
  get offsetInBuffer(): number { return this.words[this.base + 4] & 0xffff; }
  get kept(): number { return this.words[this.base + 4] >>> 16; }
  get wire(): number { return (this.words[this.base + 5] & 0xffff) | ((this.words[this.base + 6] >>> 8) & 0xff0000); }
  get ingress(): number { return (this.words[this.base + 5] >>> 16) & 0xff; }
  get verdict(): number { return this.words[this.base + 5] >>> 24; }
  get boot(): number { return this.words[this.base + 6] & 0xffff; }
  get flags(): number { return (this.words[this.base + 6] >>> 16) & 0xff; }
}

/** The sequence number of the record at `slot`: 0 is the first frame that the lane ever kept. */
export const sequenceOf = (generation: number, slots: number, slot: number): number => (generation - 1) * slots + slot;
