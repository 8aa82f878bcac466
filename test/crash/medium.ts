/**
 * What can be on a medium at a crash, given every store, flush and fence until then: the rules of docs/architecture.md's commit, as
 * processors and disks keep them. A store is pending until its line was flushed after it and a fence followed (or an msync
 * covered it); what is pending may have reached the medium or not:
 *
 *   line     each 64-byte line whole: as it was, as it was flushed, or as it is
 *   prefix   each line by any number of its 8-byte stores, in program order (x86, stores through the cache)
 *   words    each 8-byte word of a line by itself (ARM; x86 past the cache; compilers)
 *
 * Lines at or above `whole` are frames: as it was, or as it is, in all three models. Nothing but a comparison reads them (records on
 * page-cache files carry a sum over them), and a line that is torn differs from the frame wherever the old one does.
 */
import type { DoorEvent } from '../../native/record.js';

export type Model = 'line' | 'prefix' | 'words';
export const MODELS: readonly Model[] = ['line', 'prefix', 'words'];
export const LINE = 64;

interface Pending { readonly words: number[]; readonly values: Uint8Array[]; readonly captured: boolean[] }

/** A line that may differ, and each content it may have; the first is that nothing has reached the medium. */
export interface Varying { readonly offset: number; readonly contents: readonly Uint8Array[] }

export class Medium {
  /** What has surely reached it. */
  readonly durable: Uint8Array;
  /** What the processor sees. */
  readonly seen: Uint8Array;
  /** From here on lines are whole. */
  readonly whole: number;
  /** Whether something changed since `varying` was last asked. */
  changed = true;
  private readonly pending = new Map<number, Pending>();

  constructor(bytes: Uint8Array, whole: number) {
    this.durable = bytes.slice();
    this.seen = bytes.slice();
    this.whole = whole;
  }

  apply(event: DoorEvent): void {
    switch (event.kind) {
      case 'store': return this.store(event.offset, event.bytes, event.stream);
      case 'flush': return this.flush(event.offset, event.length);
      case 'fence': return this.fence(() => true);
      case 'sync': {
        const first = Math.floor(event.offset / 4096) * 64, end = Math.ceil((event.offset + event.length) / 4096) * 64;
        this.flush(first * LINE, (end - first) * LINE);
        return this.fence((line) => line >= first && line < end);
      }
      case 'mark': return undefined;
    }
  }

  /** How many lines have stores that may be lost. */
  get pendingLines(): number { return this.pending.size; }

  varying(model: Model): Varying[] {
    this.changed = false;
    const all: Varying[] = [];
    for (const [line, p] of this.pending) {
      const contents = contentsOf(this.durable.subarray(line * LINE, line * LINE + LINE), p, line * LINE >= this.whole ? 'line' : model);
      if (contents.length > 1) all.push({ offset: line * LINE, contents });
    }
    return all;
  }

  private store(offset: number, bytes: Uint8Array, stream: boolean): void {
    this.seen.set(bytes, offset);
    this.changed = true;
    const end = offset + bytes.length;
    for (let word = offset & ~7; word < end; word += 8) {
      const line = word >>> 6;
      let p = this.pending.get(line);
      if (p === undefined) this.pending.set(line, p = { words: [], values: [], captured: [] });
      p.words.push(word & 63);
      p.values.push(this.seen.slice(word, word + 8));
      p.captured.push(stream);
    }
  }

  private flush(offset: number, length: number): void {
    for (let line = offset >>> 6, end = (offset + length + 63) >>> 6; line < end; line++) this.pending.get(line)?.captured.fill(true);
  }

  private fence(covers: (line: number) => boolean): void {
    for (const [line, p] of this.pending) {
      if (!covers(line) || !p.captured.includes(true)) continue;
      const left: Pending = { words: [], values: [], captured: [] };
      p.words.forEach((word, i) => {
        if (p.captured[i]) { this.durable.set(p.values[i], line * LINE + word); return; }
        left.words.push(word);
        left.values.push(p.values[i]);
        left.captured.push(false);
      });
      if (left.words.length > 0) this.pending.set(line, left); else this.pending.delete(line);
      this.changed = true;
    }
  }
}

function contentsOf(old: Uint8Array, p: Pending, model: Model): Uint8Array[] {
  const contents = [old.slice()], known = new Set([key(old)]);
  const add = (content: Uint8Array): void => {
    const k = key(content);
    if (known.has(k)) return;
    known.add(k);
    contents.push(content.slice());
  };
  const now = old.slice();
  if (model === 'words') {
    const choices = new Map<number, Uint8Array[]>();
    p.words.forEach((word, i) => {
      const values = choices.get(word) ?? [old.slice(word, word + 8)];
      if (!values.some((v) => key(v) === key(p.values[i]))) values.push(p.values[i]);
      choices.set(word, values);
    });
    const product = (words: readonly number[], at: number): void => {
      if (at === words.length) return add(now);
      for (const value of choices.get(words[at])!) {
        now.set(value, words[at]);
        product(words, at + 1);
      }
    };
    product([...choices.keys()], 0);
    return contents;
  }
  const captured = p.captured.lastIndexOf(true);
  p.words.forEach((word, i) => {
    now.set(p.values[i], word);
    if (model === 'prefix' || i === captured || i === p.words.length - 1) add(now);
  });
  return contents;
}
const key = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');

/** How many images a set of lines makes. */
export const product = (lines: readonly Varying[]): number => lines.reduce((n, line) => n * line.contents.length, 1);

/**
 * Writes each image into `target`, which holds `durable` before and after, and calls `each`. Above `limit` images: none and all of the
 * lines, each one alone, all but each one, and then drawn at random up to `limit`.
 * @returns images made
 */
export async function everyImage(lines: readonly Varying[], target: Uint8Array, limit: number, random: () => number, each: () => Promise<void> | undefined): Promise<number> {
  const picks = new Int32Array(lines.length), total = product(lines);
  const pick = (i: number, choice: number): void => {
    if (picks[i] === choice) return;
    picks[i] = choice;
    target.set(lines[i].contents[choice], lines[i].offset);
  };
  let images = 0;
  if (total <= limit) {
    for (;;) {
      images++;
      const pending = each();
      if (pending !== undefined) await pending;
      let i = 0;
      for (; i < lines.length; i++) {
        if (picks[i] + 1 < lines[i].contents.length) { pick(i, picks[i] + 1); break; }
        pick(i, 0);
      }
      if (i === lines.length) return images;
    }
  }
  const made = new Set<string>();
  const image = async (choose: (i: number) => number): Promise<void> => {
    for (let i = 0; i < lines.length; i++) pick(i, choose(i));
    const k = picks.join();
    if (made.has(k)) return;
    made.add(k);
    images++;
    const pending = each();
    if (pending !== undefined) await pending;
  };
  const last = (i: number): number => lines[i].contents.length - 1;
  await image(() => 0);
  await image(last);
  for (let n = 0; n < lines.length && images < limit; n++) {
    await image((i) => i === n ? last(i) : 0);
    await image((i) => i === n ? 0 : last(i));
  }
  while (images < limit) await image((i) => Math.floor(random() * lines[i].contents.length));
  for (let i = 0; i < lines.length; i++) pick(i, 0);
  return images;
}

/** Numbers in [0, 1) that all follow from a seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ state >>> 15, state | 1);
    x = (x + Math.imul(x ^ x >>> 7, x | 61)) ^ x;
    return ((x ^ x >>> 14) >>> 0) / 2 ** 32;
  };
}
