/**
 * The forwarding database: 48-bit MAC (and VLAN, where the logic learns per VLAN) → port. Open addressing with linear
 * probing over one typed array of 16-byte entries, four to a cache line, at most half full; deletion shifts back, so that no
 * tombstones gather.
 *
 *   word 0  MAC bytes 0–3, as a little-endian load gives them
 *   word 1  MAC bytes 4–5 | VLAN id << 16 | 0x80000000 (in use)
 *   word 2  port | FDB_STATIC
 *   word 3  second it was last seen in
 *
 * Several threads may share one table. Looking up and refreshing take no lock: an entry is visible once its word 1 is stored,
 * which comes last, and invisible before any of its words changes. Who inserts, moves or removes takes the lock; a frame never
 * waits for it: it goes unlearned, and the station's next frame is learned. What a reader can see of a writer at work is an
 * address that it does not find: that frame is flooded.
 *
 * Learning and looking up, by hashes that were computed before: 5–20 ns together, by how much of the table is in the cache.
 */
import { randomInt } from 'node:crypto';
import { fdbProbe } from '../native/index.js';
import { macHash, type Burst } from './burst.js';

export const IN_USE = 0x80000000;
/** A static entry neither ages nor moves. */
export const FDB_STATIC = 0x100;

/** What `learn` did. */
export const LEARNED_NOTHING = 0, LEARNED_NEW = 1, LEARNED_MOVE = 2, LEARNED_FULL = 3;

export interface FdbEntry { readonly mac: string; readonly vlan: number; readonly port: number; readonly isStatic: boolean; readonly ageSeconds: number }

/**
 * A MAC and a VLAN as the two words of an entry's key. @param mac `aa:bb:cc:dd:ee:ff`, also with dashes
 * @returns undefined when it is no MAC
 */
export function keyOf(mac: string, vlan: number): { readonly low: number; readonly high: number } | undefined {
  if (!/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(mac)) return undefined;
  const b = mac.split(/[:-]/).map((byte) => parseInt(byte, 16));
  return { low: (b[0] | (b[1] << 8) | (b[2] << 16) | (b[3] << 24)) >>> 0, high: b[4] | (b[5] << 8) | (vlan << 16) };
}

/** `keyOf` the other way round. */
export const macOf = (low: number, high: number): string =>
  [low, low >>> 8, low >>> 16, low >>> 24, high, high >>> 8].map((b) => (b & 0xff).toString(16).padStart(2, '0')).join(':');

/** What `copy` gave, without the entries that are too old to count. */
export function entriesOf(words: Uint32Array, now: number, ageing: number): FdbEntry[] {
  const all: FdbEntry[] = [];
  for (let e = 0; e < words.length; e += 4) {
    const [w0, w1, w2, w3] = words.subarray(e, e + 4), isStatic = w2 >= FDB_STATIC;
    if (!isStatic && ageing !== 0 && now - w3 >= ageing) continue;
    all.push({ mac: macOf(w0, w1), vlan: (w1 >>> 16) & 0xfff, port: w2 & 0xff, isStatic, ageSeconds: now - w3 });
  }
  return all;
}

// Words of the table's head.
const LOCK = 0, SIZE = 1, SWEEP_AT = 2, SEED = 3, HEAD_BYTES = 64;

const slotsFor = (capacity: number): number => 2 ** Math.ceil(Math.log2(Math.max(capacity * 2, 16)));

/** Memory for a table of `capacity` entries (32 to 64 bytes for each) that several threads share. */
export function tableMemory(capacity: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(HEAD_BYTES + slotsFor(capacity) * 16);
  new Int32Array(memory)[SEED] = randomInt(2 ** 31);
  return memory;
}

export class ForwardingTable {
  readonly capacity: number;
  /** Seconds after which an entry that was not seen is forgotten; 0: never. */
  ageing: number;
  /** Where the station was before, when `learn` says LEARNED_MOVE. */
  movedFrom = 0;
  /** Of `macHash`. Random, so that a station cannot compute source addresses that share one home. */
  readonly seed: number;
  private readonly head: Int32Array;
  private readonly words: Uint32Array;
  private readonly mask: number;

