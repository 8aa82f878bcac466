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
import { FramekeepError, packageRoot, type Capability, type Durability } from '../native/index.js';
import { compileFilter } from '../logger/filter/index.js';
import type { CreateOptions } from '../logger/pool.js';
import { describeKeep, describePort, type KeepPort, type KeepState, type PortInfo, type Status } from './control/protocol.js';
import { Counters, windowOf, type CountersSnapshot } from './counters.js';
import { entriesOf, keyOf, type FdbEntry } from './fdb.js';
import type { FdbShown, KeepPolicy, PortOpened, Started, SwitchEvent } from './messages.js';
import { labelOf, parsePortSpec, type PortSpec } from './ports/spec.js';
import { prepareAhead, preparePort, restoreLeftovers, type Prepared, type PreparedAhead } from './ports/prepare.js';
import { giveUpPrivileges } from './privileges.js';
import { claimName, countersPath } from './run_directory.js';
import { CountersWatch } from './watch.js';
import { Workers } from './workers.js';

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
  readonly keepPorts?: readonly KeepPort[];
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
  /** Data-plane threads, each with a lane of the pool: no more than it has. A pool that has to be created gets as many. Default 1. */
  readonly workers?: number;
  /** CPU that the data plane stays on; further threads on the next ones. */
  readonly cpu?: number;
  /** Take interfaces that carry the default route. */
  readonly force?: boolean;
  /** Ports to begin with, in this order: `opened`. Their interfaces are prepared while the data plane creates the pool. */
  readonly ports?: readonly (string | PortSpec)[];
}

export interface SwitchPort extends Omit<PortOpened, 'share'> {
  /** What was found, and done to the interface, for people. */
  readonly report: readonly string[];
}

/** What `changeKeep` changes; what is not named stays. */
export interface KeepChange { readonly expression?: string | null; readonly sample?: number; readonly snap?: number; readonly ports?: readonly KeepPort[] }

/** What `setPort` changes. */
export interface PortChange { readonly forwarding?: boolean; readonly keeping?: boolean; readonly promiscuous?: boolean }

/** `stopping`: it was asked to end; `ending`: nothing is switched any more, and the name is still this switch's; `stopped`: it is free. */
interface Events { event: [SwitchEvent]; failed: [FramekeepError]; stopping: []; ending: []; stopped: [] }
const WATCH_MS = 1000;
/** Slots of the forwarding table that the data plane copies at a time (some 30 µs), and for one page. */
const FDB_SLICE = 4096, FDB_SLICES = 8;

export class Switch extends EventEmitter<Events> {
  readonly name: string;
  readonly directory: string;
  readonly started: Started;
  /** What a crashed predecessor left on interfaces, and was put back. */
  readonly leftovers: readonly string[];
  /** The ports that it began with. */
  readonly opened: SwitchPort[] = [];
  private readonly workers: Workers;
  private readonly lockFd: number;
  private readonly counters: Counters;
  private options: SwitchOptions;
  private readonly prepared = new Map<number, Prepared>();
  /** What is kept from now on. */
  private keep: Required<KeepChange>;
  /** Ports that are not as they were opened. */
  private readonly set = new Map<number, { readonly forwarding: boolean; readonly keeping: boolean }>();
  private readonly watch: NodeJS.Timeout;
  private frozen = false;
  private keepingStopped: string | null = null;
  private sealed = false;
  private readonly ended: Promise<void>;
  /** The last counters, once the data plane has ended. */
  private last: CountersSnapshot | undefined;

