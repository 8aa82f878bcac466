/**
 * The on-media format, version 1, in one place: offsets, sizes, codes, and how each structure is encoded and checked.
 * docs/format.md is its specification in prose; native/src/layout.h is the record as C++ sees it. All integers are
 * little-endian; times are ns since 1970-01-01T00:00:00Z; every checksum is CRC-32C seeded with the pool's uuid, so that
 * what an earlier pool left on the same medium never looks valid.
 *
 *   0        superblock, copy A          4 KiB
 *   4096     superblock, copy B          4 KiB
 *   8192     boot table                  boots × 16 KiB: one block a run of the switch, block = boot id mod boots
 *   …        index of lane 0, 1, …       slots × 32 bytes each, on a 4 KiB boundary
 *   …        buffers                     chunk bytes each, on a boundary of the medium's pages
 */
import { crc32c } from '../native/index.js';

export const MAGIC = 'FRAMKEEP';
export const VERSION = 1;
export const SUPERBLOCK_BYTES = 4096;
export const BOOT_TABLE_OFFSET = 2 * SUPERBLOCK_BYTES;
export const BOOT_BLOCK_BYTES = 16384;
export const MAX_LANES = 16;
export const MAX_PORTS = 64;
/** One more, and the last block would lie across the 1 GiB segments that pools are mapped in. */
export const MAX_BOOTS = 65535;
export const RECORD_BYTES = 32;
export const NO_BUFFER = 0xffffffff;
/** UTF-8 bytes of a port entry's note. */
export const PORT_NOTE_BYTES = 28;

/** Offsets within an index record, in bytes. */
export const RECORD = {
  generation: 0, buffer: 4, timestamp: 8, offset: 16, kept: 18, wireLow: 20, ingress: 22, verdict: 23, boot: 24, flags: 26, wireHigh: 27, crc: 28,
} as const;

/** The frame goes on in the next record of the lane. */
export const FLAG_MORE = 0x01;
/** This record continues the frame of the one before. */
export const FLAG_CONTINUED = 0x02;
/** The sender left the transport checksum to the NIC; the port completed it, and the kept bytes are the completed ones. */
export const FLAG_CHECKSUM_COMPLETED = 0x04;
/** The record's CRC covers the kept bytes too. */
export const FLAG_FRAME_CRC = 0x08;
/** The time is when the switch took the frame from the ring, not the driver's stamp. */
export const FLAG_SWITCH_TIME = 0x10;

/** Verdicts below this are an egress port's number. */
export const VERDICT_DROPPED = 224;
export const VERDICT_SEVERAL = 254;
export const VERDICT_FLOODED = 255;

/** Why a frame was not forwarded; verdict = VERDICT_DROPPED + index. Only ever appended to. */
export const DROP_REASONS = [
  'runt', 'oversize', 'reserved-address', 'same-port', 'tx-full', 'no-egress', 'logic', 'malformed', 'disabled',
] as const;
export type DropReason = (typeof DROP_REASONS)[number];
export const DROP_RUNT = 0, DROP_OVERSIZE = 1, DROP_RESERVED = 2, DROP_SAME_PORT = 3, DROP_TX_FULL = 4, DROP_NO_EGRESS = 5, DROP_LOGIC = 6, DROP_MALFORMED = 7, DROP_DISABLED = 8;

export interface LaneGeometry {
  readonly indexOffset: number;
  /** Records in the lane's index. */
  readonly slots: number;
  /** The lane's buffers: numbers [firstBuffer, firstBuffer + buffers). */
  readonly firstBuffer: number;
  readonly buffers: number;
}

/** What the superblock says; written once, at creation, and never changed after. */
export interface Geometry {
  readonly uuid: Uint8Array;
  readonly createdNs: bigint;
  readonly fileBytes: number;
  /** Bytes a buffer: a power of two. */
  readonly chunk: number;
  readonly boots: number;
  readonly buffersOffset: number;
  readonly buffers: number;
  readonly lanes: readonly LaneGeometry[];
}

