/**
 * The counters as a table of text: what `framekeep up` and `npm start` show. On a terminal it is drawn over itself; elsewhere one
 * line is written at a time. It changes nothing of the terminal's state, so that there is nothing to restore.
 */
import { styleText } from 'node:util';
import { thousands } from '../logger/words.js';
import { windowOf, type CountersSnapshot, type PortSnapshot } from '../switch/counters.js';

const scaled = (n: number, unit: string): string => {
  const step = [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']] as const;
  const found = step.find(([factor]) => n >= factor);
  return found === undefined ? `${n.toFixed(0)} ${unit}` : `${(n / found[0]).toFixed(n / found[0] < 10 ? 2 : 1)} ${found[1]}${unit}`;
};
export const bytesText = (n: number): string => {
  const unit = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  for (; n >= 1024 && i < unit.length - 1; i++) n /= 1024;
  return `${n.toFixed(i === 0 || n >= 100 ? 0 : 1)} ${unit[i]}`;
};

const dropsOf = (p: PortSnapshot): number => Object.values(p.dropped).reduce((a, b) => a + b, 0);

export class CountersView {
  private before: CountersSnapshot | undefined;
  private beforeAt = 0;
  private drawn = 0;
  private readonly colour: boolean;

  constructor(colour: boolean) {
    this.colour = colour;
  }

  /** The table's lines. @param width columns of the terminal */
  lines(now: CountersSnapshot, width: number): string[] {
    const at = performance.now() / 1000, seconds = this.before === undefined ? 0 : at - this.beforeAt;
    const rate = (p: PortSnapshot, key: 'received' | 'sent' | 'receivedBytes' | 'sentBytes'): number => {
      const old = this.before?.ports.find((o) => o.id === p.id && o.spec === p.spec);
      return seconds > 0 && old !== undefined ? Math.max(0, p[key] - old[key]) / seconds : 0;
    };
    const rows = now.ports.filter((p) => p.state !== 'removed').map((p) => [
      p.spec, p.state === 'up' && p.finished > 0 ? 'done' : p.state,
      thousands(p.received), scaled(rate(p, 'received'), 'f/s'), scaled(rate(p, 'receivedBytes') * 8, 'b/s'),
      thousands(p.sent), scaled(rate(p, 'sent'), 'f/s'), thousands(dropsOf(p)), thousands(p.kept),
    ]);
    const head = ['port', 'state', 'received', '', '', 'sent', '', 'not forwarded', 'kept'];
    const widths = head.map((h, i) => Math.max(h.length, ...rows.map((r) => r[i].length)));
    const line = (cells: readonly string[]): string => cells.map((c, i) => i < 2 ? c.padEnd(widths[i]) : c.padStart(widths[i])).join('  ').slice(0, width);
    const lines = [this.paint('bold', line(head)), ...rows.map(line), this.paint('dim', poolLine(now).slice(0, width))];
    this.before = now;
    this.beforeAt = at;
    return lines;
  }

  /** What to write so that the table replaces the one drawn before. */
  redraw(now: CountersSnapshot, width: number): string {
    const lines = this.lines(now, width);
    const up = this.drawn > 0 ? `\x1b[${this.drawn}A` : '';
    this.drawn = lines.length;
    return `${up}\x1b[J${lines.join('\n')}\n`;
  }

  /** Something else was written below the table: the next one starts a new block. */
  release(): void { this.drawn = 0; }

  private paint(style: 'bold' | 'dim', text: string): string {
    return this.colour ? styleText(style, text, { validateStream: false }) : text;
  }
}

function poolLine(s: CountersSnapshot): string {
  const g = s.global, { frames, slots } = windowOf(s), fill = slots > 0 ? Math.floor(frames / slots * 100) : 0;
  return `pool ${s.pool}: ${thousands(g.committed)} frames (${bytesText(g.keptBytes)}) kept in this run, window ${fill} % of ${thousands(g.slots)}${g.frozen > 0 ? ', frozen' : ''}; ${thousands(g.fdbEntries)} ${g.fdbEntries === 1 ? 'address' : 'addresses'} known`;
}

/** One line for a log file. */
export function counterLine(s: CountersSnapshot): string {
  const sum = (f: (p: PortSnapshot) => number): number => s.ports.reduce((total, p) => total + f(p), 0);
  return `received ${thousands(sum((p) => p.received))}, sent ${thousands(sum((p) => p.sent))}, not forwarded ${thousands(sum(dropsOf))}, kept ${thousands(s.global.committed)} (${bytesText(s.global.keptBytes)})`;
}

