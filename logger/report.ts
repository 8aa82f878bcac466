/**
 * What happened to a pool, and what it holds, as one object that JSON can carry: times are ISO 8601 in UTC with nanoseconds,
 * sequence numbers are numbers, nothing is a bigint. `framekeep inspect` prints it; exports put the part of a boot into its
 * section header.
 */
import { MAX_PORTS, VERDICT_DROPPED, DROP_REASONS, VERDICT_FLOODED, VERDICT_SEVERAL, VERSION, BOOT_BLOCK_BYTES, BOOT_TABLE_OFFSET, decodeBoot, type Boot } from './format.js';
import { emptyCensus, takeCensus, type BootCensus } from './census.js';
import { endedInOrder, largestBatch, look, ranOnThisKernel, writtenBackOnly, type LaneTraces } from './crash_traces.js';
import type { Pool } from './pool.js';
import type { Gap, Recovery } from './recover.js';
import { count, gapsText, hex, iso, isoOrNull, macText, numbers, slotsText, sum } from './words.js';

export interface PortReport {
  readonly id: number;
  /** As the user wrote it; '' where only its number is known. */
  readonly spec: string;
  readonly mac: string;
  readonly mtu: number;
  readonly note: string;
  readonly added: string | null;
  /** Frames that it received and that are still in the pool, and their bytes on the wire. */
  readonly frames: number;
  readonly bytes: number;
  /** As of the run's last checkpoint; null where there is none. */
  readonly counters: { readonly received: number; readonly dropped: number; readonly kept: number; readonly notSelected: number; readonly lost: number } | null;
}

/** How a run ended: it has not; it said so; it did not. */
export type Ending = 'running' | 'in order' | 'without a word';

export interface BootReport {
  readonly id: number;
  /** Whether its block is there; otherwise it is known by its records only. */
  readonly known: boolean;
  readonly started: string | null;
  readonly ending: Ending;
  /** The last sign of life: a checkpoint or a frame. */
  readonly lastSeen: string | null;
  /** Whether the machine has booted since. null: not known. */
  readonly kernelRestarted: boolean | null;
  readonly host: string;
  readonly name: string;
  readonly keep: string;
  readonly software: string;
  readonly pid: number;
  readonly medium: string;
  readonly durability: string;
  readonly maxBatch: number;
  readonly firstSequence: readonly number[];
  /** Frames still in the pool. */
  readonly frames: number;
  readonly keptBytes: number;
  readonly wireBytes: number;
  readonly snapped: number;
  readonly checksumsCompleted: number;
  readonly first: string | null;
  readonly last: string | null;
  readonly seconds: number;
  readonly framesPerSecond: number;
  readonly bitsPerSecond: number;
  /** Frames by what was done with them. */
  readonly verdicts: Readonly<Record<string, number>>;
  readonly ports: readonly PortReport[];
}

export interface LaneReport {
  readonly lane: number;
  readonly slots: number;
  readonly valid: number;
  readonly empty: number;
  /** Not sound, as a crash leaves them. */
  readonly torn: number;
  /** Not sound where no crash explains it. */
  readonly damaged: number;
  readonly beyond: number;
  readonly ghosts: number;
  readonly conflicts: number;
  /** Being replaced while the report was made. */
  readonly inFlight: number;
  readonly oldest: number;
  readonly newest: number;
  readonly next: number;
  readonly gaps: readonly Gap[];
  /** The newest so many numbers survive whatever the medium survives: slots less the largest batch. */
  readonly guaranteed: number;
}

export interface PoolReport {
  readonly path: string;
  readonly live: boolean;
  readonly uuid: string;
  readonly version: number;
  readonly created: string;
  readonly medium: { readonly kind: string; readonly durability: string; readonly zeroCopy: boolean; readonly persistenceDomain: string; readonly promise: string };
  readonly geometry: { readonly bytes: number; readonly chunk: number; readonly lanes: number; readonly boots: number; readonly slots: number; readonly buffers: number; readonly missingBytes: number };
  readonly window: {
    readonly frames: number; readonly keptBytes: number; readonly wireBytes: number; readonly oldest: string | null; readonly newest: string | null; readonly seconds: number;
    readonly framesPerSecond: number; readonly bitsPerSecond: number;
    /** Of the records there is room for, how many are used: 0–1. */
    readonly fill: number; readonly guaranteed: number;
  };
  readonly boots: readonly BootReport[];
  readonly lanes: readonly LaneReport[];
  /** What is as a crash, a restart or a running switch leaves it. */
  readonly notes: readonly string[];
  /** What nothing explains but damage. */
  readonly findings: readonly string[];
}

