/**
 * A kept frame as its record says it, in fields that the next one overwrites: no object a frame. Who reads frames is one
 * (`PoolReader`, `FrameAccess`).
 */
import { FLAG_CONTINUED, FLAG_MORE, type Boot } from './format.js';
import { LARGEST_FRAME, type FrameWindow } from './frame_window.js';
import { fullBootId, type Recovery } from './recover.js';

export class KeptFrame {
  readonly recovery: Recovery;
  /** Full boot id. */
  boot = 0;
  /** ns since the Unix epoch, as two u32 words. */
  timeHigh = 0;
  timeLow = 0;
  /** Port number in that run. */
  ingress = 0;
  verdict = 0;
  flags = 0;
  /** Length on the wire, bytes. */
  wire = 0;
  /** The frame's kept bytes are bytes[offset, offset + captured): all of them, or of a reader with a reach so many of the first. */
  readonly bytes: Uint8Array;
  offset = 0;
  captured = 0;
  /** How many bytes its record says were kept: of a frame over several buffers, in the first. */
  kept = 0;

  private boots: Map<number, number>;
  private lastLow = -1;
  private lastFull = 0;

  /** @param memory  what `bytes` is to be: frames are copied there */
  constructor(recovery: Recovery, memory: Uint8Array) {
    this.recovery = recovery;
    this.bytes = memory;
    this.boots = fullIds(recovery.boots);
  }

  /** Tells it of runs that began since. */
  update(boots: readonly Boot[]): void {
    this.boots = fullIds(boots);
    this.lastLow = -1;
  }

  /** The full boot id of a record, which carries its low 16 bits. */
  protected bootOf(low: number): number {
    if (low !== this.lastLow) {
      this.lastLow = low;
      this.lastFull = this.boots.get(low) ?? fullBootId(this.recovery.lastBoot, low);
    }
    return this.lastFull;
  }

  /** Takes over an entry of a window. The words are those of docs/format.md. */
  protected take(w: FrameWindow, entry: number): void {
    const { records } = w, base = entry * 8, tags = records[base + 5], last = records[base + 6];
    this.boot = this.bootOf(last & 0xffff);
    this.timeLow = records[base + 2];
    this.timeHigh = records[base + 3];
    this.kept = records[base + 4] >>> 16;
    this.captured = w.bytesOf(entry);
    this.ingress = (tags >>> 16) & 0xff;
    this.verdict = tags >>> 24;
    this.flags = (last >>> 16) & 0xff;
    this.wire = (tags & 0xffff) | ((last >>> 8) & 0xff0000);
    this.offset = w.stagingAt + w.places[entry];
  }

  /** Moves the frame to where what continues it can be appended. */
  protected beginLong(): void {
    this.bytes.copyWithin(0, this.offset, this.offset + this.captured);
    this.offset = 0;
  }

  /** Appends an entry that is there. @returns whether it was one that continues a frame, and fitted */
  protected append(w: FrameWindow, entry: number): boolean {
    const base = entry * 8, kept = w.records[base + 4] >>> 16, from = w.stagingAt + w.places[entry];
    if ((w.records[base + 6] >>> 16 & FLAG_CONTINUED) === 0 || this.captured + kept > LARGEST_FRAME) return false;
    this.bytes.copyWithin(this.captured, from, from + kept);
    this.captured += kept;
    return true;
  }

  /** Whether a frame goes on behind an entry. */
  protected goesOn(w: FrameWindow, entry: number): boolean {
    return (w.records[entry * 8 + 6] >>> 16 & FLAG_MORE) !== 0;
  }
}

const fullIds = (boots: readonly Boot[]): Map<number, number> => new Map(boots.map((b) => [b.id & 0xffff, b.id]));