  /** @throws FramekeepError; nothing is left behind when it throws */
  static async start(options: SwitchOptions): Promise<Switch> {
    const keep = keepPolicy(keepOf(options));  // a bad filter, and a bad port, is said before anything is touched
    const specs = (options.ports ?? []).map(specOf);
    const name = options.name ?? 'fk0';
    const { directory, lockFd } = claimName(name);
    const leftovers = restoreLeftovers();
    const path = countersPath(directory);
    const workers = options.workers ?? 1;
    const counters = Counters.create(path, { pid: process.pid, startSeconds: Date.now() / 1000, name, pool: options.pool, workers });
    let sw: Switch | undefined, started: Switch, ahead: PreparedAhead | undefined;
    try {
      const starting = Workers.start({
        name, pool: options.pool, create: { lanes: workers, ...options.create ?? { bytes: 256 << 20 } }, ...(options.durability && { durability: options.durability }),
        countersPath: path, workers, keep, snap: options.snap ?? 0,
        commitBeforeForward: options.commitBeforeForward ?? false, logic: options.logic ?? 'learning', fdbSize: options.fdbSize ?? 65536, ageing: options.ageing ?? 300,
        vlanAware: options.vlanAware ?? false, forwardReserved: options.forwardReserved ?? false, minFrame: options.minFrame ?? 14, maxFrame: options.maxFrame ?? 0,
        maxBatch: options.maxBatch ?? 1024, held: options.held ?? false, checked: options.checked ?? false, ...(options.cpu !== undefined && { cpu: options.cpu }), software: software(),
      }, {
        event: (event) => sw?.hear(event), gone: (id) => void sw?.release(id), ended: (failure) => void sw?.cleanUp(failure),
      }).then((plane) => sw = new Switch(name, directory, leftovers, plane, lockFd, counters, options));
      starting.catch(() => undefined);  // heard of below
      ahead = await prepareAhead(specs, { directory, force: options.force ?? false });
      started = await starting;
    } catch (error) {
      await ahead?.release();
      counters.close();
      closeSync(lockFd);
      throw error;
    }
    try {
      for (const spec of specs) started.opened.push(await started.open(spec, ahead.next()));
      return started;
    } catch (error) {
      await ahead.release();
      await started.stop();
      throw error;
    }
  }

  private constructor(name: string, directory: string, leftovers: readonly string[], workers: Workers, lockFd: number, counters: Counters, options: SwitchOptions) {
    super();
    this.name = name;
    this.directory = directory;
    this.started = workers.started;
    this.leftovers = leftovers;
    this.workers = workers;
    this.lockFd = lockFd;
    this.counters = counters;
    this.options = options;
    this.keep = keepOf(options);
    const watch = new CountersWatch();
    this.watch = setInterval(() => { for (const event of watch.look(this.stats(), performance.now() / 1000)) this.emit('event', event); }, WATCH_MS).unref();
    this.ended = new Promise((resolve) => this.once('stopped', resolve));
  }

  /**
   * Opens a port. @param port `kind:name[,option=value…]`, or that taken apart
   * @throws FramekeepError that says why, and what grants it
   */
  async addPort(port: string | PortSpec): Promise<SwitchPort> {
    this.refuseIfSealed();
    const spec = specOf(port);
    return await this.open(spec, await preparePort(spec, { directory: this.directory, force: this.options.force ?? false }));
  }

  private async open(spec: PortSpec, prepared: Prepared): Promise<SwitchPort> {
    const keep = this.keep.ports.find((k) => names(k, labelOf(spec), spec));
    try {
      const opened = await this.workers.addPort({ ...prepared.request, ...(keep && { keep: { received: keep.direction !== 'out', sent: keep.direction !== 'in' } }) });
      this.prepared.set(opened.id, prepared);
      this.emit('event', { kind: 'port-added', port: opened.id, spec: opened.spec, text: `added: ${opened.note}` });
      prepared.onGone(() => void this.workers.removePort(opened.id, 'its helper process ended').catch(() => undefined));
      return { ...opened, report: [...prepared.report, ...opened.advice] };
    } catch (error) {
      await prepared.release();
      throw error;
    }
  }

  /** Of a switch that was started `held`: lets frames come. */
  async begin(): Promise<void> {
    await this.workers.askAll({ type: 'hold', held: false });
  }

  /**
   * Gives up, for the whole process, every privilege that its ports do not need: docs/security.md says which are kept and why.
   * @param sealed  ports are neither added nor removed any more, and only what puts interfaces back is kept
   * @returns what is left. @throws FramekeepError E_PRIVILEGES
   */
  dropPrivileges(sealed = false): Capability[] {
    const left = giveUpPrivileges(sealed ? [...this.prepared.values()].flatMap((p) => p.atEnd) : undefined);
    this.sealed ||= sealed;
    return left;
  }

