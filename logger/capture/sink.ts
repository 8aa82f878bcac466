/**
 * Where captures are written: one buffer that blocks are gathered in, emptied into a file descriptor when it is full.
 *
 *     bytes  | gathered, not yet written …… | room …… |
 *            0                          position    capacity
 *
 * A writer asks for `room(n)`, writes at `position` through `words`, `view` or `copyIn`, and moves `position` on.
 */
import { writeSync } from 'node:fs';
import { FramekeepError } from '../../native/error.js';
import { POLLOUT, pollWait } from '../../native/poll.js';

/** Room for a frame of MAX_FRAME bytes with a comment of 64 KiB. */
const SMALLEST = 1 << 19;

export class ByteSink {
  readonly fd: number;
  /** What messages call the output. */
  readonly name: string;
  readonly bytes: Buffer;
  readonly words: Uint32Array;
  readonly view: DataView;
  /** Memory for the source of frames: from there they are moved by `copyWithin`, without an object a frame. */
  readonly beside: Uint8Array;
  /** Bytes gathered and not written yet. */
  position = 0;
  /** Bytes that the file descriptor has taken. */
  written = 0;
  private failure: FramekeepError | undefined;
  private readonly all: Uint8Array;
  /** struct pollfd, for a pipe that is full. */
  private readonly fds = new Int32Array(2);
  private source: ArrayBufferLike | undefined;
  private sourceWords: Uint32Array;
  private sourceView: DataView;

  /**
   * @param fd      open for writing: a file, a pipe, a socket; blocking or not. It stays the caller's to close.
   * @param beside  bytes of `beside`
   */
  constructor(fd: number, name = `file descriptor ${fd}`, capacity = 1 << 20, beside = 0) {
    this.fd = fd;
    this.name = name;
    const own = Math.max(SMALLEST, (capacity + 7) & ~7), memory = new ArrayBuffer(own + beside);
    this.bytes = Buffer.from(memory, 0, own);
    this.all = new Uint8Array(memory);
    this.beside = new Uint8Array(memory, own);
    this.words = this.sourceWords = new Uint32Array(memory, 0, own >>> 2);
    this.view = this.sourceView = new DataView(memory, 0, own);
  }

  /** All bytes so far, written or gathered. */
  get total(): number { return this.written + this.position; }

  /** Makes `n` bytes at `position` writable; `n` at most 512 KiB. */
  room(n: number): void {
    if (this.bytes.length - this.position < n) this.flush();
  }

  /**
   * Copies source bytes [offset, offset + length) to `target` in the sink's buffer, where there is room for them.
   * By words: 64 bytes take 19 ns and 1500 take 390, when both sides lie on a word; 27 and 535 when not. A `subarray` to hand
   * to `set` would cost an object a frame, and 79 and 227 ns. From `beside`: 26 and 57.
   */
  copyIn(target: number, source: Uint8Array, offset: number, length: number): void {
    const from = source.byteOffset + offset, bytes = this.bytes;
    if (source.buffer === this.all.buffer && length >= 96) {
      this.all.copyWithin(target, from, from + length);
      return;
    }
    if (source.buffer !== this.source) this.lookAt(source.buffer);
    let done = 0;
    if (((from | target) & 3) === 0) {
      const out = this.words, words = this.sourceWords, first = from >>> 2, to = target >>> 2, count = length >>> 2;
      for (let i = 0; i < count; i++) out[to + i] = words[first + i];
      done = count << 2;
    } else {
      const out = this.view, view = this.sourceView, end = length - 7;
      for (; done < end; done += 8) {
        out.setInt32(target + done, view.getInt32(from + done, true), true);
        out.setInt32(target + done + 4, view.getInt32(from + done + 4, true), true);
      }
    }
    for (; done < length; done++) bytes[target + done] = source[offset + done];
  }

  /** Appends bytes of any length; in one piece where they fit. */
  append(source: Uint8Array): void {
    if (source.length <= this.bytes.length) this.room(source.length);
    for (let done = 0; done < source.length;) {
      if (this.position === this.bytes.length) this.flush();
      const n = Math.min(source.length - done, this.bytes.length - this.position);
      this.bytes.set(source.subarray(done, done + n), this.position);
      this.position += n;
      done += n;
    }
  }

  /**
   * Writes what was gathered. A pipe that is full is waited for.
   * @throws FramekeepError `E_OUTPUT_CLOSED` the reader of a pipe went away; `E_OUTPUT_FULL` no space or quota left;
   *   `E_OUTPUT` anything else. Once failed, a sink fails again: the bytes after a gap would be no capture.
   */
  flush(): void {
    while (!this.flushSome()) {
      this.fds[0] = this.fd;
      this.fds[1] = POLLOUT;
      pollWait(this.fds, 1, 1e9);
    }
  }

  /** The same, as far as a non-blocking descriptor takes it. @returns whether nothing is left */
  flushSome(): boolean {
    if (this.failure !== undefined) throw this.failure;
    let start = 0;
    while (start < this.position) {
      try {
        const n = writeSync(this.fd, this.bytes, start, this.position - start);
        start += n;
        this.written += n;
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code === 'EINTR') continue;
        if (code !== 'EAGAIN') throw this.failure = this.explain(error as NodeJS.ErrnoException);
        this.bytes.copyWithin(0, start, this.position);
        this.position -= start;
        return false;
      }
    }
    this.position = 0;
    return true;
  }

  private lookAt(buffer: ArrayBufferLike): void {
    this.source = buffer;
    this.sourceWords = new Uint32Array(buffer, 0, buffer.byteLength >>> 2);
    this.sourceView = new DataView(buffer);
  }

  private explain(error: NodeJS.ErrnoException): FramekeepError {
    const after = `after ${this.written.toLocaleString('en')} bytes`;
    switch (error.code) {
      case 'EPIPE': return new FramekeepError('E_OUTPUT_CLOSED', `${this.name}: whoever read it closed it ${after}`, '', { cause: error });
      case 'ENOSPC': case 'EDQUOT':
        return new FramekeepError('E_OUTPUT_FULL', `${this.name}: no space left ${after} (${error.code})`,
          'free some, or write to another file system; what was written is readable up to its last whole frame', { cause: error });
      default: return new FramekeepError('E_OUTPUT', `${this.name}: cannot write ${after}: ${error.code ?? error.message}`, '', { cause: error });
    }
  }
}
