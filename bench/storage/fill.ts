/** A pool full of mixed frames, made through the log as a switch makes it. */
import { ENTRY_WORDS, Log, NO_BUFFER, Pool, recover, unreferenced } from '../../logger/index.js';
import { HEADROOM } from '../../switch/ports/driver.js';
import { TEMPLATE_BYTES } from '../../native/bench_source.js';
import { mixedTemplates, plainTemplates } from '../fabric/traffic.js';

const CHUNK = 2048, RECORD = 32, BATCH = 256, PORTS = 4;

/** Bytes of a pool whose log has room for so many frames. */
export const poolBytes = (frames: number): number => Math.ceil((frames + 34_000) * 1.01 * (CHUNK + RECORD) * (frames < 240_000 ? 8 / 7 : 1)) + (4 << 20);

/** @param size  of every frame; undefined: mixed. @returns the bytes of all frames */
export function fillPool(path: string, frames: number, size?: number): number {
  const pool = Pool.open(path, { writable: true, create: { bytes: poolBytes(frames) } }), [lane] = pool.geometry.lanes, recovery = recover(pool);
  if (lane.slots < frames) throw new Error(`a pool of ${poolBytes(frames)} bytes has room for ${lane.slots} frames only`);
  pool.writeBoot({
    id: 1, startNs: BigInt(Date.now()) * 1_000_000n, kernelBootId: new Uint8Array(16), medium: pool.medium.kind, durability: pool.medium.durability, pid: process.pid,
    firstSequence: [0], maxBatch: BATCH, host: 'bench', name: 'bench', keep: '', software: 'framekeep bench',
  });
  for (let id = 0; id < PORTS; id++) pool.writePort(1, { id, spec: `tap:vm${id}`, mac: Uint8Array.of(2, 0, 0, 0, 0, id), mtu: 1500, addedNs: 0n, note: '' });
  const log = new Log({ pool, lane: 0, boot: 1, recovery: recovery.lanes[0], source: pool.buffers!, maxBatch: BATCH });
  const free = Uint32Array.from(unreferenced(log.slotBuffer, lane.firstBuffer, lane.buffers)), segments = pool.buffers!.segments.map((s) => new Uint8Array(s));
  const { templates, lengths } = size === undefined ? mixedTemplates() : plainTemplates([size]);
  let left = free.length, bytes = 0, stamp = process.hrtime.bigint();
  for (let i = 0; i < frames; i++) {
    const t = i % lengths.length, length = lengths[t], address = free[--left] * CHUNK + HEADROOM;
    segments[Math.floor(address / 2 ** 30)].set(templates.subarray(t * TEMPLATE_BYTES, t * TEMPLATE_BYTES + length), address % 2 ** 30);
    if (i % BATCH === 0) stamp += 20_000n;
    const e = log.pending++ * ENTRY_WORDS;
    log.entries[e] = address;
    log.entries[e + 1] = Math.floor(address / 2 ** 32);
    log.entries[e + 2] = log.entries[e + 3] = length;
    log.entries[e + 4] = (i % PORTS) | (((i + 1) % PORTS) << 8);
    log.entries[e + 5] = Number(stamp & 0xffffffffn);
    log.entries[e + 6] = Number(stamp >> 32n);
    bytes += length;
    if (log.pending === BATCH) {
      const n = log.commit();
      for (let k = 0; k < n; k++) if (log.evicted[k] !== NO_BUFFER) free[left++] = log.evicted[k];
    }
  }
  log.commit();
  log.close();
  pool.close();
  return bytes;
}