  private refuseIfSealed(): void {
    if (this.sealed) throw new FramekeepError('E_SEALED', 'the switch is sealed: it has given up what opening ports takes', 'start it without --sealed');
  }

  /** @throws FramekeepError E_PORT_UNKNOWN, E_SEALED */
  async removePort(id: number): Promise<void> {
    this.refuseIfSealed();
    const { port } = this.portInfo(id);
    await this.workers.removePort(id);
    await this.release(id);
    this.emit('event', { kind: 'port-removed', port: id, spec: port, text: 'removed' });
  }

  /** The ports there are, as of now. */
  ports(): PortInfo[] {
    return this.stats().ports.flatMap((p) => {
      const prepared = this.prepared.get(p.id);
      return prepared === undefined ? [] : [{
        id: p.id, port: p.spec, kind: prepared.request.kind, name: prepared.request.name, state: p.state, note: p.note,
        ...this.set.get(p.id) ?? { forwarding: true, keeping: true }, promiscuous: prepared.promiscuity?.on ?? null,
        received: p.received, sent: p.sent, dropped: Object.values(p.dropped).reduce((a, b) => a + b, 0), kept: p.kept,
      }];
    });
  }

  /** @param wanted its number, what it is called, or `kind:name`. @throws FramekeepError E_PORT_UNKNOWN */
  portInfo(wanted: number | string): PortInfo {
    const ports = this.ports(), text = String(wanted);
    const found = ports.find((p) => p.id === wanted) ?? ports.find((p) => p.port === text) ?? ports.find((p) => p.name === text || `${p.kind}:${p.name}` === text)
      ?? ports.find((p) => String(p.id) === text);
    if (found === undefined) {
      throw new FramekeepError('E_PORT_UNKNOWN', `there is no port ${text}`, ports.length === 0 ? 'the switch has none: framekeep ports add' : `there are ${ports.map((p) => p.port).join(', ')}`);
    }
    return found;
  }

  /** A new selection, from the next burst on. @throws FramekeepError E_FILTER_SYNTAX */
  async setKeep(expression: string | null, sample = this.keep.sample): Promise<void> {
    await this.changeKeep({ expression, sample });
  }

  /** Whose frames are kept from now on; empty: every port's. */
  async setKeepPorts(ports: readonly KeepPort[]): Promise<void> {
    await this.changeKeep({ ports });
  }

  /** Most bytes kept of a frame from the next burst on; 0: all. */
  async setSnap(bytes: number): Promise<void> {
    await this.changeKeep({ snap: bytes });
  }

  /** What is named changes, at once, from the next burst on; the rest stays. @throws FramekeepError E_FILTER_SYNTAX */
  async changeKeep(change: KeepChange): Promise<void> {
    const next = { ...this.keep, ...change };
    const chosen = [...this.prepared].flatMap(([id, { request }]) => {
      const keep = next.ports.find((k) => names(k, request.label, request));
      return keep === undefined ? [] : [{ id, received: keep.direction !== 'out', sent: keep.direction !== 'in' }];
    });
    await this.workers.askAll({ type: 'set-keep', keep: keepPolicy(next), snap: next.snap, chosen });
    this.keep = next;
    this.emit('event', { kind: 'keep-changed', text: `kept from now on: ${describeKeep(next)}` });
  }

  /** @param seconds 0: never. @returns whether the switching logic has a table that ages */
  async setAgeing(seconds: number): Promise<boolean> {
    const ages = await this.workers.askAll<boolean>({ type: 'set-ageing', seconds });
    if (ages) this.options = { ...this.options, ageing: seconds };
    return ages;
  }

  /** Keep nothing new: what the pool holds now stays. */
  async freeze(frozen: boolean): Promise<void> {
    await this.workers.askAll({ type: 'freeze', frozen });
    if (this.frozen !== frozen) this.emit('event', frozen ? { kind: 'keeping-frozen', text: 'nothing new is kept' } : { kind: 'keeping-resumed', text: 'frames are kept again' });
    this.frozen = frozen;
  }

