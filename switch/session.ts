/**
 * One run of the data plane on one pool: opens and recovers it, takes the control thread's requests between turns, sleeps
 * when there is nothing to do, checkpoints the counters, and ends in order.
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { MessagePort } from 'node:worker_threads';
import { receiveMessageOnPort } from 'node:worker_threads';
import {
  eventClear, FramekeepError, LinkMonitor, mapMemory, pinThread, POLLERR, POLLHUP, POLLIN, POLLNVAL, pollWait, type Mapping,
} from '../native/index.js';
import { MAX_PORTS, PORT_NOTE_BYTES, Log, Pool, recover, unreferenced, type LaneGeometry, type PortEntry, type Recovery } from '../logger/index.js';
import { toJavaScript } from '../logger/filter/index.js';
import { Buffers } from './buffers.js';
import { Counters, GLOBAL, PORT_DISABLED, PORT_DOWN, PORT_GONE, PORT_REMOVED, PORT_UNUSED, PORT_UP, PORT } from './counters.js';
import { loadLogic } from './lookup/load.js';
import type { SwitchLogic } from './lookup/logic.js';
import type { Answer, FdbShown, KeepPolicy, PortOpened, Request, Started, SwitchEvent, ThreadOptions } from './messages.js';
import { Plane } from './plane.js';
import type { PortContext } from './ports/driver.js';
import { openPort } from './ports/open.js';
import type { PortRequest } from './ports/request.js';
import { asFramekeepError, XdpDriver } from './ports/xdp.js';
import type { RingSet } from './ring.js';
import { Selection } from './selection.js';

/** Buffers that circulate beside a pool in one-copy mode. */
const ONE_COPY_BUFFERS = 16384;
/** Turns without a frame before the thread sleeps: a burst often follows a burst. */
const IDLE_TURNS = 4;
const TICK_SECONDS = 0.1, CHECKPOINT_SECONDS = 1, MOVES_SECONDS = 1, SLEEP_NS = 250e6;

interface Attached { readonly request: PortRequest; readonly entry: PortEntry; link: boolean }

export class Session {
  readonly started: Started;
  private readonly options: ThreadOptions;
  private readonly port: MessagePort;
  private readonly pool: Pool;
  private readonly log: Log;
  private readonly plane: Plane;
  private readonly counters: Counters;
  private readonly context: PortContext;
  private readonly waiting: Int32Array;
  private readonly links: LinkMonitor | undefined;
  private readonly attached = new Map<number, Attached>();
  private readonly used = new Set<number>();
  private boot: number;
  private keep: KeepPolicy;
  private checkpoints = 0;
  private nextTick = 0;
  private nextCheckpoint = 0;
  private nextMoves = 0;
  private toldMoves = 0;
  private stopping = false;
  private toldKeepingStopped = false;
  // struct pollfd: wake eventfd, link monitor, then the ports'.
  private pollFds = new Int32Array(4);
  private pollPorts: number[] = [];
  private finished = new Set<number>();

  static async open(options: ThreadOptions, port: MessagePort): Promise<Session> {
    if (options.cpu !== undefined) pinThread(options.cpu);
    const logic = await loadLogic(options.logic, options);
    return new Session(options, port, logic);
  }

  private constructor(options: ThreadOptions, port: MessagePort, logic: SwitchLogic) {
    this.options = options;
    this.port = port;
    this.keep = options.keep;
    this.waiting = new Int32Array(options.waiting);
    const selection = selectionOf(options.keep);
    this.pool = Pool.open(options.pool, { writable: true, create: options.create, ...(options.durability && { durability: options.durability }) });
    const { geometry, medium } = this.pool, lane = geometry.lanes[0];
    const recovery = recover(this.pool);
    this.boot = recovery.lastBoot + 1;
    const umem = medium.zeroCopy ? this.pool.buffers! : mapMemory('framekeep-buffers', ONE_COPY_BUFFERS * geometry.chunk);
    this.log = new Log({ pool: this.pool, lane: 0, boot: this.boot, recovery: recovery.lanes[0], source: umem, maxBatch: largestBatch(options.maxBatch, lane, umem !== this.pool.buffers) });
    const buffers = medium.zeroCopy
      ? new Buffers(lane.firstBuffer, lane.buffers, unreferenced(this.log.slotBuffer, lane.firstBuffer, lane.buffers), options.checked)
      : new Buffers(0, ONE_COPY_BUFFERS, Uint32Array.from({ length: ONE_COPY_BUFFERS }, (_, i) => i), options.checked);
    this.counters = Counters.open(options.countersPath, true);
    const maxFrame = Math.min(options.maxFrame || Infinity, geometry.chunk - 256);
    this.plane = new Plane({
      umem, chunk: geometry.chunk, buffers, log: this.log, logic, selection, counters: this.counters,
      commitBeforeForward: options.commitBeforeForward, minFrame: options.minFrame, maxFrame,
    });
    this.plane.held = options.held;
    this.plane.snap = snapOf(options.snap);
    this.context = contextOf(umem, geometry.chunk, maxFrame);
    this.beginBoot(recovery.lanes.map((l) => l.next));
    this.links = openLinks();
    this.counters.global[GLOBAL.boot] = this.boot;
    this.started = startedOf(this.pool, this.boot, recovery);
    this.rebuildPoll();
  }