/** Reads all records and no frame. */
export function inspectPool(pool: Pool): PoolReport {
  return surveyPool(pool).report;
}

/** The report, and what recovery found, for who reads on from there, or shows where it is. */
export function surveyPool(pool: Pool): { readonly report: PoolReport; readonly recovery: Recovery; readonly newestNs: bigint; readonly traces: readonly LaneTraces[] } {
  const { recovery, live, traces } = look(pool), { geometry, medium } = pool;
  const census = takeCensus(pool, recovery);
  const boots = bootReports(recovery, census, live);
  const lanes = recovery.lanes.map((_, n) => laneReport(pool, recovery, traces[n], n));
  const all = [...census.values()].filter((c) => c.frames > 0);
  const firstNs = all.reduce((least, c) => least === 0n || c.firstNs < least ? c.firstNs : least, 0n), lastNs = all.reduce((most, c) => c.lastNs > most ? c.lastNs : most, 0n);
  const slots = sum(geometry.lanes.map((l) => l.slots));
  const report: PoolReport = {
    path: pool.path, live, uuid: hex(geometry.uuid), version: VERSION, created: iso(geometry.createdNs),
    medium: { kind: medium.kind, durability: medium.durability, zeroCopy: medium.zeroCopy, persistenceDomain: medium.persistenceDomain, promise: medium.promise },
    geometry: {
      bytes: geometry.fileBytes, chunk: geometry.chunk, lanes: geometry.lanes.length, boots: geometry.boots, slots, buffers: geometry.buffers, missingBytes: pool.truncatedBy,
    },
    window: {
      ...ofCensus(sum(all.map((c) => c.frames)), sum(all.map((c) => c.keptBytes)), sum(all.map((c) => c.wireBytes)), firstNs, lastNs),
      oldest: isoOrNull(firstNs), newest: isoOrNull(lastNs),
      fill: (slots - sum(recovery.lanes.map((l) => l.empty))) / slots, guaranteed: sum(lanes.map((l) => l.guaranteed)),
    },
    boots, lanes, notes: notesOf(recovery, traces, census, live), findings: findingsOf(pool, recovery, traces, census),
  };
  return { report, recovery, newestNs: lastNs, traces };
}

function bootReports(recovery: Recovery, census: Map<number, BootCensus>, live: boolean): BootReport[] {
  const known = new Map(recovery.boots.map((b) => [b.id, b]));
  const newest = recovery.boots.at(-1)?.id;
  const ids = [...new Set([...known.keys(), ...census.keys()])].sort((a, b) => a - b);
  return ids.map((id) => bootReport(id, known.get(id), census.get(id) ?? emptyCensus(id), live && id === newest));
}

export function bootReport(id: number, boot: Boot | undefined, c: BootCensus, running: boolean): BootReport {
  const lastSign = [boot?.checkpoint?.timeNs ?? 0n, c.lastNs].reduce((a, b) => a > b ? a : b);
  return {
    id, known: boot !== undefined, started: boot === undefined ? null : iso(boot.startNs),
    ending: running ? 'running' : boot !== undefined && endedInOrder(boot) ? 'in order' : 'without a word',
    lastSeen: isoOrNull(lastSign), kernelRestarted: boot === undefined ? null : !ranOnThisKernel(boot),
    host: boot?.host ?? '', name: boot?.name ?? '', keep: boot?.keep ?? '', software: boot?.software ?? '', pid: boot?.pid ?? 0,
    medium: boot?.medium ?? '', durability: boot?.durability ?? '', maxBatch: boot?.maxBatch ?? 0, firstSequence: boot?.firstSequence ?? [],
    ...ofCensus(c.frames, c.keptBytes, c.wireBytes, c.firstNs, c.lastNs), snapped: c.snapped, checksumsCompleted: c.completed,
    first: isoOrNull(c.firstNs), last: isoOrNull(c.lastNs), verdicts: verdictsOf(c, boot), ports: portReports(boot, c),
  };
}

