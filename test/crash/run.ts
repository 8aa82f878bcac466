/**
 * One run of a switch as far as its pool is concerned, in the order of switch/session.ts: open, recover, the log, the boot's header, its
 * ports, commits, checkpoints. Everything it stores goes through the door and is recorded; so are the frames, which a NIC would write.
 * Buffers are taken last in, first out, so that one that is released too early is written to at once.
 */
import { closeSync, openSync } from 'node:fs';
import { doorStore, mapMemory, unmap, type Durability } from '../../native/index.js';
import { doorMark, doorPlant, doorRecord, doorRecording, type DoorEvent, type Fault } from '../../native/record.js';
import { IndexView, Log, NO_BUFFER, Pool, recover, unreferenced, type Geometry } from '../../logger/index.js';
import { appendFrame } from '../append_frame.js';
import { bootHeader, portEntry, testFrame } from '../pool_maker.js';
import type { Fact, Kept } from './expected.js';

/** What whoever uses the log can do wrong. */
export type CallerFault = 'boot id not raised' | 'boot header after records' | 'ports after records' | 'checkpoint over the last' | 'log goes on too early';

export interface RunOptions {
  readonly durability?: Durability;
  /** Frames of each batch, in turn over the lanes: at most maxBatch each. */
  readonly batches: readonly number[];
  readonly maxBatch: number;
  /** Shortest and longest frame, bytes. */
  readonly lengths: readonly [number, number];
  readonly random: () => number;
  /** A checkpoint after each so many batches; 0: none. */
  readonly checkpoints?: number;
  readonly faults?: readonly Fault[];
  readonly callerFault?: CallerFault;
}

export interface Recorded {
  readonly events: readonly DoorEvent[];
  /** By mark. */
  readonly facts: readonly Fact[];
  /** What the head (all before the buffers) and the buffers held at the end. */
  readonly head: Uint8Array;
  readonly buffers: Uint8Array;
  readonly elsewhere: number;
  readonly geometry: Geometry;
  readonly copies: boolean;
  readonly medium: string;
  readonly flush: string;
}

let frames = 0;

