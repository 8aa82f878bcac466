/**
 * A switch, as a program uses it: starts the data-plane thread, prepares interfaces for it, tells it what to do and what the
 * user should know. It runs in the control thread and is never in a frame's way.
 *
 *     const sw = await Switch.start({ name: 'fk0', pool: '/dev/shm/fk0.pool', create: { bytes: 256 << 20 } });
 *     await sw.addPort('tap:vm1');
 *     …
 *     await sw.stop();
 */
import { EventEmitter } from 'node:events';
import { closeSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { closeFd, eventCreate, eventSignal, FramekeepError, packageRoot, type Durability } from '../native/index.js';
import { compileFilter } from '../logger/filter/index.js';
import type { CreateOptions } from '../logger/pool.js';
import { Counters, type CountersSnapshot } from './counters.js';
import type { Answer, FdbShown, KeepPolicy, PortOpened, Request, Started, SwitchEvent, ThreadOptions, WireError } from './messages.js';
import { labelOf, parsePortSpec, type PortSpec } from './ports/spec.js';
import { preparePort, restoreLeftovers, type Prepared, type PrepareOptions } from './ports/prepare.js';
import { claimName, countersPath } from './run_directory.js';

export interface SwitchOptions {
  /** Lower-case letters, digits, `-`, `_`, `.`; one running switch a name. */
  readonly name?: string;
  /** Path of the pool file or devdax device; created as `create` says when it is not there. */
  readonly pool: string;
  readonly create?: CreateOptions;
  /** Force what the pool is taken to survive. */
  readonly durability?: Durability;
  /** pcap-filter expression; '' (default) keeps every frame, null none. */
  readonly keep?: string | null;
  /** Keep every n-th selected frame. */
  readonly sample?: number;
  /** Most bytes kept of a frame; 0: all. */
  readonly snap?: number;
  /** Keep only what these ports (specification or name) receive or send. */
  readonly keepPorts?: readonly { readonly name: string; readonly direction: 'in' | 'out' | 'both' }[];
  readonly commitBeforeForward?: boolean;
  /** `learning`, `hub`, or a module's path. */
  readonly logic?: string;
  readonly fdbSize?: number;
  /** Seconds; 0: never. */
  readonly ageing?: number;
  readonly vlanAware?: boolean;
  readonly forwardReserved?: boolean;
  readonly minFrame?: number;
  readonly maxFrame?: number;
  /** Most frames in one commit. */
  readonly maxBatch?: number;
  /** Check every change of a buffer's owner: for tests; costs a third of the speed. */
  readonly checked?: boolean;
  /** Take no frame until `begin()`: so that all ports are there when traffic begins. */
  readonly held?: boolean;
  /** CPU that the data plane stays on. */
  readonly cpu?: number;
  /** Take interfaces that carry the default route. */
  readonly force?: boolean;
}

export interface SwitchPort extends PortOpened {
  /** What was found, and done to the interface, for people. */
  readonly report: readonly string[];
}

interface Events { event: [SwitchEvent]; failed: [FramekeepError]; stopped: [] }
interface Pending { resolve(value: unknown): void; reject(error: Error): void }

export class Switch extends EventEmitter<Events> {
  readonly name: string;
  readonly directory: string;
  readonly started: Started;
  /** What a crashed predecessor left on interfaces, and was put back. */
  readonly leftovers: readonly string[];
  private readonly worker: Worker;
  private readonly wakeFd: number;
  private readonly lockFd: number;
  private readonly waiting: Int32Array;
  private readonly counters: Counters;
  private options: SwitchOptions;
  private readonly pending: Map<number, Pending>;
  private readonly prepared = new Map<number, Prepared>();
  private nextId = 1;
  private readonly ended: Promise<void>;
  /** The last counters, once the data plane has ended. */
  private last: CountersSnapshot | undefined;

  /** @throws FramekeepError; nothing is left behind when it throws */
  static async start(options: SwitchOptions): Promise<Switch> {
    const keep = keepPolicy(options);  // a bad filter is said before anything is touched
    const name = options.name ?? 'fk0';
    const { directory, lockFd } = claimName(name);
    const leftovers = restoreLeftovers(directory);
    const path = countersPath(directory);
    const counters = Counters.create(path, { pid: process.pid, startSeconds: Date.now() / 1000, name, pool: options.pool });
    const wakeFd = eventCreate();
    const waiting = new SharedArrayBuffer(4);
    const workerData: ThreadOptions = {
      name, pool: options.pool, create: options.create ?? { bytes: 256 << 20 }, ...(options.durability && { durability: options.durability }),
      countersPath: path, wakeFd, waiting, keep, snap: options.snap ?? 0,
      commitBeforeForward: options.commitBeforeForward ?? false, logic: options.logic ?? 'learning', fdbSize: options.fdbSize ?? 65536, ageing: options.ageing ?? 300,
      vlanAware: options.vlanAware ?? false, forwardReserved: options.forwardReserved ?? false, minFrame: options.minFrame ?? 14, maxFrame: options.maxFrame ?? 0,
      maxBatch: options.maxBatch ?? 1024, held: options.held ?? false, checked: options.checked ?? false, ...(options.cpu !== undefined && { cpu: options.cpu }), software: software(),
    };
    const worker = new Worker(new URL('./thread.js', import.meta.url), { workerData });
    const pending = new Map<number, Pending>();
    try {
      const started = await new Promise<Started>((resolve, reject) => {
        worker.once('message', (m: Answer) => {
          if (m.type === 'started') resolve(m.started);
          else if (m.type === 'refused') reject(asError(m.error));
        });
        worker.once('error', reject);
        worker.once('exit', () => reject(new FramekeepError('E_INTERNAL', 'the data-plane thread ended before it began', 'please report this')));
      });
      return new Switch(name, directory, started, leftovers, worker, wakeFd, lockFd, new Int32Array(waiting), counters, options, pending);
    } catch (error) {
      await worker.terminate();
      counters.close();
      closeFd(wakeFd);
      closeSync(lockFd);
      throw error;
    }
  }

  private constructor(name: string, directory: string, started: Started, leftovers: readonly string[], worker: Worker, wakeFd: number, lockFd: number,
    waiting: Int32Array, counters: Counters, options: SwitchOptions, pending: Map<number, Pending>) {
    super();
    this.name = name;
    this.directory = directory;
    this.started = started;
    this.leftovers = leftovers;
    this.worker = worker;
    this.wakeFd = wakeFd;
    this.lockFd = lockFd;
    this.waiting = waiting;
    this.counters = counters;
    this.options = options;
    this.pending = pending;
    let failure: FramekeepError | undefined;
    worker.on('message', (m: Answer) => this.hear(m, (error) => { failure = error; }));
    worker.on('error', (error) => { failure = new FramekeepError('E_INTERNAL', `the data plane failed: ${error.stack ?? error.message}`, 'what was kept is safe; please report this'); });
    this.ended = new Promise((resolve) => {
      worker.once('exit', () => {
        void this.cleanUp().then(() => {
          if (failure !== undefined) this.emit('failed', failure);
          this.emit('stopped');
          resolve();
        });
      });
    });
  }

  /**
   * Opens a port. @param port `kind:name[,option=value…]`, or that taken apart
   * @throws FramekeepError that says why, and what grants it
   */
  async addPort(port: string | PortSpec): Promise<SwitchPort> {
    const spec = typeof port === 'string' ? parsePortSpec(port) : port;
    const prepare: PrepareOptions = { directory: this.directory, force: this.options.force ?? false };
    const prepared = await preparePort(spec, prepare);
    const keep = this.options.keepPorts?.find((k) => names(k, labelOf(spec), spec));
    try {
      const opened = await this.ask<PortOpened>({
        type: 'add-port',
        port: { ...prepared.request, ...(keep && { keep: { received: keep.direction !== 'out', sent: keep.direction !== 'in' } }) },
      });
      this.prepared.set(opened.id, prepared);
      prepared.onGone(() => void this.ask({ type: 'remove-port', id: opened.id, gone: 'its helper process ended' }).catch(() => undefined));
      return { ...opened, report: [...prepared.report, ...opened.advice] };
    } catch (error) {
      await prepared.release();
      throw error;
    }
  }

  /** Of a switch that was started `held`: lets frames come. */
  async begin(): Promise<void> {
    await this.ask({ type: 'hold', held: false });
  }

  async removePort(id: number): Promise<void> {
    await this.ask({ type: 'remove-port', id });
    await this.release(id);
  }

  /** A new selection, from the next burst on. @throws FramekeepError E_FILTER_SYNTAX */
  async setKeep(expression: string | null, sample = this.options.sample ?? 1): Promise<void> {
    const options = { ...this.options, keep: expression, sample };
    await this.ask({ type: 'set-keep', keep: keepPolicy(options) });
    this.options = options;
  }

  /** Whose frames are kept from now on; empty: every port's. */
  async setKeepPorts(keepPorts: SwitchOptions['keepPorts'] & object): Promise<void> {
    this.options = { ...this.options, keepPorts };
    await this.ask({ type: 'set-keep', keep: keepPolicy(this.options) });
    for (const [id, { request }] of [...this.prepared]) {
      const keep = keepPorts.find((k) => names(k, request.label, request));
      if (keepPorts.length > 0) await this.ask({ type: 'choose-port', id, received: keep !== undefined && keep.direction !== 'out', sent: keep !== undefined && keep.direction !== 'in' });
    }
  }

  /** Most bytes kept of a frame from the next burst on; 0: all. */
  async setSnap(bytes: number): Promise<void> {
    await this.ask({ type: 'set-snap', snap: bytes });
  }

  /** @param seconds 0: never. @returns whether the switching logic has a table that ages */
  async setAgeing(seconds: number): Promise<boolean> {
    return this.ask<boolean>({ type: 'set-ageing', seconds });
  }

  /** Keep nothing new: what the pool holds now stays. */
  async freeze(frozen: boolean): Promise<void> {
    await this.ask({ type: 'freeze', frozen });
  }

  async fdb(): Promise<FdbShown> { return this.ask<FdbShown>({ type: 'fdb-show' }); }
  /** @param port its number, or -1: all. @returns how many entries went */
  async flushFdb(port = -1): Promise<number> { return this.ask<number>({ type: 'fdb-flush', port }); }

  /** As of now, without asking the data plane; after the end, as of then. */
  stats(): CountersSnapshot { return this.last ?? this.counters.snapshot(); }

  /** Sends what is in flight, commits what is kept, lets interfaces go as they were found. */
  async stop(): Promise<void> {
    void this.ask({ type: 'stop' }).catch(() => undefined);
    await this.ended;
  }

  private async ask<T = unknown>(request: Request): Promise<T> {
    if (this.last !== undefined) throw stopped();
    const id = this.nextId++;
    const answer = new Promise((resolve, reject) => this.pending.set(id, { resolve, reject }));
    this.worker.postMessage({ id, request });
    Atomics.add(this.waiting, 0, 1);
    eventSignal(this.wakeFd);
    return await answer as T;
  }

  private hear(m: Answer, fail: (error: FramekeepError) => void): void {
    if (m.type === 'event') {
      if (m.event.kind === 'port-gone') void this.release(m.event.port);
      this.emit('event', m.event);
    } else if (m.type === 'reply') this.settle(m.id)?.resolve(m.value);
    else if (m.type === 'refused') {
      if (m.id === 0) fail(asError(m.error));
      else this.settle(m.id)?.reject(asError(m.error));
    }
  }

  private settle(id: number): Pending | undefined {
    const pending = this.pending.get(id);
    this.pending.delete(id);
    return pending;
  }

  private async release(id: number): Promise<void> {
    const prepared = this.prepared.get(id);
    this.prepared.delete(id);
    await prepared?.release();
  }

  private async cleanUp(): Promise<void> {
    this.last = this.counters.snapshot();
    for (const { reject } of this.pending.values()) reject(stopped());
    this.pending.clear();
    this.counters.close();
    closeFd(this.wakeFd);
    await Promise.allSettled([...this.prepared.values()].map((prepared) => prepared.release()));
    this.prepared.clear();
    closeSync(this.lockFd);  // the name is free when the interfaces are
  }
}

/** @throws FramekeepError E_FILTER_* */
function keepPolicy(o: SwitchOptions): KeepPolicy {
  const expression = o.keep === undefined ? '' : o.keep;
  const program = expression === null || expression.trim() === '' ? undefined : compileFilter(expression).program;
  return { expression, program, sample: o.sample ?? 1, byPort: (o.keepPorts?.length ?? 0) > 0 };
}
/** Whether a `keepPorts` entry means this port: by what it is called, by its name, or as `kind:name`. */
const names = (keep: { readonly name: string }, label: string, port: { readonly kind: string; readonly name: string }): boolean =>
  keep.name === label || keep.name === port.name || keep.name === `${port.kind}:${port.name}`;
const stopped = (): FramekeepError => new FramekeepError('E_STOPPED', 'the switch has stopped', '');
const asError = (e: WireError): FramekeepError => new FramekeepError(e.code, e.remedy === '' ? e.message : e.message.replace(`\n  ${e.remedy}`, ''), e.remedy);
const software = (): string => `framekeep ${(JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }).version}, Node ${process.versions.node}`;
