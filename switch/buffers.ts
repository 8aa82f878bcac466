/**
 * Who owns a buffer. Free lists live here, in volatile memory, never inside buffers; they are rebuilt from the records at
 * every start.
 *
 *            give                 receive                 n holders
 *    FREE ───────────▶ FILL(port) ───────▶ SWITCH ───────────────────▶ HELD(n)
 *      ▲                                     │ dropped, not kept          │ each of: a TX ring completed it,
 *      │◀────────────────────────────────────┘                            │          its record was replaced
 *      │◀─────────────────────────────────────────────────────────────────┘ n = 0
 *
 * A holder is a TX ring or the log. One u16 a buffer says how many there are (low byte), and which port has it (high byte), so
 * that a port that goes away gives back what it had.
 */
import { NO_BUFFER } from '../logger/format.js';
import { FramekeepError } from '../native/index.js';

/** High byte of `state[b]`: nobody's in particular; port p is p + 1; more than one TX ring. Low byte: how many hold it. */
export const WITH_NONE = 0, WITH_SEVERAL = 255;
export const WITH_SHIFT = 8, HOLDERS = 0xff;

export class Buffers {
  readonly count: number;
  /** Number of the first one: a lane's buffers are [first, first + count). */
  readonly first: number;
  /** A stack of free buffers: the last one freed is the warmest in the cache. */
  readonly free: Uint32Array;
  freeCount = 0;
  /** By buffer - first. */
  readonly state: Uint16Array;
  /** Switched on by tests: every transition is checked. */
  readonly checker: OwnershipChecker | null;

  constructor(first: number, count: number, free: Uint32Array, checked: boolean) {
    this.first = first;
    this.count = count;
    this.free = new Uint32Array(count);
    this.state = new Uint16Array(count).fill(1);
    this.checker = checked ? new OwnershipChecker(first, count) : null;
    for (let i = 0; i < free.length; i++) {
      this.state[free[i] - first] = 0;
      this.free[this.freeCount++] = free[i];
      this.checker?.move(free[i], 'HELD', 'FREE');
    }
  }

  holdersOf(buffer: number): number { return this.state[buffer - this.first] & HOLDERS; }
  /** WITH_NONE, WITH_SEVERAL, or a port's number and 1. */
  withOf(buffer: number): number { return this.state[buffer - this.first] >>> WITH_SHIFT; }

  /** One holder fewer; free when it was the last. */
  release(buffer: number): void {
    const b = buffer - this.first;
    if (this.checker !== null) this.checker.expect(buffer, 'HELD');  // released once too often, it would seem to have 255 holders
    if ((--this.state[b] & HOLDERS) === 0) {
      this.free[this.freeCount++] = buffer;
      if (this.checker !== null) this.checker.move(buffer, 'HELD', 'FREE');
    }
  }

  /** `release` of each of the first `count`, but for those that are NO_BUFFER. */
  releaseAll(list: Uint32Array, count: number): void {
    const { state, free, first, checker } = this;
    let { freeCount } = this;
    for (let i = 0; i < count; i++) {
      const buffer = list[i], b = buffer - first;
      if (buffer === NO_BUFFER) continue;
      if (checker !== null) checker.expect(buffer, 'HELD');
      if ((--state[b] & HOLDERS) !== 0) continue;
      free[freeCount++] = buffer;
      if (checker !== null) checker.move(buffer, 'HELD', 'FREE');
    }
    this.freeCount = freeCount;
  }

  /**
   * Takes back what a port had when its rings were closed: what it was given to receive into, and what it had not sent.
   * @param port     its number
   * @param flooded  buffers in its TX ring that other TX rings had as well (by buffer - first: 1)
   * @returns how many came free
   */
  reclaim(port: number, flooded: Uint8Array): number {
    const isFree = new Uint8Array(this.count), before = this.freeCount;
    for (let i = 0; i < this.freeCount; i++) isFree[this.free[i] - this.first] = 1;
    for (let b = 0; b < this.count; b++) {
      const owner = this.state[b] >>> WITH_SHIFT, mine = owner === port + 1 || (owner === WITH_SEVERAL && flooded[b] === 1);
      if (!mine || isFree[b] === 1) continue;
      if (owner !== WITH_SEVERAL) this.state[b] &= HOLDERS;
      flooded[b] = 0;
      if ((this.state[b] & HOLDERS) > 0) this.release(this.first + b);
      else {
        this.free[this.freeCount++] = this.first + b;
        this.checker?.move(this.first + b, 'FILL', 'FREE');
      }
    }
    return this.freeCount - before;
  }
}

export type Owner = 'FREE' | 'FILL' | 'SWITCH' | 'HELD';

/** Throws at the first transition that the state machine does not have. For tests: it costs a branch a transition when off. */
export class OwnershipChecker {
  private readonly owner: Owner[];
  private readonly first: number;

  constructor(first: number, count: number) {
    this.first = first;
    this.owner = new Array<Owner>(count).fill('HELD');
  }

  move(buffer: number, from: Owner, to: Owner): void {
    this.expect(buffer, from, to);
    this.owner[buffer - this.first] = to;
  }

  /** Throws when the buffer is not where it is said to be. */
  expect(buffer: number, from: Owner, to?: Owner): void {
    const is = this.owner[buffer - this.first];
    if (is === from) return;
    throw new FramekeepError('E_OWNERSHIP', `buffer ${buffer} ${to === undefined ? `is let go of as ${from}` : `goes from ${from} to ${to}`}, but it is ${is ?? 'not one of this lane'}`,
      'this is a bug in framekeep: please report it');
  }

  ownerOf(buffer: number): Owner { return this.owner[buffer - this.first]; }
}
