/** `framekeep status`: what a running switch does. */
import { thousands } from '../logger/words.js';
import { describeKeep, type PortInfo, type Status } from '../switch/control/index.js';
import { bytesText } from '../tui/counters_view.js';
import { columns } from './columns.js';
import { connected } from './connected.js';
import type { Colours, Io } from './io.js';
import type { NamedOptions } from './options.js';

export async function run(options: NamedOptions, io: Io): Promise<number> {
  const status = await connected(options.name, (control) => control.call('status'));
  if (options.json) io.printJson(status);
  else for (const line of statusLines(status, io.colours, Date.now() / 1000)) io.print(line);
  return 0;
}

/** @param now seconds since 1970 */
function statusLines(s: Status, colours: Colours, now: number): string[] {
  const rows: [string, string][] = [
    ['runs', `for ${ageText(now - s.startSeconds)}, process ${s.pid}, framekeep ${s.version}${s.workers > 1 ? `, ${s.workers} workers` : ''}`],
    ['pool', `${s.pool} (${s.medium}, ${s.zeroCopy ? 'zero-copy' : 'one-copy'}), run ${s.boot}${s.lanes > 1 ? `, ${s.lanes} lanes` : ''}`],
    ['', s.promise],
    ['holds', `${thousands(s.frames)} frames of at most ${thousands(s.slots)} (${bytesText(s.slots * s.chunk)})`],
    ['keeps', s.keep.stopped !== null ? colours.red(`nothing any more: ${s.keep.stopped.split('\n')[0]}`)
      : s.keep.frozen ? colours.yellow(`frozen; otherwise ${describeKeep(s.keep)}`) : describeKeep(s.keep)],
    ['logic', `${s.logic}, ${thousands(s.fdb.entries)} of ${thousands(s.fdb.capacity)} addresses, `
      + `${s.fdb.ageing === 0 ? 'kept for good' : `forgotten after ${s.fdb.ageing} s`}${s.fdb.vlanAware ? ', per VLAN' : ''}`],
  ];
  return [colours.bold(s.name), ...rows.map(([key, text]) => `  ${key.padEnd(6)} ${text}`), '', ...portTable(s.ports)];
}

export function portTable(ports: readonly PortInfo[]): string[] {
  if (ports.length === 0) return ['  no ports: framekeep ports add'];
  return columns(['port', 'state', 'received', 'sent', 'not forwarded', 'kept', ''], ports.map((p) => [p.port, p.state, thousands(p.received), thousands(p.sent), thousands(p.dropped), thousands(p.kept), p.note]));
}

/** `3 d 4 h`, `12 min`, `8 s`. */
export function ageText(seconds: number): string {
  const s = Math.max(0, Math.round(seconds)), d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
  return d > 0 ? `${d} d ${h} h` : h > 0 ? `${h} h ${m} min` : m > 0 ? `${m} min` : `${s} s`;
}