const SB = {
  magic: 0, version: 8, bytes: 12, uuid: 16, created: 32, fileBytes: 40, chunk: 48, lanes: 52, boots: 56, bootBlock: 60, bootTable: 64,
  buffersOffset: 72, buffers: 80, copy: 88, laneTable: 128, laneBytes: 32, crc: SUPERBLOCK_BYTES - 4,
} as const;

/** CRC-32C over uuid, a salt and some bytes, as the superblock's and boot blocks' checksums. */
function seededCrc(uuid: Uint8Array, salt: number, bytes: Uint8Array): number {
  summed.set(uuid, 0);
  summedView.setUint32(16, salt, true);
  summed.set(bytes, 20);
  return crc32c(summed.subarray(0, 20 + bytes.length));
}
const summed = new Uint8Array(20 + SUPERBLOCK_BYTES), summedView = new DataView(summed.buffer);

/** What a lane's record CRCs start from: uuid, then the lane's number. */
export function recordSeed(uuid: Uint8Array, lane: number): Uint8Array {
  const seed = new Uint8Array(20);
  seed.set(uuid, 0);
  new DataView(seed.buffer).setUint32(16, lane, true);
  return seed;
}

export function encodeSuperblock(g: Geometry, copy: 0 | 1): Uint8Array {
  const bytes = new Uint8Array(SUPERBLOCK_BYTES), v = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(MAGIC), SB.magic);
  v.setUint32(SB.version, VERSION, true);
  v.setUint32(SB.bytes, SUPERBLOCK_BYTES, true);
  bytes.set(g.uuid, SB.uuid);
  v.setBigUint64(SB.created, g.createdNs, true);
  v.setBigUint64(SB.fileBytes, BigInt(g.fileBytes), true);
  v.setUint32(SB.chunk, g.chunk, true);
  v.setUint32(SB.lanes, g.lanes.length, true);
  v.setUint32(SB.boots, g.boots, true);
  v.setUint32(SB.bootBlock, BOOT_BLOCK_BYTES, true);
  v.setBigUint64(SB.bootTable, BigInt(BOOT_TABLE_OFFSET), true);
  v.setBigUint64(SB.buffersOffset, BigInt(g.buffersOffset), true);
  v.setBigUint64(SB.buffers, BigInt(g.buffers), true);
  v.setUint32(SB.copy, copy, true);
  g.lanes.forEach((lane, i) => {
    const at = SB.laneTable + i * SB.laneBytes;
    v.setBigUint64(at, BigInt(lane.indexOffset), true);
    v.setUint32(at + 8, lane.slots, true);
    v.setUint32(at + 12, lane.firstBuffer, true);
    v.setUint32(at + 16, lane.buffers, true);
  });
  v.setUint32(SB.crc, seededCrc(g.uuid, VERSION, bytes.subarray(0, SB.crc)), true);
  return bytes;
}

/** What a superblock copy turned out to be. */
export type Superblock =
  | { readonly state: 'valid'; readonly geometry: Geometry }
  | { readonly state: 'blank' | 'foreign' | 'damaged' }
  | { readonly state: 'newer'; readonly version: number };

