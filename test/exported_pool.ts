/** Pools to be exported, what they hold by the reader, and what their exports hold by the draft. */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32c } from '../native/index.js';
import { ByteSink } from '../logger/capture/index.js';
import { create, exportPool, Pool, PoolReader, verdictText, type ExportOptions, type ExportResult } from '../logger/index.js';
import { blocks } from './capture_file.js';
import { Keeper, portEntry, scratch } from './pool_maker.js';

export const MiB = 1 << 20;
interface Test { teardown(fn: () => void): void }

export async function exported(pool: string | Pool, output: string, options: ExportOptions = {}): Promise<ExportResult> {
  const p = typeof pool === 'string' ? Pool.open(pool) : pool, fd = openSync(output, 'w');
  try {
    return await exportPool(p, (beside) => new ByteSink(fd, output, 1 << 19, beside), options);
  } finally {
    closeSync(fd);
    if (p !== pool) p.close();
  }
}

export interface Frame { sequence: number; lane: number; boot: number; ns: bigint; ingress: number; verdict: number; flags: number; wire: number; data: Buffer }
export function framesOf(path: string): Frame[] {
  const pool = Pool.open(path), reader = new PoolReader(pool), all: Frame[] = [];
  while (reader.next()) {
    const { sequence, lane, boot, ingress, verdict, flags, wire, offset } = reader;
    all.push({
      sequence, lane, boot, ingress, verdict, flags, wire, ns: BigInt(reader.timeHigh) << 32n | BigInt(reader.timeLow), data: Buffer.from(reader.bytes.slice(offset, offset + reader.captured)),
    });
  }
  pool.close();
  return all;
}

/** A pool of three runs on two lanes, with what an export can meet: verdicts of every kind, snapped frames, completed checksums. */
export function aPool(t: Test, options: { frames?: number; bytes?: number; lanes?: number } = {}): string {
  const path = join(scratch(t), 'a.pool'), { frames = 300, bytes = 8 * MiB, lanes = 2 } = options;
  create(path, { bytes, lanes });
  const pool = Pool.open(path, { writable: true });
  const verdicts = [0, 1, 2, 255, 254, 224, 228, 231];
  for (let run = 1; run <= 3; run++) {
    const keeper = new Keeper(pool, { maxBatch: 1, ports: [portEntry(0), portEntry(1, { spec: 'tap:vm1', note: 'tap' }), portEntry(2, { spec: `xdp:eth${run},queue=1` })], header: { keep: run === 2 ? 'tcp' : '' } });
    for (let i = 0; i < frames; i++) {
      const frame = udp(i % 5 === 0 ? 5353 : 9, 60 + (i * 31) % 1400);
      keeper.keep(i % 7 === 0 ? frame.subarray(0, 50) : frame, { ingress: i % 3, verdict: verdicts[i % 8], flags: i % 11 === 0 ? 4 : 0, wire: frame.length }, i % 4 === 0 && lanes > 1 ? 1 : 0);
    }
    keeper.close();
    if (run === 2) {
      pool.writeCheckpoint(run, { generation: 1, timeNs: BigInt(Date.now()) * 1_000_000n, clean: true, ports: [0, 1, 2].map((i) => ({ received: 1000 + i, dropped: 7, kept: 100, notSelected: 898 + i, lost: 2 })) });
    }
  }
  pool.close();
  return path;
}

/** A UDP frame over IPv4, checksums left out. */
export function udp(port: number, length: number): Buffer {
  const frame = Buffer.alloc(length);
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0]);
  frame.writeUInt16BE(length - 14, 16);
  frame.set([64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2], 22);
  frame.writeUInt16BE(4000, 34);
  frame.writeUInt16BE(port, 36);
  frame.writeUInt16BE(length - 34, 38);
  return frame;
}

export const ended = (ns: bigint): string => `${ns / 1_000_000_000n}.${String(ns % 1_000_000_000n).padStart(9, '0')}`;
export const specOf = (f: Frame): string => ['gen:p0', 'tap:vm1', `xdp:eth${f.boot},queue=1`][f.ingress];
export function commentOf(f: Frame): string {
  const ports = [0, 1, 2].map((id) => portEntry(id, { spec: specOf({ ...f, ingress: id }) }));
  return verdictText(f.verdict, { ports } as never) + ((f.flags & 4) !== 0 ? '; checksum completed' : '');
}

export const digest = (bytes: Uint8Array): string => `${bytes.length} ${crc32c(bytes)}`;
export function pcapFrames(file: string): { ns: bigint; wire: number; digest: string }[] {
  const b = readFileSync(file), out = [];
  for (let at = 24; at < b.length; at += 16 + b.readUInt32LE(at + 8)) {
    out.push({ ns: BigInt(b.readUInt32LE(at)) * 1_000_000_000n + BigInt(b.readUInt32LE(at + 4)), wire: b.readUInt32LE(at + 12), digest: digest(b.subarray(at + 16, at + 16 + b.readUInt32LE(at + 8))) });
  }
  return out;
}
export function pcapngFrames(file: string): { ns: bigint; wire: number; digest: string }[] {
  return blocks(file).filter((b) => b.type === 6).map(({ body }) => ({
    ns: BigInt(body.readUInt32LE(4)) << 32n | BigInt(body.readUInt32LE(8)), wire: body.readUInt32LE(16), digest: digest(body.subarray(20, 20 + body.readUInt32LE(12))),
  }));
}
export const comments = (file: string): string[] => blocks(file).filter((b) => b.type === 6).map((b) => b.options.find((o) => o.code === 1)?.value.toString() ?? '');
export const headers = (file: string): string[] => blocks(file).filter((b) => b.type === 0x0a0d0d0a).map((b) => b.options.find((o) => o.code === 1)?.value.toString() ?? '');
export const names = (file: string): string[] => blocks(file).filter((b) => b.type === 1).map((b) => b.options.find((o) => o.code === 2)!.value.toString());
