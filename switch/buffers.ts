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
import { BUFFERS_HEAD, BUFFERS_HEAD_BYTES, buffersRelease, errnoName, FramekeepError, OWNERSHIP_BROKEN } from '../native/index.js';

/** High byte of `state[b]`: nobody's in particular; port p is p + 1; more than one TX ring. Low byte: how many hold it. */
export const WITH_NONE = 0, WITH_SEVERAL = 255;
export const WITH_SHIFT = 8, HOLDERS = 0xff;

export interface BuffersOptions {
  /** Number of the first one, and how many: a lane's buffers are [first, first + count). */
  readonly first: number;
  readonly count: number;
  /** Bytes of each, a power of two. */
  readonly chunk: number;
  /** Those that are free at the start; the rest is held by records. */
  readonly free: Uint32Array;
  /** Every transition is checked. */
  readonly checked: boolean;
}

export class Buffers {
  readonly count: number;
  readonly first: number;
  /** All the arrays below lie in it: what native/src/buffers.cc works on. */
  readonly memory: Uint8Array;
  /** A stack of free buffers: the last one freed is the warmest in the cache. */
  readonly free: Uint32Array;
  /** By buffer - first. */
  readonly state: Uint16Array;
  /** Switched on by tests. */
  readonly checker: OwnershipChecker | null;
  private readonly head: Uint32Array;

  constructor({ first, count, chunk, free, checked }: BuffersOptions) {
    this.first = first;
    this.count = count;
    const memory = new ArrayBuffer(BUFFERS_HEAD_BYTES + 7 * count), states = BUFFERS_HEAD_BYTES + 4 * count;
    this.memory = new Uint8Array(memory);
    this.head = new Uint32Array(memory, 0, BUFFERS_HEAD_BYTES / 4);
    this.head.set([count, first, Math.log2(chunk), Number(checked), 0]);
    this.free = new Uint32Array(memory, BUFFERS_HEAD_BYTES, count);
    this.state = new Uint16Array(memory, states, count).fill(1);
    this.checker = checked ? new OwnershipChecker(first, new Uint8Array(memory, states + 2 * count, count)) : null;
    for (let i = 0; i < free.length; i++) {
      this.state[free[i] - first] = 0;
      this.free[this.freeCount++] = free[i];
      this.checker?.move(free[i], 'HELD', 'FREE');
    }
  }

  get freeCount(): number { return this.head[BUFFERS_HEAD.freeCount]; }
  set freeCount(n: number) { this.head[BUFFERS_HEAD.freeCount] = n; }

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
    this.expectDone(buffersRelease(this.memory, list, count));
  }

  /** Throws what a native pass found. @param result  what it returned: negative when it broke off */
  expectDone(result: number): void {
    if (result >= 0) return;
    const { head } = this, to = OWNERS[head[BUFFERS_HEAD.wrongTo]], from = OWNERS[head[BUFFERS_HEAD.wrongFrom]];
    if (result === OWNERSHIP_BROKEN && this.checker !== null) this.checker.expect(head[BUFFERS_HEAD.wrongBuffer], from, to === from ? undefined : to);
    throw new FramekeepError('E_OWNERSHIP', `buffers could not be moved: ${errnoName(result)}`, 'this is a bug in framekeep: please report it');
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

const OWNERS = ['FREE', 'FILL', 'SWITCH', 'HELD'] as const;  // numbers as in native/src/buffers.cc
export type Owner = typeof OWNERS[number];

/** Throws at the first transition that the state machine does not have. For tests: it costs a branch a transition when off. */
export class OwnershipChecker {
  private readonly owner: Uint8Array;
  private readonly first: number;

  /** @param owner  by buffer - first: the number of its owner; of records, to begin with */
  constructor(first: number, owner: Uint8Array) {
    this.first = first;
    this.owner = owner.fill(OWNERS.indexOf('HELD'));
  }

  move(buffer: number, from: Owner, to: Owner): void {
    this.expect(buffer, from, to);
    this.owner[buffer - this.first] = OWNERS.indexOf(to);
  }

  /** Throws when the buffer is not where it is said to be. */
  expect(buffer: number, from: Owner, to?: Owner): void {
    const is: Owner | undefined = OWNERS[this.owner[buffer - this.first]];
    if (is === from) return;
    throw new FramekeepError('E_OWNERSHIP', `buffer ${buffer} ${to === undefined ? `is let go of as ${from}` : `goes from ${from} to ${to}`}, but it is ${is ?? 'not one of this lane'}`,
      'this is a bug in framekeep: please report it');
  }

  ownerOf(buffer: number): Owner { return OWNERS[this.owner[buffer - this.first]]; }
}
