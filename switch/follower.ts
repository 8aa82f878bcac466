/**
 * Workers from 1 on: a data plane with its own queues, lane and buffers, that the leader (worker 0) tells which ports there are.
 */
import type { MessagePort } from 'node:worker_threads';
import { FramekeepError, mapFile, pinThread } from '../native/index.js';
import { Pool } from '../logger/pool.js';
import { recoverLane } from '../logger/recover.js';
import { loadLogic } from './lookup/load.js';
import type { SwitchLogic } from './lookup/logic.js';
import type { PortFacts, Request, ThreadOptions } from './messages.js';
import type { PlanePort } from './plane_port.js';
import type { PortDriver } from './ports/driver.js';
import { openPort } from './ports/open.js';
import type { PortRequest } from './ports/request.js';
import { XdpShareDriver } from './ports/xdp.js';
import { buffersBeside, Session, type Ground } from './session.js';

export class Follower extends Session {
  private readonly names = new Map<number, string>();
  private readonly links = new Map<number, boolean>();
  /** Opened, and not part of the plane yet. */
  private opened: PortDriver | undefined;
  /** Let go of, with buffers that are not to be used yet. */
  private readonly detached = new Map<number, PlanePort>();

  static async open(options: ThreadOptions, port: MessagePort): Promise<Follower> {
    const { begun, worker, workers } = options;
    if (options.cpu !== undefined) pinThread(options.cpu + worker);
    const logic = await loadLogic(options.logic, options);
    const pool = Pool.open(options.pool, { writable: true, joins: true, ...(options.durability && { durability: options.durability }) });
    const umem = begun!.umemFd < 0 ? pool.buffers! : mapFile(begun!.umemFd, workers * buffersBeside(pool.geometry.chunk) * pool.geometry.chunk, { writable: true });
    return new Follower(options, port, logic, { pool, recovery: recoverLane(pool, worker).lane, boot: begun!.boot, umem });
  }

  private constructor(options: ThreadOptions, port: MessagePort, logic: SwitchLogic, ground: Ground) {
    super(options, port, logic, ground);
    this.rebuildPoll();
  }

  protected nameOf(id: number): string { return this.names.get(id) ?? `port ${id}`; }
  protected watched(): readonly number[] { return []; }
  protected onTick(): void { /* the leader keeps the table and follows the links */ }
  protected onLook(): void { /* the leader checkpoints */ }

  protected carryOut(request: Request): unknown {
    const { plane } = this;
    switch (request.type) {
      case 'open-port': return this.openPort(request.port);
      case 'discard-port': this.opened?.close(); this.opened = undefined; return undefined;
      case 'attach-port': {
        const driver = this.opened ?? (request.share !== undefined && this.options.worker < request.share.queues
          ? new XdpShareDriver(this.context, request.share, this.options.worker) : this.handoff(request.places));
        this.opened = undefined;
        this.names.set(request.id, request.spec);
        this.links.set(request.id, true);
        this.attach(request.id, driver, request.port, request.places);
        return undefined;
      }
      case 'detach-port': return this.detachPort(request.id);
      case 'reclaim-port': {
        const port = this.detached.get(request.id);
        this.detached.delete(request.id);
        if (port !== undefined) plane.reclaimPort(port);
        return undefined;
      }
      case 'set-link': case 'set-port': {
        const port = plane.ports[request.id];
        if (port === undefined || port === null) return undefined;
        if (request.type === 'set-link') this.links.set(request.id, request.up);
        else {
          port.keeping = request.keeping ?? port.keeping;
          port.forwarding = request.forwarding ?? port.forwarding;
        }
        this.setUp(port, this.links.get(request.id) ?? true);
        return undefined;
      }
      case 'set-keep': return undefined;
      default: throw new Error(`worker ${this.options.worker} does not do ${request.type}`);
    }
  }

  private openPort(request: PortRequest): PortFacts {
    if (this.opened !== undefined) throw new FramekeepError('E_INTERNAL', 'a port is being opened already', 'please report this');
    const driver = openPort(this.context, request);
    this.opened = driver;
    return { note: driver.note, advice: driver.advice ?? [], mac: driver.mac, mtu: driver.mtu };
  }

  private detachPort(id: number): void {
    const port = this.plane.ports[id];
    if (port === undefined || port === null) return;
    this.lastWord(port);
    this.plane.detachPort(id);
    this.detached.set(id, port);
    this.names.delete(id);
    this.links.delete(id);
    this.rebuildPoll();
  }

  protected portGone(id: number, why: string): void {
    const port = this.plane.ports[id]!;
    if (port.lost) return;
    port.lost = true;
    this.tell({ type: 'lost', id, why });
  }

  /** The leader still turns, so that what it was handed is sent. */
  protected end(): void {
    const { plane } = this;
    plane.held = true;
    this.drain();
    for (const { id } of [...plane.live]) this.detachPort(id);
    plane.publishCounters();
    this.log.close();
    this.pool.close();
  }
}
