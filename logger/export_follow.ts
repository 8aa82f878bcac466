/**
 * Following a living pool, for export: waits for frames that come, hands over what was gathered before it sleeps, and notices a
 * reader that went away while there was nothing to write.
 *
 * A look at an idle pool costs one scan of up to 1,024 records; twenty a second are made.
 */
import { pollWait, POLLERR, POLLHUP, POLLOUT } from '../native/index.js';
import { FramekeepError } from '../native/error.js';
import type { ByteSink } from './capture/index.js';
import type { PoolReader } from './reader.js';
import { thousands } from './words.js';

/** What is heard of an export that follows. */
export type FollowNews =
  /** All that was there is written: from now on frames come as they are kept. */
  | { readonly kind: 'caught-up'; readonly frames: number }
  /** The switch was started again on the pool, under this boot id. */
  | { readonly kind: 'boot'; readonly boot: number }
  /** The switch replaced frames before they could be read. */
  | { readonly kind: 'overtaken'; readonly frames: number };

const LOOK_MS = 50, FULL_MS = 5, PATIENCE_MS = 500;
/** Gathered bytes from which on they are written without a pause in frames; what one more frame takes has room beside them. */
const PLENTY = 1 << 17;

export class Follower {
  private readonly sink: ByteSink;
  private readonly reader: PoolReader;
  private readonly signal: AbortSignal | undefined;
  /** struct pollfd of the output. */
  private readonly fds = new Int32Array(2);

  constructor(sink: ByteSink, reader: PoolReader, signal: AbortSignal | undefined) {
    this.sink = sink;
    this.reader = reader;
    this.signal = signal;
  }

  /** Whether to call `drain` before the next frame. */
  get isPlenty(): boolean { return this.sink.gathered >= PLENTY; }

  /**
   * Sleeps until there are frames. @returns false when it was interrupted
   * @throws FramekeepError E_OUTPUT_CLOSED when whoever reads the output is gone, and what the sink throws
   */
  async more(): Promise<boolean> {
    await this.drain();
    while (this.signal?.aborted !== true) {
      if (this.reader.extend()) return true;
      if ((this.events(0) & (POLLERR | POLLHUP)) !== 0) {
        throw new FramekeepError('E_OUTPUT_CLOSED', `${this.sink.name}: whoever read it closed it after ${thousands(this.sink.written)} bytes`);
      }
      await this.pause(LOOK_MS);
    }
    return false;
  }

  /**
   * Writes what was gathered. A pipe that is full is waited for without holding up the event loop. Once interrupted, a reader that takes
   * nothing for a while is not waited for: what is left stays.
   */
  async drain(): Promise<void> {
    let { written } = this.sink, since = performance.now();
    while (!this.sink.flushSome()) {
      if (this.sink.written > written || this.signal?.aborted !== true) {
        written = this.sink.written;
        since = performance.now();
      } else if (performance.now() - since > PATIENCE_MS) return;
      if (this.events(POLLOUT) === 0) await this.pause(FULL_MS);
      else await new Promise((resolve) => setImmediate(resolve));
    }
  }

  private events(wanted: number): number {
    this.fds[0] = this.sink.fd;
    this.fds[1] = wanted;
    return pollWait(this.fds, 1, 0) > 0 ? this.fds[1] >>> 16 : 0;
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.signal?.addEventListener('abort', done);
    });
  }
}
