/**
 * Reads pcapng (draft-ietf-opsawg-pcapng; section numbers are its): either byte order, several sections and interfaces, frames in
 * Enhanced, Simple and obsolete Packet Blocks; other blocks are skipped.
 */
import * as code from './codes.js';
import { CaptureReader, ZEROS } from './reader.js';
import { fromUnits, scaled } from './time.js';

/** Larger than any block that makes sense, and what memory a file can claim at most. */
const LARGEST_BLOCK = 64 << 20;
/** Of a section; and what is kept of a name, so that the table stays below 20 MB. */
const MOST_INTERFACES = 65536, LONGEST_NAME = 256;

interface Interface {
  readonly name: string;
  readonly linkType: number;
  readonly snapLength: number;
  readonly fcsLength: number;
  /** ns in a unit of its time stamps, or 0 where that is no such whole number or there is an offset. */
  readonly unit: number;
  readonly resolution: number;
  readonly timeOffset: bigint;
}

export class PcapngReader extends CaptureReader {
  readonly format = 'pcapng';
  private little = true;
  private interfaces: Interface[] = [];
  private sections = 0;

  protected override advance(): boolean {
    const source = this.source;
    for (;;) {
      if (!source.has(12)) {
        if (source.end === source.position) return false;
        throw this.truncated(source.offset, 'the 12 bytes that a block has at least');
      }
      // A section's type reads the same in either byte order; its own comes after its length.
      if (source.view.getUint32(source.position, true) === code.SECTION_HEADER) this.beginSection();
      const little = this.little, type = source.view.getUint32(source.position, little), length = source.view.getUint32(source.position + 4, little);
      if (length < 12 || (length & 3) !== 0 || length > LARGEST_BLOCK) throw this.badLength(type, length);
      const needed = type === code.ENHANCED_PACKET || type === code.PACKET || type === code.SIMPLE_PACKET || type === code.INTERFACE_DESCRIPTION;
      if (!needed) { this.skip(length); continue; }
      if (!source.has(length)) throw this.truncated(source.offset, `a block of ${length} bytes`);
      const at = source.position, trailer = source.view.getUint32(at + length - 4, little);
      if (trailer !== length) throw this.badTrailer(source.offset, length, trailer);
      if (type === code.INTERFACE_DESCRIPTION) {
        this.describe(at, length);
        source.position = at + length;
        continue;
      }
      this.bytes = source.bytes;
      if (type === code.ENHANCED_PACKET) this.enhanced(at, length);
      else if (type === code.SIMPLE_PACKET) this.simple(at, length);
      else this.obsolete(at, length);
      source.position = at + length;
      return true;
    }
  }

  /** 4.3 */
  private enhanced(at: number, length: number): void {
    const view = this.source.view, little = this.little;
    if (length < 32) throw this.badLength(code.ENHANCED_PACKET, length);
    this.from(at, view.getUint32(at + 8, little), at + 28, view.getUint32(at + 20, little), view.getUint32(at + 24, little), at + length - 4);
    this.time(view.getUint32(at + 12, little), view.getUint32(at + 16, little));
  }

  /** Appendix A: as the enhanced one, with 16 bits each of interface and drop count. */
  private obsolete(at: number, length: number): void {
    const view = this.source.view, little = this.little;
    if (length < 32) throw this.badLength(code.PACKET, length);
    this.from(at, view.getUint16(at + 8, little), at + 28, view.getUint32(at + 20, little), view.getUint32(at + 24, little), at + length - 4);
    this.time(view.getUint32(at + 12, little), view.getUint32(at + 16, little));
  }

  /** 4.4: of the first interface, without a time; captured to its snap length. */
  private simple(at: number, length: number): void {
    if (length < 16) throw this.badLength(code.SIMPLE_PACKET, length);
    const wire = this.source.view.getUint32(at + 8, this.little), snap = this.interfaces.length > 0 ? this.interfaces[0].snapLength : 0;
    this.from(at, 0, at + 12, snap !== 0 && snap < wire ? snap : wire, wire, at + length - 4);
    this.tsHi = this.tsLo = 0;
    this.hasTime = false;
  }