function ofCensus(frames: number, keptBytes: number, wireBytes: number, firstNs: bigint, lastNs: bigint): { frames: number; keptBytes: number; wireBytes: number; seconds: number; framesPerSecond: number; bitsPerSecond: number } {
  const seconds = Number(lastNs - firstNs) / 1e9;
  return { frames, keptBytes, wireBytes, seconds, framesPerSecond: seconds > 0 ? frames / seconds : 0, bitsPerSecond: seconds > 0 ? wireBytes * 8 / seconds : 0 };
}

function portReports(boot: Boot | undefined, c: BootCensus): PortReport[] {
  const ports: PortReport[] = [];
  for (let id = 0; id < MAX_PORTS; id++) {
    const entry = boot?.ports.find((p) => p.id === id);
    if (entry === undefined && c.portFrames[id] === 0) continue;
    ports.push({
      id, spec: entry?.spec ?? '', mac: entry === undefined ? '' : macText(entry.mac), mtu: entry?.mtu ?? 0, note: entry?.note ?? '', added: entry === undefined ? null : iso(entry.addedNs),
      frames: c.portFrames[id], bytes: c.portBytes[id], counters: boot?.checkpoint?.ports[id] ?? null,
    });
  }
  return ports;
}

function verdictsOf(c: BootCensus, boot: Boot | undefined): Record<string, number> {
  const named: Record<string, number> = {};
  c.verdicts.forEach((frames, verdict) => { if (frames > 0) named[verdictText(verdict, boot)] = frames; });
  return named;
}

/** What a verdict byte means, in ASCII: `to tap:vm1`, `flooded`, `dropped: tx-full`. */
export function verdictText(verdict: number, boot: Boot | undefined): string {
  if (verdict === VERDICT_FLOODED) return 'flooded';
  if (verdict === VERDICT_SEVERAL) return 'to several ports';
  if (verdict >= VERDICT_DROPPED) return `dropped: ${DROP_REASONS[verdict - VERDICT_DROPPED] ?? `reason ${verdict - VERDICT_DROPPED}`}`;
  return `to ${boot?.ports.find((p) => p.id === verdict)?.spec ?? `port ${verdict}`}`;
}

function laneReport(pool: Pool, recovery: Recovery, traces: LaneTraces, n: number): LaneReport {
  const lane = recovery.lanes[n], { slots } = pool.geometry.lanes[n];
  return {
    lane: n, slots, valid: lane.valid, empty: lane.empty, torn: traces.torn.length, damaged: traces.damaged.length, beyond: lane.beyond,
    // Of a living pool only those count that stayed.
    ghosts: Math.min(lane.ghosts, traces.impossible.length), conflicts: Math.min(lane.conflicts, traces.impossible.length), inFlight: traces.inFlight,
    oldest: lane.oldest, newest: lane.newest, next: lane.next, gaps: traces.gaps, guaranteed: slots - largestBatch(recovery.boots, slots),
  };
}

