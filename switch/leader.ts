/**
 * Worker 0: has the pool's tables. It opens and recovers the pool, begins and ends runs, numbers ports and writes them down,
 * follows links, checkpoints the counters, and keeps the forwarding table's house.
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { MessagePort } from 'node:worker_threads';
import { thousands } from '../logger/words.js';
import { FramekeepError, LinkMonitor, mapFile, memoryFile, pinThread } from '../native/index.js';
import { MAX_PORTS, PORT_NOTE_BYTES, type PortEntry } from '../logger/format.js';
import { Pool } from '../logger/pool.js';
import { recover, type Recovery } from '../logger/recover.js';
import { GLOBAL, PORT_DISABLED, PORT_DOWN, PORT_GONE, PORT_REMOVED, PORT_UNUSED, PORT_UP } from './counters.js';
import { loadLogic } from './lookup/load.js';
import type { SwitchLogic } from './lookup/logic.js';
import type { FdbShown, Found, KeepPolicy, PortFacts, PortOpened, Request, Started, ThreadOptions } from './messages.js';
import type { PortDriver } from './ports/driver.js';
import type { HandoffPlace } from './ports/handoff.js';
import { openPort } from './ports/open.js';
import type { PortRequest } from './ports/request.js';
import { XdpDriver } from './ports/xdp.js';
import { buffersBeside, Session } from './session.js';

const MOVES_SECONDS = 1;

interface Attached { readonly request: PortRequest; readonly entry: PortEntry; link: boolean }

export class Leader extends Session {
  readonly found: Found;
  private readonly links: LinkMonitor | undefined;
  private readonly attached = new Map<number, Attached>();
  private readonly used = new Set<number>();
  /** Where the lanes stand; those that no worker writes stay there. */
  private readonly idleLanes: readonly number[];
  private boot: number;
  private keep: KeepPolicy;
  private checkpoints = 0;
  private nextMoves = 0;
  private toldMoves = 0;

  static async open(options: ThreadOptions, port: MessagePort): Promise<Leader> {
    if (options.cpu !== undefined) pinThread(options.cpu);
    const logic = await loadLogic(options.logic, options);
    const pool = Pool.open(options.pool, { writable: true, create: options.create, ...(options.durability && { durability: options.durability }) });
    return new Leader(options, port, logic, pool, recover(pool));
  }

  private constructor(options: ThreadOptions, port: MessagePort, logic: SwitchLogic, pool: Pool, recovery: Recovery) {
    const { zeroCopy } = pool.medium, boot = recovery.lastBoot + 1, bytes = options.workers * buffersBeside(pool.geometry.chunk) * pool.geometry.chunk;
    const umemFd = zeroCopy ? -1 : memoryFile('framekeep-buffers', bytes);
    super(options, port, logic, { pool, recovery: recovery.lanes[0], boot, umem: zeroCopy ? pool.buffers! : mapFile(umemFd, bytes, { writable: true }) });
    this.boot = boot;
    this.keep = options.keep;
    this.idleLanes = recovery.lanes.map((l) => l.next);
    this.beginBoot(this.idleLanes);
    this.links = openLinks();
    this.counters.global[GLOBAL.boot] = boot;
    this.found = { started: startedOf(pool, boot, recovery, options.workers), lanes: pool.geometry.lanes, begun: { boot, umemFd } };
    this.rebuildPoll();
  }

  protected nameOf(id: number): string { return this.attached.get(id)?.entry.spec ?? `port ${id}`; }
  protected watched(): readonly number[] { return this.links === undefined ? [] : [this.links.fd]; }

  protected carryOut(request: Request): unknown {
    const { plane } = this, { logic } = plane.options;
    switch (request.type) {
      case 'add-port': return this.addPort(request.port, request.facts, request.places);
      case 'remove-port':
        if (request.gone === undefined) return this.removePort(request.id, PORT_REMOVED);
        return this.attached.has(request.id) ? this.removeGone(request.id, request.gone) : undefined;
      case 'set-keep': this.keep = request.keep; return undefined;
      case 'fdb-show': {
        const { table } = logic;
        return { words: table?.copy(request.from, request.slots) ?? new Uint32Array(0), now: plane.seconds | 0, ageing: table?.ageing ?? 0, slots: table?.slots ?? 0 } satisfies FdbShown;
      }
      case 'fdb-flush': return logic.table?.flush(request.port, false) ?? 0;
      case 'fdb-set':
        plane.ports[request.port] ?? this.noPort(request.port);
        return logic.table?.setStatic(request.low, request.high, request.port, plane.seconds | 0) ?? this.noTable();
      case 'fdb-delete': return logic.table?.delete(request.low, request.high) ?? this.noTable();
      case 'set-port': return this.setPort(request.id, request.forwarding, request.keeping);
      default: throw new Error(`worker 0 does not do ${request.type}`);
    }
  }

  /** @param facts of a port that another worker has opened, which is then handed over what goes there */
  private addPort(request: PortRequest, facts: PortFacts | undefined, places: readonly HandoffPlace[]): PortOpened {
    const id = this.freeNumber();
    const driver: PortDriver = facts === undefined ? openPort(this.context, request) : this.handoff(places), { note, advice = [], mac, mtu } = facts ?? driver;
    const spec = this.unusedLabel(request.label);
    const entry: PortEntry = { id, spec, mac, mtu, addedNs: BigInt(Date.now()) * 1_000_000n, note: shortNote(note) };
    this.pool.writePort(this.boot, entry);
    this.used.add(id);
    this.attached.set(id, { request, entry, link: true });
    this.counters.clearPort(id);
    this.counters.describePort(id, PORT_UP, spec, note);
    this.attach(id, driver, request, places);
    return { id, note, advice, spec, share: driver instanceof XdpDriver ? driver.share : undefined };
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
    this.lastWord(port);
    this.plane.removePort(id);
    this.attached.delete(id);
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
    this.gate.close(this.options.wakeFds.slice(1, this.workers), (others) => {
      this.boot++;
      this.checkpoints = 0;
      this.beginBoot(this.pool.geometry.lanes.map((_, n) => n === 0 ? this.log.nextSequence : others[n - 1] ?? this.idleLanes[n]));
      for (const { entry } of this.attached.values()) this.pool.writePort(this.boot, entry);
      return this.boot;
    });
    this.log.setBoot(this.boot);
    this.counters.global[GLOBAL.boot] = this.boot;
    for (const id of this.used) {
      if (this.attached.has(id)) continue;
      this.counters.clearPort(id);
      this.counters.describePort(id, PORT_UNUSED, '', '');
    }
    this.used.clear();
    for (const id of this.attached.keys()) this.used.add(id);
    return this.freeNumber();
  }

  private beginBoot(firstSequence: readonly number[]): void {
    const { options } = this, { medium } = this.pool;
    this.pool.writeBoot({
      id: this.boot, startNs: BigInt(Date.now()) * 1_000_000n, kernelBootId: kernelBootId(), medium: medium.kind, durability: medium.durability, pid: process.pid,
      firstSequence, maxBatch: this.log.maxBatch, host: hostname(), name: options.name, keep: this.keep.expression ?? '(none)', software: options.software,
    });
  }

  protected onTick(): void {
    const { plane } = this;
    plane.options.logic.tick?.(plane.seconds | 0);
    if (this.links !== undefined) this.followLinks();
    if (plane.seconds >= this.nextMoves) this.tellMoves();
  }

  protected onLook(): void { this.checkpoint(false); }

  private checkpoint(clean: boolean): void {
    try {
      this.pool.writeCheckpoint(this.boot, { generation: ++this.checkpoints, timeNs: BigInt(Date.now()) * 1_000_000n, clean, ports: this.counters.totals() });
    } catch (cause) {  // a full or failing disk: no reason to stop forwarding
      this.plane.keepingStopped ??= new FramekeepError('E_COMMIT', `the pool's medium refused a checkpoint: ${(cause as Error).message}`, 'check the disk', { cause });
      this.plane.options.selection.frozen = true;
    }
  }

  /** At most once a second, however often stations move: two ports of one loop make them move with every frame. */
  private tellMoves(): void {
    const { logic } = this.plane.options, moved = logic.counters?.['moved'] ?? 0, count = moved - this.toldMoves;
    if (count <= 0 || logic.takeMoves === undefined) return;
    this.toldMoves = moved;
    this.nextMoves = this.plane.seconds + MOVES_SECONDS;
    const taken = logic.takeMoves();
    if (taken.length === 0) return;
    const moves = taken.map((move) => ({ ...move, fromName: this.nameOf(move.from), toName: this.nameOf(move.to) }));
    const [first] = moves, others = count - 1;
    this.say({
      kind: 'moves', count, moves,
      text: `${first.mac}${first.vlan > 0 ? ` (VLAN ${first.vlan})` : ''} moved from ${first.fromName} to ${first.toName}${others > 0 ? `, and ${thousands(others)} other move${others > 1 ? 's' : ''}` : ''}`,
    });
  }

  /** Interfaces that went down, came up or disappeared. */
  private followLinks(): void {
    for (const link of this.links!.read()) {
      for (const [id, attached] of [...this.attached]) {
        if (attached.request.ifindex !== link.ifindex) continue;
        if (link.gone) this.portGone(id, 'its interface disappeared');
        else this.linkChanged(id, attached, link.up && link.running);
      }
    }
  }

  private linkChanged(id: number, attached: Attached, up: boolean): void {
    if (attached.link === up) return;
    attached.link = up;
    this.linkOrWillChanged(id, attached);
    this.say({ kind: up ? 'port-up' : 'port-down', port: id, spec: attached.entry.spec, text: up ? 'link is up' : 'link is down' });
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
    const port = this.plane.ports[id]!;
    this.setUp(port, link);
    this.counters.setState(id, !port.forwarding ? PORT_DISABLED : link ? PORT_UP : PORT_DOWN);
  }

  private noPort(id: number): never { throw new FramekeepError('E_PORT_UNKNOWN', `there is no port ${id}`, 'framekeep ports lists them'); }
  private noTable(): never { throw new FramekeepError('E_FDB', `the switching logic '${this.plane.options.logic.name}' has no forwarding table`, 'start the switch with --logic learning'); }

  /** With other workers it goes from all of them at once: the control thread sees to it. */
  protected portGone(id: number, why: string): void {
    if (this.workers === 1) { this.removeGone(id, why); return; }
    const port = this.plane.ports[id]!;
    if (port.lost) return;
    port.lost = true;
    this.tell({ type: 'lost', id, why });
  }

  private removeGone(id: number, text: string): void {
    const { spec } = this.attached.get(id)!.entry;
    this.removePort(id, PORT_GONE);
    this.say({ kind: 'port-gone', port: id, spec, text });
  }

  /** In order: what is in flight is sent, what is kept is committed, interfaces are let go, the run is marked as ended. */
  protected end(): void {
    this.drain();
    for (const id of [...this.attached.keys()]) this.removePort(id, PORT_REMOVED);
    this.plane.publishCounters();
    this.counters.global[GLOBAL.stopped] = 1;
    this.checkpoint(true);
    this.log.close();
    this.links?.close();
    this.pool.close();
    this.say({ kind: 'stopped' });
  }
}

