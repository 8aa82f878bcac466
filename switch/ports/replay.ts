/**
 * `replay:FILE`: the frames of a capture (pcap or pcapng), at their recorded pace. What the switch sends to this port is
 * counted and let go. Options:
 *   speed=F    factor on the pace (default 1; 0: as fast as the switch takes them)
 *   filter=E   only frames that this pcap-filter expression selects; two ports that replay one capture with opposite
 *              filters play both sides of a conversation, in step
 *   loop       again from the beginning, after the last frame
 *   count=N    N frames in all
 */
import { FramekeepError } from '../../native/index.js';
import { openCapture } from '../../logger/capture/open.js';
import type { CaptureReader } from '../../logger/capture/reader.js';
import { toJavaScript, type FrameMatch } from '../../logger/filter/index.js';
import { DROP_OVERSIZE } from '../../logger/format.js';
import { BURST } from '../burst.js';
import { PORT } from '../counters.js';
import { HEADROOM, type PortContext } from './driver.js';
import type { PortOptions } from './options.js';
import { SoftPort } from './soft.js';

const LINKTYPE_ETHERNET = 1;

export class ReplayPort extends SoftPort {
  readonly note: string;
  private readonly path: string;
  private reader: CaptureReader;
  private readonly speed: number;
  private readonly loop: boolean;
  private readonly count: number;
  private readonly match: FrameMatch | undefined;
  private readonly largest: number;
  private given = 0;
  private oversize = 0;
  /** Replay time 0: when this pass began, and the capture's first time stamp (whoever's frame it was). */
  private started = 0;
  private firstTime = -1;
  private elapsed = 0;
  /** Whether the reader stands at a frame that was not given yet, and when that is due. */
  private waiting = false;
  private frameDue = 0;
  /** Whether the capture turned out to be damaged, and what is still to be told of it. */
  private broken = false;
  private trouble: string | undefined;

  /** @param program  the `filter` option compiled */
  constructor(context: PortContext, options: PortOptions, path: string, program: Uint32Array | undefined) {
    super(context);
    this.path = path;
    this.speed = options.number('speed', 1);
    this.loop = options.flag('loop');
    this.count = options.number('count', Infinity, 1);
    const filter = options.text('filter', '');
    options.done();
    this.match = program === undefined ? undefined : toJavaScript(program);
    this.largest = context.chunk - HEADROOM;
    this.reader = openCapture(path);
    this.note = `replay${this.speed === 1 ? '' : this.speed === 0 ? ', no pace' : `, ${this.speed} times the pace`}${filter === '' ? '' : `, ${filter}`}`;
    this.due = 0;
    try {
      this.waiting = this.read();  // a file that is no capture is found here, not in mid-traffic
    } catch (error) {
      this.reader.close();
      throw error;
    }
    if (!this.waiting) this.finish();
  }

  receive(now: number): void {
    if (this.finished) return;
    if (this.started === 0) this.started = now;
    const room = this.capacity(BURST);
    let n = 0;
    while (n < room && this.waiting && (this.speed === 0 || this.started + this.frameDue <= now)) {
      n += this.bringIn();
      this.waiting = this.given < this.count && this.readOn();
    }
    if (n > 0) this.publish();
    if (!this.waiting) {
      if (this.loop && this.given > 0 && this.given < this.count && !this.broken) this.rewind(now); else this.finish();
    }
    // Out of buffers or ring space: again next turn.
    this.due = this.finished ? Infinity : this.speed === 0 || n === room ? 0 : this.started + this.frameDue;
  }

  statistics(counters: Float64Array): string | undefined {
    if (this.oversize > 0) {
      counters[PORT.received] += this.oversize;
      counters[PORT.notSelected] += this.oversize;
      counters[PORT.dropped + DROP_OVERSIZE] += this.oversize;
      this.oversize = 0;
    }
    const { trouble } = this;
    this.trouble = undefined;
    return trouble;
  }

  override close(): void {
    this.reader.close();
    super.close();
  }

  /** Puts the frame that the reader stands at into a buffer. @returns 0 when it is too long for one */
  private bringIn(): number {
    const { reader } = this, { captured } = reader;
    this.given++;
    if (captured > this.largest) { this.oversize++; return 0; }
    this.takeBuffer();
    const to = this.context.segments[this.segment], { bytes, offset } = reader, at = this.frameAt;
    for (let i = 0; i < captured; i++) to[at + i] = bytes[offset + i];
    this.give(captured);
    return 1;
  }

  /** Moves to the next frame that the filter selects, and says when it is due. */
  private read(): boolean {
    const { reader, match } = this;
    while (reader.next()) {
      if (reader.linkType !== LINKTYPE_ETHERNET) {
        throw new FramekeepError('E_CAPTURE_LINKTYPE', `${this.path} holds frames of link type ${reader.linkType}, not Ethernet`, 'replay a capture that was taken on an Ethernet interface');
      }
      if (reader.hasTime) {  // one without a time of its own comes right after the one before
        const time = reader.tsHi * 4294967296 + reader.tsLo;
        if (this.firstTime < 0) this.firstTime = time;
        this.elapsed = Math.max(0, time - this.firstTime);
      }
      if (match !== undefined && match(reader.bytes, reader.offset, reader.captured, reader.wire) === 0) continue;
      this.frameDue = this.speed === 0 ? 0 : this.elapsed / this.speed;
      return true;
    }
    return false;
  }

  /** In mid-traffic: a capture that ends badly ends the replay, and is told. */
  private readOn(): boolean {
    try {
      return this.read();
    } catch (error) {
      this.broken = true;
      this.trouble = (error as Error).message;
      return false;
    }
  }

  private rewind(now: number): void {
    let again: CaptureReader;
    try {
      again = openCapture(this.path);
    } catch (error) {  // it was there when the port was opened
      this.broken = true;
      this.trouble = (error as Error).message;
      return this.finish();
    }
    this.reader.close();
    this.reader = again;
    this.started = Math.max(now, this.started + (this.speed === 0 ? 0 : this.elapsed / this.speed));
    this.firstTime = -1;
    this.elapsed = 0;
    this.waiting = this.readOn();
  }

  private finish(): void {
    this.finished = true;
    this.due = Infinity;
  }
}
