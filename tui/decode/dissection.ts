/**
 * What a decoder writes to while it walks through a frame: a tree of fields, and the columns of the frame list. All reading goes
 * through it, and it reads nothing outside the frame, nor outside what the layer above said there is.
 *
 *   |<------------------------ wire ------------------------>|
 *   | Ethernet | IPv4, total length says ──▶| payload ▏ padding |
 *   |<------------ captured ------>|        ^ end
 *
 * A read past `captured` stops the decoding with "cut", one past `end` with "malformed"; `decodeFrame` catches both. `cap`'s
 * decoders and dns-packet were looked at: neither says where in the frame a field lies, which the hex pane needs, and both read
 * past the end of what they are given, or throw, on frames that lie about their lengths.
 */
export interface Field {
  /** As Wireshark calls it (`ip.src`), or '' where it has no such field. */
  readonly key: string;
  readonly name: string;
  /** The value in words, printable ASCII. */
  text: string;
  /** Bytes [at, at + length) of the frame. */
  readonly at: number;
  length: number;
  /** What `text` says, as a number or in its shortest form; undefined: `text` itself. */
  readonly value: string | number | undefined;
  readonly children: Field[];
}

/** Why decoding stopped. Thrown without a stack: it is an answer, not a failure. */
export const CUT = { why: 'cut' }, MALFORMED = { why: 'malformed' };

/** Layers within layers, at most: 128 KiB of IP in IP would be 6,000. */
const DEEPEST = 24;

export class Dissection {
  readonly bytes: Uint8Array;
  /** Bytes that are there. */
  readonly captured: number;
  /** Where, by what the headers say, that which is being decoded ends. */
  end: number;
  readonly layers: Field[] = [];
  source = '';
  destination = '';
  protocol = '';
  info = '';
  /** Within a packet that an ICMP error quotes: the columns are the error's, and being cut is usual. */
  quoted = false;

  constructor(frame: Uint8Array, wire: number) {
    this.bytes = frame;
    this.captured = frame.length;
    this.end = Math.max(wire, frame.length);
  }

  /** @throws CUT or MALFORMED unless [at, at + length) can be read */
  need(at: number, length: number): void {
    if (at + length > this.end) throw MALFORMED;
    if (at + length > this.captured) throw CUT;
  }
  u8(at: number): number { this.need(at, 1); return this.bytes[at]; }
  u16(at: number): number { this.need(at, 2); return this.bytes[at] << 8 | this.bytes[at + 1]; }
  u24(at: number): number { return this.u8(at) << 16 | this.u16(at + 1); }
  u32(at: number): number { return this.u16(at) * 65536 + this.u16(at + 2); }
  /** Up to four bytes, big-endian. */
  uint(at: number, size: number): number {
    this.need(at, size);
    let x = 0;
    for (let i = 0; i < size; i++) x = x * 256 + this.bytes[at + i];
    return x;
  }
  slice(at: number, length: number): Uint8Array {
    this.need(at, length);
    return this.bytes.subarray(at, at + length);
  }
  /** Bytes from `at` to the end of this layer that were captured. */
  left(at: number): number { return Math.max(0, Math.min(this.end, this.captured) - at); }

  /** Begins a layer. `length` may be more than there is. */
  layer(key: string, name: string, at: number, length: number, text = ''): Field {
    if (this.layers.length >= DEEPEST) throw MALFORMED;
    this.need(at, 0);  // the header before may claim to end where nothing is any more
    const field: Field = { key, name, text, at, length: Math.max(0, Math.min(length, this.captured - at)), value: undefined, children: [] };
    this.layers.push(field);
    return field;
  }
  add(parent: Field, key: string, name: string, at: number, length: number, text: string, value?: string | number): Field {
    this.need(at, length);
    return this.note(parent, key, name, at, length, text, value);
  }
  /** A field that says more than its bytes do, or whose bytes need not all be there. */
  note(parent: Field, key: string, name: string, at: number, length: number, text: string, value?: string | number): Field {
    const begin = Math.min(at, this.captured);
    const field: Field = { key, name, text, at: begin, length: Math.max(0, Math.min(length, this.captured - begin)), value, children: [] };
    parent.children.push(field);
    return field;
  }
  /** An unsigned number of one to four bytes. */
  num(parent: Field, key: string, name: string, at: number, size: number, show?: (x: number) => string): number {
    const x = this.uint(at, size);
    this.note(parent, key, name, at, size, show === undefined ? String(x) : show(x), x);
    return x;
  }
  /** Some bits of a number. `key` may be one that Wireshark shows as a truth value. */
  bits(parent: Field, key: string, name: string, at: number, size: number, mask: number, show?: (x: number) => string): number {
    const x = Math.floor((this.uint(at, size) & mask) >>> 0) / lowestBit(mask);
    const single = (mask & (mask - 1)) === 0;
    this.note(parent, key, name, at, size, show !== undefined ? show(x) : single ? (x === 1 ? 'set' : 'not set') : String(x), x);
    return x;
  }
  /** Bytes that nobody here knows. */
  data(parent: Field, name: string, at: number, length: number, key = ''): void {
    if (length > 0) this.note(parent, key, name, at, length, bytesText(length));
  }
  /** The rest of the layer, as a layer of its own. */
  payload(at: number, name = 'Data'): void {
    const length = this.left(at);
    if (length > 0) this.layer('', name, at, length, bytesText(length));
  }
  /** Fills the list's columns, unless this is a packet quoted in another. */
  columns(protocol: string, info: string): void {
    if (this.quoted) return;
    this.protocol = protocol;
    this.info = info;
  }
  addresses(source: string, destination: string): void {
    if (this.quoted) return;
    this.source = source;
    this.destination = destination;
  }
  /** Decodes what lies in [at, end), and gives the frame its own end back. */
  within(end: number, decode: () => void): void {
    const before = this.end;
    this.end = Math.min(before, end);
    decode();
    this.end = before;
  }
}

const lowestBit = (mask: number): number => (mask & -mask) >>> 0;
export const bytesText = (n: number): string => `${n} byte${n === 1 ? '' : 's'}`;
