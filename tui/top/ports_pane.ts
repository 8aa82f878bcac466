/** The ports of the dashboard: a line each with its rates and a history, and all that is known of the one that is chosen. */
import { thousands } from '../../logger/words.js';
import { countIn, rateText } from '../amounts.js';
import { graph, valuesIn, type History } from '../graph.js';
import type { List } from '../list.js';
import { fit, type Painter } from '../painter.js';
import type { Style } from '../look.js';
import type { PortSnapshot } from '../../switch/counters.js';
import { droppedOf, type PortRates, type SwitchWatch } from './switch_watch.js';

const STATES: Readonly<Record<string, Style>> = { up: 'good', down: 'warn', gone: 'bad' };
const stateOf = (p: PortSnapshot): string => p.state === 'up' && p.finished > 0 ? 'done' : p.state === 'removed' ? 'ended' : p.state;

/** Lines that `drawPorts` would fill with so many ports. */
export const portsHeight = (ports: number): number => 1 + ports + 2;

export function drawPorts(p: Painter, list: List, watch: SwitchWatch, focused: boolean): void {
  const { ports } = watch, name = Math.max(10, Math.min(24, p.width - 68)), fixed = name + 1 + 5 + 4 * 8 + 8 + 9;
  // Two graphs where there is room for ten seconds in each, else one, of what comes in.
  const room = p.width - fixed - 3, both = room >= 14, each = both ? Math.floor(room / 2) - 1 : Math.max(0, room), alive = watch.isAlive;
  list.resize(ports.length);
  const cell = (text: string, width: number): string => ` ${text.padStart(width - 1)}`;
  const head = `${fit('port', name)} ${fit('state', 5)}${cell('in f/s', 8)}${cell('b/s', 8)}${cell('out f/s', 8)}${cell('b/s', 8)}${cell('dropped', 8)}${cell('kept', 9)}`;
  p.text(0, 0, head, 'bold');
  if (each > 2) {
    p.text(fixed + 1, 0, fit(both ? 'in' : 'in b/s', each), 'bold');
    if (both) p.text(fixed + each + 2, 0, fit('out', each), 'bold');
  }
  const details = Math.max(0, Math.min(2, p.height - 2)), body = p.part(0, 1, p.width, p.height - 1 - details);
  const n = valuesIn(each, p.look.utf8), most = (pick: (r: PortRates) => History): number => Math.max(...ports.map((port) => pick(watch.rates(port)).peak(n)), 0);
  // One scale for all, so that they compare.
  const scale = each > 2 ? Math.max(most((r) => r.inBits), both ? most((r) => r.outBits) : 0) : 0;
  list.draw(body, focused, (line, index) => {
    const port = ports[index], rates = watch.rates(port), dropped = droppedOf(port), rate = (h: History): string => alive ? rateText(h.ago(0)) : '-';
    line.pieces(0, 0, [`${fit(port.spec, name)} `], [fit(stateOf(port), 5), STATES[stateOf(port)] ?? 'dim'],
      [cell(rate(rates.inFrames), 8)], [cell(rate(rates.inBits), 8)], [cell(rate(rates.outFrames), 8)], [cell(rate(rates.outBits), 8)],
      [cell(countIn(dropped, 7), 8), rates.drops.ago(0) > 0 ? 'warn' : 'normal'], [cell(countIn(port.kept, 8), 9)]);
    if (each <= 2) return;
    line.text(fixed + 1, 0, graph(rates.inBits, each, 1, scale, p.look.utf8)[0], 'good');
    if (both) line.text(fixed + each + 2, 0, graph(rates.outBits, each, 1, scale, p.look.utf8)[0], 'accent');
  });
  const chosen = ports[list.chosen];
  if (chosen === undefined) {
    p.text(0, 1, 'no port', 'dim');
    return;
  }
  const lines = accountLines(chosen);
  for (let i = 0; i < details; i++) p.text(0, p.height - details + i, fit(lines[i], p.width), 'dim');
}

/** Where a port's frames went: two lines that add up. */
function accountLines(p: PortSnapshot): string[] {
  const drops = Object.entries(p.dropped).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]).map(([why, n]) => `${why} ${thousands(n)}`);
  return [
    `${p.spec}: received ${thousands(p.received)} = forwarded ${thousands(p.forwarded)} + flooded ${thousands(p.flooded)} + dropped ${thousands(droppedOf(p))}${drops.length > 0 ? ` (${drops.join(', ')})` : ''}`,
    `kept ${thousands(p.kept)}, not selected ${thousands(p.notSelected)}, lost ${thousands(p.lost)}; sent ${thousands(p.sent)}${p.txFull > 0 ? `, TX ring full ${thousands(p.txFull)}` : ''}${p.note !== '' ? `; ${p.note}` : ''}`,
  ];
}

/** What came in at a port and went out of it, each on a scale of its own: a line of text and `rows` of graph. */
export function drawGraphs(p: Painter, watch: SwitchWatch, port: PortSnapshot, rows: number): void {
  const rates = watch.rates(port), half = Math.floor((p.width - 2) / 2), n = valuesIn(half, p.look.utf8);
  const picture = (x: number, title: string, bits: History, frames: History, style: Style): void => {
    const peak = bits.peak(n);
    p.part(x, 0, half, 1).pieces(0, 0, [title, 'bold'], [` ${rateText(frames.ago(0))} f/s ${rateText(bits.ago(0))} b/s, peak ${rateText(peak)}`]);
    graph(bits, half, rows, peak, p.look.utf8).forEach((line, y) => p.text(x, 1 + y, line, style));
  };
  picture(0, `${port.spec} in `, rates.inBits, rates.inFrames, 'good');
  picture(half + 2, `${port.spec} out`, rates.outBits, rates.outFrames, 'accent');
}

/** One port on all there is: two graphs and every counter that is not 0. */
export function drawPort(p: Painter, watch: SwitchWatch, port: PortSnapshot): void {
  const rows = Math.max(3, Math.min(12, p.height - 12));
  drawGraphs(p, watch, port, rows);
  const y = rows + 2, columns: (readonly [string, number][])[] = [
    [['received', port.received], ['forwarded', port.forwarded], ['flooded', port.flooded], ['dropped', droppedOf(port)], ...Object.entries(port.dropped).filter(([, n]) => n > 0).map(([why, n]): [string, number] => [`  ${why}`, n])],
    [['kept', port.kept], ['  bytes', port.keptBytes], ['not selected', port.notSelected], ['lost', port.lost]],
    [['sent', port.sent], ['ring full', port.txFull], ['errors', port.txErrors], ['checksums', port.checksums], ['passed on', port.passed]],
    ([['RX ring full', port.xdpRxRingFull], ['no fill entry', port.xdpFillEmpty], ['RX dropped', port.xdpRxDropped], ['invalid', port.xdpRxInvalid + port.xdpTxInvalid]] as [string, number][]).filter(([, n]) => n > 0),
  ];
  const width = Math.floor(p.width / 3);
  let x = 0, down = y;
  columns.filter((c) => c.length > 0).forEach((column, i) => {
    if (i === 3) { x = 0; down = y + Math.max(columns[0].length, 5) + 1; }
    column.forEach(([what, n], row) => p.pieces(x, down + row, [`${fit(what, Math.max(12, Math.min(21, width - 16)))} `, 'dim'], [thousands(n).padStart(Math.min(15, width - 14)), what === 'lost' && n > 0 ? 'bad' : 'normal']));
    x += width;
  });
  if (port.note !== '') p.text(0, p.height - 1, fit(port.note, p.width), 'dim');
}
