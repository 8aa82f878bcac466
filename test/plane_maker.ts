/**
 * A data plane on a pool, turned by hand: ports whose frames a test gives and whose sending it can hold up, an independent
 * model of what should become of each frame, and an audit of every buffer.
 */
import { statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mapMemory, unmap, type Mapping } from '../native/index.js';
import {
  DROP_DISABLED, DROP_NO_EGRESS, DROP_OVERSIZE, DROP_REASONS, DROP_RESERVED, DROP_RUNT, DROP_SAME_PORT, DROP_TX_FULL, Log, NO_BUFFER, Pool, recover, unreferenced, VERDICT_DROPPED,
  VERDICT_FLOODED, type CreateOptions,
} from '../logger/index.js';
import { BURST } from '../switch/burst.js';
import { Buffers } from '../switch/buffers.js';
import { Counters, PORT, sumDropped } from '../switch/counters.js';
import { LearningSwitch } from '../switch/lookup/learning.js';
import type { SwitchLogic } from '../switch/lookup/logic.js';
import { Plane } from '../switch/plane.js';
import type { PlanePort } from '../switch/plane_port.js';
import type { PortContext } from '../switch/ports/driver.js';
import { SoftPort } from '../switch/ports/soft.js';
import { Selection } from '../switch/selection.js';
import { bootHeader, portEntry, scratch } from './pool_maker.js';

interface Test { teardown(fn: () => void): void }

/** A port of a test: brings in what `give` queued, and remembers what it was sent. */
export class HandPort extends SoftPort {
  readonly note = 'turned by hand';
  readonly waiting: Uint8Array[] = [];
  /** What came in during the last turn. */
  taken: Uint8Array[] = [];
  readonly sent: Uint8Array[] = [];
  /** How many frames it may still send; Infinity: all. */
  mayDo = Infinity;
  /** Called before each sending. */
  watch: (() => void) | undefined;

  override receive(): void {
    const n = this.capacity(Math.min(this.waiting.length, BURST));
    this.taken = this.waiting.splice(0, n);
    for (const frame of this.taken) {
      this.takeBuffer();
      const bytes = this.context.segments[this.segment];
      bytes.fill(0xee, this.frameAt, this.frameAt + 64);  // what an earlier frame left must not be taken for this one's
      bytes.set(frame, this.frameAt);
      this.give(frame.length);
    }
    if (n > 0) this.publish();
  }

  override transmit(): void {
    this.watch?.();
    const { tx, completion } = this.side, n = Math.min(tx.available(), this.mayDo);
    for (let i = 0; i < n; i++) {
      const d = tx.at(tx.next), [low, high, length] = tx.words.subarray(d, d + 3), at = high * 4294967296 + low;
      this.sent.push(this.context.segments[Math.floor(at / 2 ** 30)].slice(at % 2 ** 30, at % 2 ** 30 + length));
      completion.pushAddress(low, high);
      tx.next = (tx.next + 1) >>> 0;
    }
    this.mayDo -= n;
    tx.publish();
    completion.publish();
  }
}

export interface HandOptions extends Partial<CreateOptions> {
  readonly where?: string; readonly commitBeforeForward?: boolean; readonly logic?: SwitchLogic; readonly selection?: Selection; readonly snap?: number;
  readonly minFrame?: number; readonly maxFrame?: number; readonly maxBatch?: number; readonly nextSequence?: number; readonly vlanAware?: boolean; readonly copyBuffers?: number;
}

export class HandPlane {
  readonly path: string;
  readonly pool: Pool;
  readonly log: Log;
  readonly buffers: Buffers;
  readonly plane: Plane;
  readonly counters: Counters;
  readonly selection: Selection;
  readonly drivers = new Map<number, HandPort>();
  readonly context: PortContext;
  private readonly umem: Mapping;
  private isClosed = false;

