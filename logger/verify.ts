/**
 * Checks a pool against its invariants, record by record, and reads every kept byte. Reads only; a running switch is not
 * slowed, and what it replaces meanwhile is not judged.
 */
import { SLOT_BEYOND, SLOT_VALID } from '../native/index.js';
import { DROP_REASONS, MAX_PORTS, VERDICT_DROPPED, VERDICT_SEVERAL } from './format.js';
import { IndexView, sequenceOf } from './index_view.js';
import type { Pool } from './pool.js';
import { PoolReader } from './reader.js';
import { surveyPool, type PoolReport } from './report.js';
import { count } from './words.js';

export interface VerifyOptions {
  /** Now and then, with the records read and how many there are. */
  readonly progress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface VerifyResult {
  readonly sound: boolean;
  readonly report: PoolReport;
  /** Frames read to their last byte, and those bytes. */
  readonly frames: number;
  readonly bytes: number;
  readonly seconds: number;
  /** The signal came before the end. */
  readonly aborted: boolean;
  readonly notes: readonly string[];
  readonly findings: readonly string[];
}

/** What a record may say of flags and verdicts; a later version 1 may know more. */
const KNOWN_FLAGS = 0x1f;
const FRAMES_A_LOOK = 4096;

export async function verifyPool(pool: Pool, options: VerifyOptions = {}): Promise<VerifyResult> {
  const begin = process.hrtime.bigint();
  const { report, recovery } = surveyPool(pool), reader = new PoolReader(pool, recovery);
  const findings = [...report.findings], notes = [...report.notes];
  if (!reader.live) findings.push(...checkRecords(pool, reader));

  const last = new Float64Array(pool.geometry.lanes.length).fill(-1), { total } = reader;
  let frames = 0, bytes = 0, unordered = 0, longer = 0, verdicts = 0, flags = 0, aborted = false;
  const straggling = reader.recovery.lanes.map((lane, n) => lane.next - pool.geometry.lanes[n].slots);
  while (reader.next()) {
    frames++;
    bytes += reader.captured;
    if (reader.sequence <= last[reader.lane] && reader.sequence >= straggling[reader.lane]) unordered++;
    last[reader.lane] = reader.sequence;
    if (reader.captured > reader.wire) longer++;
    if ((reader.flags & ~KNOWN_FLAGS) !== 0) flags++;
    const { verdict } = reader;
    if (verdict >= MAX_PORTS && verdict < VERDICT_SEVERAL && (verdict < VERDICT_DROPPED || verdict >= VERDICT_DROPPED + DROP_REASONS.length)) verdicts++;
    if (frames % FRAMES_A_LOOK !== 0) continue;
    options.progress?.(frames, total);
    await new Promise((resolve) => setImmediate(resolve));  // signals
    if (options.signal?.aborted) { aborted = true; break; }
  }
  if (unordered > 0) findings.push(`${count(unordered, 'frame')} out of order`);
  if (longer > 0) findings.push(`${count(longer, 'frame')} with more bytes kept than were on the wire`);
  if (verdicts > 0) notes.push(`${count(verdicts, 'frame')} with a verdict that this framekeep does not know`);
  if (flags > 0) notes.push(`${count(flags, 'frame')} with flags that this framekeep does not know`);
  if (reader.orphans > 0) notes.push(`${count(reader.orphans, 'part')} of longer frames whose beginning is overwritten`);
  if (reader.overtaken > 0) {
    const text = `${count(reader.overtaken, 'frame')} replaced while this was read`;
    if (reader.live || pool.isLive()) notes.push(text); else findings.push(`${text}, though no switch has the pool`);
  }
  return { sound: findings.length === 0, report, frames, bytes, seconds: Number(process.hrtime.bigint() - begin) / 1e9, aborted, notes, findings };
}

/** By other means than recovery's: what stands shares no buffer, lies in its lane, and was numbered before what comes next. */
function checkRecords(pool: Pool, reader: PoolReader): string[] {
  const { geometry } = pool, seen = new Uint8Array(Math.ceil((pool.buffers?.bytes ?? 0) / geometry.chunk));
  let shared = 0, elsewhere = 0, ahead = 0, standing = 0, counted = 0;
  reader.recovery.lanes.forEach((lane, n) => {
    const g = geometry.lanes[n], index = new IndexView(pool.head, g);
    counted += lane.valid + lane.beyond;
    lane.state.forEach((state, slot) => {
      if (state !== SLOT_VALID && state !== SLOT_BEYOND) return;
      standing++;
      const { buffer, generation } = index.at(slot);
      if (buffer < g.firstBuffer || buffer >= g.firstBuffer + g.buffers) elsewhere++;
      else if (seen[buffer]++ > 0) shared++;
      if (sequenceOf(generation, g.slots, slot) >= lane.next) ahead++;
    });
  });
  return [
    ...(shared > 0 ? [`${count(shared, 'record')} with a buffer that another has too`] : []),
    ...(elsewhere > 0 ? [`${count(elsewhere, 'record')} with a buffer of another lane`] : []),
    ...(ahead > 0 ? [`${count(ahead, 'record')} numbered ahead of what was given out`] : []),
    ...(standing !== counted ? [`${count(standing, 'record')} stand, but ${counted} were counted`] : []),
  ];
}
