/** A switch in the foreground, as `up` and `demo` show it: what it found, its counters, what happened, how it ended. */
import { existsSync, realpathSync } from 'node:fs';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { thousands } from '../logger/words.js';
import type { FramekeepError } from '../native/error.js';
import { packageRoot } from '../native/index.js';
import type { Switch, SwitchEvent, SwitchPort } from '../switch/index.js';
import { counterLine, CountersView } from '../tui/counters_view.js';
import { EXIT, whatFailed } from './exit.js';
import type { Io } from './io.js';

export interface RunningOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  /** Say nothing of what happens: a log on the same stream does. */
  readonly silent?: boolean;
  /** Seconds between two looks at the counters; 0: none. */
  readonly stats: number;
  /** Seconds; undefined: until interrupted. */
  readonly duration: number | undefined;
  /** Stop when every port that can finish has. */
  readonly once: boolean;
}

/** Lets `framekeep status` and its like find the switch. Loaded only here: `--help` and the readers of pools need no sockets. */
export async function serveControl(sw: Switch): Promise<void> {
  const { ControlServer } = await import('../switch/control/server.js');
  await ControlServer.listen(sw);
}

/** What was opened. @param privileges  what is left, where some were given up */
export function announce(sw: Switch, ports: readonly SwitchPort[], options: RunningOptions, io: Io, privileges?: readonly string[]): void {
  const { started } = sw;
  if (options.json) {
    io.print(JSON.stringify({ type: 'started', name: sw.name, ...started, ports, leftovers: sw.leftovers, ...(privileges && { privileges }) }));
    return;
  }
  if (options.quiet) return;
  const dim = io.errColours.dim;
  for (const line of sw.leftovers) io.note(`put back after an earlier crash: ${line}`);
  for (const line of started.findings) io.note(io.errColours.yellow(`pool: ${line}`));
  const before = started.recovered > 0 ? `, ${thousands(started.recovered)} frames of earlier runs in it${started.gaps > 0 ? `, ${started.gaps} gap(s)` : ''}` : '';
  io.note(`${io.errColours.bold(sw.name)}: run ${started.boot} of the pool, ${started.zeroCopy ? 'zero-copy' : 'one-copy'}, room for ${thousands(started.slots)} frames${before}`);
  io.note(dim(`  ${started.promise}`));
  for (const port of ports) {
    io.note(`${port.spec}: ${port.note}`);
    for (const line of port.report) io.note(dim(`  ${line}`));
  }
  if (privileges !== undefined) io.note(dim(`privileges left: ${privileges.length === 0 ? 'none' : privileges.map((name) => `CAP_${name}`).join(', ')}`));
}

/** Shows the switch until it is to end, and ends it. @returns the exit code */
export async function runUntilDone(sw: Switch, options: RunningOptions, io: Io): Promise<number> {
  const live = io.stderr.isTTY === true && !options.json && !options.quiet && options.stats > 0;
  const view = new CountersView(io.errColours.bold('x') !== 'x');
  const done = new AbortController();
  let failure: FramekeepError | undefined;
  const show = (): void => {
    if (options.json) io.print(JSON.stringify({ type: 'stats', time: Date.now() / 1000, ...sw.stats() }));
    else if (live) io.stderr.write(view.redraw(sw.stats(), io.stderr.columns || 80));
    else io.note(counterLine(sw.stats()));
  };
  sw.on('event', (event) => {
    tell(event, options, io);
    view.release();
  });
  sw.on('failed', (error) => { failure = error; });
  sw.once('stopped', () => done.abort());
  io.interrupted.addEventListener('abort', () => done.abort(), { once: true });
  if (io.interrupted.aborted) done.abort();

  const until = options.duration === undefined ? Infinity : performance.now() + options.duration * 1000;
  const step = live ? Math.min(options.stats, 0.5) : options.stats > 0 ? options.stats : 1;
  const shows = options.stats > 0 && (!options.quiet || options.json);
  for (let nextShow = performance.now(); !done.signal.aborted && performance.now() < until;) {
    if (shows && performance.now() >= nextShow) {
      show();
      nextShow += step * 1000;
    }
    if (options.once && allFinished(sw)) {
      await sleep(1);  // that they have is on its way here
      break;
    }
    const pause = Math.min(nextShow - performance.now(), until - performance.now(), options.once ? 100 : Infinity, 1000);
    await sleep(Math.max(1, pause), undefined, { signal: done.signal }).catch(() => undefined);
    if (!shows) nextShow = performance.now() + 1000;
  }
  if (shows && !done.signal.aborted) show();
  if (failure === undefined) {
    await sw.stop();  // where the control socket has done so already, nothing
    if (options.json) io.print(JSON.stringify({ type: 'stopped', ...sw.stats() }));
  }
  if (failure !== undefined) {
    io.note(`${io.errColours.red('framekeep:')} ${whatFailed(failure)}\n  ${failure.remedy}\n  [${failure.code}]`);
    return EXIT.failure;
  }
  return io.interrupted.aborted && io.interrupted.reason === 'SIGINT' ? EXIT.interrupted : EXIT.ok;
}

function allFinished(sw: Switch): boolean {
  const sources = sw.stats().ports.filter((p) => p.state !== 'removed' && p.finite > 0);
  return sources.every((p) => p.finished > 0);
}

function tell(event: SwitchEvent, options: RunningOptions, io: Io): void {
  if (options.json) { io.print(JSON.stringify({ type: 'event', ...event })); return; }
  if (event.kind === 'stopped' || options.silent === true || (options.quiet && event.kind !== 'keeping-stopped' && event.kind !== 'port-gone')) return;
  if (event.kind === 'port-finished' || event.kind === 'floods') return;
  const text = 'spec' in event ? `${event.spec}: ${event.text}` : event.text;
  io.note(event.kind === 'port-up' ? text : io.errColours.yellow(text));
}

/** How this program is called from where the user stands. */
export function program(): string {
  const bin = join(packageRoot(), 'cli', 'framekeep.mjs'), near = relative(process.cwd(), bin);
  // Under npx its directory is on the PATH, and not on its user's.
  if (process.env['npm_command'] === 'exec' && packageRoot().includes('/node_modules/')) return 'npx framekeep';
  if (existsSync(bin) && (process.env['PATH'] ?? '').split(':').some((dir) => isSame(join(dir, 'framekeep'), bin))) return 'framekeep';
  return existsSync(bin) && !near.startsWith('..') ? `./${near}` : bin;
}

function isSame(link: string, file: string): boolean {
  try {
    return realpathSync(link) === realpathSync(file);
  } catch { return false; }
}
