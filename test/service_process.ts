/** `framekeep up` as a service manager starts it: its own process, a directory, what it logged. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../native/index.js';
import { eventually } from './patience.js';

export const program = join(packageRoot(), 'cli', 'framekeep.mjs');
type Test = { teardown(then: () => void | Promise<void>): void };
export interface Line { readonly event: string; readonly level: string; readonly msg: string; readonly [key: string]: unknown }

export function place(t: Test): string {
  const directory = mkdtempSync('/dev/shm/framekeep-service-');
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export class ServiceProcess {
  readonly child: ChildProcess;
  readonly log: string;
  stdout = '';
  stderr = '';

  /** @param directory where its log, run directory and pool are: `log`, `run`, `pool` */
  constructor(t: Test, directory: string, args: readonly string[], env: NodeJS.ProcessEnv = {}, prefix: readonly string[] = []) {
    this.log = join(directory, 'log');
    const [command, ...rest] = [...prefix, process.execPath, program, 'up', '--pool', join(directory, 'pool'), '--pool-size', '32M', '--log', this.log, ...args];
    this.child = spawn(command, rest, { env: { ...process.env, NO_COLOR: '1', FRAMEKEEP_RUN: join(directory, 'run'), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout!.on('data', (text) => { this.stdout += text; });
    this.child.stderr!.on('data', (text) => { this.stderr += text; });
    t.teardown(async () => { if (this.lives()) { this.child.kill('SIGKILL'); await once(this.child, 'close'); } });
  }

  lives(): boolean { return this.child.exitCode === null && this.child.signalCode === null; }

  lines(): Line[] {
    return existsSync(this.log) ? readFileSync(this.log, 'utf8').split('\n').slice(0, -1).map((line) => JSON.parse(line) as Line) : [];
  }

  /** The first line of that event behind the first `from` lines. */
  logged(event: string, from = 0): Promise<Line> {
    const nothing = (): string => `${event} in the log: ${this.lines().map((l) => JSON.stringify(l)).join('\n')}\n${this.stderr}`;
    return eventually(nothing, () => {
      const lived = this.lives(), found = this.lines().slice(from).find((line) => line.event === event);
      if (found === undefined && !lived) throw new Error(`it ended without ${nothing()}`);
      return found;
    }, 20);
  }

  /** The documents on its standard output so far, of lines that have come whole. */
  printed(): Record<string, unknown>[] { return this.stdout.split('\n').slice(0, -1).map((line) => JSON.parse(line) as Record<string, unknown>); }

  /** @returns its exit code, or the signal that ended it */
  async ended(signal?: NodeJS.Signals): Promise<number | string> {
    if (!this.lives()) return this.child.exitCode ?? this.child.signalCode!;
    const closed = once(this.child, 'close');
    if (signal !== undefined) this.child.kill(signal);
    const [code, by] = await closed as [number | null, string | null];
    return code ?? by!;
  }
}