export function decodeSuperblock(bytes: Uint8Array): Superblock {
  if (bytes.length < SUPERBLOCK_BYTES) return { state: bytes.every((b) => b === 0) ? 'blank' : 'damaged' };
  if (new TextDecoder('latin1').decode(bytes.subarray(0, 8)) !== MAGIC) {
    return { state: bytes.subarray(0, SUPERBLOCK_BYTES).every((b) => b === 0) ? 'blank' : 'foreign' };
  }
  const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = v.getUint32(SB.version, true);
  const uuid = bytes.slice(SB.uuid, SB.uuid + 16);
  if (v.getUint32(SB.crc, true) !== seededCrc(uuid, version, bytes.subarray(0, SB.crc))) return { state: 'damaged' };
  if (version > VERSION) return { state: 'newer', version };
  if (version !== VERSION || v.getUint32(SB.bootBlock, true) !== BOOT_BLOCK_BYTES || v.getBigUint64(SB.bootTable, true) !== BigInt(BOOT_TABLE_OFFSET)) {
    return { state: 'damaged' };
  }
  const lanes = Array.from({ length: Math.min(v.getUint32(SB.lanes, true), MAX_LANES) }, (_, i) => {
    const at = SB.laneTable + i * SB.laneBytes;
    return {
      indexOffset: Number(v.getBigUint64(at, true)), slots: v.getUint32(at + 8, true),
      firstBuffer: v.getUint32(at + 12, true), buffers: v.getUint32(at + 16, true),
    };
  });
  const geometry: Geometry = {
    uuid, createdNs: v.getBigUint64(SB.created, true), fileBytes: Number(v.getBigUint64(SB.fileBytes, true)),
    chunk: v.getUint32(SB.chunk, true), boots: v.getUint32(SB.boots, true),
    buffersOffset: Number(v.getBigUint64(SB.buffersOffset, true)), buffers: Number(v.getBigUint64(SB.buffers, true)), lanes,
  };
  return isSound(geometry) ? { state: 'valid', geometry } : { state: 'damaged' };
}

/** Whether a geometry's parts lie inside the file, apart from each other: a sound CRC alone does not make it safe to map. */
function isSound(g: Geometry): boolean {
  let end = BOOT_TABLE_OFFSET + g.boots * BOOT_BLOCK_BYTES, buffer = 0;
  const isPowerOfTwo = g.chunk >= 2048 && g.chunk <= 65536 && (g.chunk & (g.chunk - 1)) === 0;
  if (!isPowerOfTwo || g.boots < 2 || g.boots > MAX_BOOTS || g.lanes.length === 0) return false;
  for (const lane of g.lanes) {
    if (lane.indexOffset < end || lane.indexOffset % 4096 !== 0 || lane.slots < 1 || lane.firstBuffer !== buffer || lane.buffers < lane.slots) return false;
    end = lane.indexOffset + lane.slots * RECORD_BYTES;
    buffer += lane.buffers;
  }
  return buffer === g.buffers && g.buffersOffset >= end && g.buffersOffset % 4096 === 0 && g.buffersOffset + g.buffers * g.chunk <= g.fileBytes;
}

// ---------------------------------------------------------------------------------------------------------------- boots

/** A port as a boot's port table knows it: what an export names its interface by. */
export interface PortEntry {
  /** The number that records carry as ingress and verdict: 0–63. */
  readonly id: number;
  /** As the user wrote it: `xdp:eth1`. */
  readonly spec: string;
  /** Six bytes, zeros where it has none. */
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly addedNs: bigint;
  /** What it turned out to be: `AF_XDP, driver copy mode`. At most 24 bytes are stored. */
  readonly note: string;
}

/** What is known of a run before its first frame. */
export interface BootHeader {
  readonly id: number;
  readonly startNs: bigint;
  /** /proc/sys/kernel/random/boot_id: whether the kernel that ran it still runs. 16 bytes. */
  readonly kernelBootId: Uint8Array;
  readonly medium: string;
  readonly durability: string;
  readonly pid: number;
  /** Sequence of the first frame this run could have kept, by lane. */
  readonly firstSequence: readonly number[];
  /** Records that one commit of this run could write: what a crash can leave torn. 0 or missing: not told. */
  readonly maxBatch?: number;
  readonly host: string;
  readonly name: string;
  readonly keep: string;
  readonly software: string;
}

/** Counters as of some moment, by port number; also how a run says that it ended in order. */
export interface Checkpoint {
  readonly generation: number;
  readonly timeNs: bigint;
  readonly clean: boolean;
  readonly ports: readonly PortTotals[];
}
export interface PortTotals { received: number; dropped: number; kept: number; notSelected: number; lost: number }

const BOOT = {
  magic: 0, id: 4, start: 8, pid: 16, lanes: 20, maxBatch: 24, kernel: 32, medium: 48, durability: 64, first: 80, host: 208, name: 272, keep: 336, software: 464,
  crc: 508, ports: 512, portBytes: 128, checkpoint: [9216, 12288], checkpointBytes: 3072,
} as const;
const BOOT_MAGIC = 0x544f4f42, PORT_MAGIC = 0x54524f50, CHECKPOINT_MAGIC = 0x54504b43;  // "BOOT", "PORT", "CKPT"

