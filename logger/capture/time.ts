/**
 * Times of captures: nanoseconds since the Unix epoch as two u32 words, so that no BigInt is made a frame. A capture's own
 * units (seconds and a fraction, or a 64-bit count of some unit) become these words, and the other way round.
 */

const BILLION = 1e9;
const WORD = 4294967296;

/** Where a conversion leaves its result: a frame's time costs no allocation. */
export interface TimeWords { tsHi: number; tsLo: number }

/** Seconds (u32) and nanoseconds (any u32) into words. */
export function fromSeconds(seconds: number, nanoseconds: number, into: TimeWords): void {
  // seconds = a × 2^16 + b, so that each product stays below 2^47 and exact.
  const high = (seconds >>> 16) * BILLION;
  const low = (high % 65536) * 65536 + (seconds & 0xffff) * BILLION + nanoseconds;
  into.tsHi = (Math.floor(high / 65536) + Math.floor(low / WORD)) >>> 0;
  into.tsLo = low >>> 0;
}

/** A 64-bit count times `factor` (at most 2^20), modulo 2^64. */
export function scaled(hi: number, lo: number, factor: number, into: TimeWords): void {
  const low = lo * factor;
  into.tsHi = (hi * factor + Math.floor(low / WORD)) >>> 0;
  into.tsLo = low >>> 0;
}

/**
 * Any `if_tsresol` (draft-ietf-opsawg-pcapng 4.2: a decimal or, with the top bit, a binary exponent) and `if_tsoffset`.
 * BigInts: for the rare files that need it.
 */
export function fromUnits(hi: number, lo: number, resolution: number, offsetSeconds: bigint, into: TimeWords): void {
  const units = (BigInt(hi) << 32n) | BigInt(lo);
  const perSecond = (resolution & 0x80) !== 0 ? 1n << BigInt(resolution & 0x7f) : 10n ** BigInt(resolution);
  const ns = BigInt.asUintN(64, (units * 1000000000n) / perSecond + offsetSeconds * 1000000000n);
  into.tsHi = Number(ns >> 32n);
  into.tsLo = Number(ns & 0xffffffffn);
}

/** Words into seconds and nanoseconds; remembers the second, so that the next frame of the same second costs a subtraction. */
export class SecondsClock {
  seconds = 0;
  nanoseconds = 0;
  private baseHi = 0;
  private baseLo = 0;

  set(tsHi: number, tsLo: number): void {
    const since = (tsHi - this.baseHi) * WORD + (tsLo - this.baseLo);
    if (since >= 0 && since < BILLION) { this.nanoseconds = since; return; }
    // Long division by 10^9 in digits of 16 bits: a remainder below 2^30 and a digit make less than 2^46, so all is exact.
    let rest = tsHi % BILLION, seconds = Math.floor(tsHi / BILLION);
    let digits = rest * 65536 + (tsLo >>> 16);
    let quotient = Math.floor(digits / BILLION);
    rest = digits - quotient * BILLION;
    seconds = seconds * 65536 + quotient;
    digits = rest * 65536 + (tsLo & 0xffff);
    quotient = Math.floor(digits / BILLION);
    this.nanoseconds = digits - quotient * BILLION;
    this.seconds = seconds * 65536 + quotient;
    const base = tsLo - this.nanoseconds;
    this.baseHi = base < 0 ? tsHi - 1 : tsHi;
    this.baseLo = base < 0 ? base + WORD : base;
  }
}
