/**
 * What every worker (data-plane thread) does: turns its data plane, takes the control thread's requests between turns, sleeps
 * when there is nothing to do, looks after its own ports once a second, and ends in order. Worker 0 leads (leader.ts).
 */
import type { MessagePort } from 'node:worker_threads';
import { receiveMessageOnPort } from 'node:worker_threads';
import { eventClear, POLLERR, POLLHUP, POLLIN, POLLNVAL, pollWait, populate, type FramekeepError, type Mapping } from '../native/index.js';
import type { LaneGeometry } from '../logger/format.js';
import { Log, unreferenced } from '../logger/log.js';
import type { Pool } from '../logger/pool.js';
import type { LaneRecovery } from '../logger/recover.js';
import { toJavaScript } from '../logger/filter/index.js';
import { Buffers } from './buffers.js';
import { Counters, GLOBAL, PORT } from './counters.js';
import { Gate } from './gate.js';
import type { SwitchLogic } from './lookup/logic.js';
import { wireError, type Answer, type KeepPolicy, type Request, type SwitchEvent, type ThreadOptions } from './messages.js';
import { Plane } from './plane.js';
import type { PlanePort } from './plane_port.js';
import { HEADROOM, SUPER_CHUNK, type PortContext, type PortDriver } from './ports/driver.js';
import { HandoffPort, Inlet, type Doorbells, type HandoffPlace } from './ports/handoff.js';
import type { PortRequest } from './ports/request.js';
import { XdpQueues } from './ports/xdp.js';
import type { RingSet } from './ring.js';
import { Selection } from './selection.js';

/** Buffers of each worker that circulate beside a pool in one-copy mode: 32 or 64 MiB, and 64 of those that take super-frames. */
export const buffersBeside = (chunk: number): number => chunk === SUPER_CHUNK ? 1024 : 16384;
/** Turns without a frame before the thread sleeps: a burst often follows a burst. */
const IDLE_TURNS = 4;
const TICK_SECONDS = 0.1, LOOK_SECONDS = 1, SLEEP_NS = 250e6;

/** What a worker's data plane stands on. */
export interface Ground { readonly pool: Pool; readonly recovery: LaneRecovery; readonly boot: number; readonly umem: Mapping }

export abstract class Session {
  protected readonly options: ThreadOptions;
  protected readonly pool: Pool;
  protected readonly log: Log;
  protected readonly plane: Plane;
  protected readonly counters: Counters;
  protected readonly context: PortContext;
  protected readonly bells: Doorbells;
  protected readonly gate: Gate;
  /** As many as were asked for, and no more than the pool has lanes. */
  protected readonly workers: number;
  protected stopping = false;
  protected nextTick = 0;
  private readonly port: MessagePort;
  private readonly waiting: Int32Array;
  private nextLook = 0;
  private toldKeepingStopped = false;
  private populated = false;
  // struct pollfd: wake eventfd, then what `watched` gives, then the ports'.
  private pollFds = new Int32Array(4);
  private pollPorts: number[] = [];
  private readonly finished = new Set<number>();

  protected constructor(options: ThreadOptions, port: MessagePort, logic: SwitchLogic, ground: Ground) {
    const { worker } = options, { pool, recovery, boot, umem } = ground, { geometry, medium } = pool, lane = geometry.lanes[worker], isCopied = !medium.zeroCopy;
    const beside = buffersBeside(geometry.chunk);
    this.options = options;
    this.port = port;
    this.pool = pool;
    this.waiting = new Int32Array(options.waiting);
    this.bells = { asleep: new Int32Array(options.asleep), fds: options.wakeFds };
    this.gate = new Gate(options.gate);
    this.workers = Math.min(options.workers, geometry.lanes.length);
    this.log = new Log({ pool, lane: worker, boot, recovery, source: umem, maxBatch: largestBatch(options.maxBatch, lane, isCopied) });
    const { chunk } = geometry, { checked } = options;
    const buffers = isCopied
      ? new Buffers({ first: worker * beside, count: beside, chunk, free: Uint32Array.from({ length: beside }, (_, i) => worker * beside + i), checked })
      : new Buffers({ first: lane.firstBuffer, count: lane.buffers, chunk, free: unreferenced(this.log.slotBuffer, lane.firstBuffer, lane.buffers), checked });
    this.counters = Counters.open(options.countersPath, true, worker);
    const maxFrame = Math.min(options.maxFrame || Infinity, chunk - HEADROOM);
    this.plane = new Plane({
      umem, chunk, buffers, log: this.log, logic, selection: selectionOf(options.keep), counters: this.counters,
      commitBeforeForward: options.commitBeforeForward, minFrame: options.minFrame, maxFrame,
    });
    this.hold(options.held);
    this.plane.snap = snapOf(options.snap);
    this.context = { umem, segments: umem.segments.map((s) => new Uint8Array(s)), chunk, maxFrame, xdpSockets: new Set(), workers: this.workers };
  }