  /** Until it is told to stop. */
  run(): void {
    let idle = 0;
    const { plane, waiting } = this, g = this.counters.global;
    while (!this.stopping) {
      const handled = plane.turn();
      g[GLOBAL.turns]++;
      if (Atomics.load(waiting, 0) > 0) this.takeRequests();
      if (plane.seconds >= this.nextTick) this.tick();
      if (handled > 0) { idle = 0; continue; }
      if (++idle >= IDLE_TURNS && !this.stopping) this.sleep();
    }
    this.end();
  }

  private takeRequests(): void {
    for (let m = receiveMessageOnPort(this.port); m !== undefined; m = receiveMessageOnPort(this.port)) {
      Atomics.sub(this.waiting, 0, 1);
      const { id, request } = m.message as { id: number; request: Request };
      let answer: Answer;
      try {
        answer = { type: 'reply', id, value: this.carryOut(request) };
      } catch (error) {
        const { code, message, remedy } = asFramekeepError(error);
        answer = { type: 'refused', id, error: { code, message, remedy } };
      }
      this.port.postMessage(answer);
    }
  }

  private carryOut(request: Request): unknown {
    const { plane } = this, { logic, selection } = plane.options;
    switch (request.type) {
      case 'add-port': return this.addPort(request.port);
      case 'remove-port':
        if (request.gone !== undefined && this.attached.has(request.id)) return this.portGone(request.id, request.gone);
        return this.removePort(request.id, PORT_REMOVED);
      case 'set-keep': {
        selection.becomes(selectionOf(request.keep));
        selection.chooseNone();
        for (const { id, received, sent } of request.chosen) selection.choosePort(id, received, sent);
        plane.snap = snapOf(request.snap);
        this.keep = request.keep;
        return undefined;
      }
      case 'set-ageing':
        if (logic.table !== undefined) logic.table.ageing = request.seconds;
        return logic.table !== undefined;
      case 'freeze':
        if (!request.frozen && plane.keepingStopped !== undefined) throw plane.keepingStopped;
        selection.frozen = request.frozen;
        this.counters.global[GLOBAL.frozen] = request.frozen ? 1 : 0;
        return undefined;
      case 'hold': plane.held = request.held; return undefined;
      case 'fdb-show': {
        const { table } = logic;
        return { words: table?.copy(request.from, request.slots) ?? new Uint32Array(0), now: plane.seconds | 0, ageing: table?.ageing ?? 0, slots: table?.slots ?? 0 } satisfies FdbShown;
      }
      case 'fdb-flush': return logic.table?.flush(request.port, false) ?? 0;
      case 'fdb-set':
        this.plane.ports[request.port] ?? this.noPort(request.port);
        return logic.table?.setStatic(request.low, request.high, request.port, plane.seconds | 0) ?? this.noTable();
      case 'fdb-delete': return logic.table?.delete(request.low, request.high) ?? this.noTable();
      case 'set-port': return this.setPort(request.id, request.forwarding, request.keeping);
      case 'stop': this.stopping = true; return undefined;
    }
  }

  private addPort(request: PortRequest): PortOpened {
    const id = this.freeNumber();
    const driver = openPort(this.context, request);
    const spec = this.unusedLabel(request.label);
    const entry: PortEntry = { id, spec, mac: driver.mac, mtu: driver.mtu, addedNs: BigInt(Date.now()) * 1_000_000n, note: shortNote(driver.note) };
    this.pool.writePort(this.boot, entry);
    this.used.add(id);
    this.attached.set(id, { request, entry, link: true });
    this.counters.port(id).fill(0);
    this.counters.describePort(id, PORT_UP, spec, driver.note);
    if (request.keep !== undefined) this.plane.options.selection.choosePort(id, request.keep.received, request.keep.sent);
    this.counters.port(id)[PORT.finite] = request.kind === 'replay' || request.kind === 'gen' ? 1 : 0;
    this.plane.addPort(id, driver);
    if (driver instanceof XdpDriver) driver.deliver();
    this.rebuildPoll();
    return { id, note: driver.note, advice: driver.advice ?? [], spec };
  }

