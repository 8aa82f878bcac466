/**
 * `framekeep export`: what a pool holds, as a file or on standard output. An output that exists is overwritten, as tcpdump does it,
 * but never a pool. Interrupted, it ends the file after a whole frame (exit code 130); when the reader of a pipe goes away it ends
 * quietly with 0, as others do before `head`.
 * With --follow being interrupted is how it ends: exit code 0.
 */
import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync, readSync, statSync, type Stats } from 'node:fs';
import { count, thousands } from '../logger/words.js';
import { FramekeepError } from '../native/error.js';
import { ByteSink, sinkBytes } from '../logger/capture/index.js';
import { exportPool, type ExportResult } from '../logger/export.js';
import { compileFilter } from '../logger/filter/index.js';
import { MAGIC } from '../logger/format.js';
import { Pool } from '../logger/pool.js';
import { EXIT } from './exit.js';
import type { Io } from './io.js';
import type { ExportOptions } from './options.js';
import { Progress } from './progress.js';

export async function run(options: ExportOptions, io: Io): Promise<number> {
  const { filter, write, from, to, ports, boot, last, snap, follow, count } = options;
  const compiled = filter === '' ? undefined : compileFilter(filter);
  const pool = Pool.open(options.pool), progress = new Progress(io, options.progress);
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  let fd: number | undefined;
  try {
    const open = (beside: number): ByteSink => {
      refusePools(write, pool);
      // The umask decides who may read it, as for any capture.
      fd = write !== '-' ? openSync(write, 'w', 0o666) : follow ? standardOutput() : 1;
      return new ByteSink(fd, write === '-' ? 'standard output' : write, sinkBytes(fd), beside);
    };
    const result = await exportPool(pool, open, {
      match: compiled?.match, reach: compiled?.reach, from, to, ports, boot, last, snap, follow, count, format: formatOf(options), application: `framekeep ${version}`, signal: io.interrupted,
      progress: (done, total, bytes) => { if (!follow) progress.update(done, total, `${(bytes / 1e6).toFixed(0)} MB`); },
    });
    progress.end();
    const shown = { ...summary(result), output: write, format: formatOf(options) };
    if (!options.json) io.note(sentence(result, write, follow));
    else if (write === '-') io.note(JSON.stringify(shown));
    else io.printJson(shown);
    // Who follows has no other way to end it.
    return result.aborted && !follow && io.interrupted.reason !== 'EPIPE' ? EXIT.interrupted : EXIT.ok;
  } finally {
    progress.end();
    pool.close();
    if (fd !== undefined && fd !== 1) closeSync(fd);
  }
}

/** Standard output; a pipe anew and non-blocking, so that a reader that stops reading does not keep signals from being heard. */
function standardOutput(): number {
  if (!fstatSync(1).isFIFO()) return 1;
  try {
    return openSync('/proc/self/fd/1', constants.O_WRONLY | constants.O_NONBLOCK);
  } catch { return 1; }  // another user's pipe
}

/** What was asked for, else what the output's name says, else pcapng. */
function formatOf({ format, write }: ExportOptions): 'pcapng' | 'pcap' {
  return format ?? (/\.pcap$/i.test(write) ? 'pcap' : 'pcapng');
}

function refusePools(path: string, pool: Pool): void {
  if (path !== '-' && !existsSync(path)) return;
  const out = path === '-' ? fstatSync(1) : statSync(path);
  if (isSame(out, fstatSync(pool.fd))) throw new FramekeepError('E_USAGE', `${path === '-' ? 'standard output' : path} is the pool itself`, 'name another file');
  if (path === '-' || !out.isFile()) return;
  const start = Buffer.alloc(MAGIC.length), fd = openSync(path, 'r');
  try {
    if (readSync(fd, start, 0, start.length, 0) === start.length && start.toString('latin1') === MAGIC) {
      throw new FramekeepError('E_POOL_EXISTS', `${path} is a pool, and would be lost`, 'name another file');
    }
  } finally { closeSync(fd); }
}

// A device may have several names, and inodes.
const isSame = (a: Stats, b: Stats): boolean => (a.dev === b.dev && a.ino === b.ino) || (a.isCharacterDevice() && b.isCharacterDevice() && a.rdev === b.rdev);

function summary(r: ExportResult): Record<string, unknown> {
  return {
    frames: r.frames, frameBytes: r.frameBytes, bytes: r.bytes, seconds: r.seconds, sections: r.sections, notSelected: r.notSelected, overtaken: r.overtaken,
    orphans: r.orphans, complete: !r.aborted, findings: r.report.findings,
  };
}

function sentence(r: ExportResult, write: string, follow: boolean): string {
  const left = ([[r.notSelected, 'not selected'], [r.overtaken, 'replaced by the switch before they could be read'], [r.orphans, 'parts of frames whose beginning is overwritten']] as const)
    .filter(([n]) => n > 0).map(([n, what]) => `; ${thousands(n)} ${what}`).join('');
  const rate = r.seconds > 0.5 ? `, ${(r.bytes / 1e6 / r.seconds).toFixed(0)} MB/s` : '';
  return `${count(r.frames, 'frame')}, ${thousands(r.frameBytes)} bytes, in ${r.seconds.toFixed(1)} s${rate}${write === '-' ? '' : ` to ${write}`}${left}`
    + `${r.aborted && !follow ? '; interrupted: the file ends after the last of them' : ''}${r.report.findings.map((f) => `\n  ${f}`).join('')}`;
}
