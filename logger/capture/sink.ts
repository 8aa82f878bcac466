/**
 * Where captures are written: one buffer that blocks are gathered in, emptied into a file descriptor when it is full.
 *
 *     bytes  | being written …… | gathered, not yet written …… | room …… |
 *            0                begin                        position    limit
 *
 * A writer asks for `room(n)`, writes at `position` through `words`, `view` or `copyIn`, and moves `position` on.
 *
 * Into a file, a thread beside writes one half of the buffer while the other one is filled, and the halves change places: tmpfs takes
 * 90 ms for 256 MB, which are gathered meanwhile. A pipe is written by this thread, in one piece: its reader is what takes the time.
 */
import { fstatSync, writeSync } from 'node:fs';
import { errnoName, FramekeepError } from '../../native/error.js';
import { WriteBehind } from '../../native/write_behind.js';
import { POLLOUT, pollWait } from '../../native/poll.js';
import { thousands } from '../words.js';

/** Room for a frame of MAX_FRAME bytes with a comment of 64 KiB. */
const SMALLEST = 1 << 19;

/**
 * How much is best gathered for a descriptor: half of a second-level cache for a pipe, where what was gathered is still in it when it
 * is written. For a file so much that it has left this core's caches when the other one writes it: pulling it from there made
 * gathering 256 MB take 150 ms with 256 KiB, 134 with 512, 112 with 1 MiB, 103 with 2 and 99 with 4, of 39 without a writer beside.
 */
export const sinkBytes = (fd: number): number => isRegular(fd) ? 1 << 22 : SMALLEST;

export class ByteSink {
  readonly fd: number;
  /** What messages call the output. */
  readonly name: string;
  readonly bytes: Buffer;
  readonly words: Uint32Array;
  readonly view: DataView;
  /** Memory for the source of frames: from there they are moved by `copyWithin`, without an object a frame. */
  readonly beside: Uint8Array;
  /** Gathered and not handed on yet: bytes[begin, position). There is room up to `limit`. */
  position = 0;
  limit: number;
  /** Bytes that the file descriptor has taken. */
  written = 0;
  private begin = 0;
  private readonly half: number;
  private readonly isFile: boolean;
  private behind: WriteBehind | undefined;
  /** `written` when it began; bytes that it has in hand. */
  private before = 0;
  private inHand = 0;
  private failure: FramekeepError | undefined;
  private readonly all: Uint8Array<ArrayBuffer>;
  /** struct pollfd, for a pipe that is full. */
  private readonly fds = new Int32Array(2);
  private source: ArrayBufferLike | undefined;
  private sourceWords: Uint32Array;
  private sourceView: DataView;

  /**
   * @param fd      open for writing: a file, a pipe, a socket; blocking or not. It stays the caller's to close.
   * @param capacity  bytes that are gathered before they are written, at least
   * @param beside  bytes of `beside`
   */
  constructor(fd: number, name = `file descriptor ${fd}`, capacity = 1 << 20, beside = 0) {
    this.fd = fd;
    this.name = name;
    this.isFile = isRegular(fd);
    this.half = this.limit = Math.max(SMALLEST, (capacity + 7) & ~7);
    const own = this.isFile ? 2 * this.half : this.half, memory = new ArrayBuffer(own + beside);
    this.bytes = Buffer.from(memory, 0, own);
    this.all = new Uint8Array(memory);
    this.beside = new Uint8Array(memory, own);
    this.words = this.sourceWords = new Uint32Array(memory, 0, own >>> 2);
    this.view = this.sourceView = new DataView(memory, 0, own);
  }

  /** All bytes so far, written or gathered. */
  get total(): number { return this.written + this.inHand + this.gathered; }
  /** Bytes gathered and not handed on yet. */
  get gathered(): number { return this.position - this.begin; }

  /** Makes `n` bytes at `position` writable; `n` at most 512 KiB. */
  room(n: number): void {
    if (this.limit - this.position < n) this.pass();
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
    if (source.length <= this.half) this.room(source.length);
    for (let done = 0; done < source.length;) {
      if (this.position === this.limit) this.pass();
      const n = Math.min(source.length - done, this.limit - this.position);
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
    this.settle();
    let start = this.begin;
    while (start < this.position) {
      try {
        const n = writeSync(this.fd, this.bytes, start, this.position - start);
        start += n;
        this.written += n;
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code === 'EINTR') continue;
        if (code !== 'EAGAIN') throw this.failure = this.explain(error as NodeJS.ErrnoException);
        this.bytes.copyWithin(this.begin, start, this.position);
        this.position -= start - this.begin;
        return false;
      }
    }
    this.position = this.begin;
    return true;
  }

  /** Makes room: into a file, beside the work. */
  private pass(): void {
    if (this.failure !== undefined) throw this.failure;
    if (this.isFile && this.behind === undefined) {
      this.before = this.written;
      this.behind = WriteBehind.start(this.fd, this.all.buffer);
    }
    const { behind } = this;
    if (behind === undefined) return this.flush();
    const { gathered } = this, taken = behind.write(this.bytes.subarray(this.begin, this.position));
    if (!taken) return this.settle();
    this.written = this.before + behind.written;
    this.inHand = gathered;
    this.position = this.begin = this.half - this.begin;
    this.limit = this.begin + this.half;
  }

  /** Nothing more is written from now on, so that the descriptor can be closed: for who gives up. What was gathered is lost. */
  giveUp(): void {
    try {
      this.settle();
    } catch { /* told already, or of no interest any more */ }
    this.position = this.begin;
  }

  /** Waits until what is written beside is written, and ends that. */
  private settle(): void {
    const { behind } = this;
    if (behind === undefined) return;
    this.behind = undefined;
    const isWritten = behind.end();
    this.written = this.before + behind.written;
    this.inHand = 0;
    if (!isWritten) throw this.failure = this.explain(Object.assign(new Error(errnoName(behind.failure)), { code: errnoName(behind.failure) }));
  }

  private lookAt(buffer: ArrayBufferLike): void {
    this.source = buffer;
    this.sourceWords = new Uint32Array(buffer, 0, buffer.byteLength >>> 2);
    this.sourceView = new DataView(buffer);
  }

  private explain(error: NodeJS.ErrnoException): FramekeepError {
    const after = `after ${thousands(this.written)} bytes`;
    switch (error.code) {
      case 'EPIPE': return new FramekeepError('E_OUTPUT_CLOSED', `${this.name}: whoever read it closed it ${after}`, '', { cause: error });
      case 'ENOSPC': case 'EDQUOT':
        return new FramekeepError('E_OUTPUT_FULL', `${this.name}: no space left ${after} (${error.code})`,
          'free some, or write to another file system; what was written is readable up to its last whole frame', { cause: error });
      default: return new FramekeepError('E_OUTPUT', `${this.name}: cannot write ${after}: ${error.code ?? error.message}`, '', { cause: error });
    }
  }
}

function isRegular(fd: number): boolean {
  try {
    return fstatSync(fd).isFile();
  } catch { return false; }  // told when it is written to
}
