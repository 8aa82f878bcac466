/**
 * Writes what a pool holds as pcapng (a section a run, an interface a port) or as classic pcap with nanoseconds. Works on the
 * pool of a running switch, which notices nothing: what it overwrites before it could be read is counted.
 *
 * The hot loop makes no object a frame: most frames become blocks a window at a time (export_burst.ts), the others' fields go straight
 * into the writer's buffer, and comments are made once a verdict. Memory does not grow with the pool but for recovery's byte a record.
 *
 * Measured on two shared cores, Node 20, 450,000 frames of 496 bytes on average, tmpfs to tmpfs, in a new process: pcapng 1.1 GB/s.
 * Three things go on at once: this thread reads, one beside writes (capture/sink.ts), one maps the pool's pages ahead. One after
 * the other, and frame by frame, they made 0.65.
 */
import { readAhead } from '../native/index.js';
import type { Boot } from './format.js';
import { frameMeta, PcapngWriter, PcapWriter, type ByteSink } from './capture/index.js';
import { LANE_UNIT } from './frame_access.js';
import { BlockBurst } from './export_burst.js';
import { Follower, type FollowNews } from './export_follow.js';
import { BootSection, InterfaceList } from './export_section.js';
import type { Pool } from './pool.js';
import { PoolReader, readerBytes, WHOLE } from './reader.js';
import type { Gap } from './recover.js';
import { surveyPool, type BootReport, type PoolReport } from './report.js';
import { FrameSelector, type FrameSelection } from './select_frames.js';
import { count, gapsText } from './words.js';

export interface ExportOptions extends FrameSelection {
  readonly format?: 'pcapng' | 'pcap';
  /** pcap with microseconds, for tools that know no other. */
  readonly microseconds?: boolean;
  /** Most bytes of a frame; 0 or undefined: all that was kept. */
  readonly snap?: number;
  /** Who writes the file. */
  readonly application?: string;
  /** Now and then: records looked at, how many there were at the start, bytes written. */
  readonly progress?: (done: number, total: number, bytes: number) => void;
  /** Ends the file after the frame in hand. */
  readonly signal?: AbortSignal;
  /** Ends it after so many frames. */
  readonly count?: number | undefined;
  /** Goes on with the frames that are kept from then on, until `signal` or `count` ends it, or the reader of the output goes away (E_OUTPUT_CLOSED). */
  readonly follow?: boolean | undefined;
  /** Of an export that follows. */
  readonly news?: ((news: FollowNews) => void) | undefined;
}

export interface ExportResult {
  /** Frames written, and their bytes. */
  readonly frames: number;
  readonly frameBytes: number;
  /** Bytes of the file. */
  readonly bytes: number;
  /** Frames that were there and not selected. */
  readonly notSelected: number;
  /** Frames that the switch replaced before they could be read. */
  readonly overtaken: number;
  /** Parts of frames whose beginning is overwritten. */
  readonly orphans: number;
  readonly sections: number;
  readonly seconds: number;
  readonly aborted: boolean;
  readonly report: PoolReport;
}

const FRAMES_A_LOOK = 4096;
/** A frame fetched by itself costs as much as some eight in a window: where more of them are taken than that, all are copied whole. */
const FEW = 1 / 8;
/** Interfaces that every section describes, at most: a pool of many runs that shared no port would be little else. */
const MOST_COMMON = 256;

/**
 * @param output  where to; a function is called for it once everything that can be refused has been looked at, with the bytes of
 *                memory beside the sink's own that make it fastest
 * @throws FramekeepError E_PORT_UNKNOWN, E_BOOT_UNKNOWN, E_OUTPUT* (the file then ends wherever the medium did)
 */
export async function exportPool(pool: Pool, output: ByteSink | ((beside: number) => ByteSink | Promise<ByteSink>), options: ExportOptions = {}): Promise<ExportResult> {
  const endReadAhead = options.last === undefined && options.follow !== true ? readAheadOf(pool) : undefined;
  let sink: ByteSink | undefined;
  try {
    return await writePool(pool, async (beside) => sink = typeof output === 'function' ? await output(beside) : output, options);
  } catch (error) {
    sink?.giveUp();
    throw error;
  } finally { endReadAhead?.(); }
}

