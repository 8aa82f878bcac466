/** A user's machine with switches under control: started, asked by command and by client, ended with the test. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { packageRoot } from '../native/index.js';
import { connectControl, type ControlClient } from '../switch/control/index.js';
import { PATIENCE_MS } from './patience.js';

export const program = join(packageRoot(), 'cli', 'framekeep.mjs');

/** One user's machine: a run directory, its switches, the commands. */
export class Place {
  readonly directory = mkdtempSync('/dev/shm/framekeep-control-');
  readonly run = join(this.directory, 'run');
  readonly env: NodeJS.ProcessEnv = { ...process.env, FRAMEKEEP_RUN: this.run, NO_COLOR: '1' };
  readonly children: ChildProcess[] = [];
  readonly controls: ControlClient[] = [];

  constructor(t: ExecutionContext) {
    t.teardown(async () => {
      for (const control of this.controls) control.close();
      for (const child of this.children) await ended(child, 'SIGKILL');
      rmSync(this.directory, { recursive: true, force: true });
    });
  }

  /** `framekeep up`, once it serves. */
  async up(name: string, ports: readonly string[], options: readonly string[] = []): Promise<ChildProcess> {
    const child = spawn(process.execPath, [program, 'up', ...ports, '--name', name, '--pool', join(this.directory, `${name}.pool`), '--pool-size', '32M', '--json', '--stats', '0', ...options],
      { env: this.env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.children.push(child);
    let out = '', err = '';
    child.stderr!.on('data', (text) => { err += text; });
    child.stdout!.on('data', (text) => { out += text; });
    await until(() => out.includes('"started"') || child.exitCode !== null);
    if (child.exitCode !== null) throw new Error(`it did not start: ${err}`);
    return child;
  }

  async cli(...args: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
    const child = spawn(process.execPath, [program, ...args], { env: this.env, stdio: ['ignore', 'pipe', 'pipe'], timeout: PATIENCE_MS }), said = { stdout: '', stderr: '' };
    child.stdout.on('data', (text) => { said.stdout += text; });
    child.stderr.on('data', (text) => { said.stderr += text; });
    const [status] = await once(child, 'close') as [number | null];
    return { status, ...said };
  }

  async json<T = Record<string, unknown>>(t: ExecutionContext, ...args: string[]): Promise<T> {
    const { status, stdout, stderr } = await this.cli(...args, '--json');
    t.is(status, 0, stderr);
    return JSON.parse(stdout) as T;
  }

  /** Closed with the test. */
  async control(name: string): Promise<ControlClient> {
    const control = await connectControl(this.socket(name));
    this.controls.push(control);
    return control;
  }

  socket(name: string): string { return join(this.run, name, 'control'); }
}

export async function ended(child: ChildProcess, signal?: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'exit');
  if (signal !== undefined) child.kill(signal);
  await closed;
}

/** A client that says what it likes. */
export class Raw {
  readonly socket: Socket;
  text = '';
  closed = false;
  constructor(path: string) {
    this.socket = connect(path);
    this.socket.on('data', (chunk) => { this.text += chunk.toString(); });
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => { this.closed = true; });
  }
  async answer(n = 1): Promise<Record<string, any>> {
    await until(() => this.text.split('\n').length > n);
    return JSON.parse(this.text.split('\n')[n - 1]) as Record<string, any>;
  }
}

export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !await holds(); await after(10)) if (performance.now() > end) throw new Error(`in ${PATIENCE_MS / 1000} s it never came that ${holds.toString()}`);
}