  /** Two ports may replay one file: the second is called `…#2`. */
  private unusedLabel(wanted: string): string {
    const taken = new Set([...this.attached.values()].map((a) => a.entry.spec));
    let label = wanted;
    for (let n = 2; taken.has(label); n++) label = `${wanted}#${n}`;
    return label;
  }

  private removePort(id: number, state: number): void {
    const port = this.plane.ports[id];
    if (port === undefined || port === null) return this.noPort(id);
    const warning = port.driver.statistics?.(port.counters);
    if (warning !== undefined) this.say({ kind: 'port-warning', port: id, spec: this.attached.get(id)!.entry.spec, text: warning });
    this.plane.removePort(id);
    this.attached.delete(id);
    this.finished.delete(id);
    this.counters.setState(id, state);
    this.rebuildPoll();
  }

  /**
   * A number that no record of this run carries yet. When all 64 were used, a new run begins in the pool (without stopping):
   * the ports that are there keep their numbers, the others' come free.
   */
  private freeNumber(): number {
    for (let id = 0; id < MAX_PORTS; id++) if (!this.used.has(id)) return id;
    if (this.attached.size === MAX_PORTS) throw new FramekeepError('E_PORT_LIMIT', `a switch has at most ${MAX_PORTS} ports`, 'remove one first');
    this.plane.flushLog();
    this.checkpoint(true);
    this.boot++;
    this.checkpoints = 0;
    this.beginBoot([this.log.nextSequence]);
    this.log.setBoot(this.boot);
    this.counters.global[GLOBAL.boot] = this.boot;
    for (const id of this.used) {
      if (this.attached.has(id)) continue;
      this.counters.port(id).fill(0);
      this.counters.describePort(id, PORT_UNUSED, '', '');
    }
    this.used.clear();
    for (const [id, { entry }] of this.attached) {
      this.pool.writePort(this.boot, entry);
      this.used.add(id);
    }
    return this.freeNumber();
  }

  private beginBoot(firstSequence: readonly number[]): void {
    const { options } = this, { medium } = this.pool;
    this.pool.writeBoot({
      id: this.boot, startNs: BigInt(Date.now()) * 1_000_000n, kernelBootId: kernelBootId(), medium: medium.kind, durability: medium.durability, pid: process.pid,
      firstSequence, maxBatch: this.log.maxBatch, host: hostname(), name: options.name, keep: this.keep.expression ?? '(none)', software: options.software,
    });
  }

  /** Some ten times a second. */
  private tick(): void {
    const { plane } = this;
    this.nextTick = plane.seconds + TICK_SECONDS;
    plane.options.logic.tick?.(plane.seconds | 0);
    plane.publishCounters();
    if (plane.keepingStopped !== undefined) this.tellKeepingStopped(plane.keepingStopped);
    if (this.links !== undefined) this.followLinks();
    if (plane.seconds >= this.nextMoves) this.tellMoves();
    if (plane.seconds < this.nextCheckpoint) return;
    this.nextCheckpoint = plane.seconds + CHECKPOINT_SECONDS;
    for (const port of [...plane.live]) {
      const warning = port.driver.statistics?.(port.counters);
      const { spec } = this.attached.get(port.id)!.entry;
      const why = port.driver.failed?.();
      if (why !== undefined) { this.portGone(port.id, why); continue; }
      if (warning !== undefined) this.say({ kind: 'port-warning', port: port.id, spec, text: warning });
      if (port.driver.finished && !this.finished.has(port.id)) {
        this.finished.add(port.id);
        port.counters[PORT.finished] = 1;
        this.say({ kind: 'port-finished', port: port.id, spec, text: 'gave its last frame' });
      }
    }
    this.checkpoint(false);
  }

