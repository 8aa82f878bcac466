/** The panes of the dashboard beside the ports: the pool, tables of talkers and protocols, the forwarding table, events. */
import { thousands } from '../../logger/words.js';
import { clockText, countIn, rateText, spanText } from '../amounts.js';
import { bytesText } from '../counters_view.js';
import type { History } from '../graph.js';
import { List } from '../list.js';
import { fit, type Painter } from '../painter.js';
import type { Style } from '../look.js';
import type { EventLog } from './event_log.js';
import type { FrameSample, Row } from './frame_sample.js';
import { PART_EARLIER, PART_EMPTY, PART_THIS_RUN } from './lane_window.js';
import type { PoolWindow } from './pool_window.js';
import type { SwitchWatch } from './switch_watch.js';
import type { FdbState } from './switch_link.js';

/** Seconds over which the rate is taken that says when a frame will be overwritten. */
const RATE_SECONDS = 10;
/** Frames a second, below which nothing is said to be kept. */
const LEAST_RATE = 0.05;

/** What a history was of late, a second. */
function lately(history: History): number {
  const n = Math.min(RATE_SECONDS, history.length);
  let sum = 0;
  for (let i = 0; i < n; i++) sum += history.ago(i);
  return n > 0 ? sum / n : 0;
}

/**
 * What the rate means for the window: until when it is full, and after how long a frame is overwritten that is kept now. With several
 * lanes that is each one's own: none is full before its last, and the shortest and the longest are said.
 * @param lanes slots, frames held and frames kept a second of each lane, at least one of which keeps
 */
export function paceText(lanes: readonly { readonly slots: number; readonly held: number; readonly rate: number }[]): string {
  const rate = lanes.reduce((sum, l) => sum + l.rate, 0), writing = lanes.filter((l) => l.rate >= LEAST_RATE);
  const full = Math.max(...lanes.map((l) => l.held >= l.slots ? 0 : l.rate >= LEAST_RATE ? (l.slots - l.held) / l.rate : Infinity));
  const after = writing.map((l) => l.slots / l.rate), least = spanText(Math.min(...after)), most = spanText(Math.max(...after));
  return `keeps ${rateText(rate)} f/s: ${full > 0 && full < Infinity ? `full in ${spanText(full)}; ` : ''}`
    + `a frame is overwritten after ${least === most ? least : `${least} to ${most}, by lane`}`;
}

/** Three lines: the index as it lies on the medium, how full it is and how old, what that means for a frame kept now. */
export function drawPool(p: Painter, watch: SwitchWatch, window: PoolWindow | undefined, problem: string): void {
  const { global: g, pool } = watch.snapshot;
  if (window === undefined) {
    p.text(0, 0, pool, 'dim');
    p.text(0, 1, problem, 'warn');
    return;
  }
  const width = Math.max(10, p.width - 2), parts = window.picture(width, g.boot);
  const faces: Readonly<Record<number, readonly [string, Style]>> = { [PART_EMPTY]: ['░', 'dim'], [PART_EARLIER]: ['▒', 'other'], [PART_THIS_RUN]: ['█', 'accent'] };
  const tall = p.height > 3, y = tall ? 1 : 0;
  parts.forEach((what, x) => p.text(1 + x, y, ...faces[what]));
  for (const head of window.heads(width)) p.text(1 + head, 0, '▼', tall ? 'mark' : 'marked');
  const now = watch.isAlive ? Date.now() / 1000 : watch.lastSeconds, fill = window.held / window.slots;
  const percent = fill > 0 && fill < 0.01 ? '<1' : String(Math.floor(fill * 100));
  p.pieces(1, y + 1, [`${percent} % full`, 'bold'], [`: ${thousands(window.held)} of ${thousands(window.slots)} frames${window.lanes.length > 1 ? ` in ${window.lanes.length} lanes` : ''}`],
    ...window.newest > 0 ? [[`; oldest ${spanText(now - window.oldest)}, newest ${spanText(now - window.newest)} old`]] as const : [['; no frame yet']] as const,
    ...g.frozen > 0 ? [['  FROZEN', 'warn']] as const : []);
  const rates = window.lanes.map((_, n) => watch.keptOfLanes[n] === undefined ? 0 : lately(watch.keptOfLanes[n]));
  const until = !watch.isAlive ? `nothing is being kept: the switch ${watch.state === 'died' ? 'died' : 'has stopped'}`
    : g.frozen > 0 ? 'frozen: nothing is overwritten'
      : watch.kept.length === 0 ? 'looking …' : rates.every((rate) => rate < LEAST_RATE) ? 'nothing is being kept at the moment'
        : paceText(window.lanes.map(({ slots, held }, n) => ({ slots, held, rate: rates[n] })));
  p.text(1, y + 2, until);
  if (p.height > y + 3) {
    p.pieces(1, y + 3, [fit(pool, Math.min(pool.length, Math.max(20, p.width - 60))), 'dim'],
      [`; ${thousands(g.committed)} frames, ${bytesText(g.keptBytes)}, ${thousands(g.commits)} commits in this run; ${thousands(g.freeBuffers)} of ${thousands(g.buffers)} buffers free`, 'dim']);
  }
  if (p.height > y + 4) p.pieces(1, y + 4, ['█', 'accent'], [' this run  '], ['▒', 'other'], [' earlier runs  '], ['░', 'dim'], [' empty  '], ['▼', 'mark'], [' where the next frame goes']);
}

