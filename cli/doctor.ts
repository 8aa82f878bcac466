/**
 * `framekeep doctor`: what this machine can do for a switch, and for each "no" what to do about it. It looks and changes
 * nothing; it goes on when a part of framekeep itself is missing. The looking is in doctor_machine.ts, doctor_interfaces.ts
 * and doctor_media.ts.
 */
import { interfaces } from './doctor_interfaces.js';
import type { InterfaceReport } from './doctor_interfaces.js';
import { machineChecks } from './doctor_machine.js';
import { media } from './doctor_media.js';
import type { MediumReport } from './doctor_media.js';
import { EXIT } from './exit.js';
import type { Colours, Io } from './io.js';
import type { DoctorOptions } from './options.js';
import { columns } from './columns.js';

/** One question with its answer. */
export interface Check {
  /** Stable, for programs: `af-xdp`. */
  id: string;
  title: string;
  ok: boolean;
  /** What was found. */
  found: string;
  /** What to do; '' where it is well. */
  remedy: string;
  /** Values for programs. */
  data?: Record<string, unknown>;
}

/** What `--json` writes. */
export interface DoctorReport {
  checks: Check[];
  interfaces: InterfaceReport[];
  media: MediumReport[];
}

export async function run(options: DoctorOptions, io: Io): Promise<number> {
  const [checks, found] = await Promise.all([machineChecks(), interfaces()]);
  const report: DoctorReport = { checks: [...checks, ...found.checks], interfaces: found.interfaces, media: await media(options.paths) };
  if (options.json) io.printJson(report);
  else for (const line of lines(report, io.colours)) io.print(line);
  return EXIT.ok;
}

function* lines({ checks, interfaces, media }: DoctorReport, colours: Colours): Generator<string> {
  const width = Math.max(...checks.map((c) => c.title.length));
  for (const check of checks) {
    yield `${check.ok ? colours.green('yes') : colours.red('no ')}  ${check.title.padEnd(width)}  ${check.found}`;
    if (check.remedy !== '') yield `${' '.repeat(5)}${colours.dim(check.remedy)}`;
  }
  yield '';
  yield colours.bold('Interfaces');
  yield* interfaces.length === 0 ? ['  none'] : columns(['name', 'driver', 'queues', 'mtu', 'state', 'AF_XDP, likely', ''],
    interfaces.map((i) => [i.name, i.driver || '-', String(i.queues), String(i.mtu), i.up ? 'up' : 'down', i.mode, i.note]));
  yield '';
  yield colours.bold('Where a pool could live');
  for (const medium of media) {
    const where = `${medium.path}${medium.free === undefined ? '' : `, ${gibibytes(medium.free)} free`}`;
    yield `  ${medium.ok ? colours.green(where) : colours.red(where)}`;
    yield `    ${medium.promise}`;
    if (medium.remedy !== '') yield `    ${colours.dim(medium.remedy)}`;
  }
}

function gibibytes(bytes: number): string {
  return `${(bytes / 1024 ** 3).toFixed(1)} GiB`;
}
