/**
 * Where captures are read from: a file descriptor behind one buffer that is used again and again. Nothing is sought, so that
 * a fifo will do. The buffer grows only with bytes that have come, never with what a length field claims.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { FramekeepError } from '../../native/error.js';

const FIRST_SIZE = 1 << 18;

export class ByteSource {
  readonly file: string;
  /** The bytes at hand are bytes[position, end). Replaced when it grows: take it, and `view`, anew after `has`. */
  bytes = new Uint8Array(FIRST_SIZE);
  view = new DataView(this.bytes.buffer);
  position = 0;
  end = 0;
  private fd: number;
  private ended = false;
  /** Offset in the file of bytes[0]. */
  private base = 0;

  /** @throws FramekeepError `E_CAPTURE_OPEN` */
  constructor(file: string) {
    this.file = file;
    try {
      this.fd = openSync(file, 'r');
    } catch (error) { throw cannot('open', file, error as NodeJS.ErrnoException); }
  }

  /** Where `position` is in the file. */
  get offset(): number { return this.base + this.position; }

  /** Whether `n` bytes are at hand at `position`, reading on as needed; false: the file ends before. */
  has(n: number): boolean { return this.end - this.position >= n || this.fill(n); }

  /** Moves on by `n` bytes, however many, without keeping them. @returns false where the file ends before */
  skip(n: number): boolean {
    let left = n;
    for (;;) {
      const step = Math.min(left, this.end - this.position);
      this.position += step;
      left -= step;
      if (left === 0) return true;
      if (!this.fill(1)) return false;
    }
  }

  close(): void {
    if (this.fd >= 0) closeSync(this.fd);
    this.fd = -1;
    this.ended = true;
  }

  private fill(n: number): boolean {
    if (this.ended) return false;
    if (this.position > 0) {
      this.bytes.copyWithin(0, this.position, this.end);
      this.base += this.position;
      this.end -= this.position;
      this.position = 0;
    }
    while (this.end < n) {
      if (this.end === this.bytes.length) this.grow();
      const got = this.read();
      if (got === 0) { this.ended = true; return false; }
      this.end += got;
    }
    return true;
  }

  private grow(): void {
    const larger = new Uint8Array(this.bytes.length * 2);
    larger.set(this.bytes);
    this.bytes = larger;
    this.view = new DataView(larger.buffer);
  }

  private read(): number {
    for (;;) {
      try {
        return readSync(this.fd, this.bytes, this.end, this.bytes.length - this.end, null);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EINTR') throw cannot('read', this.file, error as NodeJS.ErrnoException);
      }
    }
  }
}

function cannot(what: string, file: string, error: NodeJS.ErrnoException): FramekeepError {
  return new FramekeepError('E_CAPTURE_OPEN', `cannot ${what} ${file}: ${REASONS[error.code ?? ''] ?? error.code ?? error.message}`, '', { cause: error });
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file', EACCES: 'permission denied', EISDIR: 'it is a directory', EIO: 'input/output error', ENOTDIR: 'a part of the path is no directory',
};
