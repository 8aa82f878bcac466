/** The inspector's first page: what happened to the pool, on a time line and in words. */
import { count, gapsText, thousands } from '../../logger/words.js';
import type { BootReport } from '../../logger/report.js';
import { dayText, rateText, spanText } from '../amounts.js';
import { bytesText } from '../counters_view.js';
import type { Look, Style } from '../look.js';
import { fit, type Painter } from '../painter.js';
import type { Frames } from './frames.js';
import { timeLine, type TimeLine } from './time_line.js';

type Piece = readonly [text: string, style?: Style];
type Line = readonly Piece[];

const BLOCKS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'], PLAIN_BLOCKS = ['.', ':', '-', '=', '+', '*', '%', '#'];
const LABEL = 9, TAIL = 14;
const seconds = (iso: string): number => Date.parse(`${iso.slice(0, 23)}Z`) / 1000;
/** Without the day, where that is the same. */
const later = (first: string, then: string): string => {
  const a = dayText(seconds(first)), b = dayText(seconds(then));
  return a !== b && a.slice(0, 10) === b.slice(0, 10) ? b.slice(11) : b;
};

export class ReportPage {
  private readonly frames: Frames;
  private lines: Line[] = [];
  private from = 0;
  private width = 0;
  private height = 1;
  private made: unknown;

  constructor(frames: Frames) { this.frames = frames; }

  draw(p: Painter): void {
    if (this.width !== p.width || this.made !== this.frames.report) {
      this.width = p.width;
      this.made = this.frames.report;
      this.lines = this.write(p.width, p.look);
    }
    this.height = Math.max(1, p.height);
    this.scroll(0);
    for (let y = 0; y < p.height && this.from + y < this.lines.length; y++) p.pieces(1, y, ...this.lines[this.from + y]);
    const below = this.lines.length - this.from - p.height;
    if (below > 0) p.text(p.width - 12, p.height - 1, fit(` ${thousands(below)} more ↓`, 12, 'right'), 'dim');
  }

  key(key: string): boolean {
    const page = Math.max(1, this.height - 1);
    const step: Record<string, number> = { up: -1, k: -1, down: 1, j: 1, pageup: -page, 'C-b': -page, pagedown: page, 'C-f': page, space: page,
      home: -Infinity, g: -Infinity, end: Infinity, G: Infinity };
    if (step[key] === undefined) return false;
    this.scroll(step[key]);
    return true;
  }
  scroll(by: number): void { this.from = Math.max(0, Math.min(this.from + by, this.lines.length - this.height)); }