export const bootBlockOffset = (g: Geometry, boot: number): number => BOOT_TABLE_OFFSET + (boot % g.boots) * BOOT_BLOCK_BYTES;
export const portEntryOffset = (id: number): number => BOOT.ports + id * BOOT.portBytes;
export const checkpointOffset = (generation: number): number => BOOT.checkpoint[generation % 2];

/** The block's first 512 bytes. */
export function encodeBootHeader(g: Geometry, b: BootHeader): Uint8Array {
  const bytes = new Uint8Array(BOOT.ports), v = new DataView(bytes.buffer);
  v.setUint32(BOOT.magic, BOOT_MAGIC, true);
  v.setUint32(BOOT.id, b.id, true);
  v.setBigUint64(BOOT.start, b.startNs, true);
  v.setUint32(BOOT.pid, b.pid, true);
  v.setUint32(BOOT.lanes, b.firstSequence.length, true);
  v.setUint32(BOOT.maxBatch, b.maxBatch ?? 0, true);
  bytes.set(b.kernelBootId, BOOT.kernel);
  putText(bytes, BOOT.medium, 16, b.medium);
  putText(bytes, BOOT.durability, 16, b.durability);
  b.firstSequence.forEach((s, i) => v.setBigUint64(BOOT.first + 8 * i, BigInt(s), true));
  putText(bytes, BOOT.host, 64, b.host);
  putText(bytes, BOOT.name, 64, b.name);
  putText(bytes, BOOT.keep, 128, b.keep);
  putText(bytes, BOOT.software, 44, b.software);
  v.setUint32(BOOT.crc, seededCrc(g.uuid, BOOT_MAGIC, bytes.subarray(0, BOOT.crc)), true);
  return bytes;
}

export function encodePort(g: Geometry, boot: number, p: PortEntry): Uint8Array {
  const bytes = new Uint8Array(BOOT.portBytes), v = new DataView(bytes.buffer);
  v.setUint32(0, PORT_MAGIC, true);
  v.setUint32(4, p.id, true);
  bytes.set(p.mac, 8);
  v.setBigUint64(16, p.addedNs, true);
  v.setUint32(24, p.mtu, true);
  putText(bytes, 32, 64, p.spec);
  putText(bytes, 96, PORT_NOTE_BYTES, p.note);
  v.setUint32(124, seededCrc(g.uuid, boot, bytes.subarray(0, 124)), true);
  return bytes;
}

export function encodeCheckpoint(g: Geometry, boot: number, c: Checkpoint): Uint8Array {
  const bytes = new Uint8Array(BOOT.checkpointBytes), v = new DataView(bytes.buffer);
  v.setUint32(0, CHECKPOINT_MAGIC, true);
  v.setUint32(4, c.generation, true);
  v.setBigUint64(8, c.timeNs, true);
  v.setUint32(16, c.clean ? 1 : 0, true);
  v.setUint32(20, c.ports.length, true);
  c.ports.forEach((p, i) => {
    [p.received, p.dropped, p.kept, p.notSelected, p.lost].forEach((n, k) => v.setBigUint64(32 + i * 40 + k * 8, BigInt(n), true));
  });
  v.setUint32(BOOT.checkpointBytes - 4, seededCrc(g.uuid, boot, bytes.subarray(0, BOOT.checkpointBytes - 4)), true);
  return bytes;
}

/** A run as its boot block tells it. */
export interface Boot extends BootHeader {
  readonly ports: readonly PortEntry[];
  readonly checkpoint: Checkpoint | undefined;
}

