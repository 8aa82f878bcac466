/** Capture files made and taken apart for the tests: written with the writers, read with the reader, and by the draft alone. */
import { execFile } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { ByteSink, PcapngWriter, frameMeta, openCapture, type FrameMeta } from '../logger/capture/index.js';
import { FramekeepError } from '../native/error.js';

export const CAPTURES = resolve(import.meta.dirname, '../../captures');
export const folder = mkdtempSync(join(tmpdir(), 'fk-capture-'));
let files = 0;
export const fresh = (ending = '') => join(folder, `${files++}${ending}`);
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

export interface Frame {
  interfaceId: number; time: bigint; data: Buffer; wire: number;
  direction?: number; packetId?: number; queue?: number; dropCount?: number; comment?: string;
}

/** What `use` writes, as a file. */
export function written(use: (sink: ByteSink) => void): string {
  const file = fresh(), fd = openSync(file, 'w'), sink = new ByteSink(fd, file);
  use(sink);
  sink.flush();
  closeSync(fd);
  return file;
}

export const hi = (time: bigint) => Number(time >> 32n), lo = (time: bigint) => Number(time & 0xffffffffn);
const META = frameMeta();

export function put(w: PcapngWriter, f: Frame, bytes: Uint8Array = f.data, offset = 0, meta: FrameMeta = META): void {
  Object.assign(meta, frameMeta(), f.direction === undefined ? {} : { direction: f.direction }, f.packetId === undefined ? {} : { packetId: f.packetId },
    f.queue === undefined ? {} : { queue: f.queue }, f.dropCount === undefined ? {} : { dropCount: f.dropCount }, { comment: f.comment ?? '' });
  w.frame(f.interfaceId, hi(f.time), lo(f.time), bytes, offset, f.data.length, f.wire, meta);
}

export interface Read extends Frame { linkType: number; name: string; section: number; hasTime: boolean }

/** All frames, and the error that ended them. */
export function read(file: string): { frames: Read[]; error?: FramekeepError; largest: number } {
  const frames: Read[] = [];
  let largest = 0;
  try {
    const c = openCapture(file);
    try {
      while (c.next()) {
        largest = Math.max(largest, c.bytes.length);
        frames.push({
          interfaceId: c.interfaceId, time: (BigInt(c.tsHi) << 32n) | BigInt(c.tsLo), data: Buffer.from(c.bytes.subarray(c.offset, c.offset + c.captured)),
          wire: c.wire, linkType: c.linkType, name: c.interfaceName, section: c.section, hasTime: c.hasTime,
        });
      }
    } finally { c.close(); }
  } catch (error) {
    if (!(error instanceof FramekeepError)) throw error;
    return { frames, error, largest };
  }
  return { frames, largest };
}

/** The blocks of a little-endian pcapng, by the draft alone: type, body without options, options. */
export function blocks(file: string): { type: number; body: Buffer; options: { code: number; value: Buffer }[] }[] {
  const all = readFileSync(file), out = [];
  const fixed: Record<number, number> = { 0x0a0d0d0a: 16, 1: 8, 5: 12, 6: 20 };
  let at = 0;
  while (at < all.length) {
    const type = all.readUInt32LE(at), length = all.readUInt32LE(at + 4), end = at + length - 4;
    if (all.readUInt32LE(end) !== length) throw new Error(`block at ${at}: lengths differ`);
    let p = at + 8 + (fixed[type] ?? 0);
    if (type === 6) p += (all.readUInt32LE(at + 20) + 3) & ~3;
    const body = all.subarray(at + 8, p), options = [];
    while (p < end) {
      const code = all.readUInt16LE(p), size = all.readUInt16LE(p + 2);
      if (code === 0) { p += 4; break; }
      options.push({ code, value: all.subarray(p + 4, p + 4 + size) });
      p += 4 + ((size + 3) & ~3);
    }
    if (p !== end) throw new Error(`block at ${at}: options do not end it`);
    out.push({ type, body, options });
    at += length;
  }
  return out;
}

export const hex = (text: string) => Buffer.from(text.replace(/\s+/g, ''), 'hex');

export const run = promisify(execFile);
/** Standard output's lines; standard error must be empty but for tshark's remark about root. */
export async function tool(name: string, ...args: string[]): Promise<string[]> {
  const { stdout, stderr } = await run(name, args, { env: { ...process.env, LC_ALL: 'C.UTF-8' }, maxBuffer: 1 << 28 });
  const complaint = stderr.split('\n').filter((line) => line !== '' && !/^Running as user|^reading from file|^dropped privs/.test(line)).join('\n');
  if (complaint !== '') throw new Error(`${name}: ${complaint}`);
  return stdout.split('\n').filter((line) => line !== '');
}
/** tcpdump shows bytes on lines of their own, indented. */
export const tcpdumpCount = async (file: string) => (await tool('tcpdump', '-n', '-r', file)).filter((line) => !line.startsWith('\t')).length;
export const fields = (names: string) => ['-T', 'fields', ...names.split(' ').flatMap((n) => ['-e', n])];
export const epoch = (time: bigint) => `${time / 1000000000n}.${String(time % 1000000000n).padStart(9, '0')}`;

/** Frames of random lengths with real contents and all that can be said of them. */
export function sample(count: number): Frame[] {
  let seed = 12345;
  const random = (n: number) => { seed = (Math.imul(seed, 1103515245) + 12345) >>> 0; return Math.floor((seed / 2 ** 32) * n); };
  return Array.from({ length: count }, (_, i) => {
    const data = Buffer.alloc(60 + random(1455), i);
    hex('020000000002 020000000001 88b5').copy(data);
    return {
      interfaceId: random(3), time: 1700000000000000000n + BigInt(i) * 1000000007n, data, wire: data.length + (i % 5 === 0 ? 100 : 0), direction: random(3),
      packetId: i % 7 === 0 ? -1 : i * 2 ** 30, queue: random(4) - 1, dropCount: i % 11 === 0 ? i * 2 ** 34 : -1, comment: i % 3 === 0 ? `sw${random(9)}, kept – № ${i}` : '',
    };
  });
}
export const le = (...words: number[]) => Buffer.concat(words.map((word) => { const b = Buffer.alloc(4); b.writeUInt32LE(word >>> 0); return b; }));
export const saved = (...parts: Buffer[]) => { const file = fresh(); writeFileSync(file, Buffer.concat(parts)); return file; };
export const block = (type: number, body: Buffer) => Buffer.concat([le(type, body.length + 12), body, le(body.length + 12)]);
export const SECTION = block(0x0a0d0d0a, hex('4d3c2b1a 01000000 ffffffffffffffff'));