  private write(width: number, look: Look): Line[] {
    const { report } = this.frames, { window, geometry, medium, boots, lanes } = report, lines: Line[] = [];
    const title = (text: string): void => { if (lines.length > 0) lines.push([]); lines.push([[text, 'title']]); };
    const wrap = (text: string, style: Style = 'normal', indent = 2): void => {
      for (const part of wrapped(text, width - 2 - indent)) lines.push([[' '.repeat(indent)], [part, style]]);
    };

    lines.push([report.live ? ['A switch is keeping frames in it.', 'good'] : ['No switch has it.', 'bold']]);
    const promise = medium.promise[0].toUpperCase() + medium.promise.slice(1);
    wrap(`${bytesText(geometry.bytes)} on ${medium.kind}, buffers of ${geometry.chunk} bytes. ${promise}.`, 'dim', 0);
    if (window.frames === 0) lines.push([['No frame is kept in it.', 'warn']]);
    else {
      // A record of damage may have the time 0, which the report says as none.
      const { oldest, newest } = window, isWide = width >= 110;
      const span = oldest === null || newest === null ? 'at a time that is not known.' : `from ${dayText(seconds(oldest))} to ${later(oldest, newest)}.`;
      lines.push([[count(window.frames, 'frame'), 'bold'], [`, ${bytesText(window.keptBytes)}, over ${spanText(window.seconds)}, ${isWide ? span : ''}`]]);
      if (!isWide) lines.push([[span]]);
      const fill = window.fill > 0 && window.fill < 0.01 ? 'less than 1' : String(Math.floor(window.fill * 100));
      lines.push([[`Room for ${thousands(geometry.slots)}, ${fill} % used; the newest ${thousands(window.guaranteed)} are sure to be found after a crash.`, 'dim']]);
    }

    const torn = lanes.reduce((sum, l) => sum + l.torn, 0), damaged = lanes.reduce((sum, l) => sum + l.damaged, 0), gaps = lanes.flatMap((l) => l.gaps);
    title('What happened');
    if (boots.length === 0) wrap('no switch has run on it yet');
    else {
      const chart = timeLine(this.frames, Math.max(20, width - LABEL - TAIL - 3));
      lines.push(...drawTimeLine(chart, boots, look));
      const holes = torn > 0 || damaged > 0 || gaps.length > 0 ? '^ torn or missing  ' : '';
      wrap(`${holes}${endMark('without a word', look)} killed or crashed  ${endMark('in order', look)} ended in order  ${endMark('running', look)} running`, 'dim');
      const nothing = torn === 0 && damaged === 0 && gaps.length === 0 && report.findings.length === 0;
      if (nothing) wrap('No record is torn, none is damaged, no frame is missing between the oldest and the newest.', 'good');
      if (torn > 0) wrap(`${count(torn, 'record')} torn by a crash in mid-batch: never acknowledged, or the oldest, which that batch was replacing.`, 'warn');
      if (gaps.length > 0) wrap(`${gapsText(gaps)}.`, 'warn');
      if (damaged > 0) wrap(`${count(damaged, 'record')} damaged where no crash tears any.`, 'bad');
    }
    for (const finding of report.findings) wrap(`${finding[0].toUpperCase()}${finding.slice(1)}.`, 'bad');
    for (const note of report.notes) if (!/torn by a crash|left by a crash/.test(note)) wrap(`${note[0].toUpperCase()}${note.slice(1)}.`);

    title('Runs of the switch');
    const table = boots.map((b) => [String(b.id), b.started === null ? 'not known' : dayText(seconds(b.started)), ENDINGS[b.ending],
      b.lastSeen === null ? '' : later(b.started ?? b.lastSeen, b.lastSeen), thousands(b.frames), [b.name, b.host].filter(Boolean).join(' on ')]);
    const head = ['boot', 'started', 'ended', 'last seen', 'frames', 'switch'], widths = head.map((h, i) => Math.max(h.length,
      ...table.map((r) => r[i].length)));
    const row = (cells: readonly string[]): string => cells.map((c, i) => fit(c, widths[i], i === 0 || i === 4 ? 'right' : 'left')).join('  ');
    lines.push([['  '], [row(head), 'dim']]);
    table.forEach((cells, i) => lines.push([['  '], [row(cells), boots[i].ending === 'without a word' ? 'warn' : 'normal']]));
    for (const b of boots) {
      lines.push([]);
      lines.push([[`  Boot ${b.id}`, 'bold'], [b.known ? '' : ': its block is gone, so its ports have numbers only', 'warn'],
        [b.keep === '' ? '' : `, kept: ${b.keep}`], [b.kernelRestarted === true ? ', the machine has booted since' : ''],
        [b.software === '' ? '' : `, ${b.software}, pid ${b.pid}`, 'dim']]);
      const fates = Object.entries(b.verdicts).sort((x, y) => y[1] - x[1]).map(([what, n]) => `${thousands(n)} ${what}`).join(', ');
      if (fates !== '') wrap(fates, 'normal', 4);
      const name = Math.max(4, ...b.ports.map((port) => port.spec.length));
      for (const port of b.ports) {
        const c = port.counters;
        lines.push([['    '], [fit(port.spec || `port ${port.id}`, Math.min(name, width >> 1))], [`  ${count(port.frames, 'frame')} here`],
          [c === null ? '' : `; received ${rateText(c.received)}, kept ${rateText(c.kept)}${c.lost > 0 ? `, lost ${rateText(c.lost)}` : ''}`, 'dim'],
          [port.note === '' ? '' : `  ${port.note}`, 'dim']]);
      }
    }
    return lines;
  }
}

