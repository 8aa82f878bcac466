/**
 * `gen:NAME`: makes frames at a rate. Options:
 *   rate=N    frames a second (default 1000; 0: as many as the switch takes)
 *   size=N    bytes a frame without FCS, 60 by default
 *   count=N   how many in all (default: no end)
 *   src=MAC   dst=MAC   the first addresses; with macs=N the last bytes count up through N of each
 * Payload: EtherType 0x88B5 (IEEE 802 local experimental), the frame's number as u64 big-endian, then zeros.
 */
import { HEADROOM, type PortContext } from './driver.js';
import { parseMac, type PortOptions } from './options.js';
import { SoftPort, SOFT_RING_SIZE } from './soft.js';
import { BURST } from '../burst.js';

export class GenPort extends SoftPort {
  readonly note: string;
  private readonly size: number;
  private readonly count: number;
  private readonly interval: number;  // ns between frames; 0: no pace
  private readonly macs: number;
  private readonly dst: Uint8Array;
  private readonly src: Uint8Array;
  private made = 0;
  private started = 0;

  constructor(context: PortContext, options: PortOptions, spec: string) {
    super(context);
    const rate = options.number('rate', 1000);
    this.size = options.number('size', 60, 22, context.chunk - HEADROOM);
    this.count = options.number('count', Infinity, 0);
    this.macs = options.number('macs', 1, 1, 1 << 24);
    this.dst = parseMac(options.text('dst', '02:00:00:00:00:02'), spec);
    this.src = parseMac(options.text('src', '02:00:00:00:00:01'), spec);
    options.done();
    this.interval = rate === 0 ? 0 : 1e9 / rate;
    this.due = 0;
    this.note = `generator, ${rate === 0 ? 'as fast as it goes' : `${rate} frames/s`} of ${this.size} bytes`;
  }

  receive(now: number): void {
    if (this.finished) return;
    if (this.started === 0) this.started = now;
    let want = Math.min(BURST, this.count - this.made);
    if (this.interval > 0) want = Math.min(want, Math.floor((now - this.started) / this.interval) + 1 - this.made);
    const n = want > 0 ? this.capacity(Math.min(want, SOFT_RING_SIZE)) : 0;
    for (let i = 0; i < n; i++) this.make();
    if (n > 0) this.publish();
    this.finished = this.made >= this.count;
    this.due = this.finished ? Infinity : this.interval === 0 ? 0 : this.started + this.made * this.interval;
  }

  private make(): void {
    this.takeBuffer();
    const words = this.words[this.segment], w = this.frameAt >>> 2, { dst, src, macs } = this;
    const number = this.made++, step = macs > 1 ? number % macs : 0;
    const d4 = (dst[5] + (dst[4] << 8) + (dst[3] << 16) + step) & 0xffffff, s4 = (src[5] + (src[4] << 8) + (src[3] << 16) + step) & 0xffffff;
    words[w] = dst[0] | (dst[1] << 8) | (dst[2] << 16) | ((d4 >>> 16) << 24);
    words[w + 1] = ((d4 >>> 8) & 0xff) | ((d4 & 0xff) << 8) | (src[0] << 16) | (src[1] << 24);
    words[w + 2] = src[2] | ((s4 >>> 16) << 8) | (((s4 >>> 8) & 0xff) << 16) | ((s4 & 0xff) << 24);
    const high = Math.floor(number / 4294967296), low = number >>> 0;
    words[w + 3] = 0xb588 | (high >>> 24 << 16) | ((high >>> 16) & 0xff) << 24;
    words[w + 4] = ((high >>> 8) & 0xff) | ((high & 0xff) << 8) | (low >>> 24 << 16) | (((low >>> 16) & 0xff) << 24);
    words[w + 5] = ((low >>> 8) & 0xff) | ((low & 0xff) << 8);
    // Nothing of the buffer's earlier frame may show.
    for (let k = 6; k << 2 < this.size; k++) words[w + k] = 0;
    this.give(this.size);
  }
}