/** Undefined where the block was never written, is torn, or belongs to another pool. */
export function decodeBoot(g: Geometry, bytes: Uint8Array): Boot | undefined {
  const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (v.getUint32(BOOT.magic, true) !== BOOT_MAGIC) return undefined;
  if (v.getUint32(BOOT.crc, true) !== seededCrc(g.uuid, BOOT_MAGIC, bytes.subarray(0, BOOT.crc))) return undefined;
  const id = v.getUint32(BOOT.id, true);
  const lanes = Math.min(v.getUint32(BOOT.lanes, true), MAX_LANES);
  const ports: PortEntry[] = [];
  for (let i = 0; i < MAX_PORTS; i++) {
    if (v.getUint32(portEntryOffset(i), true) !== PORT_MAGIC) continue;
    const port = decodePort(g, id, bytes.subarray(portEntryOffset(i), portEntryOffset(i + 1)));
    if (port !== undefined && port.id === i) ports.push(port);
  }
  const checkpoints = BOOT.checkpoint.map((at) => decodeCheckpoint(g, id, bytes.subarray(at, at + BOOT.checkpointBytes))).filter((c) => c !== undefined);
  return {
    id, startNs: v.getBigUint64(BOOT.start, true), pid: v.getUint32(BOOT.pid, true), maxBatch: v.getUint32(BOOT.maxBatch, true), kernelBootId: bytes.slice(BOOT.kernel, BOOT.kernel + 16),
    medium: getText(bytes, BOOT.medium, 16), durability: getText(bytes, BOOT.durability, 16),
    firstSequence: Array.from({ length: lanes }, (_, i) => Number(v.getBigUint64(BOOT.first + 8 * i, true))),
    host: getText(bytes, BOOT.host, 64), name: getText(bytes, BOOT.name, 64), keep: getText(bytes, BOOT.keep, 128), software: getText(bytes, BOOT.software, 44),
    ports, checkpoint: checkpoints.sort((a, b) => b.generation - a.generation)[0],
  };
}

function decodePort(g: Geometry, boot: number, bytes: Uint8Array): PortEntry | undefined {
  const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (v.getUint32(124, true) !== seededCrc(g.uuid, boot, bytes.subarray(0, 124))) return undefined;
  return {
    id: v.getUint32(4, true), mac: bytes.slice(8, 14), addedNs: v.getBigUint64(16, true), mtu: v.getUint32(24, true),
    spec: getText(bytes, 32, 64), note: getText(bytes, 96, PORT_NOTE_BYTES),
  };
}

function decodeCheckpoint(g: Geometry, boot: number, bytes: Uint8Array): Checkpoint | undefined {
  const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = BOOT.checkpointBytes - 4;
  if (v.getUint32(0, true) !== CHECKPOINT_MAGIC || v.getUint32(end, true) !== seededCrc(g.uuid, boot, bytes.subarray(0, end))) return undefined;
  // Counters are exact to 2⁵³; what is beyond was never counted, and a sum of two must not pass 64 bits either.
  const total = (i: number, k: number): number => Math.min(Number(v.getBigUint64(32 + i * 40 + k * 8, true)), Number.MAX_SAFE_INTEGER);
  return {
    generation: v.getUint32(4, true), timeNs: v.getBigUint64(8, true), clean: (v.getUint32(16, true) & 1) !== 0,
    ports: Array.from({ length: Math.min(v.getUint32(20, true), MAX_PORTS) }, (_, i) => ({
      received: total(i, 0), dropped: total(i, 1), kept: total(i, 2), notSelected: total(i, 3), lost: total(i, 4),
    })),
  };
}

/** UTF-8, cut at a character's boundary, padded with zeros. */
export function putText(bytes: Uint8Array, at: number, room: number, text: string): void {
  new TextEncoder().encodeInto(text, bytes.subarray(at, at + room));
}
const utf8 = new TextDecoder();
/** A pool may be anybody's, and its texts reach terminals: control characters and those that turn the direction of writing come as U+FFFD. */
export function getText(bytes: Uint8Array, at: number, room: number): string {
  const end = bytes.subarray(at, at + room).indexOf(0);
  const text = utf8.decode(bytes.subarray(at, end < 0 ? at + room : at + end));
  return text.replace(/[\t\n\r]/g, ' ').replace(/[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
}