/** Of a pool in memory the pages that hold frames are mapped beside the work; of one on a disk they would be read in before they are needed. */
function readAheadOf({ medium, head, buffers, geometry }: Pool): (() => void) | undefined {
  return buffers === undefined || medium.kind === 'file' ? undefined : readAhead(head, buffers, Math.log2(geometry.chunk), geometry.lanes);
}

async function writePool(pool: Pool, output: (beside: number) => Promise<ByteSink>, options: ExportOptions): Promise<ExportResult> {
  const begin = process.hrtime.bigint(), { report, recovery, newestNs } = surveyPool(pool), boots = report.boots.map((b) => b.id);
  const selector = new FrameSelector(options, recovery.boots, { boots, newestNs });
  const sink = await output(readerBytes(pool));
  const reader = new PoolReader(pool, recovery, sink.beside.length >= readerBytes(pool) ? sink.beside : undefined);
  const { total } = reader, snap = options.snap || 0xffffffff, { signal, progress } = options;
  const passOver = await selector.seek(reader, signal);

  const pcapng = options.format !== 'pcap', meta = frameMeta(), gaps = new GapNotes(recovery.lanes.map((lane) => lane.gaps));
  const png = pcapng ? new PcapngWriter(sink, { snapLength: options.snap ?? 0 }) : undefined, classic = pcapng ? undefined : new PcapWriter(sink, { microseconds: options.microseconds === true });
  const refresh = (): readonly Boot[] => {
    const boots = pool.boots();
    selector.update(boots);
    return boots;
  };
  const follower = options.follow === true ? new Follower(sink, reader, signal) : undefined, most = options.count ?? Infinity;
  const shown = report.boots.filter((b) => options.boot === undefined || b.id === (options.boot === 'last' ? boots.at(-1) : options.boot));
  const withFrames = shown.filter((b) => b.frames > 0), runs = withFrames.length > 0 ? withFrames : shown.slice(-1);
  const listOf = (some: readonly BootReport[]): InterfaceList => new InterfaceList(some.map((b) => ({ id: b.id, boot: recovery.boots.find((x) => x.id === b.id), ports: b.ports })));
  const common = listOf(runs.slice(0, MOST_COMMON)), isCommon = runs.length <= MOST_COMMON && common.entries.length <= MOST_COMMON;
  const begun = (id: number, of = report, known = recovery.boots): BootSection => new BootSection(png!, of, id, known,
    isCommon ? common : listOf(of.boots.filter((b) => b.id === id)), refresh, options.application ?? 'framekeep');
  let section: BootSection | undefined, sections = 0, frames = 0, frameBytes = 0, looked = 0, selected = 0, overtaken = 0, aborted = signal?.aborted === true;
  let isCaughtUp = false, told = 0;
  const firstLook = boots.at(-1) ?? -1;
  // The switch was started again. Its new ports are described in the section that ends too: see InterfaceList.
  const newRun = (before: BootSection, id: number): BootSection => {
    const { report: now, recovery: { boots: known } } = surveyPool(pool);
    if (isCommon) before.describePorts(id, known.find((b) => b.id === id), now.boots.find((b) => b.id === id)?.ports ?? []);
    before.end();
    options.news?.({ kind: 'boot', boot: id });
    return begun(id, now, known);
  };
  meta.direction = 1;
  // Of frames that few are taken of, only what decides about them is copied.
  if (follower === undefined && !selector.takesAll) reader.reach = selector.reach;
  const burst = png !== undefined && follower === undefined && selector.takesAll ? new BlockBurst(png, reader, gaps.next) : undefined;
  let look = FRAMES_A_LOOK;
  while (!aborted && frames < most) {
    if (looked >= look) {
      look = looked + FRAMES_A_LOOK;
      if (frames > looked * FEW) reader.reach = WHOLE;
      progress?.(looked, total, sink.total);
      await new Promise((resolve) => setImmediate(resolve));  // signals are heard between turns of the event loop
      if (signal?.aborted) { aborted = true; break; }
    }
    if (burst !== undefined && section !== undefined && selected >= passOver && !gaps.pending && reader.overtaken === overtaken) {
      const n = burst.write(section, most - frames);
      looked += n;
      selected += n;
      frames += n;
      frameBytes += burst.bytes;
      if (n > 0) continue;
    }
    if (!reader.next()) {
      if (follower === undefined) break;
      // Who follows wants to know at once what the ports are.
      if (png !== undefined && section === undefined) {
        section = begun(boots.at(-1) ?? 0);
        sections++;
      }
      if (!isCaughtUp) {
        options.news?.({ kind: 'caught-up', frames });
        selector.takeNew();
      }
      if (reader.overtaken > told) options.news?.({ kind: 'overtaken', frames: reader.overtaken - told });
      isCaughtUp = true;
      told = reader.overtaken;
      aborted = !await follower.more();
      if (options.ports !== undefined && options.ports.length > 0) refresh();
      continue;
    }
    if (follower?.isPlenty === true) await follower.drain();
    if (reader.sequence > gaps.next[reader.lane]) gaps.cross(reader.lane, reader.sequence);
    looked++;
    if (!selector.takes(reader)) continue;
    if (++selected <= passOver) {
      if (gaps.pending) gaps.clear();
      overtaken = reader.overtaken;
      continue;
    }
    if (!reader.complete()) { looked--; continue; }
    const { captured } = reader;
    frames++;
    frameBytes += captured < snap ? captured : snap;
    if (png === undefined) {
      classic!.frame(reader.timeHigh, reader.timeLow, reader.bytes, reader.offset, captured < snap ? captured : snap, reader.wire);
      continue;
    }
    if (section === undefined || section.boot !== reader.boot) {
      if (section !== undefined && reader.boot > firstLook) {
        section = newRun(section, reader.boot);
      } else {
        section?.end();
        section = begun(reader.boot);
      }
      sections++;
    }
    const id = section.interfaceOf(reader.ingress);
    meta.comment = section.commentOf(reader.verdict, reader.flags);
    if (gaps.pending || reader.overtaken !== overtaken) {
      meta.comment = `${gaps.take(reader.lane)}${overtakenText(reader.overtaken - overtaken)}${meta.comment}`;
      overtaken = reader.overtaken;
    }
    meta.packetId = reader.lane * LANE_UNIT + reader.sequence % LANE_UNIT;
    png.frame(id, reader.timeHigh, reader.timeLow, reader.bytes, reader.offset, captured, reader.wire, meta);
  }
  // A capture of no frame still says of which pool.
  if (png !== undefined && section === undefined) {
    section = begun(typeof options.boot === 'number' ? options.boot : boots.at(-1) ?? 0);
    sections++;
  }
  section?.end();
  // What a reader that has stopped reading left over is given up with it.
  if (follower === undefined) sink.flush();
  else await follower.drain();
  return {
    frames, frameBytes, bytes: sink.total, notSelected: looked - frames, overtaken: reader.overtaken, orphans: reader.orphans, sections,
    seconds: Number(process.hrtime.bigint() - begin) / 1e9, aborted, report,
  };
}

