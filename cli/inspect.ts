/**
 * `framekeep inspect`: what happened to a pool and what is in it, for a person or (`--json`) for a program. Looks at the
 * records alone, also while a switch is writing. With `--tui`, the frames too, on the whole terminal.
 */
import { FramekeepError } from '../native/error.js';
import { Pool } from '../logger/pool.js';
import { inspectPool, type BootReport, type PoolReport } from '../logger/report.js';
import { count, gapsText, thousands } from '../logger/words.js';
import { columns } from './columns.js';
import { EXIT } from './exit.js';
import type { Colours, Io } from './io.js';
import type { InspectOptions } from './options.js';

export async function run(options: InspectOptions, io: Io): Promise<number> {
  if (options.tui) {
    if (options.json) throw new FramekeepError('E_USAGE', '--tui and --json are different things', 'say one of them');
    // Loads blessed, which nobody else needs.
    const { inspectPool } = await import('../tui/inspect/inspector.js');
    await inspectPool(options.pool);
    return EXIT.ok;
  }
  const pool = Pool.open(options.pool);
  let report: PoolReport;
  try {
    report = inspectPool(pool);
  } finally { pool.close(); }
  if (options.json) io.printJson(report);
  else for (const line of lines(report, options.boots, io.colours)) io.print(line);
  return EXIT.ok;
}

function* lines(report: PoolReport, eachBoot: boolean, c: Colours): Generator<string> {
  const { geometry, medium, window, boots, lanes } = report;
  yield `${c.bold(report.path)}  ${report.live ? c.green('a switch is keeping frames in it') : 'no switch has it'}`;
  yield `  ${size(geometry.bytes)} on ${medium.kind}, buffers of ${geometry.chunk} bytes, ${count(geometry.lanes, 'lane')}, format ${report.version}, made ${moment(report.created, 0)}`;
  yield `  ${medium.promise}`;
  yield '';

  yield c.bold('Kept');
  if (window.frames === 0) yield '  no frame';
  else {
    yield `  ${count(window.frames, 'frame')}, ${size(window.keptBytes)}, in ${duration(window.seconds)}${rates(window)}`;
    yield `  from ${moment(window.oldest!)}`;
    yield `  to   ${moment(window.newest!)}`;
  }
  const shownFill = window.fill > 0 && window.fill < 0.01 ? 'less than 1' : String(Math.floor(window.fill * 100));
  yield `  room for ${count(geometry.slots, 'frame')}, ${shownFill} % used; of those, the newest ${thousands(window.guaranteed)} are sure to be found after a crash`;
  for (const lane of lanes) {
    const name = lanes.length > 1 ? `  lane ${lane.lane}: ` : '  ';
    const off = ([['torn', lane.torn], ['damaged', lane.damaged], ['cut off', lane.beyond], ['ghosts', lane.ghosts], ['conflicts', lane.conflicts], ['being written', lane.inFlight]] as const)
      .filter(([, n]) => n > 0).map(([what, n]) => `${thousands(n)} ${what}`);
    if (lane.newest >= 0) yield `${name}sequence ${lane.oldest} to ${lane.newest}${off.length > 0 ? `; ${off.join(', ')}` : ''}`;
    else if (lanes.length > 1 || off.length > 0) yield `${name}no record${off.length > 0 ? `; ${off.join(', ')}` : ''}`;
    if (lane.gaps.length > 0) yield `${name}${gapsText(lane.gaps)}`;
  }
  yield '';

  yield c.bold('Runs of the switch');
  if (boots.length === 0) yield '  none yet';
  else {
    yield* columns(['boot', 'started', 'ended', 'last seen', 'frames', 'bytes', 'switch'], boots.map((b) => [
      String(b.id), b.started === null ? 'not known' : moment(b.started, 0, false), ending(b), b.lastSeen === null ? '' : moment(b.lastSeen, 0, false), thousands(b.frames), thousands(b.wireBytes), [b.name, b.host].filter(Boolean).join(' on '),
    ]));
  }
  for (const boot of eachBoot ? boots : boots.slice(-1)) {
    yield '';
    yield* bootLines(boot, c);
  }
  if (report.notes.length > 0) {
    yield '';
    yield c.bold('Notes');
    for (const note of report.notes) yield `  ${note}`;
  }
  if (report.findings.length > 0) {
    yield '';
    yield c.bold('Damage');
    for (const finding of report.findings) yield `  ${c.red(finding)}`;
  }
}

