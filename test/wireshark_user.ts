/** An ordinary user with switches, pools and a Wireshark: tshark itself, or its part on the pipes of the capture program. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync, chownSync, closeSync, constants, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync, writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { message, Messages } from '../cli/extcap/toolbar.js';
import { packageRoot } from '../native/index.js';
import { create, Pool } from '../logger/index.js';
import { Keeper, portEntry, scratch, testFrame } from './pool_maker.js';
import { eventually } from './patience.js';
import { Counters } from '../switch/counters.js';

export const root = packageRoot(), program = join(root, 'cli', 'framekeep.mjs');
export const isRoot = process.getuid?.() === 0, NOBODY = 65534;

/** An ordinary user: their home, where their switches run, and the one place beside the usual ones where their pools are. */
export class User {
  readonly home: string;
  readonly pools: string;
  readonly env: NodeJS.ProcessEnv;

  constructor(t: ExecutionContext) {
    this.home = mkdtempSync('/dev/shm/framekeep-user-');
    this.pools = join(this.home, 'pools');
    mkdirSync(this.pools);
    if (isRoot) for (const path of [this.home, this.pools]) chownSync(path, NOBODY, NOBODY);
    chmodSync(this.home, 0o755);
    const { XDG_RUNTIME_DIR, XDG_CONFIG_HOME, WIRESHARK_EXTCAP_DIR, ...env } = process.env;
    this.env = { ...env, HOME: this.home, TMPDIR: this.home, FRAMEKEEP_RUN: join(this.home, 'run'), FRAMEKEEP_POOLS: this.pools, NO_COLOR: '1' };
    t.teardown(() => rmSync(this.home, { recursive: true, force: true }));
  }

  private as(command: readonly string[]): [string, string[]] {
    const all = isRoot ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--', ...command] : [...command];
    return [all[0], all.slice(1)];
  }
  run(...command: string[]): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(...this.as(command), { env: this.env, encoding: 'utf8', timeout: 280_000, maxBuffer: 64 << 20 });
  }
  framekeep(...args: string[]): { status: number | null; stdout: string; stderr: string } { return this.run(process.execPath, program, ...args); }
  spawn(...command: string[]): ChildProcess {
    return spawn(...this.as(command), { env: this.env, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** A switch between a generator and a capture with DNS in it, going round. */
  async up(t: ExecutionContext, name: string): Promise<ChildProcess> {
    const child = this.spawn(process.execPath, program, 'up', 'gen:g,rate=200', `replay:${join(root, 'captures/dns_icmp.pcap')},loop,speed=20`, '--pool', join(this.home, `${name}.pool`),
      '--pool-size', '32M', '--name', name, '--json', '--stats', '0');
    t.teardown(() => ended(child, 'SIGKILL'));
    await once(child.stdout!, 'data');
    return child;
  }

  /** Frames that a switch has kept, by its counters. */
  committed(name: string): number {
    const counters = Counters.open(join(this.home, 'run', name, 'counters'));
    try { return counters.snapshot().global.committed; } finally { counters.close(); }
  }

  /** A pool that a run has left behind, of numbered frames. */
  leave(file: string, frames = 100): string {
    const path = join(this.pools, file);
    create(path, { bytes: 1 << 20 });
    const pool = Pool.open(path, { writable: true }), keeper = new Keeper(pool, { ports: [portEntry(0, { spec: 'tap:vm1' }), portEntry(1, { spec: 'xdp:eth1,queues=2' })] });
    for (let i = 0; i < frames; i++) keeper.keep(testFrame(i), { ingress: i % 2 });
    keeper.close();
    pool.close();
    if (isRoot) chownSync(path, NOBODY, NOBODY);
    return path;
  }
}

export async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const closed = once(child, 'close');
  child.kill(signal);
  return (await closed)[0] as number | null;
}

/** Wireshark's part: makes the pipes, starts the program, reads them. */
export class Wireshark {
  readonly child: ChildProcess;
  readonly fifo: string;
  readonly heard: { control: number; command: number; text: string }[] = [];
  stderr = '';
  bytes = 0;
  private readonly directory: string;
  private readonly fds: { readonly frames: number; readonly fromExtcap: number; readonly toExtcap: number };
  private readonly messages = new Messages();
  private timer: NodeJS.Timeout;

  constructor(t: ExecutionContext, user: User, name: string, ...options: string[]) {
    this.directory = mkdtempSync(join(user.home, 'pipes-'));
    const pipes = ['frames', 'out', 'in'].map((pipe) => join(this.directory, pipe));
    if (spawnSync('mkfifo', pipes).status !== 0) throw new Error('no pipes');
    if (isRoot) for (const path of [this.directory, ...pipes]) chownSync(path, NOBODY, NOBODY);
    this.fifo = pipes[0];
    const open = (path: string, how: number): number => openSync(path, how | constants.O_NONBLOCK);
    this.fds = { frames: open(pipes[0], constants.O_RDONLY), fromExtcap: open(pipes[1], constants.O_RDONLY), toExtcap: open(pipes[2], constants.O_RDWR) };
    this.child = user.spawn(process.execPath, program, 'extcap', '--capture', '--extcap-interface', name, '--fifo', pipes[0], '--extcap-control-out', pipes[1], '--extcap-control-in', pipes[2], ...options);
    this.child.stderr!.on('data', (text) => { this.stderr += text; });
    this.timer = setInterval(() => this.look(), 20);
    t.teardown(async () => { await ended(this.child, 'SIGKILL'); this.close(); });
  }
  press(control: number, command = 1, payload = ''): void { writeSync(this.fds.toExtcap, message(control, command, payload)); }
  write(bytes: Buffer): void { writeSync(this.fds.toExtcap, bytes); }
  async hears(what: (m: { control: number; command: number; text: string }) => boolean): Promise<void> {
    await eventually(() => `${what.toString()}; but ${JSON.stringify(this.heard)} ${this.stderr}`, () => this.heard.some(what), 20);
  }
  /** The reader of the frames goes away. */
  stopReading(): void { closeSync(this.fds.frames); (this.fds as { frames: number }).frames = -1; }
  private look(): void {
    const buffer = Buffer.alloc(65536);
    for (const fd of [this.fds.frames, this.fds.fromExtcap]) {
      try {
        const n = fd < 0 ? 0 : readSync(fd, buffer, 0, buffer.length, null);
        if (fd === this.fds.frames) this.bytes += n;
        else for (const m of this.messages.take(buffer.subarray(0, n)) ?? []) this.heard.push({ control: m.control, command: m.command, text: m.payload.toString() });
      } catch { /* nothing there yet */ }
    }
  }
  private close(): void {
    clearInterval(this.timer);
    for (const fd of Object.values(this.fds)) if (fd >= 0) closeSync(fd);
  }
}

/** Processes of this user's that capture. */
export function captures(user: User): string[] {
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid)).map((pid) => {
    try { return readFileSync(`/proc/${pid}/cmdline`, 'utf8'); } catch { return ''; }
  }).filter((line) => line.includes('--capture') && line.includes(user.home));
}

/** The program, as Wireshark calls it, in a place where nothing is found by chance. */
export function extcap(t: ExecutionContext, args: readonly string[], env: NodeJS.ProcessEnv = {}): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [program, 'extcap', ...args], { encoding: 'utf8', timeout: 110_000, env: { ...process.env, FRAMEKEEP_RUN: join(scratch(t), 'run'), ...env } });
}
