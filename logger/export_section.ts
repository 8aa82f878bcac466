/**
 * One run of the switch as one section of a pcapng file: the recovery report in its header, an interface a port, comments
 * that say what became of a frame, and the run's counters at its end.
 */
import { cpus, release, type as systemName } from 'node:os';
import { TABLE_COMMENTS, TABLE_INTERFACES, TABLE_TEXTS } from '../native/index.js';
import { FLAG_CHECKSUM_COMPLETED, MAX_PORTS, type Boot } from './format.js';
import type { PcapngWriter } from './capture/index.js';
import { ranOnThisKernel } from './crash_traces.js';
import { verdictText, type BootReport, type PoolReport, type PortReport } from './report.js';
import { count, gapsText, thousands } from './words.js';

/**
 * The interfaces of all sections together. Each section describes all of them, in one order: Wireshark's tools up to 4.0 look an
 * interface's name up by its number over the whole file, and would name the second section's by the first's.
 */
export class InterfaceList {
  /** What tells a port apart over runs, and a run that had it. */
  readonly entries: { readonly key: string; readonly boot: Boot | undefined; readonly port: number }[] = [];
  private readonly ids = new Map<string, number>();

  /** @param ports  by run: the ports that its records name or its table knows */
  constructor(runs: readonly { readonly id: number; readonly boot: Boot | undefined; readonly ports: readonly PortReport[] }[]) {
    for (const { id, boot, ports } of runs) for (const port of ports) if (isNamed(port.spec, boot)) this.idOf(id, boot, port.id);
  }

  /** A port's number in every section. */
  idOf(id: number, boot: Boot | undefined, port: number): number {
    const key = keyOf(id, boot, port), known = this.ids.get(key);
    if (known !== undefined) return known;
    this.ids.set(key, this.entries.length);
    return this.entries.push({ key, boot, port }) - 1;
  }
}

/** Whether a port is described before its first frame: one that a running switch is adding gets its name in a moment. */
const isNamed = (spec: string, boot: Boot | undefined): boolean => spec !== '' || boot === undefined;

/** Its specification; where a run has had it twice (removed and added again), also which time; a number where nothing else is known. */
function keyOf(id: number, boot: Boot | undefined, port: number): string {
  const entry = boot?.ports.find((p) => p.id === port);
  if (entry === undefined) return `port ${port} of boot ${id}`;
  const before = boot!.ports.filter((p) => p.spec === entry.spec && p.id < port).length;
  return before === 0 ? entry.spec : `${entry.spec} ${before + 1}`;
}

/** Room for the comments of a few hundred verdicts; a frame with one that does not fit is written by TypeScript. */
const TEXT_BYTES = 1 << 14;

export class BootSection {
  readonly boot: number;
  private readonly writer: PcapngWriter;
  private readonly refresh: () => readonly Boot[];
  private entry: Boot | undefined;
  /** The two below as C++ reads them (native/blocks.ts). */
  readonly tables = new Uint8Array(TABLE_TEXTS + TEXT_BYTES);
  /** By port number: the section's interface, or -1. */
  private readonly interfaces = new Int16Array(this.tables.buffer, TABLE_INTERFACES, 256).fill(-1);
  /** By verdict, and 256 more: where in `tables` the comment's option is, and how many bytes; 0 where it is not made. */
  private readonly places = new Uint32Array(this.tables.buffer, TABLE_COMMENTS, 1024);
  private textBytes = 0;
  private readonly list: InterfaceList;
  /** By verdict, and 256 more where the checksum was completed: made once, as each takes longer to make than a frame to write. */
  private readonly comments: (string | undefined)[] = new Array(512).fill(undefined);

  /**
   * Begins the section.
   * @param refresh  reads the boot table again: a living pool gets new ports
   */
  constructor(writer: PcapngWriter, report: PoolReport, id: number, boots: readonly Boot[], list: InterfaceList, refresh: () => readonly Boot[], application: string) {
    this.writer = writer;
    this.refresh = refresh;
    this.boot = id;
    this.entry = boots.find((b) => b.id === id);
    const here = this.entry !== undefined && ranOnThisKernel(this.entry);
    writer.section({
      application, comment: sectionComment(report, report.boots.find((b) => b.id === id)),
      ...here && { os: `${systemName()} ${release()}`, hardware: cpus()[0]?.model ?? '' },
    });
    this.list = list;
    const ports = (report.boots.find((b) => b.id === id)?.ports ?? []).filter((p) => isNamed(p.spec, this.entry));
    for (const port of ports) this.interfaces[port.id] = list.idOf(id, this.entry, port.id);
    for (const [i, entry] of list.entries.entries()) {
      const own = ports.find((p) => this.interfaces[p.id] === i);
      this.describe(entry.key, own === undefined ? entry.boot : this.entry, own?.id ?? entry.port);
    }
  }

  /** The interface of a port, described now if it was not before. */
  interfaceOf(port: number): number {
    const known = this.interfaces[port];
    if (known >= 0) return known;
    if (!this.entry?.ports.some((p) => p.id === port)) this.lookAgain();
    return this.add(port);
  }