function* bootLines(boot: BootReport, c: Colours): Generator<string> {
  yield c.bold(`Boot ${boot.id}`) + (boot.known ? '' : ': its block is gone');
  if (boot.known) yield `  ${[boot.software, `pid ${boot.pid}`, `on ${boot.medium}, to survive ${SURVIVES[boot.durability] ?? boot.durability}`].filter(Boolean).join(', ')}`;
  if (boot.keep !== '') yield `  kept: ${boot.keep}`;
  if (boot.frames > 0) {
    const verdicts = Object.entries(boot.verdicts).sort((a, b) => b[1] - a[1]).slice(0, 6).map(([what, frames]) => `${thousands(frames)} ${what}`);
    yield `  ${verdicts.join(', ')}${boot.snapped > 0 ? `; ${thousands(boot.snapped)} cut by the snap length` : ''}${boot.checksumsCompleted > 0 ? `; ${thousands(boot.checksumsCompleted)} with a checksum completed` : ''}`;
    if (boot.seconds > 0) yield `  ${duration(boot.seconds)}${rates(boot)}`;
  }
  if (boot.ports.length === 0) return;
  const withCounters = boot.ports.some((p) => p.counters !== null);
  yield* columns(['port', 'name', 'mac', 'frames here', 'bytes', ...withCounters ? ['received', 'not forwarded', 'kept', 'lost'] : [], 'what it is'], boot.ports.map((p) => [
    String(p.id), p.spec || 'not known', p.mac, thousands(p.frames), thousands(p.bytes),
    ...withCounters ? [p.counters?.received, p.counters?.dropped, p.counters?.kept, p.counters?.lost].map((x) => x === undefined ? '' : thousands(x)) : [], p.note,
  ]));
}

const SURVIVES: Record<string, string> = { power: 'a power cut', kernel: 'a kernel crash', process: 'its own crash' };

function ending(boot: BootReport): string {
  const since = boot.kernelRestarted === true ? ', machine booted since' : '';
  return boot.ending === 'without a word' ? `killed or crashed${since}` : boot.ending + since;
}

function rates({ framesPerSecond, bitsPerSecond }: { framesPerSecond: number; bitsPerSecond: number }): string {
  return framesPerSecond > 0 ? `: ${thousands(Math.round(framesPerSecond))} frames/s, ${scaled(bitsPerSecond, 1000, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s'])}` : '';
}

const size = (bytes: number): string => scaled(bytes, 1024, ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']);
function scaled(x: number, base: number, units: readonly string[]): string {
  let i = 0;
  while (x >= base && i < units.length - 1) { x /= base; i++; }
  return `${i === 0 ? Math.round(x) : x.toFixed(1)} ${units[i]}`;
}
function duration(seconds: number): string {
  if (seconds < 120) return `${seconds < 0.001 ? seconds.toFixed(6) : seconds.toFixed(3)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round(seconds % 3600 / 60)} min`;
}

/** Local time with its offset, and UTC behind it where that differs. */
function moment(utc: string, digits = 9, both = true): string {
  const date = new Date(utc.slice(0, 23) + 'Z'), minutes = -date.getTimezoneOffset();
  const fraction = digits === 0 ? '' : utc.slice(19, 20 + digits);
  if (minutes === 0) return `${utc.slice(0, 10)} ${utc.slice(11, 19)}${fraction}Z`;
  const local = new Date(date.getTime() + minutes * 60_000).toISOString(), pad = (x: number): string => String(Math.trunc(x)).padStart(2, '0');
  const offset = `${minutes < 0 ? '-' : '+'}${pad(Math.abs(minutes) / 60)}:${pad(Math.abs(minutes) % 60)}`;
  return `${local.slice(0, 10)} ${local.slice(11, 19)}${fraction}${offset}${both ? ` (${utc.slice(11, 19)}${fraction}Z)` : ''}`;
}