  constructor(t: Test, options: HandOptions = {}) {
    const dir = scratch(t, options.where);
    this.path = join(dir, 'pool');
    this.pool = Pool.open(this.path, { writable: true, create: { bytes: options.bytes ?? 1 << 20, ...(options.chunk && { chunk: options.chunk }), ...(options.reserve && { reserve: options.reserve }) } });
    const { geometry, medium } = this.pool, [lane] = geometry.lanes, recovery = recover(this.pool), copyBuffers = options.copyBuffers ?? 512;
    this.pool.writeBoot(bootHeader(recovery));
    this.umem = medium.zeroCopy ? this.pool.buffers! : mapMemory('test-buffers', copyBuffers * geometry.chunk);
    this.log = new Log({
      pool: this.pool, lane: 0, boot: recovery.lastBoot + 1, recovery: { ...recovery.lanes[0], next: options.nextSequence ?? recovery.lanes[0].next }, source: this.umem, maxBatch: options.maxBatch ?? 32,
    });
    this.buffers = medium.zeroCopy
      ? new Buffers({ first: lane.firstBuffer, count: lane.buffers, chunk: geometry.chunk, free: unreferenced(this.log.slotBuffer, lane.firstBuffer, lane.buffers), checked: true })
      : new Buffers({ first: 0, count: copyBuffers, chunk: geometry.chunk, free: Uint32Array.from({ length: copyBuffers }, (_, i) => i), checked: true });
    this.counters = Counters.create(join(dir, 'counters'), { pid: process.pid, startSeconds: 0, name: 'hand', pool: this.path });
    this.selection = options.selection ?? new Selection({});
    const maxFrame = options.maxFrame ?? 1514;
    this.plane = new Plane({
      umem: this.umem, chunk: geometry.chunk, buffers: this.buffers, log: this.log, selection: this.selection, counters: this.counters,
      logic: options.logic ?? new LearningSwitch({ fdbSize: 4096, ageing: 0, vlanAware: options.vlanAware ?? false, forwardReserved: false }),
      commitBeforeForward: options.commitBeforeForward ?? false, minFrame: options.minFrame ?? 14, maxFrame,
    });
    if (options.snap !== undefined) this.plane.snap = options.snap;
    this.context = { umem: this.umem, segments: this.umem.segments.map((s) => new Uint8Array(s)), chunk: geometry.chunk, maxFrame, xdpSockets: new Set() };
    t.teardown(() => this.close());
  }

  add<P extends HandPort = HandPort>(id: number, make: (context: PortContext) => P = (context) => new HandPort(context) as P): P {
    const driver = make(this.context);
    this.pool.writePort(1, portEntry(id));
    this.drivers.set(id, driver);
    this.plane.addPort(id, driver);
    return driver;
  }
  remove(id: number): void {
    this.plane.removePort(id);
    this.drivers.delete(id);
  }
  port(id: number): PlanePort { return this.plane.ports[id]!; }

  /** Turns until every frame was taken, and what may be sent was. */
  drain(): void {
    for (const driver of this.drivers.values()) driver.mayDo = Infinity;
    for (let i = 0; i < 10_000; i++) {
      const handled = this.plane.turn();
      if (handled === 0 && [...this.drivers.values()].every((d) => d.waiting.length === 0) && this.plane.live.every((p) => p.tx.outstanding() === 0)) break;
    }
    this.plane.turn();
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const id of [...this.drivers.keys()]) this.remove(id);
    this.log.close();
    this.counters.close();
    this.pool.close();
    if (this.umem !== this.pool.buffers) unmap(this.umem);
  }

  /** What is wrong with the buffers and the sums, when nothing is in flight. */
  audit(): string[] {
    const wrong: string[] = [], { buffers, log } = this, free = new Set(buffers.free.subarray(0, buffers.freeCount));
    const kept = new Set(log.copies ? [] : log.slotBuffer.filter((b) => b !== NO_BUFFER));
    if (free.size !== buffers.freeCount) wrong.push('a buffer is on the free list twice');
    let filled = 0;
    for (let b = buffers.first; b < buffers.first + buffers.count; b++) {
      const owner = buffers.checker!.ownerOf(b), holds = buffers.holdersOf(b), expected = free.has(b) ? 'FREE' : kept.has(b) ? 'HELD' : 'FILL';
      if (owner !== expected) wrong.push(`buffer ${b} is ${owner}, not ${expected}`);
      if (holds !== (owner === 'HELD' ? 1 : 0)) wrong.push(`buffer ${b}, ${owner}, has ${holds} holders`);
      if (owner === 'FILL') {
        filled++;
        if (!this.plane.live.some((p) => p.id + 1 === buffers.withOf(b))) wrong.push(`buffer ${b} is with ${buffers.withOf(b)}, which is no port`);
      }
      if (free.has(b) && kept.has(b)) wrong.push(`buffer ${b} is free and holds a record's frame`);
    }
    const inRings = this.plane.live.reduce((n, p) => n + p.driver.queues.reduce((m, q) => m + q.fill.outstanding(), 0), 0);
    if (inRings !== filled) wrong.push(`${filled} buffers are with ports, ${inRings} in their fill rings`);
    if (free.size + filled + kept.size !== buffers.count) wrong.push(`${buffers.count} buffers: ${free.size} free, ${filled} filled, ${kept.size} kept`);
    return [...wrong, ...this.sums()];
  }

  /** Which of the promised sums do not hold: at any time between turns. */
  sums(): string[] {
    const wrong: string[] = [];
    for (let id = 0; id < 64; id++) {
      const c = this.counters.port(id);
      if (c[PORT.received] !== c[PORT.forwarded] + c[PORT.flooded] + sumDropped(c)) wrong.push(`port ${id}: ${c[PORT.received]} received, not ${c[PORT.forwarded]} + ${c[PORT.flooded]} + ${sumDropped(c)}`);
      if (c[PORT.received] !== c[PORT.kept] + c[PORT.notSelected] + c[PORT.lost]) wrong.push(`port ${id}: ${c[PORT.received]} seen, not ${c[PORT.kept]} + ${c[PORT.notSelected]} + ${c[PORT.lost]}`);
    }
    return wrong;
  }
}

