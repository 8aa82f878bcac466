/**
 * What a pool holds after whatever happened to it. Reads all, writes nothing, never fails on garbage: it reports.
 *
 * A batch in flight overwrites the oldest records, so that holes can appear at both ends of the window: among the newest
 * sequence numbers, and where those records would have replaced the oldest. Cutting at the first hole would lose
 * acknowledged records; holes are accepted, reported as gaps, and the log goes on at the highest sequence plus one.
 */
import {
  indexScan, judgeRecords, JUDGED_BEYOND, JUDGED_CONFLICTS, JUDGED_EMPTY, JUDGED_GHOSTS, JUDGED_NEWEST, JUDGED_OLDEST, JUDGED_TORN, JUDGED_VALID, JUDGED_WORDS, RUNS_BYTES, SLOT_BEYOND,
  SLOT_VALID,
} from '../native/index.js';
import { recordSeed, type Boot } from './format.js';
import { IndexView, sequenceOf } from './index_view.js';
import type { Pool } from './pool.js';

/** Missing sequence numbers, both ends included. */
export interface Gap { readonly from: number; readonly to: number }

export interface LaneRecovery {
  /** One byte a slot: SLOT_VALID only where the record is sound and no other one contradicts it. */
  readonly state: Uint8Array;
  readonly valid: number;
  /** Records that are neither blank nor sound: torn by a crash, or damaged since. */
  readonly torn: number;
  readonly empty: number;
  /** Sound, but their frames lie past the end of a truncated file. */
  readonly beyond: number;
  /** Sound by checksum, yet impossible: an earlier run's number in a later one's place. Not reported as frames. */
  readonly ghosts: number;
  /** Sound, but another, newer one holds the same buffer. Not reported as frames. */
  readonly conflicts: number;
  /** Sequence numbers; -1 when nothing is valid. */
  readonly oldest: number;
  readonly newest: number;
  /** Where the log continues. */
  readonly next: number;
  readonly gaps: readonly Gap[];
}

export interface Recovery {
  readonly boots: readonly Boot[];
  readonly lanes: readonly LaneRecovery[];
  /** The highest boot id that anything in the pool mentions; 0 when it was never used. */
  readonly lastBoot: number;
}

export function recover(pool: Pool): Recovery {
  const boots = pool.boots();
  let lastBoot = boots.length > 0 ? boots[boots.length - 1].id : 0;
  const lanes = pool.geometry.lanes.map((_, lane) => {
    const result = recoverLane(pool, lane, boots);
    lastBoot = Math.max(lastBoot, result.lastBoot);
    return result.lane;
  });
  return { boots, lanes, lastBoot };
}

/** One lane by itself: for a thread that continues it, of a pool whose run has begun. */
export function recoverLane(pool: Pool, number: number, boots: readonly Boot[] = pool.boots()): { lane: LaneRecovery; lastBoot: number } {
  const { geometry } = pool, lane = geometry.lanes[number], { slots } = lane;
  const state = new Uint8Array(slots);
  indexScan(pool.head, lane.indexOffset, pool.buffers, 0, slots, Math.log2(geometry.chunk), geometry.buffers, recordSeed(geometry.uuid, number), state);

  // What the format can number: generations end at 2^32 - 1, and sequences are exact in a double.
  const limit = Math.min((2 ** 32 - 1) * slots, Number.MAX_SAFE_INTEGER - slots);
  const bounds = bootBounds(boots, number, limit);
  // Slot + 1 of the record that holds a buffer. No more of them than the file has: its superblock may say anything.
  const there = Math.ceil((pool.buffers?.bytes ?? 0) / geometry.chunk) - lane.firstBuffer;
  const holder = new Uint32Array(Math.max(0, Math.min(lane.buffers, there)));
  const judgement = new Float64Array(JUDGED_WORDS), runs = new Uint8Array(RUNS_BYTES);
  judgement.set([lane.firstBuffer, lane.buffers, limit, bounds.othersBelow, bounds.othersAbove]);
  judgeRecords(pool.head, lane.indexOffset, state, holder, bounds.ranges, judgement, runs);
  const valid = judgement[JUDGED_VALID], beyond = judgement[JUDGED_BEYOND], newest = judgement[JUDGED_NEWEST], oldest = judgement[JUDGED_OLDEST];
  const next = Math.max(newest + 1, bounds.latestStart);
  // As many as the numbers from the oldest to the newest: none is missing.
  const gaps = newest < 0 || valid + beyond === newest - oldest + 1 ? [] : gapsOf(new IndexView(pool.head, lane), state, oldest, newest);
  return {
    lastBoot: newestOf(runs, boots.at(-1)?.id ?? 0),
    lane: { state, valid, torn: judgement[JUDGED_TORN], empty: judgement[JUDGED_EMPTY], beyond, ghosts: judgement[JUDGED_GHOSTS], conflicts: judgement[JUDGED_CONFLICTS], oldest, newest, next, gaps },
  };
}

/** The highest boot id of those that records name, -1: none does. */
function newestOf(runs: Uint8Array, known: number): number {
  let most = -1;
  for (let i = 0; i < runs.length; i++) {
    if (runs[i] === 0) continue;
    for (let bit = 0; bit < 8; bit++) if ((runs[i] & 1 << bit) !== 0) most = Math.max(most, fullBootId(known, 8 * i + bit));
  }
  return most;
}

/** The boot id whose low 16 bits a record has, given the newest one that is known: the nearest to it. */
export function fullBootId(newest: number, low: number): number {
  const id = newest - newest % 0x10000 + low;
  return newest > 0 && id > newest + 0x8000 && id >= 0x10000 ? id - 0x10000 : id;
}

/**
 * Which sequence numbers each run can have given out: from its own start up to the next run's. A run whose block is gone (overwritten by
 * later runs, or damaged) is known by its records only: what comes before the first known one's is its, and where it is later than that,
 * its records stand for themselves.
 */
function bootBounds(boots: readonly Boot[], lane: number, limit: number): { ranges: Float64Array; othersBelow: number; othersAbove: number; latestStart: number } {
  const starts = boots.map((b) => Math.min(b.firstSequence[lane] ?? 0, limit));
  return {
    ranges: Float64Array.from(boots.flatMap((b, i) => [b.id & 0xffff, starts[i], starts[i + 1] ?? Infinity])),
    othersBelow: starts[0] ?? Infinity, othersAbove: boots.length > 0 ? boots[0].id & 0xffff : Infinity,
    latestStart: starts.reduce((max, start) => Math.max(max, start), 0),
  };
}

/** The missing numbers between the oldest and the newest record: what the crash tore, at both ends of the window. */
function gapsOf(index: IndexView, state: Uint8Array, oldest: number, newest: number): Gap[] {
  const gaps: Gap[] = [], { slots } = index;
  if (newest < 0) return gaps;
  let from = -1;
  for (let sequence = Math.max(oldest, newest - 2 * slots + 1); sequence <= newest; sequence++) {
    const slot = sequence % slots;
    const here = (state[slot] === SLOT_VALID || state[slot] === SLOT_BEYOND) && sequenceOf(index.at(slot).generation, slots, slot) === sequence;
    // An old record that was replaced in order is no gap: only what a window of one lap should hold counts.
    const overwritten = !here && sequence <= newest - slots;
    if (here || overwritten) {
      if (from >= 0) gaps.push({ from, to: sequence - 1 });
      from = -1;
    } else if (from < 0) from = sequence;
  }
  return gaps;
}
