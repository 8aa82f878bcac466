/** Processes that the bench starts: each in reach of an interrupt, each with an end. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';

const living = new Set<ChildProcess>();

/** Ends what still runs, when the bench is interrupted. */
export function endAll(): void {
  for (const child of living) child.kill('SIGTERM');
}

export interface Ended { readonly stdout: string; readonly stderr: string; readonly code: number | null }

/** Runs a program to its end. @throws when it fails, with what it said, or takes longer than `seconds` */
export async function run(command: readonly string[], options: { seconds?: number; env?: NodeJS.ProcessEnv; input?: string; anyCode?: boolean } = {}): Promise<Ended> {
  const [program, ...args] = command, seconds = options.seconds ?? 60;
  const child = spawn(program, args, { stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'], env: options.env ?? process.env });
  living.add(child);
  let stdout = '', stderr = '', late = false;
  child.stdout!.on('data', (t) => { stdout += t; });
  child.stderr!.on('data', (t) => { stderr += t; });
  if (options.input !== undefined) child.stdin!.end(options.input);
  const timer = setTimeout(() => { late = true; child.kill('SIGKILL'); }, seconds * 1000);
  const code = await new Promise<number | null>((resolve, reject) => { child.on('close', resolve); child.on('error', reject); });
  clearTimeout(timer);
  living.delete(child);
  if (late) throw new Error(`${program} took longer than ${seconds} s: ${stderr}`);
  if (code !== 0 && !options.anyCode) throw new Error(`${command.slice(0, 3).join(' ').slice(0, 120)} ended with ${code}: ${(stderr || stdout).trim()}`);
  return { stdout, stderr, code };
}

/** A program that goes on until it is stopped. */
export class Running {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  private readonly closed: Promise<void>;

  constructor(command: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    const [program, ...args] = command;
    this.child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env });
    living.add(this.child);
    this.child.stdout!.on('data', (t) => { this.stdout += t; });
    this.child.stderr!.on('data', (t) => { this.stderr += t; });
    this.child.on('error', (error) => { this.stderr += error.message; });
    this.closed = new Promise((resolve) => this.child.on('close', () => { living.delete(this.child); resolve(); }));
  }

  get pid(): number { return this.child.pid!; }
  get hasEnded(): boolean { return this.child.exitCode !== null || this.child.signalCode !== null; }

  /** Resolves when what it printed so far satisfies `said`. @throws when it ends before that, or takes longer than `seconds` */
  async until(said: (stdout: string, stderr: string) => boolean, seconds = 20): Promise<void> {
    const until = Date.now() + seconds * 1000;
    while (!said(this.stdout, this.stderr)) {
      if (this.hasEnded) throw new Error(`${this.child.spawnargs.slice(0, 6).join(' ')} ended: ${this.stderr || this.stdout}`);
      if (Date.now() > until) throw new Error(`${this.child.spawnargs.slice(0, 6).join(' ')} did not say what was waited for in ${seconds} s: ${this.stderr || this.stdout}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Asks it to end, and after three seconds ends it. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (!this.hasEnded) {
      this.child.kill(signal);
      const timer = setTimeout(() => this.child.kill('SIGKILL'), 3000);
      await this.closed;
      clearTimeout(timer);
    }
  }
}

/** Why one of these programs, or root, is missing; undefined: all are there. */
export function lacking(...needs: readonly string[]): string | undefined {
  const missing = needs.filter((need) => need === 'root' ? process.getuid?.() !== 0 : spawnSync('sh', ['-c', `command -v ${need}`]).status !== 0);
  if (missing.length === 0) return undefined;
  return missing.includes('root') ? 'needs root' : `${missing.join(', ')} not installed (npm run bench:peers)`;
}