/** @param existing  whether the file is a pool that earlier facts tell of: what this run's recovery finds is then expected to stay */
export function record(path: string, options: RunOptions): Recorded {
  const facts: Fact[] = [], note = (fact: Fact): void => { doorMark(facts.push(fact) - 1); };
  const { maxBatch, random, callerFault } = options;
  const fd = openSync(path, 'r');
  doorPlant(options.faults ?? []);
  doorRecord(fd);
  closeSync(fd);
  const pool = Pool.open(path, { writable: true, ...options.durability && { durability: options.durability } });
  const { geometry, medium } = pool;
  const recovery = recover(pool);
  const source = medium.zeroCopy ? pool.buffers! : mapMemory('crash-umem', maxBatch * geometry.chunk);
  const boot = recovery.lastBoot + (callerFault === 'boot id not raised' && recovery.lastBoot > 0 ? 0 : 1);
  const next = recovery.lanes.map((lane) => callerFault === 'log goes on too early' && lane.next > 2 ? lane.next - 2 : lane.next);
  const logs = recovery.lanes.map((lane, n) => new Log({ pool, lane: n, boot, recovery: { ...lane, next: next[n] }, source, maxBatch }));
  const free = logs.map((log, n) => Array.from(unreferenced(log.slotBuffer, geometry.lanes[n].firstBuffer, geometry.lanes[n].buffers)));

  const recovered = recovery.lanes.map((lane, n) => {
    const index = new IndexView(pool.head, geometry.lanes[n]);
    return Array.from(lane.state.keys()).filter((slot) => lane.state[slot] === 1).map((slot) => (index.at(slot).generation - 1) * lane.state.length + slot);
  });
  note((e) => e.restarted(recovered, next));
  const begin = (): void => {
    pool.writeBoot(bootHeader(recovery, { id: boot, firstSequence: next, maxBatch, medium: medium.kind, durability: medium.durability }));
    note((e) => { e.boot = boot; e.checkpoint = 0; });
  };
  const ports = [portEntry(0, { spec: `gen:first${boot}` }), portEntry(1, { spec: `gen:second${boot}` })];
  const addPorts = (): void => {
    for (const port of ports) pool.writePort(boot, port);
  };
  note((e) => { e.ports.set(boot, new Map(ports.map((p) => [p.id, p.spec]))); });
  if (callerFault !== 'boot header after records') begin();
  if (callerFault !== 'ports after records') addPorts();
  let generation = 0;
  options.batches.forEach((count, i) => {
    keep(i % logs.length, count);
    if (i === 0 && callerFault === 'boot header after records') begin();
    if (i === 0 && callerFault === 'ports after records') addPorts();
    if (options.checkpoints !== undefined && options.checkpoints > 0 && i % options.checkpoints === options.checkpoints - 1) {
      generation += callerFault === 'checkpoint over the last' ? 2 : 1;
      pool.writeCheckpoint(boot, { generation, timeNs: 1n, clean: false, ports: ports.map(() => ({ received: i, dropped: 0, kept: i, notSelected: 0, lost: 0 })) });
      const written = generation;
      note((e) => { e.checkpoint = written; });
    }
  });

  function keep(lane: number, count: number): void {
    const log = logs[lane], { chunk, lanes } = geometry, index = new IndexView(pool.head, lanes[lane]), [shortest, longest] = options.lengths;
    const batch: { sequence: number; kept: Kept }[] = [];
    for (let i = 0; i < count; i++) {
      const length = shortest + Math.floor(random() * (longest - shortest + 1)), bytes = testFrame(++frames, length), offset = [256, 250, 320][Math.floor(random() * 3)];
      const ingress = Math.floor(random() * 2), wire = random() < 0.2 ? length + 1000 : length, buffer = log.copies ? i : free[lane].pop()!;
      if (log.copies) new Uint8Array(source.segments[0]).set(bytes, buffer * chunk + offset);
      else doorStore(source, buffer * chunk + offset, bytes);
      batch.push({ sequence: log.nextSequence + log.pending, kept: { bytes, wire, ingress, verdict: 1 - ingress, flags: 0x10, boot, timeHigh: 0, timeLow: 0 } });
      appendFrame(log, { address: buffer * chunk + offset, kept: length, wire, ingress, verdict: 1 - ingress, flags: 0x10 });
    }
    note((e) => {
      for (const { sequence, kept } of batch) {
        e.lanes[lane].issued.set(sequence, kept);
        e.lanes[lane].last = sequence;
      }
    });
    const before = BigInt(Date.now() - 60_000) * 1_000_000n;
    log.commit();
    for (const { sequence, kept } of batch) {
      const { timeHigh, timeLow } = index.at(sequence % lanes[lane].slots), ns = BigInt(timeHigh) << 32n | BigInt(timeLow);
      if (ns < before || ns > before + 180_000_000_000n) throw new RangeError(`frame ${sequence} was stamped ${ns}`);
      Object.assign(kept, { timeHigh, timeLow });
    }
    note((e) => { for (const { sequence } of batch) e.lanes[lane].acknowledged.add(sequence); });
    if (!log.copies) for (let i = 0; i < count; i++) if (log.evicted[i] !== NO_BUFFER) free[lane].push(log.evicted[i]);
  }

  const { events, elsewhere } = doorRecording();
  doorPlant([]);
  const head = new Uint8Array(pool.head.segments[0]).slice(), buffers = new Uint8Array(pool.buffers!.segments[0]).slice();
  for (const log of logs) log.close();
  if (source !== pool.buffers) unmap(source);
  pool.close();
  return { events, facts, head, buffers, elsewhere, geometry, copies: source !== pool.buffers, medium: medium.kind, flush: medium.flush };
}
