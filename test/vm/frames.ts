/** Acknowledged frames against kept ones: whole frames, compared byte by byte. */
import { openCapture } from '../../logger/capture/index.js';

/** The numbered frames in a capture, in order. A capture that the power cut ended in mid-frame is read up to there. */
export function numberedFrames(file: string): string[] {
  const frames: string[] = [];
  try {
    const capture = openCapture(file);
    try {
      while (capture.next()) {
        const { bytes, offset, captured } = capture;
        if (bytes[offset + 12] === 8 && bytes[offset + 23] === 17 && (bytes[offset + 36] << 8 | bytes[offset + 37]) === 9999) {
          frames.push(Buffer.from(bytes.subarray(offset, offset + captured)).toString('latin1'));
        }
      }
    } finally { capture.close(); }
  } catch (error) {
    const { code } = error as { code?: string };
    if (code !== 'E_CAPTURE_TRUNCATED' && code !== 'E_CAPTURE_EMPTY') throw error;
  }
  return frames;
}

export interface Comparison {
  readonly acknowledged: number;
  readonly recovered: number;
  /** Acknowledged and not recovered. */
  readonly missing: number;
  /** Of those: how many come before, and how many after, every acknowledged frame that was recovered. */
  readonly oldest: number;
  readonly newest: number;
  /** How many lie between recovered ones. */
  readonly between: number;
  /** Recovered frames that nobody sent: none of the bytes that the sender's rule gives. */
  readonly strange: number;
}

/** @param label  of the run: a frame of another one is strange in it */
export function compare(acknowledged: readonly string[], recovered: readonly string[], label: string): Comparison {
  const have = new Set(recovered), there = acknowledged.map((frame) => have.has(frame));
  const first = there.indexOf(true), last = there.lastIndexOf(true), missing = there.filter((x) => !x).length;
  const oldest = first < 0 ? missing : first, newest = last < 0 ? 0 : there.length - 1 - last;
  return {
    acknowledged: acknowledged.length, recovered: recovered.length, missing, oldest, newest, between: missing - oldest - newest,
    strange: recovered.filter((frame) => !isSent(Buffer.from(frame, 'latin1'), label)).length,
  };
}

/** guest/sender.mjs's rule, behind 42 bytes of Ethernet, IPv4 and UDP. */
function isSent(frame: Buffer, label: string): boolean {
  const datagram = frame.subarray(42), n = Number(datagram.readBigUInt64BE(0));
  return datagram.length === 24 + (n * 37) % 1400 && datagram.toString('latin1', 8, 24).trimEnd() === label && datagram.subarray(24).every((byte) => byte === (n & 255));
}