  /** @param memory of `tableMemory(capacity)`, where other threads have the same table */
  constructor(capacity: number, ageingSeconds: number, memory: SharedArrayBuffer = tableMemory(capacity)) {
    this.capacity = capacity;
    this.ageing = ageingSeconds;
    this.head = new Int32Array(memory, 0, HEAD_BYTES / 4);
    this.words = new Uint32Array(memory, HEAD_BYTES);
    this.mask = slotsFor(capacity) - 1;
    this.seed = this.head[SEED];
  }

  get size(): number { return this.head[SIZE]; }
  get slots(): number { return this.mask + 1; }

  /** What `lookup` and `learn` ask for, of an address with its VLAN. */
  hash(low: number, high: number): number { return macHash(low, high, this.seed); }

  /**
   * Looks all of a burst up at once. @param burst gathered with this table's seed; gets its `dstPort`
   * @returns how many sources are not known at the ingress: to be learned one by one
   */
  probe(burst: Burst, vlanAware: boolean): number {
    return fdbProbe(burst.memory, this.words, burst.ingress, burst.now, this.ageing, vlanAware);
  }

  /** @param hash of `low` and `high`. @returns the port, or -1 when unknown or too old */
  lookup(low: number, high: number, hash: number, now: number): number {
    const { words, mask } = this, key = (high | IN_USE) >>> 0;
    for (let i = hash & mask; ; i = (i + 1) & mask) {
      const e = i << 2, w1 = words[e + 1];
      if (w1 === 0) return -1;
      if (w1 === key && words[e] === low) {
        const port = words[e + 2];
        if (port >= FDB_STATIC) return port & 0xff;
        return this.ageing !== 0 && now - words[e + 3] >= this.ageing ? -1 : port;
      }
    }
  }

  /** A frame from this address came in at `port`. */
  learn(low: number, high: number, hash: number, port: number, now: number): number {
    const { words, mask } = this, key = (high | IN_USE) >>> 0;
    for (let i = hash & mask; ; i = (i + 1) & mask) {
      const e = i << 2, w1 = words[e + 1];
      if (w1 === 0) break;
      if (w1 === key && words[e] === low) {
        const was = words[e + 2];
        if (was === port) {
          if (words[e + 3] !== now) words[e + 3] = now;
          return LEARNED_NOTHING;
        }
        if (was >= FDB_STATIC) return LEARNED_NOTHING;
        break;
      }
    }
    return this.learnAnew(low, key, hash, port, now);
  }

  private learnAnew(low: number, key: number, hash: number, port: number, now: number): number {
    const { words, mask, head } = this;
    if (Atomics.compareExchange(head, LOCK, 0, 1) !== 0) return LEARNED_NOTHING;
    let i = hash & mask, what = LEARNED_NEW;
    for (; words[(i << 2) + 1] !== 0; i = (i + 1) & mask) {
      if (words[(i << 2) + 1] === key && words[i << 2] === low) { what = LEARNED_MOVE; break; }
    }
    if (what === LEARNED_MOVE) {
      if (words[(i << 2) + 2] < FDB_STATIC) { this.movedFrom = words[(i << 2) + 2]; words[(i << 2) + 2] = port; words[(i << 2) + 3] = now; } else what = LEARNED_NOTHING;
    } else if (head[SIZE] >= this.capacity) what = LEARNED_FULL;
    else {
      this.put(i, low, key, port, now);
      head[SIZE]++;
    }
    Atomics.store(head, LOCK, 0);
    return what;
  }

  private put(i: number, low: number, key: number, portWord: number, now: number): void {
    const { words } = this, e = i << 2;
    words[e] = low;
    words[e + 2] = portWord;
    words[e + 3] = now;
    Atomics.store(words, e + 1, key);
  }

  /** For whoever is not in a hurry. */
  private locked<T>(work: () => T): T {
    while (Atomics.compareExchange(this.head, LOCK, 0, 1) !== 0) { /* the holder is in the middle of a few stores, or of one sweep */ }
    try { return work(); } finally { Atomics.store(this.head, LOCK, 0); }
  }

