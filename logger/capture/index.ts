/** Capture files: pcap and pcapng, written and read. */
export { ByteSink, sinkBytes } from './sink.js';
export { PcapWriter } from './pcap_writer.js';
export { PcapngWriter, frameMeta, type FrameMeta, type InterfaceOptions, type InterfaceStatistics, type SectionOptions } from './pcapng_writer.js';
export { openCapture } from './open.js';
export type { CaptureReader } from './reader.js';
export { ETHERNET } from './codes.js';