  keeping(): KeepState { return { ...this.keep, frozen: this.frozen, stopped: this.keepingStopped }; }

  /** The whole forwarding table, as far as it stands still meanwhile. */
  async fdb(): Promise<FdbEntry[]> {
    const all = new Map<string, FdbEntry>();
    for (let from: number | null = 0; from !== null;) {
      const page: { entries: FdbEntry[]; next: number | null } = await this.fdbPage(from, Infinity);
      for (const entry of page.entries) all.set(`${entry.mac} ${entry.vlan}`, entry);
      from = page.next;
    }
    return [...all.values()];
  }

  /**
   * A part of it. @param from 0, or the last page's `next`
   * @param limit  the page ends with the slice of 4,096 slots where it has so many entries
   * @param port   -1: all
   */
  async fdbPage(from: number, limit: number, port = -1): Promise<{ entries: FdbEntry[]; next: number | null }> {
    const entries: FdbEntry[] = [];
    for (let slice = 0; slice < FDB_SLICES && entries.length < limit; slice++) {
      const { words, now, ageing, slots } = await this.workers.ask<FdbShown>({ type: 'fdb-show', from, slots: FDB_SLICE });
      for (const entry of entriesOf(words, now, ageing)) if (port < 0 || entry.port === port) entries.push(entry);
      from += FDB_SLICE;
      if (from >= slots) return { entries, next: null };
    }
    return { entries, next: from };
  }

  /**
   * An entry that neither ages nor moves. @param vlan 0: untagged, or a switch that is not VLAN-aware
   * @throws FramekeepError E_FDB, E_PORT_UNKNOWN
   */
  async addStatic(mac: string, port: number, vlan = 0): Promise<void> {
    const { low, high } = this.fdbKey(mac, vlan);
    if ((low & 1) !== 0) throw new FramekeepError('E_FDB', `${mac} is a group address: frames to it are flooded`, 'name one station');
    if (!await this.workers.ask<boolean>({ type: 'fdb-set', low, high, port })) {
      throw new FramekeepError('E_FDB', 'the forwarding table is full', 'flush it (framekeep fdb flush), or start the switch with a larger --fdb-size');
    }
  }

  /** @throws FramekeepError E_FDB when there is no such entry */
  async deleteFdbEntry(mac: string, vlan = 0): Promise<void> {
    if (!await this.workers.ask<boolean>({ type: 'fdb-delete', ...this.fdbKey(mac, vlan) })) {
      throw new FramekeepError('E_FDB', `there is no entry for ${mac}${vlan > 0 ? ` in VLAN ${vlan}` : ''}`, 'framekeep fdb lists them');
    }
  }

  private fdbKey(mac: string, vlan: number): { readonly low: number; readonly high: number } {
    const key = keyOf(mac, vlan);
    if (key === undefined) throw new FramekeepError('E_FDB', `"${mac}" is no MAC address`, 'write it like 02:00:00:00:00:01');
    if (vlan > 4094) throw new FramekeepError('E_FDB', `there is no VLAN ${vlan}`, 'VLANs are 1 to 4094; 0 is untagged');
    if (vlan > 0 && this.options.vlanAware !== true) throw new FramekeepError('E_FDB', 'the switch does not learn per VLAN', 'leave the VLAN out, or start the switch with --vlan-aware');
    return key;
  }

  /**
   * @param change forwarding off: what comes in is dropped (and kept as before), nothing is sent; keeping off: nothing that comes in here is kept;
   * promiscuous off: the interface leaves out what is for others. Nothing is changed when it throws
   * @throws FramekeepError E_PORT_UNKNOWN, E_PORT_SETTING, E_PERMISSION, E_SEALED
   */
  async setPort(id: number, { promiscuous, ...change }: PortChange): Promise<void> {
    const { port } = this.portInfo(id);
    if (promiscuous !== undefined) this.setPromiscuous(id, port, promiscuous);
    await this.workers.askAll({ type: 'set-port', id, ...change });
    const now = this.set.get(id) ?? { forwarding: true, keeping: true };
    this.set.set(id, { ...now, ...change });
    this.emit('event', { kind: 'port-changed', port: id, spec: port, text: describePort({ ...change, ...(promiscuous !== undefined && { promiscuous }) }) || 'unchanged' });
  }

