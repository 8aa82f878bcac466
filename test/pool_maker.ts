/**
 * Pools for tests: made and filled through the public interfaces (Keeper), or written byte by byte as docs/format.md says
 * (forge), for what no crash-free run would ever leave behind.
 */
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { mapMemory, unmap, crc32c, SLOT_BEYOND, SLOT_VALID, type Mapping } from '../native/index.js';
import {
  BOOT_TABLE_OFFSET, encodeSuperblock, Log, NO_BUFFER, Pool, RECORD, RECORD_BYTES, recordSeed, recover, SUPERBLOCK_BYTES, unreferenced, type BootHeader, type Geometry, type PortEntry,
  type Recovery,
} from '../logger/index.js';
import { appendFrame } from './append_frame.js';

/** Enough of AVA's context. */
interface Test { teardown(fn: () => void): void }

/** A directory on tmpfs (or under `where`), gone with the test. */
export function scratch(t: Test, where = '/dev/shm'): string {
  const dir = mkdtempSync(join(where, 'framekeep-test-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export function bootHeader(recovery: Recovery, changes: Partial<BootHeader> = {}): BootHeader {
  return {
    id: recovery.lastBoot + 1, startNs: BigInt(Date.now()) * 1_000_000n, kernelBootId: new Uint8Array(16), medium: 'tmpfs', durability: 'process', pid: process.pid,
    firstSequence: recovery.lanes.map((lane) => lane.next), host: 'testhost', name: 'sw0', keep: '', software: 'framekeep test', ...changes,
  };
}

export function portEntry(id: number, changes: Partial<PortEntry> = {}): PortEntry {
  return { id, spec: `gen:p${id}`, mac: Uint8Array.of(2, 0, 0, 0, 0, id), mtu: 1500, addedNs: 1n, note: 'a test port', ...changes };
}

export interface Kept { ingress?: number; verdict?: number; flags?: number; wire?: number; offset?: number }

/** A pool as small as the format allows with those slots and buffers a lane: enumeration is exponential, not patient. */
export function tinyGeometry(lanes: number, slots: number, buffers: number, boots = 3): Geometry {
  const tables = BOOT_TABLE_OFFSET + boots * 16384, buffersOffset = tables + lanes * 4096;
  return {
    uuid: Uint8Array.from({ length: 16 }, (_, i) => 17 * i + lanes), createdNs: 1_700_000_000_000_000_000n, fileBytes: buffersOffset + lanes * buffers * 2048, chunk: 2048, boots, buffersOffset,
    buffers: lanes * buffers, lanes: Array.from({ length: lanes }, (_, n) => ({ indexOffset: tables + n * 4096, slots, firstBuffer: n * buffers, buffers })),
  };
}

/** The bytes of such a pool, new. */
export function tinyPool(geometry: Geometry): Uint8Array {
  const bytes = new Uint8Array(geometry.fileBytes);
  for (const copy of [0, 1] as const) bytes.set(encodeSuperblock(geometry, copy), copy * SUPERBLOCK_BYTES);
  return bytes;
}

/** A run of the switch, as far as the log knows of one: takes frames, keeps them, gives buffers back. */
export class Keeper {
  readonly pool: Pool;
  readonly boot: number;
  readonly recovery: Recovery;
  readonly logs: readonly Log[];
  private readonly source: Mapping;
  private readonly free: Uint32Array[];
  private readonly freeCount: number[];
  private readonly chunk: number;

  constructor(pool: Pool, options: { maxBatch?: number; ports?: readonly PortEntry[]; header?: Partial<BootHeader> } = {}) {
    this.pool = pool;
    this.chunk = pool.geometry.chunk;
    this.recovery = recover(pool);
    const header = bootHeader(this.recovery, options.header);
    this.boot = header.id;
    pool.writeBoot(header);
    for (const port of options.ports ?? []) pool.writePort(this.boot, port);
    this.source = pool.medium.zeroCopy ? pool.buffers! : mapMemory('test-umem', 1 << 20);
    const maxBatch = options.maxBatch ?? 32;
    this.logs = this.recovery.lanes.map((recovery, lane) => new Log({ pool, lane, boot: this.boot, recovery, source: this.source, maxBatch }));
    this.free = this.logs.map((log, lane) => Uint32Array.from(unreferenced(log.slotBuffer, pool.geometry.lanes[lane].firstBuffer, pool.geometry.lanes[lane].buffers)));
    this.freeCount = this.free.map((f) => f.length);
  }

  /** Takes a frame; it is kept with the next commit, which comes by itself when the batch is full. @returns its sequence */
  keep(frame: Uint8Array, how: Kept = {}, lane = 0): number {
    const log = this.logs[lane], { chunk } = this;
    const buffer = log.copies ? log.pending % ((1 << 20) / chunk) : this.free[lane][--this.freeCount[lane]];
    const offset = how.offset ?? Math.min(256, chunk - frame.length), address = buffer * chunk + offset;
    new Uint8Array(this.source.segments[Math.floor(address / 2 ** 30)]).set(frame, address % 2 ** 30);
    const sequence = log.nextSequence + log.pending;
    appendFrame(log, { address, kept: frame.length, wire: how.wire ?? frame.length, ingress: how.ingress ?? 0, verdict: how.verdict ?? 255, flags: how.flags ?? 0 });
    if (log.pending === log.maxBatch) this.commit(lane);
    return sequence;
  }

  commit(lane = 0): void {
    const log = this.logs[lane], n = log.commit();
    if (log.copies) return;
    for (let i = 0; i < n; i++) if (log.evicted[i] !== NO_BUFFER) this.free[lane][this.freeCount[lane]++] = log.evicted[i];
  }

  /** Commits what is pending and forgets the run, without a word in the pool that it ended. */
  close(): void {
    this.logs.forEach((log, lane) => { this.commit(lane); log.close(); });
    if (this.source !== this.pool.buffers) unmap(this.source);
  }
}

export interface Forged {
  generation?: number; buffer?: number; timestamp?: bigint; offset?: number; kept?: number; wire?: number; ingress?: number; verdict?: number; boot?: number; flags?: number;
  /** What the record's CRC is xored with: anything but 0 makes it torn. */
  spoil?: number;
}

/** A record as docs/format.md has it, with a CRC that fits. `frame`: the kept bytes, for flag 0x08. */
export function forgeRecord(g: Geometry, lane: number, slot: number, f: Forged, frame?: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(RECORD_BYTES), v = new DataView(bytes.buffer), wire = f.wire ?? f.kept ?? 60;
  v.setUint32(RECORD.generation, f.generation ?? 1, true);
  v.setUint32(RECORD.buffer, f.buffer ?? 0, true);
  v.setBigUint64(RECORD.timestamp, f.timestamp ?? 1_700_000_000_000_000_000n, true);
  v.setUint16(RECORD.offset, f.offset ?? 256, true);
  v.setUint16(RECORD.kept, f.kept ?? 60, true);
  v.setUint16(RECORD.wireLow, wire & 0xffff, true);
  v.setUint8(RECORD.wireHigh, wire >>> 16);
  v.setUint8(RECORD.ingress, f.ingress ?? 0);
  v.setUint8(RECORD.verdict, f.verdict ?? 255);
  v.setUint16(RECORD.boot, f.boot ?? 1, true);
  v.setUint8(RECORD.flags, f.flags ?? 0);
  const slotBytes = Buffer.alloc(4);
  slotBytes.writeUInt32LE(slot);
  v.setUint32(RECORD.crc, crc32c(Buffer.concat([recordSeed(g.uuid, lane), slotBytes, bytes.subarray(0, RECORD.crc), frame ?? new Uint8Array(0)])) ^ (f.spoil ?? 0), true);
  return bytes;
}

/** Opens a pool file for writing raw bytes, past every check. */
export class Forge {
  readonly geometry: Geometry;
  private readonly fd: number;

  constructor(path: string, geometry: Geometry) {
    this.geometry = geometry;
    this.fd = openSync(path, 'r+');
  }
  record(lane: number, slot: number, fields: Forged, frame?: Uint8Array): void {
    this.write(this.geometry.lanes[lane].indexOffset + slot * RECORD_BYTES, forgeRecord(this.geometry, lane, slot, fields, frame));
  }
  frame(buffer: number, offset: number, bytes: Uint8Array): void {
    this.write(this.geometry.buffersOffset + buffer * this.geometry.chunk + offset, bytes);
  }
  write(at: number, bytes: Uint8Array): void { writeSync(this.fd, bytes, 0, bytes.length, at); }
  close(): void { closeSync(this.fd); }
}

/** `length` bytes that all follow from `seed`: an Ethernet frame of an experimental type (IEEE 802, 0x88B5), then a pattern. */
export function testFrame(seed: number, length = 60): Uint8Array {
  const bytes = new Uint8Array(length), v = new DataView(bytes.buffer);
  let x = (seed * 2654435761) >>> 0;
  for (let i = 0; i < length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    bytes[i] = x >>> 24;
  }
  if (length >= 14) {
    bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], 0);
    v.setUint16(12, 0x88b5);
  }
  if (length >= 18) v.setUint32(14, seed);
  return bytes;
}

/** The slots of a lane that recovery stands by. */
export function soundSlots(state: Uint8Array): number {
  return state.reduce((n, s) => n + Number(s === SLOT_VALID || s === SLOT_BEYOND), 0);
}
