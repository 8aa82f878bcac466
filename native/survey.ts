/** Passes over all records of a lane (native/src/survey.cc): which stand, and what they add up to. */
import { addon } from './addon.js';
import type { Mapping } from './memory.js';

/** Words of a judgement. */
export const JUDGED_VALID = 5, JUDGED_TORN = 6, JUDGED_EMPTY = 7, JUDGED_BEYOND = 8, JUDGED_GHOSTS = 9, JUDGED_CONFLICTS = 10, JUDGED_NEWEST = 11, JUDGED_OLDEST = 12, JUDGED_WORDS = 13;
/** Bytes of the set of runs that a judgement has met, a bit for each possible 16 bits. */
export const RUNS_BYTES = 8192;

/**
 * Calls those records torn that are sound and cannot be: of a buffer or a number that their run cannot have, or of a buffer that a newer one has.
 * @param state      a byte a slot of the lane, as `indexScan` gives it; changed
 * @param holder     u32 a buffer of the lane, 0
 * @param ranges     f64, three a run: the low 16 bits of its id, the first number it can have given, one past the last
 * @param judgement  f64: the lane's first buffer, how many it has, where numbers end; of runs that have no range: numbers below this are
 *                   theirs, and runs above this have any; then, filled in, JUDGED_*
 * @param runs       RUNS_BYTES, 0: filled in with the low 16 bits of the runs whose records were possible
 */
export function judgeRecords(head: Mapping, indexOffset: number, state: Uint8Array, holder: Uint32Array, ranges: Float64Array, judgement: Float64Array, runs: Uint8Array): void {
  const result: number = addon['judgeRecords'](head.id, indexOffset, state, holder, ranges, judgement, runs);
  if (result < 0) throw new RangeError('records outside the mapping');
}

/** Words of a run's sums; from SUM_PORT_FRAMES on 64, from SUM_PORT_BYTES on 64, from SUM_VERDICTS on 256. */
export const SUM_BOOT = 0, SUM_FRAMES = 1, SUM_SNAPPED = 2, SUM_COMPLETED = 3, SUM_KEPT_BYTES = 4, SUM_WIRE_BYTES = 5, SUM_BACKWARDS = 6, SUM_STRANGE = 7, SUM_DATED = 8,
  SUM_FIRST_HIGH = 9, SUM_FIRST_LOW = 10, SUM_LAST_HIGH = 11, SUM_LAST_LOW = 12, SUM_PORT_FRAMES = 13, SUM_PORT_BYTES = 77, SUM_VERDICTS = 141, SUM_WORDS = 397;

/**
 * Adds up the records of one run that follow each other in a lane, from the `at`-th behind slot `start` on.
 * @param state  SLOT_* a slot: what is neither SLOT_VALID nor SLOT_BEYOND is passed over
 * @param sums   f64, SUM_WORDS; of the run whose low 16 bits are sums[SUM_BOOT]
 * @returns where the next run's begin, counted from `start`, or the number of slots
 */
export function censusOf(head: Mapping, indexOffset: number, start: number, state: Uint8Array, at: number, sums: Float64Array): number {
  const result: number = addon['censusOf'](head.id, indexOffset, start, state, at, sums);
  if (result < 0) throw new RangeError('records outside the mapping');
  return result;
}