  /** An entry that stays until it is deleted. False: the table is full. */
  setStatic(low: number, high: number, port: number, now: number): boolean {
    return this.locked(() => {
      let i = this.find(low, high);
      if (i < 0) {
        if (this.head[SIZE] >= this.capacity) return false;
        for (i = this.hash(low, high) & this.mask; this.words[(i << 2) + 1] !== 0; i = (i + 1) & this.mask);
        this.head[SIZE]++;
      }
      this.put(i, low, (high | IN_USE) >>> 0, port | FDB_STATIC, now);
      return true;
    });
  }

  delete(low: number, high: number): boolean {
    return this.locked(() => {
      const i = this.find(low, high);
      if (i >= 0) this.removeAt(i);
      return i >= 0;
    });
  }

  /** Forgets a port's entries (all ports': -1), with the static ones or without. @returns how many entries went */
  flush(port: number, statics = true): number {
    return this.locked(() => {
      const before = this.size;
      for (let i = 0; i <= this.mask; i++) {
        // After a removal another entry may have shifted into slot i: look at it again.
        while (this.goes(i, port, statics)) this.removeAt(i);
      }
      return before - this.size;
    });
  }

  private goes(i: number, port: number, statics: boolean): boolean {
    const to = this.words[(i << 2) + 2];
    return this.words[(i << 2) + 1] !== 0 && (port < 0 || (to & 0xff) === port) && (statics || to < FDB_STATIC);
  }

  /** Forgets the aged of the next `slots` slots; called every so often, so that a table of a million never stalls a turn. */
  sweep(now: number, slots: number): number {
    if (this.ageing === 0) return 0;
    return this.locked(() => {
      const before = this.size;
      for (let n = Math.min(slots, this.mask + 1); n > 0; n--) {
        const i = this.head[SWEEP_AT];
        while (this.isAged(i, now)) this.removeAt(i);
        this.head[SWEEP_AT] = (i + 1) & this.mask;
      }
      return before - this.size;
    });
  }

  /**
   * The words of the entries in some slots, as they are, for another thread to read: 8 ns a slot. Of a table that changes between
   * two calls an entry may be missing from both, or be in both: a deletion moves others.
   */
  copy(from: number, slots: number): Uint32Array {
    const { words } = this, end = Math.min(from + slots, this.slots);
    let n = 0;
    for (let i = from; i < end; i++) if (words[(i << 2) + 1] !== 0) n += 4;
    const out = new Uint32Array(n);
    for (let i = from, to = 0; i < end; i++) {
      if (words[(i << 2) + 1] === 0) continue;
      for (let w = 0; w < 4; w++) out[to++] = words[(i << 2) + w];
    }
    return out;
  }

  /** For people: allocates. */
  entries(now: number): FdbEntry[] { return entriesOf(this.copy(0, this.slots), now, this.ageing); }

  private isAged(i: number, now: number): boolean {
    const e = i << 2;
    return this.ageing !== 0 && this.words[e + 1] !== 0 && this.words[e + 2] < FDB_STATIC && now - this.words[e + 3] >= this.ageing;
  }

  private find(low: number, high: number): number {
    const key = (high | IN_USE) >>> 0;
    for (let i = this.hash(low, high) & this.mask; this.words[(i << 2) + 1] !== 0; i = (i + 1) & this.mask) {
      if (this.words[(i << 2) + 1] === key && this.words[i << 2] === low) return i;
    }
    return -1;
  }

  /** Removes slot i and moves back what had been pushed past it. */
  private removeAt(i: number): void {
    const { words, mask } = this;
    let hole = i;
    Atomics.store(words, (hole << 2) + 1, 0);
    for (let j = (i + 1) & mask; words[(j << 2) + 1] !== 0; j = (j + 1) & mask) {
      const e = j << 2, home = this.hash(words[e], words[e + 1] & ~IN_USE) & mask;
      // j may fill the hole unless its home lies cyclically within (hole, j].
      if (((j - home) & mask) < ((j - hole) & mask)) continue;
      this.put(hole, words[e], words[e + 1], words[e + 2], words[e + 3]);
      hole = j;
      Atomics.store(words, (hole << 2) + 1, 0);
    }
    this.head[SIZE]--;
  }
}
