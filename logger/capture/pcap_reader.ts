/** Reads classic pcap: microseconds or nanoseconds, either byte order, and Kuznetsov's modified form with longer record headers. */
import { ETHERNET, MAX_FRAME, PCAP_MODIFIED, PCAP_NANOSECONDS } from './codes.js';
import { CaptureReader, ZEROS } from './reader.js';
import type { ByteSource } from './source.js';
import { fromSeconds } from './time.js';

/** A frame of a link type other than Ethernet may be larger (USB, D-Bus); nothing may be larger than this. */
const LARGEST = 64 << 20;

export class PcapReader extends CaptureReader {
  readonly format = 'pcap';
  /** What the file's header says; frames may be longer all the same. */
  readonly snapLength: number;
  private readonly little: boolean;
  private readonly unit: number;
  private readonly header: number;
  private readonly oldOrder: boolean;
  private readonly longest: number;

  /** @param magic the file's first word, read little-endian if `little` */
  constructor(source: ByteSource, magic: number, little: boolean) {
    super(source);
    if (!source.has(24)) throw this.truncated(0, 'the 24 bytes of pcap\'s file header');
    const view = source.view, at = source.position;
    this.little = little;
    this.unit = magic === PCAP_NANOSECONDS ? 1 : 1000;
    this.header = magic === PCAP_MODIFIED ? 24 : 16;
    const major = view.getUint16(at + 4, little), minor = view.getUint16(at + 6, little), link = view.getUint32(at + 20, little);
    if (major !== 2) throw this.malformed(4, `version ${major}.${minor}, expected 2.x`);
    this.oldOrder = minor < 4;
    this.snapLength = view.getUint32(at + 16, little);
    this.linkType = link & 0xffff;
    // draft-ietf-opsawg-pcap 4: bit 26 says that bits 28–31 are the FCS's length, in units of 16 bits.
    this.fcsLength = (link & 0x04000000) !== 0 ? (link >>> 28) * 2 : 0;
    this.longest = this.linkType === ETHERNET ? MAX_FRAME : LARGEST;
    source.position = at + 24;
  }

  protected override advance(): boolean {
    const source = this.source, header = this.header, little = this.little;
    if (!source.has(header)) {
      if (source.end === source.position) return false;
      throw this.truncated(source.offset, `the ${header} bytes of frame ${this.frames + 1}'s header`);
    }
    let at = source.position;
    const seconds = source.view.getUint32(at, little), fraction = source.view.getUint32(at + 4, little);
    let captured = source.view.getUint32(at + 8, little), wire = source.view.getUint32(at + 12, little);
    if (this.oldOrder && captured > wire) { const swap = captured; captured = wire; wire = swap; } // before 2.4 some wrote them the other way round
    if (captured > this.longest) throw this.malformed(source.offset + 8, `frame ${this.frames + 1} of ${captured} bytes, expected at most ${this.longest}`);
    if (captured === 0 && wire === 0 && seconds === 0 && fraction === 0 && this.zerosFollow()) throw this.malformed(source.offset, ZEROS);
    if (!source.has(header + captured)) throw this.truncated(source.offset + header, `the ${captured} bytes of frame ${this.frames + 1}`);
    at = source.position;
    fromSeconds(seconds, fraction * this.unit, this);
    this.bytes = source.bytes;
    this.offset = at + header;
    this.captured = captured;
    this.wire = wire < captured ? captured : wire;
    source.position = at + header + captured;
    return true;
  }

  /** After a header of zeros: another one, or the end. One alone may be a strange frame. */
  private zerosFollow(): boolean {
    const source = this.source, header = this.header;
    const end = source.has(2 * header) ? source.position + 2 * header : source.end;
    for (let i = source.position + header; i < end; i++) if (source.bytes[i] !== 0) return false;
    return true;
  }
}