  /** What a port is called, for people. */
  protected abstract nameOf(id: number): string;
  /** What only this kind of worker is asked. */
  protected abstract carryOut(request: Request): unknown;
  /** The port gives nothing more: its interface, or its helper, is gone. */
  protected abstract portGone(id: number, why: string): void;
  /** Some ten times a second; and once a second. */
  protected abstract onTick(): void;
  protected abstract onLook(): void;
  /** What else wakes it, and then `onTick`. */
  protected abstract watched(): readonly number[];
  protected abstract end(): void;

  /** Until it is told to stop. */
  run(): void {
    let idle = 0;
    const { plane, waiting, gate } = this, g = this.counters.global, follows = this.options.worker > 0;
    while (!this.stopping) {
      const handled = plane.turn();
      g[GLOBAL.turns]++;
      if (Atomics.load(waiting, 0) > 0) this.takeRequests();
      if (follows && gate.isClosed) this.passGate();
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
        answer = { type: 'reply', id, value: this.answer(request) };
      } catch (error) {
        answer = { type: 'refused', id, error: wireError(error) };
      }
      this.port.postMessage(answer);
    }
  }

  private answer(request: Request): unknown {
    const { plane } = this, { logic, selection } = plane.options;
    switch (request.type) {
      case 'set-keep':
        selection.becomes(selectionOf(request.keep));
        selection.chooseNone();
        for (const { id, received, sent } of request.chosen) selection.choosePort(id, received, sent);
        plane.snap = snapOf(request.snap);
        return this.carryOut(request);
      case 'set-ageing':
        if (logic.table !== undefined) logic.table.ageing = request.seconds;
        return logic.table !== undefined;
      case 'freeze':
        if (!request.frozen && plane.keepingStopped !== undefined) throw plane.keepingStopped;
        selection.frozen = request.frozen;
        this.counters.global[GLOBAL.frozen] = request.frozen ? 1 : 0;
        return undefined;
      case 'hold': this.hold(request.held); return undefined;
      case 'stop': this.stopping = true; return undefined;
      default: return this.carryOut(request);
    }
  }

  /** Makes an opened port part of the plane, and lets frames come. @param places where other workers hand over what they send here */
  protected attach(id: number, driver: PortDriver, request: PortRequest, places: readonly HandoffPlace[]): PlanePort {
    if (request.keep !== undefined) this.plane.options.selection.choosePort(id, request.keep.received, request.keep.sent);
    if (driver.handsOver !== true) this.counters.port(id)[PORT.finite] = request.kind === 'replay' || request.kind === 'gen' ? 1 : 0;
    const port = this.plane.addPort(id, driver);
    if (driver.handsOver !== true) port.inlets = places.map((place) => new Inlet(place, this.bells));
    if (driver instanceof XdpQueues) driver.deliver();
    this.rebuildPoll();
    return port;
  }

  protected handoff(places: readonly HandoffPlace[]): HandoffPort { return new HandoffPort(places[0], this.bells); }

  /** What a port still has to say, before it goes. */
  protected lastWord(port: PlanePort): void {
    const warning = port.driver.statistics?.(port.counters);
    if (warning !== undefined) this.say({ kind: 'port-warning', port: port.id, spec: this.nameOf(port.id), text: warning });
    this.finished.delete(port.id);
  }

  /** @param wanted what an operator wants of the port, and how its link is */
  protected setUp(port: PlanePort, link: boolean): void {
    const { logic } = this.plane.options, up = link && port.forwarding;
    if (port.up && !up) {  // its stations may be elsewhere now
      if (logic.portDown !== undefined) logic.portDown(port.id);
      else logic.portRemoved?.(port.id);
    }
    port.up = up;
  }

  /** Once frames may come, the buffers' pages are mapped beside: not before, since privileges are given up until then, in every thread. */
  private hold(held: boolean): void {
    const { plane } = this;
    plane.held = held;
    if (held || this.populated) return;
    this.populated = true;
    populate(plane.options.umem);
  }

  private passGate(): void {
    this.plane.flushLog();
    this.log.setBoot(this.gate.pass(this.options.worker, this.log.nextSequence));
  }

  private tick(): void {
    const { plane } = this;
    this.nextTick = plane.seconds + TICK_SECONDS;
    plane.publishCounters();
    if (plane.keepingStopped !== undefined) this.tellKeepingStopped(plane.keepingStopped);
    this.onTick();
    if (plane.seconds < this.nextLook) return;
    this.nextLook = plane.seconds + LOOK_SECONDS;
    for (const port of [...plane.live]) this.lookAfter(port);
    this.onLook();
  }

  private lookAfter(port: PlanePort): void {
    const { id, driver } = port, why = driver.failed?.();
    if (why !== undefined) { this.portGone(id, why); return; }
    const warning = driver.statistics?.(port.counters), spec = this.nameOf(id);
    if (warning !== undefined) this.say({ kind: 'port-warning', port: id, spec, text: warning });
    if (!driver.finished || this.finished.has(id)) return;
    this.finished.add(id);
    this.say({ kind: 'port-finished', port: id, spec, text: 'gave its last frame' });
    port.counters[PORT.finished] = 1;  // who reads this finds the message sent
  }

  private tellKeepingStopped(why: FramekeepError): void {
    if (this.toldKeepingStopped) return;
    this.toldKeepingStopped = true;
    this.counters.global[GLOBAL.frozen] = 1;
    this.say({ kind: 'keeping-stopped', text: why.message });
  }

  /** In the kernel until a frame, a request, a link's change, or the time for something of a port's own. */
  private sleep(): void {
    const { plane, bells, workers } = this, { worker } = this.options;
    let timeout = SLEEP_NS;
    for (let p = 0; p < plane.live.length; p++) {
      const port = plane.live[p];
      if (!plane.held) timeout = Math.min(timeout, port.driver.due - plane.now);
      // The kernel had no room to send, or has no buffer to receive into: nothing would wake us.
      if (port.tx.outstanding() > 0 || (port.driver.handsOver !== true && port.driver.queues.some(hasNoBuffers))) timeout = Math.min(timeout, 1e6);
    }
    if (timeout <= 0) return;
    plane.publishCounters();
    this.counters.global[GLOBAL.sleeps]++;
    if (workers > 1) {
      Atomics.store(bells.asleep, worker, 1);
      if (plane.hasInlet() || this.gate.isClosed) timeout = 0;
    }
    // What waits in a port's ring while no frame is taken would not let it sleep.
    const ready = pollWait(this.pollFds, plane.held ? 1 + this.watched().length : this.pollFds.length >>> 1, timeout);
    Atomics.store(bells.asleep, worker, 0);
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

  protected rebuildPoll(): void {
    const fds: number[] = [this.options.wakeFds[this.options.worker], ...this.watched()], owners = fds.map(() => -1);
    for (const port of this.plane.live) for (const fd of port.driver.fds) { fds.push(fd); owners.push(port.id); }
    this.pollFds = Int32Array.from(fds.flatMap((fd) => [fd, POLLIN]));
    this.pollPorts = owners;
  }

  /** Sends what is in flight and commits what is kept. */
  protected drain(): void {
    const { plane } = this;
    for (let i = 0; i < 100 && plane.live.some((p) => p.driver.handsOver !== true && p.tx.outstanding() > 0); i++) {
      plane.turn();
      pollWait(this.pollFds, 0, 1e6);
    }
    plane.flushLog();
  }

  protected say(event: SwitchEvent): void {
    this.tell({ type: 'event', event });
  }

  protected tell(answer: Answer): void {
    this.port.postMessage(answer);
  }
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