  private checkpoint(clean: boolean): void {
    try {
      this.pool.writeCheckpoint(this.boot, { generation: ++this.checkpoints, timeNs: BigInt(Date.now()) * 1_000_000n, clean, ports: this.counters.totals() });
    } catch (cause) {  // a full or failing disk: no reason to stop forwarding
      this.plane.keepingStopped ??= new FramekeepError('E_COMMIT', `the pool's medium refused a checkpoint: ${(cause as Error).message}`, 'check the disk', { cause });
      this.plane.options.selection.frozen = true;
    }
  }

  private tellKeepingStopped(why: FramekeepError): void {
    if (this.toldKeepingStopped) return;
    this.toldKeepingStopped = true;
    this.counters.global[GLOBAL.frozen] = 1;
    this.say({ kind: 'keeping-stopped', text: why.message });
  }

  /** At most once a second, however often stations move: two ports of one loop make them move with every frame. */
  private tellMoves(): void {
    const { logic } = this.plane.options, moved = logic.counters?.['moved'] ?? 0, count = moved - this.toldMoves;
    if (count <= 0 || logic.takeMoves === undefined) return;
    this.toldMoves = moved;
    this.nextMoves = this.plane.seconds + MOVES_SECONDS;
    const name = (id: number): string => this.attached.get(id)?.entry.spec ?? `port ${id}`;
    const taken = logic.takeMoves();
    if (taken.length === 0) return;
    const moves = taken.map((move) => ({ ...move, fromName: name(move.from), toName: name(move.to) }));
    const [first] = moves, others = count - 1;
    this.say({
      kind: 'moves', count, moves,
      text: `${first.mac}${first.vlan > 0 ? ` (VLAN ${first.vlan})` : ''} moved from ${first.fromName} to ${first.toName}${others > 0 ? `, and ${others.toLocaleString('en')} other move${others > 1 ? 's' : ''}` : ''}`,
    });
  }

  /** Interfaces that went down, came up or disappeared. */
  private followLinks(): void {
    for (const link of this.links!.read()) {
      for (const [id, { request, entry }] of [...this.attached]) {
        if (request.ifindex !== link.ifindex) continue;
        if (link.gone) this.portGone(id, 'its interface disappeared');
        else this.setUp(id, link.up && link.running, entry.spec);
      }
    }
  }

  private setUp(id: number, up: boolean, spec: string): void {
    const attached = this.attached.get(id)!;
    if (attached.link === up) return;
    attached.link = up;
    this.linkOrWillChanged(id, attached);
    this.say({ kind: up ? 'port-up' : 'port-down', port: id, spec, text: up ? 'link is up' : 'link is down' });
  }

  /** What an operator wants of a port. */
  private setPort(id: number, forwarding: boolean | undefined, keeping: boolean | undefined): void {
    const port = this.plane.ports[id] ?? this.noPort(id);
    if (keeping !== undefined) port.keeping = keeping;
    if (forwarding === undefined || port.forwarding === forwarding) return;
    port.forwarding = forwarding;
    this.linkOrWillChanged(id, this.attached.get(id)!);
  }

  private linkOrWillChanged(id: number, { link }: Attached): void {
    const port = this.plane.ports[id]!, { logic } = this.plane.options;
    port.up = link && port.forwarding;
    if (!port.up) {  // its stations may be elsewhere now
      if (logic.portDown !== undefined) logic.portDown(id);
      else logic.portRemoved?.(id);
    }
    this.counters.setState(id, !port.forwarding ? PORT_DISABLED : link ? PORT_UP : PORT_DOWN);
  }

  private noPort(id: number): never { throw new FramekeepError('E_PORT_UNKNOWN', `there is no port ${id}`, 'framekeep ports lists them'); }
  private noTable(): never { throw new FramekeepError('E_FDB', `the switching logic '${this.plane.options.logic.name}' has no forwarding table`, 'start the switch with --logic learning'); }

  private portGone(id: number, text: string): void {
    const { spec } = this.attached.get(id)!.entry;
    this.removePort(id, PORT_GONE);
    this.say({ kind: 'port-gone', port: id, spec, text });
  }

