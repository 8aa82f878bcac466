/**
 * Counters as shared memory: a small file that the data plane alone writes and anybody may read, also after the switch
 * died. f64 each: exact to 2^53, so that nothing wraps silently; an aligned 8-byte store is never seen half.
 *
 *   0       header: magic "FKCOUNT1", u32 version, u32 pid, f64 start (s since 1970), u32 workers, u32 reserved, name (64), pool path (256)
 *   4096    worker w's GLOBAL counters (64 × f64) at 4096 + w × 512
 *   8192    worker w's port p at 8192 + (w × 64 + p) × 2048: u32 state, u32 reserved, spec (120), note (128), then PORT counters (128 × f64) from +256
 *
 * Each data-plane thread (worker) writes its own, so that no two add to one number; what a port received is the sum over the
 * workers. State, spec and note are worker 0's.
 *
 * For every port:  received = forwarded + flooded + Σ dropped(reason)     seen by the selection = kept + notSelected + lost
 */
import { closeSync, existsSync, fstatSync, ftruncateSync, openSync, readSync, renameSync } from 'node:fs';
import { FramekeepError, mapFile, unmap, type Mapping } from '../native/index.js';
import { DROP_REASONS, getText, MAX_PORTS, putText, type PortTotals } from '../logger/format.js';

export const GLOBAL = {
  heartbeat: 0, turns: 1, bursts: 2, sleeps: 3, freeBuffers: 4, buffers: 5, nextSequence: 6, slots: 7, commits: 8, committed: 9, keptBytes: 10,
  lines: 11, fences: 12, fdbEntries: 13, learned: 14, moved: 15, aged: 16, fdbFull: 17, groupSources: 18, frozen: 19, boot: 20, maxBatch: 21, stopped: 22,
} as const;

export const PORT = {
  received: 0, receivedBytes: 1, forwarded: 2, flooded: 3, sent: 4, sentBytes: 5, txFull: 6, kept: 7, keptBytes: 8, notSelected: 9, lost: 10,
  checksums: 11, txErrors: 12,
  // XDP_STATISTICS (linux/if_xdp.h), summed over queues
  xdpRxDropped: 13, xdpRxInvalid: 14, xdpTxInvalid: 15, xdpRxRingFull: 16, xdpFillEmpty: 17, xdpTxEmpty: 18,
  passed: 19, switchTimes: 20,
  // of a replay or generator: it will come to an end; it has
  finite: 21, finished: 22,
  dropped: 32,  // + reason, as DROP_REASONS
} as const;

/** What a port's state word says. */
export const PORT_UNUSED = 0, PORT_UP = 1, PORT_DOWN = 2, PORT_GONE = 3, PORT_REMOVED = 4, PORT_DISABLED = 5;
export const PORT_STATES = ['unused', 'up', 'down', 'gone', 'removed', 'disabled'] as const;

/** Data-plane threads a switch may have: their GLOBAL counters share a page. */
export const MAX_WORKERS = 8;
// What is not a sum over the workers is worker 0's, or the most that one has.
const OF_FIRST = new Set<string>(['heartbeat', 'fdbEntries', 'frozen', 'boot', 'stopped']), MOST_OF = new Set<string>(['maxBatch']);

const MAGIC = 'FKCOUNT1', WORKERS_AT = 24, GLOBAL_AT = 4096, GLOBAL_BYTES = 512, PORTS_AT = 8192, PORT_BYTES = 2048, PORT_COUNTERS = 256;
const bytesFor = (workers: number): number => PORTS_AT + workers * MAX_PORTS * PORT_BYTES;

export class Counters {
  /** Of this worker. */
  readonly global: Float64Array;
  private readonly mapping: Mapping;
  private readonly worker: number;
  /** By worker, then port. */
  private readonly ports: readonly (readonly Float64Array[])[];
  private readonly globals: readonly Float64Array[];

  private constructor(mapping: Mapping, workers: number, worker: number) {
    this.mapping = mapping;
    this.worker = worker;
    const buffer = mapping.segments[0], all = Array.from({ length: workers }, (_, w) => w);
    this.globals = all.map((w) => new Float64Array(buffer, GLOBAL_AT + w * GLOBAL_BYTES, GLOBAL_BYTES / 8));
    this.global = this.globals[worker];
    this.ports = all.map((w) => Array.from({ length: MAX_PORTS }, (_, p) => new Float64Array(buffer, PORTS_AT + (w * MAX_PORTS + p) * PORT_BYTES + PORT_COUNTERS, 128)));
  }

  /** A new file in place of an old one (whose readers keep what they have). */
  static create(path: string, about: { pid: number; startSeconds: number; name: string; pool: string; workers?: number }): Counters {
    const { workers = 1 } = about, size = bytesFor(workers);
    const half = `${path}.${about.pid}.new`;
    const fd = openSync(half, 'w+', 0o600);
    ftruncateSync(fd, size);
    const mapping = mapFile(fd, size, { writable: true });
    closeSync(fd);
    const bytes = new Uint8Array(mapping.segments[0]), view = new DataView(mapping.segments[0]);
    putText(bytes, 32, 64, about.name);
    putText(bytes, 96, 256, about.pool);
    view.setUint32(8, 1, true);
    view.setUint32(12, about.pid, true);
    view.setFloat64(16, about.startSeconds, true);
    view.setUint32(WORKERS_AT, workers, true);
    putText(bytes, 0, 8, MAGIC);
    renameSync(half, path);
    return new Counters(mapping, workers, 0);
  }