  private from(block: number, interfaceId: number, offset: number, captured: number, wire: number, limit: number): void {
    const shift = this.source.offset - block;
    if (interfaceId >= this.interfaces.length) {
      throw this.malformed(block + shift, `frame ${this.frames + 1} of interface ${interfaceId}, expected one of the ${this.interfaces.length} described`);
    }
    if (captured > limit - offset) throw this.malformed(block + shift, `frame ${this.frames + 1} of ${captured} bytes in a block that has room for ${limit - offset}`);
    const port = this.interfaces[interfaceId];
    this.interfaceId = interfaceId;
    this.interfaceName = port.name;
    this.linkType = port.linkType;
    this.fcsLength = port.fcsLength;
    this.offset = offset;
    this.captured = captured;
    this.wire = wire < captured ? captured : wire;
  }

  private time(hi: number, lo: number): void {
    const port = this.interfaces[this.interfaceId];
    this.hasTime = true;
    if (port.unit === 1) { this.tsHi = hi; this.tsLo = lo; }
    else if (port.unit !== 0) scaled(hi, lo, port.unit, this);
    else fromUnits(hi, lo, port.resolution, port.timeOffset, this);
  }

  /** 4.1; leaves the position where it was. */
  private beginSection(): void {
    const source = this.source;
    if (!source.has(28)) throw this.truncated(source.offset, 'the 28 bytes of a section header');
    const at = source.position, magic = source.view.getUint32(at + 8, true);
    if (magic !== code.BYTE_ORDER_MAGIC && source.view.getUint32(at + 8, false) !== code.BYTE_ORDER_MAGIC) {
      throw this.malformed(source.offset + 8, `${hex(magic)}, expected the byte-order magic 0x1a2b3c4d`);
    }
    const little = magic === code.BYTE_ORDER_MAGIC, length = source.view.getUint32(at + 4, little);
    if (length < 28) throw this.badLength(code.SECTION_HEADER, length);
    const major = source.view.getUint16(at + 12, little);
    if (major !== 1) throw this.malformed(source.offset + 12, `a section of version ${major}.${source.view.getUint16(at + 14, little)}, expected 1.x`);
    this.little = little;
    this.interfaces = [];
    this.section = this.sections++;
  }

  /** 4.2 */
  private describe(at: number, length: number): void {
    const { view, bytes } = this.source, little = this.little, start = this.source.offset - at;
    if (length < 20) throw this.badLength(code.INTERFACE_DESCRIPTION, length);
    if (this.interfaces.length === MOST_INTERFACES) throw this.malformed(at + start, `more than ${MOST_INTERFACES} interfaces`);
    let name = '', resolution = 6, timeOffset = 0n, fcsLength = 0;
    const end = at + length - 4;
    for (let p = at + 16; p + 4 <= end;) {
      const id = view.getUint16(p, little), size = view.getUint16(p + 2, little), value = p + 4;
      if (id === code.OPT_END) break;
      if (value + size > end) throw this.malformed(p + start, `option ${id} of ${size} bytes, expected at most ${end - value}`);
      if (id === code.IF_NAME) name = Buffer.from(bytes.buffer, value, Math.min(size, LONGEST_NAME)).toString();
      else if (id === code.IF_TSRESOL && size === 1) resolution = bytes[value];
      else if (id === code.IF_FCSLEN && size === 1) fcsLength = bytes[value];
      else if (id === code.IF_TSOFFSET && size === 8) timeOffset = view.getBigInt64(value, little);
      p = value + ((size + 3) & ~3);
    }
    this.interfaces.push({
      name, linkType: view.getUint16(at + 8, little), snapLength: view.getUint32(at + 12, little), fcsLength, resolution, timeOffset,
      unit: timeOffset === 0n && resolution >= 3 && resolution <= 9 ? 10 ** (9 - resolution) : 0,
    });
  }

  private skip(length: number): void {
    const source = this.source, start = source.offset;
    if (!source.skip(length - 4) || !source.has(4)) throw this.truncated(start, `a block of ${length} bytes`);
    const trailer = source.view.getUint32(source.position, this.little);
    if (trailer !== length) throw this.badTrailer(start, length, trailer);
    source.position += 4;
  }

  private badLength(type: number, length: number): Error {
    const at = this.source.offset;
    if (type === 0 && length === 0) return this.malformed(at, ZEROS);
    return this.malformed(at + 4, `a block of type ${hex(type)} and ${length} bytes, expected a multiple of 4, large enough for it and at most ${LARGEST_BLOCK}`);
  }

  private badTrailer(block: number, length: number, trailer: number): Error {
    return this.malformed(block + length - 4, `a block that ends with the length ${trailer}, expected ${length} as it began`);
  }
}

function hex(value: number): string { return `0x${value.toString(16).padStart(8, '0')}`; }
