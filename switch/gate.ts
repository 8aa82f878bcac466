/**
 * Where the workers meet when a new run begins in the pool: no record may be written while its run is not known there. Worker
 * 0 closes the gate; the others commit what they have, say how far they are, and wait until it opens.
 */
import { eventSignal } from '../native/index.js';

// Int32 words: closed while odd; how many have arrived; the new run. Then f64, by worker: its next sequence number.
const STATE = 0, ARRIVED = 1, BOOT = 2, SEQUENCES_AT = 16;

export const gateMemory = (workers: number): SharedArrayBuffer => new SharedArrayBuffer(SEQUENCES_AT + workers * 8);

export class Gate {
  private readonly words: Int32Array;
  private readonly sequences: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory, 0, 4);
    this.sequences = new Float64Array(memory, SEQUENCES_AT);
  }

  get isClosed(): boolean { return (Atomics.load(this.words, STATE) & 1) === 1; }

  /**
   * Worker 0: `begin` runs while no other worker writes, and is given their next sequence numbers from worker 1 on.
   * @param wakeFds of the other workers
   */
  close(wakeFds: readonly number[], begin: (sequences: readonly number[]) => number): void {
    const { words } = this;
    Atomics.store(words, ARRIVED, 0);
    Atomics.add(words, STATE, 1);
    for (const fd of wakeFds) eventSignal(fd);
    for (let n = Atomics.load(words, ARRIVED); n < wakeFds.length; n = Atomics.load(words, ARRIVED)) Atomics.wait(words, ARRIVED, n, 100);
    try {
      Atomics.store(words, BOOT, begin([...this.sequences.subarray(1, 1 + wakeFds.length)]));
    } finally {
      Atomics.add(words, STATE, 1);
      Atomics.notify(words, STATE);
    }
  }

  /** Another worker, after it has committed all it has. @returns the new run */
  pass(worker: number, nextSequence: number): number {
    const { words } = this, closed = Atomics.load(words, STATE);
    this.sequences[worker] = nextSequence;
    Atomics.add(words, ARRIVED, 1);
    Atomics.notify(words, ARRIVED);
    while (Atomics.load(words, STATE) === closed) Atomics.wait(words, STATE, closed, 100);
    return Atomics.load(words, BOOT);
  }
}