  /** In the kernel until a frame, a request, a link's change, or the time for something of a port's own. */
  private sleep(): void {
    const { plane } = this;
    let timeout = SLEEP_NS;
    for (let p = 0; p < plane.live.length; p++) {
      const port = plane.live[p];
      if (!plane.held) timeout = Math.min(timeout, port.driver.due - plane.now);
      // The kernel had no room to send, or has no buffer to receive into: nothing would wake us.
      if (port.tx.outstanding() > 0 || port.driver.queues.some(hasNoBuffers)) timeout = Math.min(timeout, 1e6);
    }
    if (timeout <= 0) return;
    plane.publishCounters();
    this.counters.global[GLOBAL.sleeps]++;
    const ready = pollWait(this.pollFds, this.pollFds.length >>> 1, timeout);
    if (ready <= 0) return;
    for (let i = 0; i < this.pollFds.length; i += 2) {
      const events = this.pollFds[i + 1] >>> 16;
      if (events === 0) continue;
      this.pollFds[i + 1] = POLLIN;
      if (i === 0) eventClear(this.pollFds[0]);
      else if ((events & (POLLERR | POLLHUP | POLLNVAL)) !== 0) this.portFailed(this.pollPorts[i >>> 1]);
      else if (this.pollPorts[i >>> 1] < 0) this.nextTick = 0;
      else this.plane.ports[this.pollPorts[i >>> 1]]?.driver.woken?.();
    }
  }

  private portFailed(id: number): void {
    const port = this.plane.ports[id];
    const why = port?.driver.failed?.();
    if (why !== undefined) this.portGone(id, why);
  }

  private rebuildPoll(): void {
    const fds: number[] = [this.options.wakeFd], owners = [-1];
    if (this.links !== undefined) { fds.push(this.links.fd); owners.push(-1); }
    for (const port of this.plane.live) for (const fd of port.driver.fds) { fds.push(fd); owners.push(port.id); }
    this.pollFds = Int32Array.from(fds.flatMap((fd) => [fd, POLLIN]));
    this.pollPorts = owners;
  }

  /** In order: what is in flight is sent, what is kept is committed, interfaces are let go, the run is marked as ended. */
  private end(): void {
    const { plane } = this;
    for (let i = 0; i < 100 && plane.live.some((p) => p.tx.outstanding() > 0); i++) {
      plane.turn();
      pollWait(this.pollFds, 0, 1e6);
    }
    plane.flushLog();
    for (const id of [...this.attached.keys()]) this.removePort(id, PORT_REMOVED);
    plane.publishCounters();
    this.counters.global[GLOBAL.stopped] = 1;
    this.checkpoint(true);
    this.log.close();
    this.links?.close();
    this.pool.close();
    this.say({ kind: 'stopped' });
  }

  private say(event: SwitchEvent): void {
    this.port.postMessage({ type: 'event', event } satisfies Answer);
  }
}

/** The clauses of a note that fit the pool's port table whole. */
function shortNote(note: string): string {
  const clauses = note.split(', ');
  while (clauses.length > 1 && Buffer.byteLength(clauses.join(', ')) > PORT_NOTE_BYTES) clauses.pop();
  return clauses.join(', ');
}

/** 0 is all. */
const snapOf = (bytes: number): number => bytes > 0 ? bytes : 0xffff;
const hasNoBuffers = (queue: RingSet): boolean => queue.fill.outstanding() === 0;

function selectionOf(keep: KeepPolicy): Selection {
  const { expression, program } = keep;
  const selection = new Selection({ none: expression === null, sample: keep.sample, ...(program !== undefined && { match: toJavaScript(program) }) });
  if (keep.byPort) selection.restrictToPorts();
  return selection;
}

/** In one-copy mode a commit takes its buffers from what no record can have: there must be one for each frame. */
function largestBatch(wanted: number, lane: LaneGeometry, copies: boolean): number {
  return Math.max(1, Math.min(wanted, lane.slots >>> 1, copies ? lane.buffers - lane.slots : Infinity));
}

function contextOf(umem: Mapping, chunk: number, maxFrame: number): PortContext {
  return { umem, segments: umem.segments.map((s) => new Uint8Array(s)), chunk, maxFrame, xdpSockets: new Set() };
}

function openLinks(): LinkMonitor | undefined {
  try {
    return new LinkMonitor();
  } catch {
    return undefined;  // where rtnetlink is not to be had (some sandboxes), interfaces are not followed
  }
}

function kernelBootId(): Uint8Array {
  const hex = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').replaceAll('-', '').trim();
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

function startedOf(pool: Pool, boot: number, recovery: Recovery): Started {
  const { medium, geometry } = pool, lane = recovery.lanes[0];
  return {
    boot, medium: medium.kind, promise: medium.promise, durability: medium.durability, zeroCopy: medium.zeroCopy, slots: geometry.lanes[0].slots, chunk: geometry.chunk,
    recovered: lane.valid, gaps: lane.gaps.length, torn: lane.torn, findings: pool.findings,
  };
}
