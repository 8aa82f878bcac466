/**
 * Makes every crash image of a recording (medium.ts) in a mapped file, and holds each to the invariants (check.ts): before each fence, as
 * that is when the most is in doubt, and at the end. An image that is possible between two fences is possible at the second one.
 */
import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { mapFile, unmap, type Mapping } from '../../native/index.js';
import { doorPlant, type Fault } from '../../native/record.js';
import { Pool } from '../../logger/index.js';
import { Checker, Violation, type Outcome } from './check.js';
import { Expected } from './expected.js';
import { everyImage, Medium, product, type Model } from './medium.js';
import type { Recorded } from './run.js';

export interface Tally {
  readonly model: string;
  /** Fences (and ends) with something in doubt. */
  points: number;
  images: number;
  /** Points of which not every image was made, and how many of theirs were left out. */
  capped: number; leftOut: number;
  /** What recovery made of them: those that were looked at deeply. */
  outcomes: number;
  milliseconds: number;
  /** By invariant: in how many images it is broken, and the first that said so. */
  readonly broken: Map<string, { images: number; first: string }>;
}

export const newTally = (model: string): Tally => ({ model, points: 0, images: 0, capped: 0, leftOut: 0, outcomes: 0, milliseconds: 0, broken: new Map() });

export function tell(what: string, t: Tally): string {
  return `${what}, ${t.model}: ${t.images.toLocaleString('en')} images at ${t.points} points, ${t.outcomes} outcomes, ${(t.milliseconds / 1000).toFixed(2)} s`
    + (t.capped > 0 ? `; capped at ${t.capped} points: ${many(t.leftOut)} images not made` : '');
}
const many = (n: number): string => n < 1e9 ? n.toLocaleString('en') : `some 10^${Math.round(Math.log10(n))}`;

/** What a tally says of a sound product: nothing. */
export const complaints = (t: Tally): string[] => [...t.broken.values()].map((b) => `${b.images} images: ${b.first}`);

/** The file that images are made in: a pool's bytes on tmpfs, mapped for writing here, opened by the product beside it. */
export class ImageFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly mapping: Mapping;

  constructor(path: string, size: number) {
    this.path = path;
    writeFileSync(path, new Uint8Array(size));
    const fd = openSync(path, 'r+');
    this.mapping = mapFile(fd, size, { writable: true });
    closeSync(fd);
    this.bytes = new Uint8Array(this.mapping.segments[0]);
  }
  close(): void {
    unmap(this.mapping);
    rmSync(this.path);
  }
}

/** Of images that differ in superblocks or boots alone, so many a crash point are looked at deeply. */
const TABLES_A_POINT = 40;

export interface EnumerateOptions {
  readonly model: Model;
  /** Most images a crash point; more are drawn at random. */
  readonly limit: number;
  readonly random: () => number;
  /** Those that are in recovery and readers too. */
  readonly faults?: readonly Fault[];
  /** Superblocks are among what is in doubt: the pool is opened anew for each image. */
  readonly reopen?: boolean;
  /** Leaves out what is slow. */
  readonly shallow?: boolean;
  /** Of each outcome that is new at its crash point, the image is what `file` holds. */
  readonly outcome?: (outcome: Outcome, expected: Expected) => void;
}

/**
 * @param base  what was durable before the recording
 * @param from  what was expected of that
 */
export async function enumerate(file: ImageFile, base: Uint8Array, recorded: Recorded, from: Expected, options: EnumerateOptions): Promise<Tally> {
  const tally = newTally(options.model), expected = new Expected(recorded.geometry, from), medium = new Medium(base, recorded.geometry.buffersOffset);
  const began = process.hrtime.bigint(), capture = `${file.path}.pcapng`;
  file.bytes.set(base);
  doorPlant(options.faults ?? []);
  let checker: Checker | undefined;
  const once = options.reopen === true ? undefined : Pool.open(file.path);
  const known = new Set<string | number>();
  let tables = 0;
  const look = (): Promise<void> | undefined => {
    let pool = once;
    try {
      pool ??= Pool.open(file.path);
      if (checker?.pool !== pool) {
        checker = new Checker(pool, capture);
        checker.expect(expected);
      }
      const outcome = checker.check(expected), isNew = !known.has(outcome.key);
      if (!isNew && (known.has(outcome.tables) || ++tables > TABLES_A_POINT)) { if (pool !== once) pool.close(); return undefined; }
      known.add(outcome.key).add(outcome.tables);
      tally.outcomes++;
      if (isNew) options.outcome?.(outcome, expected);
      if (options.shallow === true) { if (pool !== once) pool.close(); return undefined; }
      const deep = checker, opened = pool;
      return deep.checkDeeply(outcome).catch(note).finally(() => { if (opened !== once) opened.close(); });
    } catch (error) {
      note(error);
      if (pool !== undefined && pool !== once) pool.close();
      return undefined;
    }
  };
  const note = (error: unknown): void => {
    const text = error instanceof Violation ? error.message : `I5: ${error instanceof Error ? error.stack ?? error.message : String(error)}`, invariant = text.slice(0, 2);
    const before = tally.broken.get(invariant);
    if (before === undefined) tally.broken.set(invariant, { images: 1, first: text }); else before.images++;
  };
  let facts = true;
  const point = async (): Promise<void> => {
    if (!medium.changed && !facts) return;
    facts = false;
    const lines = medium.varying(options.model), total = product(lines);
    file.bytes.set(medium.durable);
    checker?.expect(expected);
    known.clear();
    tables = 0;
    const images = await everyImage(lines, file.bytes, options.limit, options.random, look);
    tally.points++;
    tally.images += images;
    if (images < total) { tally.capped++; tally.leftOut += total - images; }
  };
  for (const event of recorded.events) {
    if (event.kind === 'fence' || event.kind === 'sync') await point();
    if (event.kind === 'mark') { recorded.facts[event.mark](expected); facts = true; }
    medium.apply(event);
  }
  await point();
  once?.close();
  rmSync(capture, { force: true });
  doorPlant([]);
  tally.milliseconds = Number(process.hrtime.bigint() - began) / 1e6;
  return tally;
}

/** A killed process, or caches inside the persistence domain: every store so far, in program order, up to any 8 bytes of the last. */
export async function enumerateOrder(file: ImageFile, base: Uint8Array, recorded: Recorded, from: Expected): Promise<Tally> {
  const tally = newTally('order'), expected = new Expected(recorded.geometry, from), began = process.hrtime.bigint();
  file.bytes.set(base);
  const pool = Pool.open(file.path), checker = new Checker(pool, `${file.path}.pcapng`), known = new Set<string>();
  const look = async (): Promise<void> => {
    tally.images++;
    try {
      const outcome = checker.check(expected);
      if (known.has(outcome.key)) return;
      known.add(outcome.key);
      tally.outcomes++;
      await checker.checkDeeply(outcome);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      const invariant = error.message.slice(0, 2), before = tally.broken.get(invariant);
      if (before === undefined) tally.broken.set(invariant, { images: 1, first: error.message }); else before.images++;
    }
  };
  for (const event of recorded.events) {
    if (event.kind === 'mark') {
      recorded.facts[event.mark](expected);
      checker.expect(expected);
      known.clear();
    } else if (event.kind === 'store') {
      tally.points++;
      for (let at = 0; at < event.bytes.length; at += 8) {
        file.bytes.set(event.bytes.subarray(at, at + 8), event.offset + at);
        await look();
      }
    }
  }
  pool.close();
  rmSync(`${file.path}.pcapng`, { force: true });
  tally.milliseconds = Number(process.hrtime.bigint() - began) / 1e6;
  return tally;
}
