/** Opens a capture by what it begins with, never by its name; says what to run where it is none. */
import { FramekeepError } from '../../native/error.js';
import * as code from './codes.js';
import { PcapReader } from './pcap_reader.js';
import { PcapngReader } from './pcapng_reader.js';
import type { CaptureReader } from './reader.js';
import { ByteSource } from './source.js';

/**
 * @param file a file or a fifo
 * @throws FramekeepError `E_CAPTURE_OPEN` it cannot be opened or read; `E_CAPTURE_EMPTY` it has no byte; `E_CAPTURE_FOREIGN` it is
 *   no capture, or compressed, or of another format; `E_CAPTURE_TRUNCATED`, `E_CAPTURE_MALFORMED` its first header is broken
 */
export function openCapture(file: string): CaptureReader {
  const source = new ByteSource(file);
  try {
    return identify(source);
  } catch (error) {
    source.close();
    throw error;
  }
}

function identify(source: ByteSource): CaptureReader {
  const { file } = source;
  if (!source.has(4)) {
    if (source.end === 0) throw new FramekeepError('E_CAPTURE_EMPTY', `${file}: empty, not even a capture's header`);
    throw new FramekeepError('E_CAPTURE_FOREIGN', `${file}: ${source.end} bytes, not a capture`);
  }
  const little = source.view.getUint32(0, true), big = source.view.getUint32(0, false);
  if (little === code.SECTION_HEADER) return new PcapngReader(source);
  if (isPcap(little)) return new PcapReader(source, little, true);
  if (isPcap(big)) return new PcapReader(source, big, false);
  for (const [magic, what, run] of FOREIGN) {
    if (magic.every((byte, i) => source.bytes[i] === byte)) {
      throw new FramekeepError('E_CAPTURE_FOREIGN', `${file}: ${what}`, run.replaceAll('IN', file));
    }
  }
  throw new FramekeepError('E_CAPTURE_FOREIGN', `${file}: neither pcap nor pcapng: it begins with ${[...source.bytes.subarray(0, 4)].map(hex).join(' ')}`,
    `if Wireshark opens it: editcap -F pcapng ${file} CAPTURE.pcapng`);
}

function isPcap(magic: number): boolean {
  return magic === code.PCAP_MICROSECONDS || magic === code.PCAP_NANOSECONDS || magic === code.PCAP_MODIFIED;
}

function hex(byte: number): string { return byte.toString(16).padStart(2, '0'); }

/** First bytes, what they are of, what to run. gzip: RFC 1952; zstd: RFC 8878; LZ4: its frame format; snoop: RFC 1761. */
const FOREIGN: readonly (readonly [readonly number[], string, string])[] = [
  [[0x1f, 0x8b], 'compressed with gzip', 'gunzip -c IN > CAPTURE'],
  [[0x28, 0xb5, 0x2f, 0xfd], 'compressed with zstd', 'zstd -dc IN > CAPTURE'],
  [[0x04, 0x22, 0x4d, 0x18], 'compressed with LZ4', 'lz4 -dc IN > CAPTURE'],
  [[0xfd, 0x37, 0x7a, 0x58], 'compressed with xz', 'xz -dc IN > CAPTURE'],
  [[0x42, 0x5a, 0x68], 'compressed with bzip2', 'bzip2 -dc IN > CAPTURE'],
  [[0x73, 0x6e, 0x6f, 0x6f], 'a snoop capture', 'editcap -F pcapng IN CAPTURE.pcapng'],
  [[0x47, 0x4d, 0x42, 0x55], 'a capture of Microsoft Network Monitor', 'editcap -F pcapng IN CAPTURE.pcapng'],
];