  /**
   * @param worker whose counters `global` and `port` are
   * @throws FramekeepError E_COUNTERS when there are none or they are not ours
   */
  static open(path: string, writable = false, worker = 0): Counters {
    if (!existsSync(path)) throw new FramekeepError('E_COUNTERS', `there are no counters at ${path}`, 'is the switch of that name running?');
    const fd = openSync(path, writable ? 'r+' : 'r');
    try {
      const head = Buffer.alloc(32), read = readSync(fd, head, 0, 32, 0), workers = head.readUInt32LE(WORKERS_AT);
      if (read < 32 || head.toString('latin1', 0, 8) !== MAGIC || workers < 1 || workers > MAX_WORKERS || fstatSync(fd).size < bytesFor(workers)) {
        throw new FramekeepError('E_COUNTERS', `${path} holds no counters`, 'name a switch of this version');
      }
      return new Counters(mapFile(fd, bytesFor(workers), { writable }), workers, worker);
    } finally { closeSync(fd); }
  }

  port(id: number): Float64Array { return this.ports[this.worker][id]; }

  /** Of a new port: every worker begins with zeros. */
  clearPort(id: number): void {
    for (const ports of this.ports) ports[id].fill(0);
  }

  describePort(id: number, state: number, spec: string, note: string): void {
    const bytes = new Uint8Array(this.mapping.segments[0]), at = PORTS_AT + id * PORT_BYTES;
    bytes.fill(0, at + 8, at + PORT_COUNTERS);
    putText(bytes, at + 8, 120, spec);
    putText(bytes, at + 128, 128, note);
    this.setState(id, state);
  }

  setState(id: number, state: number): void {
    new DataView(this.mapping.segments[0]).setUint32(PORTS_AT + id * PORT_BYTES, state, true);
  }

  /** What is known of every port that ever was, with its counters by name. For people and programs: allocates. */
  snapshot(): CountersSnapshot {
    const buffer = this.mapping.segments[0], view = new DataView(buffer), bytes = new Uint8Array(buffer);
    const ports: PortSnapshot[] = [];
    // Room is made for all that were asked for; of a pool with fewer lanes the last do not run.
    const running = Math.max(1, this.globals.findLastIndex((g) => g[GLOBAL.slots] > 0) + 1);
    for (let id = 0; id < MAX_PORTS; id++) {
      const at = PORTS_AT + id * PORT_BYTES, state = view.getUint32(at, true);
      if (state === PORT_UNUSED) continue;
      const c = this.summed(id);
      const value = (key: keyof typeof PORT): number => c[PORT[key]];
      ports.push({
        id, state: PORT_STATES[state] ?? 'unused', spec: getText(bytes, at + 8, 120), note: getText(bytes, at + 128, 128),
        ...Object.fromEntries(Object.keys(PORT).filter((k) => k !== 'dropped').map((k) => [k, value(k as keyof typeof PORT)])) as unknown as PortCounters,
        dropped: Object.fromEntries(DROP_REASONS.map((reason, i) => [reason, c[PORT.dropped + i]])),
      });
    }
    return {
      name: getText(bytes, 32, 64), pool: getText(bytes, 96, 256), pid: view.getUint32(12, true), startSeconds: view.getFloat64(16, true),
      global: Object.fromEntries(Object.entries(GLOBAL).map(([key, i]) => [key, this.globalOf(key, i)])) as GlobalCounters,
      workers: this.globals.slice(0, running).map((g) =>
        Object.fromEntries(Object.entries(GLOBAL).map(([key, i]) => [key, g[i]])) as GlobalCounters),
      ports,
    };
  }

  /** What a pool's checkpoint says of each port, by number. */
  totals(): PortTotals[] {
    return Array.from({ length: MAX_PORTS }, (_, id) => this.summed(id)).map((c) => ({
      received: c[PORT.received], dropped: sumDropped(c), kept: c[PORT.kept], notSelected: c[PORT.notSelected], lost: c[PORT.lost],
    }));
  }

  close(): void { unmap(this.mapping); }

  private summed(id: number): Float64Array {
    if (this.ports.length === 1) return this.ports[0][id];
    const sum = new Float64Array(128);
    for (const ports of this.ports) for (let i = 0; i < sum.length; i++) sum[i] += ports[id][i];
    return sum;
  }

  private globalOf(key: string, i: number): number {
    const each = this.globals.map((g) => g[i]);
    return OF_FIRST.has(key) ? each[0] : MOST_OF.has(key) ? Math.max(...each) : each.reduce((a, b) => a + b, 0);
  }
}

type PortCounters = { readonly [K in Exclude<keyof typeof PORT, 'dropped'>]: number };
export type PortSnapshot = PortCounters & {
  readonly id: number; readonly state: string; readonly spec: string; readonly note: string; readonly dropped: Readonly<Record<string, number>>;
};
type GlobalCounters = Readonly<Record<keyof typeof GLOBAL, number>>;
export interface CountersSnapshot {
  readonly name: string; readonly pool: string; readonly pid: number; readonly startSeconds: number;
  /** Of all workers together. */
  readonly global: GlobalCounters;
  /** Each worker's own; worker w writes lane w of the pool. */
  readonly workers: readonly GlobalCounters[];
  readonly ports: readonly PortSnapshot[];
}

/** How full the lanes are that are written: a lane that went round does not fill another. */
export function windowOf({ workers }: Pick<CountersSnapshot, 'workers'>): { frames: number; slots: number } {
  return { frames: workers.reduce((sum, w) => sum + Math.min(w.nextSequence, w.slots), 0), slots: workers.reduce((sum, w) => sum + w.slots, 0) };
}

export function sumDropped(c: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < DROP_REASONS.length; i++) sum += c[PORT.dropped + i];
  return sum;
}