function notesOf(recovery: Recovery, traces: readonly LaneTraces[], census: Map<number, BootCensus>, live: boolean): string[] {
  const notes: string[] = [];
  const crashed = recovery.boots.filter((b, i) => !endedInOrder(b) && !(live && i === recovery.boots.length - 1)).map((b) => b.id);
  if (crashed.length > 0) notes.push(`${numbers('boot', crashed)} ended without a word: killed, crashed, or cut off from power`);
  const unsure = recovery.boots.filter(writtenBackOnly).map((b) => b.id);
  if (unsure.length > 0) {
    notes.push(`the machine has booted since ${numbers('boot', unsure)}, whose frames were in a page-cache file: what is here is as far as the kernel had written it back`);
  }
  traces.forEach((t, n) => {
    const of = traces.length > 1 ? ` in lane ${n}` : '';
    if (t.torn.length > 0) notes.push(`${count(t.torn.length, 'record')}${of} torn by a crash in mid-batch: never acknowledged, or the oldest, which that batch was replacing`);
    const gaps = t.gaps.filter((g) => !t.strangeGaps.includes(g));
    if (gaps.length > 0) notes.push(`${count(gaps.length, 'gap')}${of} left by a crash: ${gapsText(gaps)}`);
    if (t.inFlight > 0) notes.push(`${count(t.inFlight, 'record')}${of} being written while this was read`);
    if (writtenBack(recovery) && t.impossible.length > 0) notes.push(`${count(t.impossible.length, 'record')}${of} overtaken on the way to the disk`);
  });
  for (const c of census.values()) if (c.backwards > 0) notes.push(`boot ${c.boot}: time goes back ${c.backwards === 1 ? 'once' : `${c.backwards} times`}: the clock was set`);
  const unnamed = [...census.values()].filter((c) => !recovery.boots.some((b) => b.id === c.boot)).map((c) => c.boot);
  if (unnamed.length > 0) notes.push(`${numbers('boot', unnamed)} ${unnamed.length === 1 ? 'is' : 'are'} known by records only: no port names`);
  return notes;
}

function findingsOf(pool: Pool, recovery: Recovery, traces: readonly LaneTraces[], census: Map<number, BootCensus>): string[] {
  const findings = [...pool.findings];
  if (pool.truncatedBy > 0) findings.push(`the file was cut: ${pool.truncatedBy} bytes of its buffers are missing`);
  findings.push(...damagedBootBlocks(pool, recovery));
  recovery.lanes.forEach((lane, n) => {
    const t = traces[n], of = traces.length > 1 ? ` in lane ${n}` : '';
    if (lane.beyond > 0) findings.push(`${count(lane.beyond, 'frame')}${of} lay in the part that was cut off`);
    if (t.damaged.length > 0) findings.push(`${count(t.damaged.length, 'record')}${of} damaged (no crash tears records there): ${slotsText(t.damaged)}`);
    if (t.impossible.length > 0 && !writtenBack(recovery)) {
      findings.push(`${count(t.impossible.length, 'record')}${of} sound, and impossible (${lane.ghosts} of a number its run cannot have given, ${lane.conflicts} of a buffer that a newer one has): ${slotsText(t.impossible)}`);
    }
    const strange = t.strangeGaps.filter((g) => !t.damaged.some((slot) => slot === g.from % lane.state.length));
    if (strange.length > 0) findings.push(`${count(strange.length, 'gap')}${of} that no crash explains: ${gapsText(strange)}`);
  });
  for (const c of census.values()) {
    if (c.strange > 0) findings.push(`boot ${c.boot}: ${count(c.strange, 'frame')} of a port number above ${MAX_PORTS - 1}`);
    const boot = recovery.boots.find((b) => b.id === c.boot);
    if (boot === undefined) continue;
    const nameless = [...c.portFrames.keys()].filter((id) => c.portFrames[id] > 0 && !boot.ports.some((p) => p.id === id));
    if (nameless.length > 0) findings.push(`boot ${c.boot}: ${numbers('port', nameless)} received frames and ${nameless.length === 1 ? 'is' : 'are'} not in its port table`);
  }
  return findings;
}

const writtenBack = (recovery: Recovery): boolean => recovery.boots.some(writtenBackOnly);

/** Blocks of the boot table that hold something, and no sound header; not the next run's: a crash at its start leaves it torn. */
function damagedBootBlocks(pool: Pool, { lastBoot }: Recovery): string[] {
  const { geometry } = pool, found: number[] = [];
  for (let i = 0; i < geometry.boots; i++) {
    if (i === (lastBoot + 1) % geometry.boots) continue;
    const block = new Uint8Array(pool.head.segments[0], BOOT_TABLE_OFFSET + i * BOOT_BLOCK_BYTES, BOOT_BLOCK_BYTES);
    if (decodeBoot(geometry, block) !== undefined) continue;
    if (block.subarray(0, 512).some((b) => b !== 0)) found.push(i);
  }
  return found.length === 0 ? [] : [`${numbers('block', found)} of the boot table ${found.length === 1 ? 'is' : 'are'} damaged: the ports of that run are known by number only`];
}
