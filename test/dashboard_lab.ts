/** A switch over captures that come to their end, and `framekeep top` beside it in terminals. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { packageRoot } from '../native/index.js';
import { Counters, type CountersSnapshot } from '../switch/counters.js';
import { Terminal, type TerminalOptions } from './terminal.js';
import { eventually, steady } from './patience.js';

export const PROGRAM = join(packageRoot(), 'cli', 'framekeep.mjs');
export const capture = (file: string, options: string): string => `replay:${join(packageRoot(), 'captures', file)},${options}`;
/** Two captures as fast as they go: after a moment the counters stand still. */
export const ONCE = [capture('http.pcap', 'as=web,speed=0'), capture('dns_icmp.pcap', 'as=dns,speed=0'), 'sink:rest'];
export const UNTOUCHED = { alternate: false, cursor: true, mouse: false, keypad: false };
export const n = (x: number): string => x.toLocaleString('en');

export class Lab {
  readonly directory = mkdtempSync('/dev/shm/framekeep-top-');
  readonly run = join(this.directory, 'run');
  readonly pool = join(this.directory, 'pool');
  child!: ChildProcess;
  private readonly terminals: Terminal[] = [];

  constructor(t: ExecutionContext) {
    t.teardown(async () => {
      for (const terminal of this.terminals) terminal.close();
      await this.end('SIGKILL');
      rmSync(this.directory, { recursive: true, force: true });
    });
  }

  /** A switch under the name `lab`, once it says that its ports are open. */
  async up(ports: readonly string[], ...options: readonly string[]): Promise<void> {
    this.child = spawn(process.execPath, [PROGRAM, 'up', ...ports, '--name', 'lab', '--pool', this.pool, '--pool-size', '8M', '--json', '--stats', '0', ...options],
      { env: { ...process.env, FRAMEKEEP_RUN: this.run }, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    this.child.stderr!.on('data', (text) => { said += text; });
    await new Promise<void>((resolve, reject) => {
      this.child.stdout!.on('data', (text) => { if (String(text).includes('"started"')) resolve(); });
      this.child.on('close', () => reject(new Error(`the switch ended: ${said}`)));
    });
  }

  counters(): CountersSnapshot {
    const counters = Counters.open(join(this.run, 'lab', 'counters'));
    try {
      return counters.snapshot();
    } finally { counters.close(); }
  }

  /** The counters once every capture has come to its end. */
  async settled(): Promise<CountersSnapshot> {
    await eventually('the captures\' end', () => { const { ports } = this.counters(); return ports.length > 0 && ports.every((p) => p.finite === 0 || p.finished > 0); }, 50);
    return steady(() => this.counters(), ({ ports, global }) => [ports, global.committed]);
  }

  top(options: TerminalOptions = {}, ...args: readonly string[]): Terminal {
    const terminal = new Terminal([process.execPath, PROGRAM, 'top', ...args], { ...options, cwd: this.directory, env: { FRAMEKEEP_RUN: this.run, ...options.env } });
    this.terminals.push(terminal);
    return terminal;
  }

  framekeep(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(process.execPath, [PROGRAM, ...args], { encoding: 'utf8', env: { ...process.env, FRAMEKEEP_RUN: this.run }, timeout: 110_000 });
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, 'close');
    child.kill(signal);
    await closed;
  }
}

/** The lines that the ports pane shows of a port, as the counters have them. */
export function accounts(p: CountersSnapshot['ports'][number]): RegExp[] {
  const dropped = Object.values(p.dropped).reduce((a, b) => a + b, 0);
  return [
    new RegExp(`${p.spec}: received ${n(p.received)} = forwarded ${n(p.forwarded)} \\+ flooded ${n(p.flooded)} \\+ dropped ${n(dropped)}`),
    new RegExp(`kept ${n(p.kept)}, not selected ${n(p.notSelected)}, lost ${n(p.lost)}; sent ${n(p.sent)}`),
  ];
}