const ENDINGS = { 'without a word': 'killed or crashed', 'in order': 'in order', running: 'running' } as const;
function endMark(ending: BootReport['ending'], look: Look): string {
  return ending === 'without a word' ? (look.utf8 ? '×' : 'x') : ending === 'running' ? (look.utf8 ? '►' : '>') : look.utf8 ? '■' : '|';
}

function drawTimeLine(chart: TimeLine, boots: readonly BootReport[], look: Look): Line[] {
  const lines: Line[] = [], axis = Array<string>(chart.columns).fill(' '), blocks = look.utf8 ? BLOCKS : PLAIN_BLOCKS;
  const put = (cells: string[], at: number, text: string): void => {
    for (let i = 0; i < text.length; i++) if (at + i >= 0 && at + i < cells.length) cells[at + i] = text[i];
  };
  const breaks = chart.pieces.slice(1).map((p) => p.column - 2);
  let drawn = -1;
  for (const p of chart.pieces) {
    const from = dayText(p.from / 1e9), to = dayText(p.to / 1e9), isLong = p.columns >= 21;
    if (p.column > drawn) put(axis, p.column, p.columns >= 40 ? from : from.slice(11, isLong || p.columns >= 9 ? 19 : 16));
    drawn = p.column + 8;
    if (isLong) put(axis, p.column + p.columns - 8, to.slice(11));
  }
  for (const b of breaks) put(axis, b, '//');
  lines.push([[' '.repeat(LABEL + 2)], [axis.join(''), 'dim']]);
  const most = Math.max(1, ...chart.rows.map((r) => r.density.reduce((a, b) => Math.max(a, b), 0)));
  for (const row of chart.rows) {
    const boot = boots.find((b) => b.id === row.id)!, cells = Array<string>(chart.columns).fill(' ');
    for (const b of breaks) put(cells, b, '//');
    for (let i = Math.max(0, row.from); i <= row.to; i++) cells[i] = look.utf8 ? '·' : ' ';
    row.density.forEach((n, i) => { if (n > 0) cells[i] = blocks[Math.min(7, Math.floor(Math.sqrt(n / most) * 8))]; });
    const end = row.to >= 0 ? Math.min(row.to + 1, chart.columns) : 0, mark = endMark(boot.ending, look), bar = cells.join('');
    lines.push([[`  ${fit(`boot ${row.id}`, LABEL)}`], ...dashed(bar.slice(0, end), boot.ending === 'without a word' ? 'warn' : 'accent'),
      [mark, boot.ending === 'without a word' ? 'bad' : 'good'], [bar.slice(end + 1), 'dim'],
      [fit(thousands(boot.frames), TAIL - 2, 'right'), 'normal']]);
    const faults = Array<string>(chart.columns).fill(' ');
    for (const at of [...row.torn, ...row.gaps]) faults[at] = '^';
    if (row.torn.length + row.gaps.length > 0) lines.push([[' '.repeat(LABEL + 2)], [faults.join('').trimEnd(), 'bad'],
      [` ${[row.torn.length > 0 ? 'torn' : '', row.gaps.length > 0 ? 'gap' : ''].filter(Boolean).join(', ')}`, 'bad']]);
  }
  return lines;
}

/** Breaks of the axis are no part of a run. */
function dashed(bar: string, style: Style): Piece[] {
  return bar.split(/(\/\/)/).map((part): Piece => [part, part === '//' ? 'dim' : style]);
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) { lines.push(line); line = word; }
    else line += `${line === '' ? '' : ' '}${word}`;
  }
  return [...lines, line];
}