/** What the model says of one frame. */
export interface Expected { readonly ingress: number; readonly verdict: number; readonly frame: Uint8Array }

/** The learning switch of IEEE 802.1D once more, written with strings and a Map, and TX rings as mere numbers. */
export class Model {
  readonly stations = new Map<string, number>();
  /** By port: frames it received, counted by verdict; frames put on its TX ring, and turned away from it. */
  readonly verdicts = new Map<string, number>();
  readonly pushed = new Map<number, number>();
  readonly turnedAway = new Map<number, number>();
  private readonly minFrame: number;
  private readonly maxFrame: number;
  private readonly vlanAware: boolean;

  constructor(minFrame: number, maxFrame: number, vlanAware: boolean) {
    this.minFrame = Math.max(minFrame, 14);
    this.maxFrame = maxFrame;
    this.vlanAware = vlanAware;
  }

  forget(port: number): void {
    for (const [mac, at] of this.stations) if (at === port) this.stations.delete(mac);
  }

  /**
   * @param room        by port that is up: how many frames its TX ring still takes; changed here
   * @param forwarding  whether the ingress is not disabled
   */
  frame(frame: Uint8Array, ingress: number, room: Map<number, number>, forwarding = true): Expected {
    const verdict = this.decide(Buffer.from(frame), ingress, room, forwarding), key = `${ingress} ${verdict}`;
    this.verdicts.set(key, (this.verdicts.get(key) ?? 0) + 1);
    return { ingress, verdict, frame };
  }

  private decide(frame: Buffer, ingress: number, room: Map<number, number>, forwarding: boolean): number {
    if (frame.length > this.maxFrame) return VERDICT_DROPPED + DROP_OVERSIZE;
    if (frame.length < this.minFrame) return VERDICT_DROPPED + DROP_RUNT;
    if (!forwarding) return VERDICT_DROPPED + DROP_DISABLED;
    const tag = frame.length >= 16 && ['8100', '88a8'].includes(frame.toString('hex', 12, 14)) && this.vlanAware ? frame.readUInt16BE(14) & 0xfff : 0;
    const destination = `${frame.toString('hex', 0, 6)}/${tag}`, source = `${frame.toString('hex', 6, 12)}/${tag}`;
    if (frame[6] % 2 === 0) this.stations.set(source, ingress);
    if (/^0180c200000./.test(destination)) return VERDICT_DROPPED + DROP_RESERVED;
    const at = frame[0] % 2 === 1 ? undefined : this.stations.get(destination);
    if (at === ingress) return VERDICT_DROPPED + DROP_SAME_PORT;
    const targets = at === undefined ? [...room.keys()].filter((p) => p !== ingress) : [at].filter((p) => room.has(p));
    let sent = 0;
    for (const p of targets) {
      const fits = room.get(p)! > 0, count = fits ? this.pushed : this.turnedAway;
      count.set(p, (count.get(p) ?? 0) + 1);
      if (!fits) continue;
      room.set(p, room.get(p)! - 1);
      sent++;
    }
    if (sent === 0) return VERDICT_DROPPED + (targets.length === 0 ? DROP_NO_EGRESS : DROP_TX_FULL);
    return at === undefined ? VERDICT_FLOODED : at;
  }

  /** The counters of a port, as the model has them. */
  counts(port: number): { received: number; forwarded: number; flooded: number; dropped: number[] } {
    const of = (verdict: number): number => this.verdicts.get(`${port} ${verdict}`) ?? 0;
    const dropped = DROP_REASONS.map((_, i) => of(VERDICT_DROPPED + i)), flooded = of(VERDICT_FLOODED);
    let forwarded = 0;
    for (let p = 0; p < 64; p++) forwarded += of(p);
    return { received: forwarded + flooded + dropped.reduce((a, b) => a + b), forwarded, flooded, dropped };
  }
}

const TMPFS = 0x01021994;  // linux/magic.h
/** A directory on an ordinary file system, where a pool is one-copy; undefined where there is none. */
export const ordinary: string | undefined = [tmpdir(), '/var/tmp', import.meta.dirname].find((dir) => statfsSync(dir).type !== TMPFS);
