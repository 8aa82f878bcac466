/** Writes a file in a thread beside (native/src/write_behind.cc), from a memory of which the caller fills another part meanwhile. */
import { addon } from './addon.js';

export class WriteBehind {
  /** Bytes that the file has taken, as of the last call. */
  written = 0;
  /** What it refused more with, a negative errno; 0: nothing. From then on it takes nothing. */
  failure = 0;
  private readonly handle: unknown;
  private readonly told = new Float64Array(2);

  private constructor(handle: unknown) { this.handle = handle; }

  /** @param memory  what is handed over lies in it. @returns undefined where there cannot be a thread */
  static start(fd: number, memory: ArrayBuffer): WriteBehind | undefined {
    const handle: unknown = addon['writeBehindStart'](fd, memory);
    return typeof handle === 'number' ? undefined : new WriteBehind(handle);
  }

  /** Hands over bytes, which must not change before the next call; waits until what was handed over before is written. @returns whether it was taken */
  write(bytes: Uint8Array): boolean {
    addon['writeBehind'](this.handle, bytes, bytes.length, this.told);
    return this.learn();
  }

  /** Waits for all of it, and ends the thread. @returns whether all is written */
  end(): boolean {
    addon['writeBehindEnd'](this.handle, 0, 0, this.told);
    return this.learn();
  }

  private learn(): boolean {
    this.written = this.told[0];
    this.failure = -this.told[1];
    return this.failure === 0;
  }
}