/** The clauses of a note that fit the pool's port table whole. */
function shortNote(note: string): string {
  const clauses = note.split(', ');
  while (clauses.length > 1 && Buffer.byteLength(clauses.join(', ')) > PORT_NOTE_BYTES) clauses.pop();
  return clauses.join(', ');
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

function startedOf(pool: Pool, boot: number, { lanes }: Recovery, workers: number): Started {
  const { medium, geometry } = pool, sum = (of: (lane: Recovery['lanes'][number]) => number): number => lanes.reduce((n, lane) => n + of(lane), 0);
  return {
    boot, medium: medium.kind, promise: medium.promise, durability: medium.durability, zeroCopy: medium.zeroCopy, slots: geometry.lanes.reduce((n, l) => n + l.slots, 0), chunk: geometry.chunk,
    recovered: sum((l) => l.valid), gaps: sum((l) => l.gaps.length), torn: sum((l) => l.torn), findings: [...pool.findings, ...(workers > lanes.length ? [tooFewLanes(lanes.length, workers)] : [])], lanes: lanes.length,
  };
}

const tooFewLanes = (lanes: number, workers: number): string =>
  `it has ${lanes} ${lanes === 1 ? 'lane' : 'lanes'}, so that ${lanes} of ${workers} workers run; a new pool gets as many lanes as workers are asked for`;
