/**
 * The runs of a switch over time, one row each: how densely frames were kept, where records were torn or are missing, how the run
 * ended. Times when nothing ran are cut out of the axis, so that a minute of today is seen beside one of last week.
 *
 *             06:37:28              06:41 // 14:02:11       14:02:40
 *     boot 1  ▁▃▅█▇▅▂▁ ▁▂▃×               //
 *                         ^               //
 *     boot 2                              // ▂▃▅█▇▅▂▁▁▂▃▅█▇▅▂▁▁▂▃|
 */
import { SLOT_VALID } from '../../native/index.js';
import { FLAG_CONTINUED } from '../../logger/format.js';
import { IndexView, sequenceOf } from '../../logger/index_view.js';
import { fullBootId } from '../../logger/recover.js';
import type { Frames } from './frames.js';

export interface BootRow {
  readonly id: number;
  /** Frames by column. */
  readonly density: Float64Array;
  /** First and last column of the run, -1: not known when it was. */
  readonly from: number;
  readonly to: number;
  /** Columns where records are torn or missing. */
  readonly torn: readonly number[];
  readonly gaps: readonly number[];
}
export interface TimeLine {
  readonly columns: number;
  readonly rows: readonly BootRow[];
  /** Times (ns since 1970) at columns, for the axis; a break of two columns is before each but the first. */
  readonly pieces: readonly { readonly column: number; readonly columns: number; readonly from: number; readonly to: number }[];
}

const toNs = (iso: string | null): number => iso === null ? 0 : Date.parse(`${iso.slice(0, 23)}Z`) * 1e6 + Number(iso.slice(23, 29));
/** Idle for longer than this part of the time in which something ran, and for more than ten seconds: cut out. */
const IDLE_PART = 0.15, IDLE_LEAST = 10e9, BREAK = 2;

export function timeLine(frames: Frames, columns: number): TimeLine {
  const { report } = frames;
  const runs = report.boots.map((b) => {
    const times = [b.started, b.first, b.last, b.lastSeen].map(toNs).filter((x) => x > 0);
    return { id: b.id, from: Math.min(...times), to: Math.max(...times) };
  });
  const pieces = axis(runs.filter((r) => Number.isFinite(r.from)), columns);
  const column = (ns: number): number => {
    // Times are exact to 256 ns, and pieces seconds apart.
    const p = pieces.findLast((piece) => piece.from <= ns + 1e6) ?? pieces[0];
    // The last column of a piece is for the mark that says how the run ended.
    return p === undefined ? 0 : p.column + Math.min(p.columns - 2, Math.max(0, Math.floor((ns - p.from) / Math.max(1, p.to - p.from) * (p.columns - 1))));
  };
  const rows = new Map(runs.map((r) => [r.id, {
    id: r.id, density: new Float64Array(columns), torn: [] as number[], gaps: [] as number[], from: Number.isFinite(r.from) ? column(r.from) : -1,
      to: Number.isFinite(r.to) ? column(r.to) : -1,
  }]));
  const newest = report.boots.at(-1)?.id ?? 0;
  // What is in the index now: of a living pool, what the list began with may be replaced.
  frames.states.forEach(({ state }, n) => {
    const view = new IndexView(frames.pool.head, frames.pool.geometry.lanes[n]);
    let low = -1, row: BootRow | undefined;
    for (let slot = 0; slot < state.length; slot++) {
      if (state[slot] !== SLOT_VALID || (view.at(slot).flags & FLAG_CONTINUED) !== 0) continue;
      if (view.boot !== low) {
        low = view.boot;
        row = rows.get(fullBootId(newest, low));
      }
      if (row !== undefined) row.density[column(view.timeHigh * 2 ** 32 + view.timeLow)]++;
    }
  });
  report.lanes.forEach((lane, n) => {
    const view = new IndexView(frames.pool.head, frames.pool.geometry.lanes[n]), { slots } = view, { state } = frames.states[n];
    /** The nearest sound record before a sequence number, within what a batch can have torn: its run, its time. */
    const before = (sequence: number): { boot: number; ns: number } | undefined => {
      for (let s = sequence - 1; s >= 0 && s > sequence - 2048; s--) {
        const slot = s % slots;
        if (state[slot] === SLOT_VALID && sequenceOf(view.at(slot).generation, slots, slot) === s) return { boot: fullBootId(newest, view.boot),
          ns: view.timeHigh * 2 ** 32 + view.timeLow };
      }
      return undefined;
    };
    const put = (kind: 'torn' | 'gaps', sequence: number): void => {
      const found = before(sequence), of = found === undefined ? undefined : rows.get(found.boot), at = column(found?.ns ?? 0);
      if (of !== undefined && !of[kind].includes(at)) of[kind].push(at);
    };
    for (const gap of lane.gaps) put('gaps', gap.from);
    // A torn slot's number: of the newest lap that can have had it.
    for (const slot of [...frames.traces[n]?.torn ?? [], ...frames.traces[n]?.damaged ?? []]) put('torn', lane.next - 1 + batchAfter(slot, lane.next, slots));
  });
  return { columns, rows: [...rows.values()], pieces };
}

/** How far behind the last number a slot is that the batch in flight would have filled; within a lap. */
const batchAfter = (slot: number, next: number, slots: number): number => {
  const ahead = ((slot - next) % slots + slots) % slots;
  return ahead < slots >>> 1 ? ahead + 1 : ahead + 1 - slots;
};

/** Divides the columns among the times in which something ran. */
function axis(runs: readonly { from: number; to: number }[], columns: number): { column: number; columns: number; from: number; to: number }[] {
  const spans: { from: number; to: number }[] = [];
  const active = runs.reduce((sum, r) => sum + (r.to - r.from), 0), idle = Math.max(IDLE_LEAST, active * IDLE_PART);
  for (const r of [...runs].sort((a, b) => a.from - b.from)) {
    const last = spans.at(-1);
    if (last !== undefined && r.from - last.to < idle) last.to = Math.max(last.to, r.to);
    else spans.push({ ...r });
  }
  // More runs than there is room for breaks: the axis is even again.
  const most = Math.floor(columns / 12);
  const shown = spans.length <= most || spans.length === 0 ? spans : [{ from: spans[0].from, to: spans[spans.length - 1].to }];
  const room = columns - BREAK * Math.max(0, shown.length - 1), total = shown.reduce((sum, s) => sum + (s.to - s.from), 0) || 1,
    least = Math.min(8, Math.floor(room / Math.max(1, shown.length)));
  let column = 0, spare = room - least * shown.length, left = total;
  return shown.map((s) => {
    const share = left > 0 ? Math.round(spare * (s.to - s.from) / left) : spare, width = least + share;
    spare -= share;
    left -= s.to - s.from;
    const piece = { column, columns: width, from: s.from, to: s.to };
    column += width + BREAK;
    return piece;
  });
}
