/** The frames as rows: number, time, ports, addresses, protocol, length, information. Only rows that are seen are read and decoded. */
import type { Boot } from '../../logger/format.js';
import { decodeFrame } from '../decode/index.js';
import { List } from '../list.js';
import type { Style } from '../look.js';
import { fit, type Painter } from '../painter.js';
import { dayTime, nsOf, secondsText, way, type Clock } from './frame_words.js';
import type { Frames } from './frames.js';

const HEADS = ['No', 'Time', 'Ports', 'Source', 'Destination', 'Proto', 'Len', 'Info'] as const;
interface Row { readonly cells: readonly string[]; readonly style: Style; readonly isMarked: boolean }
const STYLES: Readonly<Record<string, Style>> = { ARP: 'other', DNS: 'accent', MDNS: 'accent', LLMNR: 'accent', DHCP: 'accent', ICMP: 'good',
  ICMPv6: 'good', STP: 'dim', LLDP: 'dim' };

export class ListPane {
  readonly list = new List();
  clock: Clock = 'since';
  /** Columns scrolled away at the left. */
  shift = 0;
  private readonly frames: Frames;
  private readonly begin: bigint;
  private widths: number[] = [];
  private madeFor = '';

  constructor(frames: Frames, begin: bigint) {
    this.frames = frames;
    this.begin = begin;
  }

  /** Draws heads and rows; gives the chosen frame's information in full. */
  draw(p: Painter, focused: boolean): void {
    const { frames, list } = this, body = p.part(0, 1, p.width, p.height - 1);
    list.resize(frames.count);
    const rows: Row[] = [], last = Math.min(list.count, list.top + body.height + 1);
    // The rows that may be seen: `choose` has brought the chosen one among them.
    const top = Math.max(0, Math.min(list.top, list.chosen, list.count - body.height)), first = list.chosen >= top + body.height
      ? list.chosen - body.height + 1 : top;
    for (let row = first; row < Math.min(last + body.height, first + body.height, list.count); row++) rows[row - first] = this.row(row);
    this.measure(rows, p.width);
    p.fill('bar', ' ', 0, 0, p.width, 1);
    this.cells(p, 0, HEADS, () => focused ? 'bar' : 'bar', 'No');
    list.draw(body, focused, (line, index, isChosen) => {
      const row = rows[index - first] ?? this.row(index);
      line.text(0, 0, row.isMarked ? '●' : ' ', 'mark');
      this.cells(line, 0, row.cells, (column) => row.style === 'bad' || row.style === 'dim' ? row.style : column === 5 ? row.style : 'normal');
      if (isChosen && !focused) line.restyle(0, 'bold');
    });
    if (list.count === 0) body.text(2, 0, frames.filter === '' ? 'No frame is kept.' : frames.isFiltering ? 'Looking …'
      : `No frame matches ${frames.filter}`, 'dim');
  }

  /** Widths are as seen so far, so that columns stand still while one scrolls. */
  private measure(rows: readonly Row[], width: number): void {
    const key = `${width} ${this.frames.filter} ${this.clock}`;
    if (key !== this.madeFor) this.widths = HEADS.map((h) => h.length);
    this.madeFor = key;
    const address = width < 100 ? 15 : width < 160 ? 17 : 39, most = [9, 15, width < 100 ? 13 : 30, address, address, width < 100 ? 6 : 12, 5, Infinity];
    for (const row of rows) row.cells.forEach((cell, i) => { this.widths[i] = Math.min(most[i], Math.max(this.widths[i], cell.length)); });
  }

  private cells(p: Painter, y: number, cells: readonly string[], style: (column: number) => Style, heads = ''): void {
    let x = 1 - this.shift;
    for (let i = 0; i < HEADS.length; i++) {
      const cell = cells[i] ?? '', side = (i <= 1 || i === 6) && heads === '' ? 'right' : 'left';
      p.text(x, y, i === 7 ? cell : fit(cell, this.widths[i], side), style(i));
      x += this.widths[i] + 1;
    }
  }

  private row(row: number): Row {
    const { frames } = this, { access } = frames, number = frames.number(row), isMarked = frames.marks.size > 0 && frames.marks.has(frames.id(row));
    if (!frames.read(row)) return { cells: [String(number), '', '', '', '', '', '', 'replaced by the switch before it could be read'], style: 'dim', isMarked };
    const boot = this.boot(access.boot), ns = nsOf(access.timeHigh, access.timeLow), d = decodeFrame(access.bytes, access.offset, access.captured, access.wire);
    const ports = way(boot, access.ingress, access.verdict), time = this.timeText(row, ns);
    return {
      cells: [String(number), time, ports, d.source, d.destination, d.protocol, String(frames.access.wire), d.info], isMarked,
      style: d.stopped === 'malformed' ? 'bad' : STYLES[d.protocol] ?? 'normal',
    };
  }

  private timeText(row: number, ns: bigint): string {
    if (this.clock === 'day') return dayTime(ns);
    if (this.clock === 'since') return secondsText(ns - this.begin);
    const before = row === 0 ? undefined : this.frames.exact(row - 1);
    return before === undefined ? '' : secondsText(ns - before);
  }

  private boot(id: number): Boot | undefined { return this.frames.boots.find((b) => b.id === id); }
}
