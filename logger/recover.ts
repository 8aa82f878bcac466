/**
 * What a pool holds after whatever happened to it. Reads all, writes nothing, never fails on garbage: it reports.
 *
 * A batch in flight overwrites the oldest records, so that holes can appear at both ends of the window: among the newest
 * sequence numbers, and where those records would have replaced the oldest. Cutting at the first hole would lose
 * acknowledged records; holes are accepted, reported as gaps, and the log goes on at the highest sequence plus one.
 */
import { indexScan, SLOT_BEYOND, SLOT_EMPTY, SLOT_TORN, SLOT_VALID } from '../native/index.js';
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

  const index = new IndexView(pool.head, lane);
  // What the format can number: generations end at 2^32 - 1, and sequences are exact in a double.
  const limit = Math.min((2 ** 32 - 1) * slots, Number.MAX_SAFE_INTEGER - slots);
  const bounds = bootBounds(boots, number, limit);
  // Slot + 1 of the record that holds a buffer. No more of them than the file has: its superblock may say anything.
  const there = Math.ceil((pool.buffers?.bytes ?? 0) / geometry.chunk) - lane.firstBuffer;
  const holder = new Uint32Array(Math.max(0, Math.min(lane.buffers, there)));
  let valid = 0, torn = 0, empty = 0, beyond = 0, ghosts = 0, conflicts = 0, oldest = -1, newest = -1, lastBoot = 0;
  for (let slot = 0; slot < slots; slot++) {
    if (state[slot] === SLOT_EMPTY) { empty++; continue; }
    if (state[slot] === SLOT_TORN) { torn++; continue; }
    index.at(slot);
    const sequence = sequenceOf(index.generation, slots, slot), { buffer, boot } = index;
    const ghost = buffer < lane.firstBuffer || buffer >= lane.firstBuffer + lane.buffers || sequence >= limit || !bounds.allow(boot, sequence);
    if (ghost) { ghosts++; state[slot] = SLOT_TORN; continue; }
    lastBoot = Math.max(lastBoot, bounds.fullId(boot));
    const other = holder[buffer - lane.firstBuffer] - 1;
    if (other >= 0) {
      conflicts++;
      const loser = sequenceOf(index.at(other).generation, slots, other) > sequence ? slot : other;
      if (loser === other) { if (state[other] === SLOT_BEYOND) beyond--; else valid--; }
      state[loser] = SLOT_TORN;
      if (loser === slot) continue;
    }
    holder[buffer - lane.firstBuffer] = slot + 1;
    if (state[slot] === SLOT_BEYOND) beyond++; else valid++;
  }
  for (let slot = 0; slot < slots; slot++) {
    if (state[slot] !== SLOT_VALID && state[slot] !== SLOT_BEYOND) continue;
    const sequence = sequenceOf(index.at(slot).generation, slots, slot);
    if (sequence > newest) newest = sequence;
    if (oldest < 0 || sequence < oldest) oldest = sequence;
  }
  const next = Math.max(newest + 1, bounds.latestStart);
  return { lastBoot, lane: { state, valid, torn, empty, beyond, ghosts, conflicts, oldest, newest, next, gaps: gapsOf(index, state, oldest, newest) } };
}

/** The boot id whose low 16 bits a record has, given the newest one that is known: the nearest to it. */
export function fullBootId(newest: number, low: number): number {
  const id = newest - newest % 0x10000 + low;
  return newest > 0 && id > newest + 0x8000 && id >= 0x10000 ? id - 0x10000 : id;
}

/** Which sequence numbers each run can have given out: from its own start up to the next run's. */
function bootBounds(boots: readonly Boot[], lane: number, limit: number): { allow(boot: number, sequence: number): boolean; fullId(boot: number): number; latestStart: number } {
  const newest = boots.length > 0 ? boots[boots.length - 1].id : 0;
  const starts = boots.map((b) => Math.min(b.firstSequence[lane] ?? 0, limit));
  const range = new Map<number, { from: number; to: number }>();
  boots.forEach((b, i) => range.set(b.id & 0xffff, { from: starts[i], to: starts[i + 1] ?? Infinity }));
  const oldestStart = starts[0] ?? Infinity;
  return {
    allow: (boot, sequence) => {
      const r = range.get(boot);
      // A run whose block is gone (overwritten by later runs, or damaged) is known by its records only.
      return r === undefined ? sequence < oldestStart || boots.length === 0 || isBetween(boots, boot) : sequence >= r.from && sequence < r.to;
    },
    fullId: (boot) => fullBootId(newest, boot),
    latestStart: starts.reduce((max, start) => Math.max(max, start), 0),
  };
}

// A block lost to damage, between two that are there or after the last: its records stand for themselves.
const isBetween = (boots: readonly Boot[], boot: number): boolean => boot > (boots[0].id & 0xffff);

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
