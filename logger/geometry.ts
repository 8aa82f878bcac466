/** How a pool's bytes are divided: chosen once, at creation. */
import { randomBytes } from 'node:crypto';
import { FramekeepError } from '../native/index.js';
import { BOOT_BLOCK_BYTES, BOOT_TABLE_OFFSET, MAX_BOOTS, MAX_LANES, RECORD_BYTES, type Geometry, type LaneGeometry } from './format.js';

export interface GeometryOptions {
  /** The whole file, bytes. */
  readonly bytes: number;
  /** Bytes a buffer: 2048 (frames up to 1,792 bytes), 4096 (3,840), or 65536 (65,471; no AF_XDP port takes them). Default 2048. */
  readonly chunk?: number;
  /** Data-plane threads that can log at once. Default 1. */
  readonly lanes?: number;
  /** Runs whose port names are remembered. Default 32. */
  readonly boots?: number;
  /** The medium's page, bytes: buffers start on one. */
  readonly alignment?: number;
  /** Buffers that stay in circulation a lane: rings, frames in flight. Default an eighth, between 64 and 32,768. */
  readonly reserve?: number;
}

/** The least that is useful: 256 buffers and the tables. */
export const MIN_POOL_BYTES = 1 << 20;

const alignUp = (x: number, to: number): number => Math.ceil(x / to) * to;

/**
 * Divides `bytes`: of a lane's buffers, all but the reserve can hold kept frames, so that a full log still leaves enough
 * to receive into.
 * @throws FramekeepError E_POOL_SIZE
 */
export function chooseGeometry(options: GeometryOptions): Geometry {
  const { bytes, chunk = 2048, lanes: laneCount = 1, boots = bytes < 8 << 20 ? 4 : 32 } = options;
  if (chunk !== 2048 && chunk !== 4096 && chunk !== 65536) {
    throw new FramekeepError('E_POOL_SIZE', `a buffer of ${chunk} bytes is not possible`, 'choose 2048, 4096 or 65536 (--chunk)');
  }
  if (laneCount < 1 || laneCount > MAX_LANES) throw new FramekeepError('E_POOL_SIZE', `${laneCount} lanes are not possible`, `choose 1 to ${MAX_LANES} (--lanes)`);
  if (boots < 2 || boots > MAX_BOOTS) throw new FramekeepError('E_POOL_SIZE', `a table of ${boots} boots is not possible`, `choose 2 to ${MAX_BOOTS} (--boots)`);
  // Large pools start their buffers on 2 MiB, so that huge pages can back them.
  const page = Math.max(options.alignment ?? 4096, bytes >= 64 << 20 ? 2 << 20 : 4096, chunk);
  const tooSmall = new FramekeepError('E_POOL_SIZE', `a pool of ${bytes} bytes is too small for ${laneCount} lane(s) of ${chunk}-byte buffers`,
    `give it at least ${Math.ceil((MIN_POOL_BYTES * Math.max(1, chunk / 4096) * laneCount + 2 * page) / 1048576)} MiB (--pool-size)`);
  if (bytes < MIN_POOL_BYTES * laneCount) throw tooSmall;

  const tables = BOOT_TABLE_OFFSET + boots * BOOT_BLOCK_BYTES;
  // Every buffer may need a record: start from that and let the alignment take the rest.
  let perLane = Math.floor((bytes - tables) / (chunk + RECORD_BYTES) / laneCount);
  for (; perLane > 0; perLane--) {
    const index = laneCount * alignUp(perLane * RECORD_BYTES, 4096);
    const buffersOffset = alignUp(tables + index, page);
    const fits = Math.floor((bytes - buffersOffset) / chunk / laneCount);
    if (fits >= perLane) break;
    perLane = Math.max(fits, 0) + 1;
  }
  const reserve = options.reserve ?? Math.min(Math.max(perLane >>> 3, 64), 32768);
  const slots = (perLane - reserve) & ~1;  // records fill whole cache lines
  if (slots < 64) throw tooSmall;
  const lanes: LaneGeometry[] = [];
  let at = tables;
  for (let i = 0; i < laneCount; i++) {
    lanes.push({ indexOffset: at, slots, firstBuffer: i * perLane, buffers: perLane });
    at += alignUp(slots * RECORD_BYTES, 4096);
  }
  return {
    uuid: new Uint8Array(randomBytes(16)), createdNs: BigInt(Date.now()) * 1_000_000n, fileBytes: bytes, chunk, boots,
    buffersOffset: alignUp(at, page), buffers: perLane * laneCount, lanes,
  };
}
