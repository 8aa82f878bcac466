/** `Switch` in a process of its own, in a network namespace, for tests that need its calls: told over the IPC channel. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Switch, type CountersSnapshot, type SwitchEvent, type SwitchOptions, type SwitchPort } from '../switch/index.js';
import type { Started } from '../switch/messages.js';
import type { Network } from './hosts.js';
import { eventually, steady } from './patience.js';

interface Waiting { resolve(value: any): void; reject(error: Error): void }

/** The calling side. */
export class RemoteSwitch {
  readonly child: ChildProcess;
  readonly events: SwitchEvent[] = [];
  started!: Started;
  leftovers: readonly string[] = [];
  private readonly waiting = new Map<number, Waiting>();
  private next = 1;

  static async start(network: Network, options: Partial<SwitchOptions> = {}): Promise<RemoteSwitch> {
    const remote = new RemoteSwitch(spawn('ip', ['netns', 'exec', network.middle.name, process.execPath, fileURLToPath(import.meta.url),
      JSON.stringify({ pool: network.pool, ...options })], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env: network.env }));
    const said = await new Promise<any>((resolve, reject) => remote.waiting.set(0, { resolve, reject }));
    remote.started = said.started;
    remote.leftovers = said.leftovers;
    return remote;
  }

  private constructor(child: ChildProcess) {
    this.child = child;
    child.on('message', (m: any) => {
      if (m.event !== undefined) { this.events.push(m.event); return; }
      const one = this.waiting.get(m.id);
      this.waiting.delete(m.id);
      if (m.error === undefined) one?.resolve(m.value);
      else one?.reject(Object.assign(new Error(m.error.message), { code: m.error.code, remedy: m.error.remedy }));
    });
    child.once('exit', (code, signal) => { for (const { reject } of this.waiting.values()) reject(new Error(`the switch process ended: ${signal ?? code}`)); });
  }

  private call<T>(call: string, ...args: unknown[]): Promise<T> {
    const id = this.next++;
    const answer = new Promise<T>((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    this.child.send({ id, call, args });
    return answer;
  }

  addPort(port: string): Promise<SwitchPort> { return this.call('addPort', port); }
  removePort(id: number): Promise<void> { return this.call('removePort', id); }
  stats(): Promise<CountersSnapshot> { return this.call('stats'); }

  /** The counters once nothing comes any more: of a data plane in mid-turn some are written and some are not yet. */
  settled(): Promise<CountersSnapshot> { return steady(() => this.stats(), (stats) => stats.ports); }

  /** The first event of its kind that a port had, from now or before. */
  event(kind: SwitchEvent['kind'], spec: string): Promise<SwitchEvent & { text: string }> {
    return eventually(() => `${kind} of ${spec}; there were ${JSON.stringify(this.events)}`,
      () => this.events.find((e) => e.kind === kind && 'spec' in e && e.spec === spec) as SwitchEvent & { text: string } | undefined);
  }

  async stop(): Promise<void> {
    const gone = this.ended();
    await this.call('stop');
    await gone;
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = this.ended();
    this.child.kill('SIGKILL');  // `ip netns exec` has become node
    await gone;
  }

  private async ended(): Promise<void> { await once(this.child, 'exit'); }
}

const wire = (error: any): object => ({ code: error.code, message: error.message, remedy: error.remedy });

/** The process itself. */
if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) {
  const say = (message: object, then?: () => void): void => { process.send!(message, undefined, undefined, then); };
  process.on('disconnect', () => process.exit(1));
  try {
    const sw = await Switch.start(JSON.parse(process.argv[2]) as SwitchOptions);
    sw.on('event', (event) => say({ event }));
    sw.on('failed', (error) => { throw error; });
    process.on('message', async ({ id, call, args }: { id: number; call: 'addPort' | 'removePort' | 'stats' | 'stop'; args: [never] }) => {
      try {
        const value = await sw[call](...args);
        if (call === 'stop') say({ id }, () => process.exit(0));
        else say({ id, value });
      } catch (error) { say({ id, error: wire(error) }); }
    });
    say({ id: 0, value: { started: sw.started, leftovers: sw.leftovers } });
  } catch (error) { say({ id: 0, error: wire(error) }, () => process.exit(1)); }
}
