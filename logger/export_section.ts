/**
 * One run of the switch as one section of a pcapng file: the recovery report in its header, an interface a port, comments
 * that say what became of a frame, and the run's counters at its end.
 */
import { cpus, release, type as systemName } from 'node:os';
import { FLAG_CHECKSUM_COMPLETED, MAX_PORTS, type Boot } from './format.js';
import type { PcapngWriter } from './capture/index.js';
import { ranOnThisKernel } from './crash_traces.js';
import { verdictText, type BootReport, type PoolReport } from './report.js';
import { count, gapsText } from './words.js';

export class BootSection {
  readonly boot: number;
  private readonly writer: PcapngWriter;
  private readonly refresh: () => readonly Boot[];
  private entry: Boot | undefined;
  /** By port number: the section's interface, or -1. */
  private readonly interfaces = new Int16Array(256).fill(-1);
  /** By verdict, and 256 more where the checksum was completed: made once, as each takes longer to make than a frame to write. */
  private readonly comments: (string | undefined)[] = new Array(512).fill(undefined);

  /**
   * Begins the section.
   * @param refresh  reads the boot table again: a living pool gets new ports
   */
  constructor(writer: PcapngWriter, report: PoolReport, id: number, boots: readonly Boot[], refresh: () => readonly Boot[], application: string) {
    this.writer = writer;
    this.refresh = refresh;
    this.boot = id;
    this.entry = boots.find((b) => b.id === id);
    const here = this.entry !== undefined && ranOnThisKernel(this.entry);
    writer.section({
      application, comment: sectionComment(report, report.boots.find((b) => b.id === id)),
      ...here && { os: `${systemName()} ${release()}`, hardware: cpus()[0]?.model ?? '' },
    });
    for (const port of this.entry?.ports ?? []) this.add(port.id);
  }

  /** The interface of a port, described now if it was not before. */
  interfaceOf(port: number): number {
    const known = this.interfaces[port];
    if (known >= 0) return known;
    if (!this.entry?.ports.some((p) => p.id === port)) this.lookAgain();
    return this.add(port);
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
    const entry = this.entry?.ports.find((p) => p.id === port), keep = this.entry?.keep ?? '';
    const id = this.writer.interface(entry === undefined ? { name: `port ${port} of boot ${this.boot}` } : {
      name: entry.spec, ...entry.note !== '' && { description: entry.note }, ...entry.mac.some((b) => b !== 0) && { mac: entry.mac },
      ...keep !== '' && keep !== '(none)' && { filter: keep },
    });
    this.interfaces[port] = id;
    return id;
  }

  private say(key: number, verdict: number): string {
    if (verdict < MAX_PORTS && !this.entry?.ports.some((p) => p.id === verdict)) this.lookAgain();
    const text = verdictText(verdict, this.entry) + (key >= 256 ? '; checksum completed' : '');
    this.comments[key] = text;
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
    lines.push(`${count(boot.frames, 'frame')} of this boot in the pool${boot.snapped > 0 ? `, ${boot.snapped.toLocaleString('en')} cut by a snap length` : ''}`
      + `${boot.checksumsCompleted > 0 ? `, ${boot.checksumsCompleted.toLocaleString('en')} with a checksum that the port completed` : ''}`);
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