const overtakenText = (frames: number): string => frames > 0 ? `${count(frames, 'frame')} replaced by the switch before this one could be read; ` : '';

/** Where frames are missing in a lane, and whether that was told yet. */
class GapNotes {
  /** By lane: past this sequence number the next gap is crossed. */
  readonly next: Float64Array;
  /** Whether some lane has something to tell. */
  pending = false;
  private readonly lanes: { readonly gaps: readonly Gap[]; at: number; crossed: Gap[] }[];
  private readonly started: Uint8Array;

  constructor(lanes: readonly (readonly Gap[])[]) {
    this.lanes = lanes.map((gaps) => ({ gaps, at: 0, crossed: [] }));
    this.started = new Uint8Array(lanes.length);
    this.next = Float64Array.from(lanes, () => -1);  // the first frame of a lane finds out where it begins
  }

  cross(lane: number, sequence: number): void {
    const l = this.lanes[lane];
    for (; l.at < l.gaps.length && l.gaps[l.at].to < sequence; l.at++) {
      // Of a reading that begins behind a gap, the gap is no part.
      if (this.started[lane] === 0 || l.crossed.length >= 100) continue;
      l.crossed.push(l.gaps[l.at]);
      this.pending = true;
    }
    this.started[lane] = 1;
    this.next[lane] = l.gaps[l.at]?.to ?? Infinity;
  }

  /** Of frames that are passed over, gaps are no part either. */
  clear(): void {
    for (const l of this.lanes) l.crossed.length = 0;
    this.pending = false;
  }

  take(lane: number): string {
    const { crossed } = this.lanes[lane];
    if (crossed.length === 0) return '';
    const text = `${gapsText(crossed)} before this one: lost in a crash; `;
    crossed.length = 0;
    this.pending = this.lanes.some((l) => l.crossed.length > 0);
    return text;
  }
}