  /** Describes the ports of another run here, where they are in no section yet. */
  describePorts(id: number, boot: Boot | undefined, ports: readonly PortReport[]): void {
    for (const port of ports.filter((p) => isNamed(p.spec, boot))) {
      const before = this.list.entries.length;
      if (this.list.idOf(id, boot, port.id) === before) this.describe(this.list.entries[before].key, boot, port.id);
    }
  }

  /** What became of a frame: `flooded`, `to tap:vm1`, `dropped: tx-full; checksum completed`. */
  commentOf(verdict: number, flags: number): string {
    const key = (flags & FLAG_CHECKSUM_COMPLETED) === 0 ? verdict : verdict + 256;
    return this.comments[key] ?? this.say(key, verdict);
  }

  /** Writes what each interface counted, as of the run's last checkpoint. */
  end(): void {
    const boot = this.refresh().find((b) => b.id === this.boot), checkpoint = boot?.checkpoint;
    if (boot === undefined || checkpoint === undefined) return;
    for (let port = 0; port < MAX_PORTS; port++) {
      const id = this.interfaces[port], totals = checkpoint.ports[port];
      if (id < 0 || totals === undefined) continue;
      // What the switch did not forward was still received and may be kept: it is no loss of the capture.
      this.writer.statistics(id, {
        start: boot.startNs, end: checkpoint.timeNs, received: totals.received, accepted: totals.kept + totals.lost, osDropped: totals.lost, delivered: totals.kept,
      });
    }
  }

  private add(port: number): number {
    const before = this.list.entries.length, id = this.list.idOf(this.boot, this.entry, port);
    if (id === before) this.describe(this.list.entries[id].key, this.entry, port);
    this.interfaces[port] = id;
    return id;
  }

  private describe(name: string, boot: Boot | undefined, port: number): number {
    const entry = boot?.ports.find((p) => p.id === port), keep = this.entry?.keep ?? '';
    return this.writer.interface({
      name, ...entry !== undefined && entry.note !== '' && { description: entry.note }, ...entry?.mac.some((b) => b !== 0) && { mac: entry.mac },
      ...keep !== '' && keep !== '(none)' && { filter: keep },
    });
  }

  private say(key: number, verdict: number): string {
    if (verdict < MAX_PORTS && !this.entry?.ports.some((p) => p.id === verdict)) this.lookAgain();
    const text = verdictText(verdict, this.entry) + (key >= 256 ? '; checksum completed' : '');
    this.comments[key] = text;
    const option = this.writer.commentOption(text);
    if (this.textBytes + option.length <= TEXT_BYTES) {
      this.tables.set(option, TABLE_TEXTS + this.textBytes);
      this.places[2 * key] = this.textBytes;
      this.places[2 * key + 1] = option.length;
      this.textBytes += option.length;
    }
    return text;
  }

  private lookAgain(): void {
    this.entry = this.refresh().find((b) => b.id === this.boot) ?? this.entry;
  }
}

/** The recovery report of a run, in a few lines. */
function sectionComment(report: PoolReport, boot: BootReport | undefined): string {
  const lines: string[] = [];
  if (boot === undefined) lines.push(`framekeep pool ${report.uuid}: nothing kept`);
  else {
    lines.push(`framekeep boot ${boot.id} of pool ${report.uuid}${boot.name === '' ? '' : `, switch ${boot.name} on ${boot.host}`}`);
    const ended = { running: 'was running when this was exported', 'in order': 'ended in order', 'without a word': 'ended without a word: killed, crashed, or cut off from power' }[boot.ending];
    lines.push(boot.known ? `started ${boot.started}, ${ended}${boot.ending !== 'running' && boot.lastSeen !== null ? `, last seen ${boot.lastSeen}` : ''}`
      : 'its block of the boot table is gone: its ports are known by number only');
    if (boot.keep !== '') lines.push(`to be kept: ${boot.keep}`);
    lines.push(`${count(boot.frames, 'frame')} of this boot in the pool${boot.snapped > 0 ? `, ${thousands(boot.snapped)} cut by a snap length` : ''}`
      + `${boot.checksumsCompleted > 0 ? `, ${thousands(boot.checksumsCompleted)} with a checksum that the port completed` : ''}`);
    if (boot.known) lines.push(`on ${boot.medium}, durability ${boot.durability}`);
  }
  lines.push(`pool now: ${report.medium.promise}`);
  for (const lane of report.lanes) {
    const odd = ([['torn by a crash', lane.torn], ['damaged', lane.damaged], ['cut off', lane.beyond], ['ghosts', lane.ghosts], ['conflicts', lane.conflicts]] as const).filter(([, n]) => n > 0);
    const gaps = lane.gaps.length === 0 ? 'no gap' : gapsText(lane.gaps);
    lines.push(`${report.lanes.length > 1 ? `lane ${lane.lane}: ` : ''}recovered ${count(lane.valid, 'record')}, ${lane.newest < 0 ? 'none' : `sequence ${lane.oldest} to ${lane.newest}`}, ${gaps}`
      + odd.map(([what, n]) => `, ${n} ${what}`).join(''));
  }
  if (report.live) lines.push('a switch was keeping frames while this was exported');
  // Some tools show it on one line.
  return [...lines, ...report.notes.filter((note) => note.includes('written it back')), ...report.findings].map((line) => `${line}.`).join('\n');
}
