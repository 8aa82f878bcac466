/**
 * Frames that carry their number, for measuring: what `framekeep gen` sends and `framekeep sink` counts.
 *
 *   0 destination (6)   6 source (6)   12 EtherType 0x88B5 (IEEE 802, local experimental)
 *   14 number u64 BE, from 0   22 time u64 BE: ns, CLOCK_MONOTONIC; 0: none   30 stream u32 BE: which generator; 0: unknown   34 zeros
 *
 * A frame has what fits: the number always (22 bytes), the time from 30, the stream from 34. The `gen:` port writes numbers alone.
 */
export const ETHERTYPE = 0x88b5, SHORTEST = 22;

export interface NumberedOptions {
  readonly sizes: readonly number[];
  readonly source: Uint8Array;
  readonly sources: number;
  readonly destination: Uint8Array;
  readonly destinations: number;
  readonly stream: number;
}

/** One frame of a size, with everything but number and time; the last three address bytes are the first station's. */
export function template(o: NumberedOptions, size: number): Uint8Array {
  const f = new Uint8Array(size), view = new DataView(f.buffer);
  f.set(o.destination, 0);
  f.set(o.source, 6);
  view.setUint16(12, ETHERTYPE);
  if (size >= 34) view.setUint32(30, o.stream);
  return f;
}

/** Writes numbered frames one after the other: a maker's work. */
export class Numbering {
  number = 0;
  private readonly frames: readonly Uint8Array[];
  private readonly o: NumberedOptions;
  private readonly firstSource: number;
  private readonly firstDestination: number;

  constructor(o: NumberedOptions) {
    this.o = o;
    this.frames = o.sizes.map((size) => template(o, size));
    this.firstSource = low24(o.source);
    this.firstDestination = low24(o.destination);
  }

  /** No allocation. @param now ns, CLOCK_MONOTONIC @returns the frame's length */
  write(to: Uint8Array, at: number, now: number): number {
    const n = this.number++, frame = this.frames[n % this.frames.length], { length } = frame;
    for (let i = 0; i < length; i++) to[at + i] = frame[i];
    put24(to, at + 3, this.firstDestination + n % this.o.destinations);
    put24(to, at + 9, this.firstSource + n % this.o.sources);
    put64(to, at + 14, n);
    if (length >= 30) put64(to, at + 22, now);
    return length;
  }
}

const low24 = (mac: Uint8Array): number => (mac[3] << 16) | (mac[4] << 8) | mac[5];

function put24(to: Uint8Array, at: number, x: number): void {
  to[at] = x >>> 16;
  to[at + 1] = x >>> 8;
  to[at + 2] = x;
}

function put64(to: Uint8Array, at: number, x: number): void {
  const high = Math.floor(x / 4294967296), low = x >>> 0;
  to[at] = high >>> 24;
  to[at + 1] = high >>> 16;
  to[at + 2] = high >>> 8;
  to[at + 3] = high;
  to[at + 4] = low >>> 24;
  to[at + 5] = low >>> 16;
  to[at + 6] = low >>> 8;
  to[at + 7] = low;
}

const get32 = (b: Uint8Array, at: number): number => ((b[at] << 24) | (b[at + 1] << 16) | (b[at + 2] << 8) | b[at + 3]) >>> 0;
const get64 = (b: Uint8Array, at: number): number => get32(b, at) * 4294967296 + get32(b, at + 4);

/** Numbers that one is told from the other of: a frame later than so many after it counts as too late to tell a duplicate. */
const WINDOW = 1 << 16;

/** What came of one generator's frames. */
export class StreamCount {
  readonly stream: number;
  received = 0;
  /** The first number that came, and the highest. */
  first = -1;
  highest = -1;
  /** Came again. */
  duplicates = 0;
  /** Came after a higher number. */
  reordered = 0;
  /** Came so late that it may have come before. */
  tooLate = 0;
  /** By number mod WINDOW: seen since that number came up. */
  private readonly seen = new Uint8Array(WINDOW);

  constructor(stream: number) { this.stream = stream; }

  count(number: number): void {
    this.received++;
    if (this.first < 0) this.first = this.highest = number;
    else if (number > this.highest) {
      const skipped = number - this.highest - 1;
      if (skipped >= WINDOW) this.seen.fill(0);
      else for (let n = this.highest + 1; n < number; n++) this.seen[n % WINDOW] = 0;
      this.highest = number;
    } else if (number <= this.highest - WINDOW) {
      this.tooLate++;
      return;
    } else if (this.seen[number % WINDOW] === 1) {
      this.duplicates++;
      return;
    } else {
      this.reordered++;
      if (number < this.first) this.first = number;
    }
    this.seen[number % WINDOW] = 1;
  }

  /** Between the first and the highest number; `tooLate` ones count as having come. */
  get lost(): number { return this.first < 0 ? 0 : this.highest - this.first + 1 - (this.received - this.duplicates); }
}

/** Spans of time by size: 16 steps each doubling, 6 % apart. */
export class Latencies {
  private readonly buckets = new Uint32Array(64 * 16);
  count = 0;
  least = Infinity;
  most = 0;

  add(ns: number): void {
    const x = Math.max(1, ns), power = Math.floor(Math.log2(x)), step = Math.floor((x / 2 ** power - 1) * 16);
    this.buckets[Math.min(power * 16 + step, 1023)]++;
    this.count++;
    if (ns < this.least) this.least = ns;
    if (ns > this.most) this.most = ns;
  }

  /** @param share 0.5: the median @returns ns, the upper end of its step */
  quantile(share: number): number {
    let left = Math.ceil(this.count * share);
    for (let i = 0; i < this.buckets.length; i++) {
      left -= this.buckets[i];
      if (left <= 0 && this.count > 0) return Math.min(this.most, 2 ** Math.floor(i / 16) * (1 + (i % 16 + 1) / 16));
    }
    return this.most;
  }
}

/** Counts frames as they come: a reader's work. */
export class NumberedCount {
  frames = 0;
  bytes = 0;
  /** Of another EtherType, or too short for a number. */
  foreign = 0;
  /** ns, CLOCK_MONOTONIC. */
  firstTime = 0;
  lastTime = 0;
  readonly latencies = new Latencies();
  readonly streams = new Map<number, StreamCount>();
  private last: StreamCount | undefined;

  read(b: Uint8Array, at: number, length: number, now: number): void {
    if (this.frames++ === 0) this.firstTime = now;
    this.lastTime = now;
    this.bytes += length;
    if (length < SHORTEST || ((b[at + 12] << 8) | b[at + 13]) !== ETHERTYPE) { this.foreign++; return; }
    const stream = length >= 34 ? get32(b, at + 30) : 0;
    if (this.last === undefined || this.last.stream !== stream) this.last = this.streamOf(stream);
    this.last.count(get64(b, at + 14));
    if (length < 30) return;
    const sent = get64(b, at + 22);
    if (sent > 0 && sent <= now && now - sent < 60e9) this.latencies.add(now - sent);
  }

  private streamOf(stream: number): StreamCount {
    let found = this.streams.get(stream);
    if (found === undefined) this.streams.set(stream, found = new StreamCount(stream));
    return found;
  }
}
