/**
 * One measurement of the TypeScript data plane, in a process of its own: the production Plane, pool, log and switching logic,
 * with the bench's source at the other end of its ports. Options as JSON in argv[2]; prints its figures as JSON.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { startSource, SOURCE } from '../../native/bench_source.js';
import { pcapCompile, pinThread } from '../../native/index.js';
import { Log, MAX_PORTS, Pool, recover, unreferenced } from '../../logger/index.js';
import { toJavaScript } from '../../logger/filter/index.js';
import { Buffers } from '../../switch/buffers.js';
import { Counters, GLOBAL, PORT, sumDropped } from '../../switch/counters.js';
import { LearningSwitch } from '../../switch/lookup/learning.js';
import { Plane } from '../../switch/plane.js';
import { HEADROOM } from '../../switch/ports/driver.js';
import { Selection } from '../../switch/selection.js';
import { NEAR_NS, PATIENCE, SLICE_SECONDS, type FabricFigures, type FabricOptions } from './options.js';
import { SourcePort } from './source_port.js';
import { mixedTemplates, plainTemplates, traffic } from './traffic.js';

let touched = 0;
const BOOT = 1, MAX_BATCH = 1024;  // the switch's default (switch/switch.ts)

function measure(options: FabricOptions): Omit<FabricFigures, 'repeated'> {
  if (options.cpu >= 0) pinThread(options.cpu);
  const directory = mkdtempSync('/dev/shm/framekeep-bench-');
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const pool = Pool.open(join(directory, 'pool'), { writable: true, create: { bytes: options.poolBytes }, ...(options.flush && { durability: 'power' as const }) });
  const { geometry } = pool, [lane] = geometry.lanes, recovery = recover(pool);
  pool.writeBoot({
    id: BOOT, startNs: BigInt(Date.now()) * 1_000_000n, kernelBootId: new Uint8Array(16), medium: pool.medium.kind, durability: pool.medium.durability, pid: process.pid,
    firstSequence: [0], maxBatch: MAX_BATCH, host: 'bench', name: 'bench', keep: options.keep ?? '(none)', software: 'framekeep bench',
  });
  const umem = pool.buffers!;
  const log = new Log({ pool, lane: 0, boot: BOOT, recovery: recovery.lanes[0], source: umem, maxBatch: Math.min(MAX_BATCH, lane.slots >>> 1) });
  const buffers = new Buffers({ first: lane.firstBuffer, count: lane.buffers, chunk: geometry.chunk, free: unreferenced(log.slotBuffer, lane.firstBuffer, lane.buffers), checked: false });
  const counters = Counters.create(join(directory, 'counters'), { pid: process.pid, startSeconds: 0, name: 'bench', pool: pool.path });
  const maxFrame = Math.min(1522, geometry.chunk - HEADROOM);
  const logic = new LearningSwitch({ fdbSize: Math.max(8192, options.macs), ageing: 300, vlanAware: false, forwardReserved: false });
  const plane = new Plane({
    umem, chunk: geometry.chunk, buffers, log, logic, selection: selectionOf(options), counters,
    commitBeforeForward: options.commitBeforeForward, minFrame: 14, maxFrame,
  });
  const context = { umem, segments: umem.segments.map((s) => new Uint8Array(s)), chunk: geometry.chunk, maxFrame, xdpSockets: new Set<number>() };
  const drivers = Array.from({ length: options.ports }, () => new SourcePort(context, options.ringSize));
  drivers.forEach((driver, id) => {
    pool.writePort(BOOT, { id, spec: `bench:${id}`, mac: driver.mac, mtu: driver.mtu, addedNs: 0n, note: driver.note });
    plane.addPort(id, driver);
  });
  const source = startSource({
    rings: drivers.map((d) => d.memory), ringSize: options.ringSize, umem, chunkShift: Math.log2(geometry.chunk), headroom: HEADROOM, writes: options.writes,
    batch: Math.min(64, options.most), most: options.most, cpu: options.sourceCpu, ports: traffic(options), ...(options.size === 'mixed' ? mixedTemplates() : plainTemplates([options.size])),
  });
  // Every page mapped: what a run of minutes sees, not its first lap through the pool.
  for (const segment of context.segments) for (let at = 0; at < segment.length; at += 4096) touched += segment[at];
  let nextTick = 0;
  const turns = new Float64Array(1 << 20);
  let turnCount = 0;
  const run = (seconds: number): number => {
    const from = performance.now(), until = from + seconds * 1000;
    let at = from;
    do {
      for (let i = 0; i < 64; i++) {
        const began = at, handled = plane.turn();
        at = performance.now();
        if (handled > 0 && turnCount < turns.length) turns[turnCount++] = (at - began) * 1e6 / handled;
      }
      if (plane.seconds >= nextTick) {  // as the session does
        nextTick = plane.seconds + 0.1;
        logic.tick(plane.seconds | 0);
        plane.publishCounters();
      }
    } while (at < until);
    plane.publishCounters();
    return (performance.now() - from) / 1000;
  };
  run(options.warmSeconds);
  while (logic.table.size < options.macs) run(0.1);  // every station was heard
  const t = newTotals(), patience = PATIENCE * options.seconds;
  let spent = 0, near = turnCount = 0;
  for (let was = source.handover(); t.seconds < options.seconds;) {
    const before = totals(counters, source.counters), turnsBefore = turnCount, seconds = run(SLICE_SECONDS), after = totals(counters, source.counters), is = source.handover();
    const isNear = Math.max(was, is) < NEAR_NS;
    if (isNear || spent > patience) add(t, before, after, seconds);
    else turnCount = turnsBefore;
    if (isNear) near += seconds;
    spent += seconds;
    was = is;
  }
  source.stop();
  for (let i = 0; i < 16; i++) plane.turn();
  check(counters, source.counters, plane.keepingStopped);
  if (t.forwarded === 0) throw new Error('no frame came through: is the machine busy with something else?');
  const looks = t.passes * (options.oneWay ? 1 : options.ports);
  return {
    busyNs: turns.subarray(0, turnCount).sort()[turnCount >>> 1],
    mpps: t.forwarded / t.seconds / 1e6, nsPerFrame: t.seconds * 1e9 / t.forwarded, keptMpps: t.kept / t.seconds / 1e6, droppedShare: (t.received - t.forwarded) / t.received,
    burst: t.received / t.bursts, rxFullShare: t.rxFull / looks, noBufferShare: t.noBuffer / looks, nearShare: near / spent,
  };
}

function selectionOf({ keep, sample }: FabricOptions): Selection {
  if (keep === null) return new Selection({ none: true });
  if (keep === '') return new Selection({ sample });
  const program = pcapCompile(keep, 65535);
  if (typeof program === 'string') throw new Error(program);
  return new Selection({ match: toJavaScript(program), sample });
}

const newTotals = () => ({ seconds: 0, received: 0, forwarded: 0, kept: 0, bursts: 0, passes: 0, rxFull: 0, noBuffer: 0 });
type Totals = ReturnType<typeof newTotals>;

function totals(counters: Counters, source: Float64Array): Totals {
  const sum = { ...newTotals(), bursts: counters.global[GLOBAL.bursts], passes: source[SOURCE.passes], rxFull: source[SOURCE.rxFull], noBuffer: source[SOURCE.noBuffer] };
  for (let id = 0; id < MAX_PORTS; id++) {
    const c = counters.port(id);
    sum.received += c[PORT.received];
    sum.forwarded += c[PORT.forwarded] + c[PORT.flooded];
    sum.kept += c[PORT.kept];
  }
  return sum;
}

function add(sum: Totals, before: Totals, after: Totals, seconds: number): void {
  for (const name of Object.keys(sum) as (keyof Totals)[]) sum[name] += after[name] - before[name];
  sum.seconds += seconds;
}

/** A figure counts only when every frame is accounted for. */
function check(counters: Counters, source: Float64Array, stopped: Error | undefined): void {
  if (stopped !== undefined) throw stopped;
  let received = 0, sent = 0;
  for (let id = 0; id < MAX_PORTS; id++) {
    const c = counters.port(id);
    received += c[PORT.received];
    sent += c[PORT.sent];
    if (c[PORT.received] !== c[PORT.forwarded] + c[PORT.flooded] + sumDropped(c)) throw new Error(`port ${id}: what it received is not what became of it`);
    if (c[PORT.received] !== c[PORT.kept] + c[PORT.notSelected] + c[PORT.lost] || c[PORT.lost] > 0) throw new Error(`port ${id}: what it received is not what was kept, not selected and lost`);
  }
  if (received !== source[SOURCE.given]) throw new Error(`${source[SOURCE.given]} frames were given, ${received} received`);
  if (source[SOURCE.badAddress] > 0) throw new Error('the source was given addresses outside the UMEM');
  if (sent < source[SOURCE.taken]) throw new Error(`${sent} frames were sent, ${source[SOURCE.taken]} taken`);
}

try {
  console.log(JSON.stringify(measure(JSON.parse(process.argv[2]) as FabricOptions)));
  process.exit(0);  // the mappings go with the process
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