  private setPromiscuous(id: number, port: string, on: boolean): void {
    const promiscuity = this.prepared.get(id)?.promiscuity;
    if (promiscuity === undefined) {
      throw new FramekeepError('E_PORT_SETTING', `${port} has no promiscuous mode: it gets every frame that is sent to it`, 'leave it out; xdp: ports have one');
    }
    if (on && !promiscuity.on) this.refuseIfSealed();
    promiscuity.set(on);
  }

  /** What was learned; static entries stay. @param port its number, or -1: all. @returns how many entries went */
  async flushFdb(port = -1): Promise<number> { return this.workers.ask<number>({ type: 'fdb-flush', port }); }

  /** What runs here. */
  status(): Status {
    const stats = this.stats(), { options, started } = this, window = windowOf(stats);
    return {
      ...started, name: this.name, version: version(), pid: process.pid, startSeconds: stats.startSeconds, pool: options.pool, logic: options.logic ?? 'learning',
      commitBeforeForward: options.commitBeforeForward ?? false, counters: countersPath(this.directory), keep: this.keeping(), ports: this.ports(),
      fdb: { entries: stats.global.fdbEntries, capacity: options.fdbSize ?? 65536, ageing: options.ageing ?? 300, vlanAware: options.vlanAware ?? false },
      workers: Math.min(options.workers ?? 1, started.lanes),
      // In lanes that nobody writes there is what was found there.
      frames: Math.min(started.recovered + stats.global.committed, window.frames + started.slots - window.slots),
    };
  }

  /** As of now, without asking the data plane; after the end, as of then. */
  stats(): CountersSnapshot { return this.last ?? this.counters.snapshot(); }

  /** Sends what is in flight, commits what is kept, lets interfaces go as they were found. */
  async stop(): Promise<void> {
    if (this.last === undefined) this.emit('stopping');
    void this.workers.stop();
    await this.ended;
  }

  private hear(event: SwitchEvent): void {
    if (event.kind === 'keeping-stopped') this.keepingStopped = event.text;
    this.emit('event', event);
  }

  private async release(id: number): Promise<void> {
    const prepared = this.prepared.get(id);
    this.prepared.delete(id);
    this.set.delete(id);
    await prepared?.release();
  }

  private async cleanUp(failure: FramekeepError | undefined): Promise<void> {
    this.last = this.counters.snapshot();
    clearInterval(this.watch);
    this.counters.close();
    await Promise.allSettled([...this.prepared.values()].map((prepared) => prepared.release()));
    this.prepared.clear();
    this.emit('ending');
    closeSync(this.lockFd);  // the name is free when the interfaces are
    if (failure !== undefined) this.emit('failed', failure);
    this.emit('stopped');
  }
}

const keepOf = (o: SwitchOptions): Required<KeepChange> => ({ expression: o.keep === undefined ? '' : o.keep, sample: o.sample ?? 1, snap: o.snap ?? 0, ports: o.keepPorts ?? [] });

/** @throws FramekeepError E_FILTER_* */
function keepPolicy({ expression, sample, ports }: Required<KeepChange>): KeepPolicy {
  const program = expression === null || expression.trim() === '' ? undefined : compileFilter(expression).program;
  return { expression, program, sample, byPort: ports.length > 0 };
}
const specOf = (port: string | PortSpec): PortSpec => typeof port === 'string' ? parsePortSpec(port) : port;
/** Whether a `keepPorts` entry means this port: by what it is called, by its name, or as `kind:name`. */
const names = (keep: { readonly name: string }, label: string, port: { readonly kind: string; readonly name: string }): boolean =>
  keep.name === label || keep.name === port.name || keep.name === `${port.kind}:${port.name}`;
const version = (): string => (JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }).version;
const software = (): string => `framekeep ${version()}, Node ${process.versions.node}`;
