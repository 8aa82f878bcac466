/**
 * Tells what a crash leaves behind from what damage does. A crash in mid-batch tears records in one place only: where the
 * batch in flight would have been, just behind the last record of a run that did not end in order. Everything else that
 * does not fit is damage.
 *
 *   … valid valid | torn valid torn torn … | older valid …
 *       before      the batch in flight: at most `maxBatch` slots either side of where the next run went on
 */
import { readFileSync } from 'node:fs';
import { indexScan, SLOT_TORN, SLOT_VALID } from '../native/index.js';
import { RECORD_BYTES, recordSeed, type Boot } from './format.js';
import { IndexView } from './index_view.js';
import type { Pool } from './pool.js';
import { recover, type Gap, type Recovery } from './recover.js';

/** No commit writes more (switch/switch.ts), nor more than half an index. */
export const LARGEST_BATCH = 1024;

export interface LaneTraces {
  /** Slots whose records do not hold, by why: torn where a crash can have torn them. */
  readonly torn: readonly number[];
  /** … where none can: damaged since. */
  readonly damaged: readonly number[];
  /** Sound by checksum, and impossible: ghosts and conflicts. */
  readonly impossible: readonly number[];
  /** Of a living pool: being written while it was looked at. */
  readonly inFlight: number;
  readonly gaps: readonly Gap[];
  /** Gaps that no crash explains. */
  readonly strangeGaps: readonly Gap[];
}

/** Whether a run ended in order; the one that is running counts, as its batch is still coming. */
export function endedInOrder(boot: Boot): boolean {
  return boot.checkpoint?.clean === true;
}

let kernel: Uint8Array | undefined;
/** Whether the kernel that ran it still runs: what was only in memory is then still as it was left. */
export function ranOnThisKernel(boot: Boot): boolean {
  kernel ??= Uint8Array.from(Buffer.from(readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').replaceAll('-', '').trim(), 'hex'));
  return Buffer.compare(boot.kernelBootId, kernel) === 0;
}

/** Whether what it kept is as far as the kernel had written it back when it went down: a page-cache file, and another kernel since. */
export function writtenBackOnly(boot: Boot): boolean {
  return boot.medium === 'file' && boot.durability === 'process' && !ranOnThisKernel(boot);
}

/** What a lane's largest batch can have been, over the runs that are known. */
export function largestBatch(boots: readonly Boot[], slots: number): number {
  const unknown = Math.min(LARGEST_BATCH, slots >>> 1);
  return boots.reduce((most, b) => Math.max(most, b.maxBatch || unknown), boots.length === 0 ? unknown : 1);
}

/**
 * Looks at a pool as it is now; one that a switch is writing to is looked at twice, and only what stayed the same counts.
 * @returns what was recovered, and for each lane what does not hold in it
 */
export function look(pool: Pool): { readonly recovery: Recovery; readonly live: boolean; readonly traces: readonly LaneTraces[] } {
  const live = pool.isLive();
  let recovery = recover(pool);
  let before: readonly Suspects[] | undefined;
  if (live) {
    before = recovery.lanes.map((_, n) => suspects(pool, recovery, n));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    recovery = recover(pool);
  }
  const traces = recovery.lanes.map((lane, n) => {
    const now = suspects(pool, recovery, n), first = before?.[n];
    const stay = first === undefined ? now.slots : now.slots.filter((slot) => first.words.get(slot) === now.words.get(slot));
    const gaps = first === undefined ? lane.gaps : lane.gaps.filter((gap) => first.gaps.has(gap.from));
    const explained = crashExplains(pool, recovery, n);
    const checked = new Set(stay.filter((slot) => isSound(pool, n, slot)));
    // A writer that was interrupted within a record, at both looks, has finished it by now: what is sound is then another text.
    const same = live ? stay.filter((slot) => wordsAt(pool, n, slot) === now.words.get(slot)) : stay;
    const rest = same.filter((slot) => !checked.has(slot));
    return {
      torn: rest.filter(explained), damaged: rest.filter((slot) => !explained(slot)), impossible: same.filter((slot) => checked.has(slot)),
      inFlight: now.slots.length - same.length,
      gaps, strangeGaps: gaps.filter((gap) => !explained(gap.from) || !explained(gap.to)),
    };
  });
  return { recovery, live, traces };
}

/** As many as are told apart one by one: a pool of which more is damaged needs no finer word. */
const MOST = 10_000;

interface Suspects { readonly slots: readonly number[]; readonly words: ReadonlyMap<number, string>; readonly gaps: ReadonlySet<number> }

function suspects(pool: Pool, recovery: Recovery, n: number): Suspects {
  const lane = recovery.lanes[n], index = new IndexView(pool.head, pool.geometry.lanes[n]), slots: number[] = [], words = new Map<number, string>();
  for (let slot = 0; slot < lane.state.length && slots.length < MOST; slot++) {
    if (lane.state[slot] !== SLOT_TORN) continue;
    slots.push(slot);
    words.set(slot, text(index.at(slot)));
  }
  return { slots, words, gaps: new Set(lane.gaps.map((gap) => gap.from)) };
}

const text = ({ words, base }: IndexView): string => words.subarray(base, base + RECORD_BYTES / 4).join();
const wordsAt = (pool: Pool, n: number, slot: number): string => text(new IndexView(pool.head, pool.geometry.lanes[n]).at(slot));

/** Whether a slot, or a sequence number, lies where some run's last batch was. */
function crashExplains(pool: Pool, { boots, lanes }: Recovery, n: number): (at: number) => boolean {
  // Pages of such a file come back in any mixture of old and new.
  if (boots.some(writtenBackOnly)) return () => true;
  const { slots } = pool.geometry.lanes[n], { next } = lanes[n], ends: { slot: number; batch: number }[] = [];
  boots.forEach((boot, i) => {
    if (endedInOrder(boot)) return;
    const end = boots[i + 1]?.firstSequence[n] ?? next;
    ends.push({ slot: end % slots, batch: Math.min(largestBatch([boot], slots), slots) });
  });
  // How the runs ended whose blocks are gone, nobody knows.
  const known = boots.length === 0 ? Infinity : boots[0].id > 1 ? boots[0].firstSequence[n] ?? 0 : 0;
  if (known > 0 && known < Infinity) ends.push({ slot: known % slots, batch: largestBatch([], slots) });
  return (at) => {
    const inWindow = next - 1 - (((next - 1 - at) % slots) + slots) % slots;
    return inWindow < known || ends.some(({ slot, batch }) => {
      const behind = (((at - slot) % slots) + slots) % slots;
      return behind < batch || slots - behind <= batch;
    });
  };
}

function isSound(pool: Pool, n: number, slot: number): boolean {
  const { geometry } = pool, result = new Uint8Array(1);
  indexScan(pool.head, geometry.lanes[n].indexOffset, pool.buffers, slot, 1, Math.log2(geometry.chunk), geometry.buffers, recordSeed(geometry.uuid, n), result);
  return result[0] === SLOT_VALID;
}
