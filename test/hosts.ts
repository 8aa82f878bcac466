/**
 * Two hosts and a switch between them, each in a network namespace of its own: host a and host b have one cable each, whose
 * other ends (`p0`, `p1`) are in the switch's namespace. Offloads are as Linux sets them.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { packageRoot } from '../native/index.js';
import type { CountersSnapshot } from '../switch/index.js';
import { Namespace, sh } from './namespaces.js';
import { eventually, PATIENCE_MS, steady } from './patience.js';

const program = join(packageRoot(), 'cli', 'framekeep.mjs');

export interface Message { readonly type: string; readonly [key: string]: unknown }

/** `framekeep up --json` in the switch's namespace. */
export class RunningSwitch {
  readonly child: ChildProcess;
  readonly messages: Message[] = [];
  stderr = '';
  private waiters: (() => void)[] = [];
  private rest = '';
  /** It ended, and all that it said was heard. */
  private isClosed = false;

  constructor(network: Network, ports: readonly string[], options: readonly string[]) {
    this.child = spawn('ip', ['netns', 'exec', network.middle.name, process.execPath, program, 'up', ...ports,
      '--pool', network.pool, '--name', 'test', '--json', '--stats', '0.2', ...options], { env: network.env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stderr!.on('data', (text) => { this.stderr += text; });
    this.child.stdout!.on('data', (text) => {
      const lines = (this.rest + text).split('\n');
      this.rest = lines.pop()!;
      for (const line of lines) this.messages.push(JSON.parse(line) as Message);
      for (const wake of this.waiters.splice(0)) wake();
    });
    this.child.on('close', () => { this.isClosed = true; for (const wake of this.waiters.splice(0)) wake(); });
  }

  /** The first message, from now or before, that `wanted` takes. */
  async heard(wanted: (m: Message) => boolean): Promise<Message> {
    const until = performance.now() + PATIENCE_MS;
    for (;;) {
      const found = this.messages.find(wanted);
      if (found !== undefined) return found;
      if (this.isClosed) throw new Error(`the switch ended: ${this.stderr}`);
      if (performance.now() > until) throw new Error(`not heard of the switch in ${PATIENCE_MS / 1000} s: ${wanted.toString()}; it said ${this.messages.map((m) => JSON.stringify(m).slice(0, 300)).join('\n')}`);
      await Promise.race([new Promise<void>((resolve) => this.waiters.push(resolve)), sleep(500)]);
    }
  }

  /** In order. @returns its last counters */
  async stop(): Promise<CountersSnapshot> {
    if (!this.isClosed) {
      const closed = once(this.child, 'close');
      this.child.kill('SIGTERM');
      await closed;
    }
    const code = this.child.exitCode;
    if (code !== 0) throw new Error(`the switch ended with ${code}: ${this.stderr}`);
    return this.messages.findLast((m) => m.type === 'stopped') as unknown as CountersSnapshot;
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const closed = once(this.child, 'close');
    this.child.kill('SIGKILL');  // `ip netns exec` has become node
    await closed;
  }
}

export class Network {
  readonly a = new Namespace();
  readonly b = new Namespace();
  readonly middle = new Namespace();
  readonly directory = mkdtempSync('/dev/shm/framekeep-net-');
  readonly pool = join(this.directory, 'pool');
  readonly env: NodeJS.ProcessEnv = { ...process.env, FRAMEKEEP_RUN: join(this.directory, 'run'), NO_COLOR: '1' };

  constructor() {
    for (const [host, port, address] of [[this.a, 'p0', '10.79.0.1/24'], [this.b, 'p1', '10.79.0.2/24']] as const) {
      sh(`ip link add ${port} netns ${this.middle.name} type veth peer name eth0 netns ${host.name}`);
      sh(`ip -n ${this.middle.name} link set ${port} up && ip -n ${host.name} addr add ${address} dev eth0 && ip -n ${host.name} link set eth0 up`);
    }
  }

  /** @returns once it says that its ports are open */
  async up(ports: readonly string[], options: readonly string[] = []): Promise<RunningSwitch> {
    const sw = new RunningSwitch(this, ports, options);
    await sw.heard((m) => m.type === 'started');
    return sw;
  }

  /** Host a reaches host b, or whom it is told: the first tries may be lost while addresses are asked for. @throws when it never does */
  reach(from: Namespace = this.a, address = '10.79.0.2'): void {
    from.sh(`for i in $(seq 90); do ping -q -c 1 -W 1 ${address} >/dev/null && exit 0; done; echo '${address} is not reached'; exit 1`);
  }

  /** What ping says of some echoes between hosts that reach each other; an answer may take as long as a busy machine needs. */
  ping(options = '-c 3 -i 0.2'): string {
    this.reach();
    return this.a.sh(`ping ${options} -W 30 10.79.0.2`);
  }

  /** Runs `framekeep` on the pool; throws with what it said when it fails. */
  framekeep(...args: string[]): string {
    return this.middle.sh(`FRAMEKEEP_RUN=${this.env['FRAMEKEEP_RUN']} ${process.execPath} ${program} ${args.join(' ')}`);
  }

  delete(): void {
    for (const namespace of [this.a, this.b, this.middle]) namespace.delete();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A process in a namespace that goes on; ended by `stop`. */
export function background(namespace: Namespace, command: readonly string[], env: NodeJS.ProcessEnv = process.env): { child: ChildProcess; stop(signal?: NodeJS.Signals): Promise<void> } {
  const child = spawn('ip', ['netns', 'exec', namespace.name, ...command], { stdio: ['ignore', 'pipe', 'pipe'], env });
  child.stdout!.resume();
  child.stderr!.resume();
  return {
    child,
    async stop(signal = 'SIGTERM') {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const closed = once(child, 'close');
      child.kill(signal);
      await closed;
    },
  };
}

/** The frames that a namespace's interface has, as tcpdump writes them into a file. */
export class Capture {
  readonly file: string;
  private readonly child: ChildProcess;

  /** @returns when it listens */
  static async start(namespace: Namespace, name: string, file: string, filter: string): Promise<Capture> {
    const child = spawn('ip', ['netns', 'exec', namespace.name, 'tcpdump', '-Q', 'in', '-i', name, '-U', '--immediate-mode', '-B', '65536', '-Z', 'root', '-w', file, filter], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (text) => { said += text; });
    const capture = new Capture(child, file);
    await eventually(() => `tcpdump listening: ${said}`, () => {
      if (child.exitCode !== null) throw new Error(`tcpdump ended: ${said}`);
      return said.includes('listening on');
    });
    return capture;
  }

  private constructor(child: ChildProcess, file: string) {
    this.child = child;
    this.file = file;
  }

  /** Bytes written so far. */
  size(): number { return statSync(this.file, { throwIfNoEntry: false })?.size ?? 0; }

  /** Once nothing more comes, as frames pass the kernel before tcpdump has them. */
  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    await steady(() => this.size());
    const closed = once(this.child, 'close');
    this.child.kill('SIGINT');
    await closed;
  }
}
