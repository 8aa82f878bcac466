/**
 * Writes classic pcap: 24 bytes of header, then a header of 16 bytes before each frame. One link type, Ethernet, no interfaces and no
 * options; for tools that read nothing newer. Times in nanoseconds, or in microseconds for tools that know only those.
 *
 * No allocation a frame. Measured like pcapng_writer.ts: mixed sizes 0.8 GB/s from cold buffers, 1.3 from cached ones; 60 bytes
 * 5 and 11 million frames/s.
 */
import { ETHERNET, MAX_FRAME, PCAP_MICROSECONDS, PCAP_NANOSECONDS } from './codes.js';
import type { ByteSink } from './sink.js';
import { SecondsClock } from './time.js';

export class PcapWriter {
  readonly sink: ByteSink;
  private readonly nanoseconds: boolean;
  private readonly clock = new SecondsClock();

  /** Begins the file: its header goes into the sink at once. */
  constructor(sink: ByteSink, options: { readonly microseconds?: boolean } = {}) {
    this.sink = sink;
    this.nanoseconds = options.microseconds !== true;
    sink.room(24);
    const view = sink.view, at = sink.position;
    view.setUint32(at, this.nanoseconds ? PCAP_NANOSECONDS : PCAP_MICROSECONDS, true);
    view.setUint16(at + 4, 2, true);
    view.setUint16(at + 6, 4, true);
    view.setUint32(at + 8, 0, true);
    view.setUint32(at + 12, 0, true);
    view.setUint32(at + 16, MAX_FRAME, true);
    view.setUint32(at + 20, ETHERNET, true);
    sink.position = at + 24;
  }

  /**
   * @param tsHi      ns since the Unix epoch, upper and
   * @param tsLo      lower 32 bits, signed or not: V8 boxes a number above 2^31 at a call, so hot callers give `word | 0`.
   *                  Seconds from 2106 on do not fit the format and wrap
   * @param bytes     the frame lies in bytes[offset, offset + captured)
   * @param captured  at most 262,144; more is cut, as every reader would refuse it
   * @param wire      its length on the wire
   */
  frame(tsHi: number, tsLo: number, bytes: Uint8Array, offset: number, captured: number, wire: number): void {
    const kept = captured > MAX_FRAME ? MAX_FRAME : captured, sink = this.sink, clock = this.clock;
    sink.room(16 + kept);
    clock.set(tsHi >>> 0, tsLo >>> 0);
    const view = sink.view, at = sink.position;
    view.setUint32(at, clock.seconds, true);
    view.setUint32(at + 4, this.nanoseconds ? clock.nanoseconds : Math.floor(clock.nanoseconds / 1000), true);
    view.setUint32(at + 8, kept, true);
    view.setUint32(at + 12, wire, true);
    sink.copyIn(at + 16, bytes, offset, kept);
    sink.position = at + 16 + kept;
  }
}