/** What was looked at for the tables, in so many words; in fewer where they do not fit. */
export function sampleText(sample: FrameSample, isAlive: boolean, filter: string, width: number): string {
  const of = Math.round(sample.of), when = isAlive ? 'the last minute' : 'its last minute', matching = filter === '' ? '' : `; ${thousands(sample.selected)} match`;
  if (of === 0) return `no frame kept in ${when}`;
  const isAll = sample.looked >= of, long = isAll ? `all ${thousands(of)} kept frames of ${when}${matching}` : `${thousands(sample.looked)} of ${thousands(of)} kept frames of ${when}, scaled${matching}`;
  return long.length <= width ? long : `${isAll ? `all ${thousands(of)} kept frames` : `${thousands(sample.looked)} of ${thousands(of)}, scaled`}${matching}`;
}

/** Frames and bytes, and each one's share of the bytes. */
export function drawRows(p: Painter, list: List, rows: readonly Row[], what: string, focused: boolean, note: string): void {
  // The share as a number and a bar, as a number, or not.
  const share = p.width >= 46 ? 13 : p.width >= 34 ? 6 : 0, name = Math.max(8, p.width - 13 - share);
  p.text(0, 0, `${fit(what, name)} ${'frames'.padStart(6)} ${'bytes'.padStart(5)}${share > 0 ? 'share'.padStart(share) : ''}`, 'bold');
  const total = rows.reduce((sum, r) => sum + r.bytes, 0);
  list.resize(rows.length);
  const noted = p.height > 2, body = p.part(0, 1, p.width, p.height - (noted ? 2 : 1));
  list.draw(body, focused, (line, index) => {
    const row = rows[index], part = total > 0 ? row.bytes / total : 0, percent = `${Math.round(part * 100)} %`;
    const x = line.text(0, 0, `${fit(row.name, name)} ${countIn(Math.round(row.frames), 6).padStart(6)} ${rateText(Math.round(row.bytes)).padStart(5)}`);
    if (share > 6) line.pieces(x + 1, 0, ['█'.repeat(Math.round(part * 6)).padEnd(6), 'accent'], [percent.padStart(5), 'dim']);
    else if (share > 0) line.text(x, 0, percent.padStart(share), 'dim');
  });
  if (noted) p.text(0, p.height - 1, fit(note, p.width), 'dim');
}

export function drawFdb(p: Painter, list: List, fdb: FdbState, focused: boolean, portName: (id: number) => string): void {
  if (fdb.problem !== '') {
    list.resize(0);
    p.text(0, 0, fit(fdb.problem, p.width), 'warn');
    return;
  }
  const vlans = fdb.entries.some((e) => e.vlan !== 0), port = Math.max(5, Math.min(20, p.width - (vlans ? 32 : 27)));
  p.text(0, 0, `${fit('address', 17)} ${vlans ? 'VLAN ' : ''}${fit('port', port)} ${'seen'.padStart(8)}`, 'bold');
  list.resize(fdb.entries.length);
  const more = fdb.total > fdb.entries.length, body = p.part(0, 1, p.width, p.height - (more ? 2 : 1));
  list.draw(body, focused, (line, index) => {
    const e = fdb.entries[index], seen = e.isStatic ? 'static' : e.ageSeconds < 120 ? `${e.ageSeconds} s` : e.ageSeconds < 7200 ? `${Math.round(e.ageSeconds / 60)} min` : spanText(e.ageSeconds);
    line.text(0, 0, `${e.mac} ${vlans ? `${(e.vlan === 0 ? '' : String(e.vlan)).padStart(4)} ` : ''}${fit(portName(e.port), port)} ${seen.padStart(8)}`);
  });
  if (more) p.text(0, p.height - 1, `the first ${thousands(fdb.entries.length)} of ${thousands(fdb.total)}; framekeep fdb shows all`, 'dim');
}

export function drawEvents(p: Painter, list: List, log: EventLog, focused: boolean): void {
  const { events } = log;
  list.resize(events.length);
  // Newest first; the list's own order is by time.
  list.draw(p, focused, (line, index) => {
    const e = events[events.length - 1 - index];
    line.pieces(0, 0, [`${clockText(e.last)} `, 'dim'], [e.text, e.style], ...e.times > 1 ? [[` (${thousands(e.times)} times since ${clockText(e.first)})`, 'dim'] as const] : []);
  });
}
