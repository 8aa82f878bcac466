/**
 * Exports: as tshark, tcpdump, capinfos, editcap and pcap-parser read them, by selection, and of living pools. Of pools
 * that hold anything at all: 27-mutants.
 */
import test from 'ava';
import fc from 'fast-check';
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, copyFileSync, linkSync, openSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { packageRoot } from '../native/addon.js';
import { crc32c } from '../native/index.js';
import { ByteSink } from '../logger/capture/index.js';
import { compileFilter } from '../logger/filter/index.js';
import {
  create, exportPool, inspectPool, Pool, PoolReader, verdictText, type ExportOptions, type ExportResult,
} from '../logger/index.js';
import { blocks } from './capture_file.js';
import { busyWriter } from './busy_writer.js';
import { has } from './needs.js';
import { Forge, Keeper, portEntry, scratch } from './pool_maker.js';

const MiB = 1 << 20;
interface Test { teardown(fn: () => void): void }
const bin = join(packageRoot(), 'cli', 'framekeep.mjs');

async function exported(pool: string | Pool, output: string, options: ExportOptions = {}): Promise<ExportResult> {
  const p = typeof pool === 'string' ? Pool.open(pool) : pool, fd = openSync(output, 'w');
  try {
    return await exportPool(p, (beside) => new ByteSink(fd, output, 1 << 19, beside), options);
  } finally {
    closeSync(fd);
    if (p !== pool) p.close();
  }
}

interface Frame { sequence: number; lane: number; boot: number; ns: bigint; ingress: number; verdict: number; flags: number; wire: number; data: Buffer }
function framesOf(path: string): Frame[] {
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
function aPool(t: Test, options: { frames?: number; bytes?: number; lanes?: number } = {}): string {
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
function udp(port: number, length: number): Buffer {
  const frame = Buffer.alloc(length);
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0]);
  frame.writeUInt16BE(length - 14, 16);
  frame.set([64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2], 22);
  frame.writeUInt16BE(4000, 34);
  frame.writeUInt16BE(port, 36);
  frame.writeUInt16BE(length - 34, 38);
  return frame;
}

const ended = (ns: bigint): string => `${ns / 1_000_000_000n}.${String(ns % 1_000_000_000n).padStart(9, '0')}`;
const specOf = (f: Frame): string => ['gen:p0', 'tap:vm1', `xdp:eth${f.boot},queue=1`][f.ingress];
function commentOf(f: Frame): string {
  const ports = [0, 1, 2].map((id) => portEntry(id, { spec: specOf({ ...f, ingress: id }) }));
  return verdictText(f.verdict, { ports } as never) + ((f.flags & 4) !== 0 ? '; checksum completed' : '');
}

// -------------------------------------------------------------------------------------------------- what the tools say

if (has('exports as Wireshark\'s tools read them', 'tshark', 'capinfos', 'editcap', 'tcpdump')) {
  const tool = (name: string, ...args: string[]): string => {
    const run = spawnSync(name, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
    const said = run.stderr.split('\n').filter((line) => line !== '' && !/^Running as user "root"|^reading from file/.test(line));
    if (run.status !== 0 || said.length > 0) throw new Error(`${name} ${args.join(' ')}: ${run.status} ${said.join('\n')}`);
    return run.stdout;
  };

  test('pcapng: every field that tshark shows is what was kept', async (t) => {
    const pool = aPool(t), out = `${pool}.pcapng`, all = framesOf(pool);
    const result = await exported(pool, out);
    t.is(result.frames, all.length);
    t.is(result.sections, 3);
    t.is(result.bytes, statSync(out).size);
    const fields = ['frame.time_epoch', 'frame.interface_name', 'frame.packet_id', 'frame.len', 'frame.cap_len', 'frame.packet_flags_direction', 'frame.comment', 'frame.section_number'];
    const rows = tool('tshark', '-n', '-r', out, '-T', 'fields', '-E', 'separator=|', ...fields.flatMap((f) => ['-e', f])).trim().split('\n').map((row) => row.split('|'));
    t.is(rows.length, all.length);
    rows.forEach(([time, name, id, wire, captured, direction, comment, section], i) => {
      const f = all[i];
      t.is(time, ended(f.ns));
      t.is(name, specOf(f));
      t.is(Number(id), f.lane * 2 ** 48 + f.sequence);
      t.deepEqual([Number(wire), Number(captured)], [f.wire, f.data.length]);
      t.is(Number(direction), 1);
      t.is(comment, commentOf(f));
      t.is(Number(section), f.boot);
    });
    t.is(new Set(rows.map((r) => r[2])).size, all.length, 'packet ids are different over lanes');
    const malformed = tool('tshark', '-n', '-r', out, '-Y', '_ws.malformed && frame.len == frame.cap_len');
    t.is(malformed, '');
  });

  test('capinfos, editcap and tcpdump take pcapng and pcap without a complaint, and count the same', async (t) => {
    const pool = aPool(t), all = framesOf(pool);
    for (const format of ['pcapng', 'pcap'] as const) {
      const out = `${pool}.${format}`;
      await exported(pool, out, { format });
      const info = tool('capinfos', '-T', '-r', '-c', '-t', '-E', '-S', '-a', '-e', out).trim().split('\t');
      t.regex(info.join(' '), new RegExp(`\\b${all.length}\\b`));
      t.regex(tool('capinfos', '-t', out), format === 'pcap' ? /nanosecond pcap/ : /pcapng/);
      t.is(tool('tcpdump', '-n', '-q', '-t', '-r', out).split('\n').filter((line) => line.startsWith('IP 192.0.2.1')).length, all.length);
      // Converted by editcap, tshark sees the same frames.
      const copy = `${out}.copy`;
      tool('editcap', '-F', 'pcapng', out, copy);
      const show = (file: string): string => tool('tshark', '-n', '-r', file, '-T', 'fields', '-e', 'frame.time_epoch', '-e', 'frame.len', '-e', 'frame.cap_len', '-e', 'frame.comment', '-e', 'udp.dstport');
      t.is(show(copy), show(out));
    }
    // Each section describes the five ports that the three runs had between them.
    const capinfos = tool('capinfos', `${pool}.pcapng`);
    t.is(new Set(capinfos.match(/Name = .*/g)).size, 5);
    const perInterface = (id: string): number => all.filter((f) => specOf(f) === id).length;
    const shown = capinfos.match(/Name = .*|Number of packets = \d+/g)!.slice(0, 10);
    t.deepEqual(shown.filter((_, i) => i % 2 === 0).map((name, i) => [name, shown[2 * i + 1]]),
      ['gen:p0', 'tap:vm1', 'xdp:eth1,queue=1', 'xdp:eth2,queue=1', 'xdp:eth3,queue=1'].map((name) => [`Name = ${name}`, `Number of packets = ${perInterface(name)}`]));
  });

  test('the section header carries the recovery report, the interfaces what is known of ports', async (t) => {
    const pool = aPool(t), out = `${pool}.pcapng`;
    await exported(pool, out, { application: 'framekeep 9.9.9' });
    const info = tool('capinfos', out);
    t.is(info.match(/Capture application: framekeep 9\.9\.9/g)?.length, 3);
    for (const expected of [/framekeep boot 1 of pool [0-9a-f]{32}, switch sw0 on testhost/, /ended without a word/, /boot 2 of .*ended in order/s, /to be kept: tcp/, /300 frames of this boot/,
      /on tmpfs, durability process/, /memory \(tmpfs\): what is kept survives/, /no gap/]) t.regex(info, expected);
    t.regex(info, /Name = tap:vm1\s+Description = tap/);
  });
}

test('the blocks of an export, by the draft alone: sections, interfaces, statistics, nothing behind', async (t) => {
  const path = aPool(t), out = `${path}.pcapng`;
  await exported(path, out);
  const all = blocks(out), text = (b: { options: { code: number; value: Buffer }[] }, code: number): string => b.options.find((o) => o.code === code)?.value.toString() ?? '';
  const order = all.map((b) => b.type).filter((type, i, list) => type !== 6 || list[i - 1] !== 6);
  const five = [1, 1, 1, 1, 1];
  t.deepEqual(order, [0x0a0d0d0a, ...five, 6, 0x0a0d0d0a, ...five, 6, 5, 5, 5, 0x0a0d0d0a, ...five, 6]);
  for (const idb of all.filter((b) => b.type === 1)) {
    t.deepEqual([idb.body.readUInt16LE(0), idb.body.readUInt32LE(4)], [1, 0], 'Ethernet, one snap length');
    t.deepEqual(idb.options.find((o) => o.code === 9)?.value, Buffer.of(9));
    t.is(idb.options.find((o) => o.code === 6)?.value.length, 6);
  }
  t.deepEqual(all.filter((b) => b.type === 1).slice(5, 10).map((b) => text(b, 2)), ['gen:p0', 'tap:vm1', 'xdp:eth1,queue=1', 'xdp:eth2,queue=1', 'xdp:eth3,queue=1']);
  t.is(text(all.filter((b) => b.type === 1)[6], 11), '\0tcp');
  const count = (b: { options: { code: number; value: Buffer }[] }, code: number): number | undefined => { const o = b.options.find((x) => x.code === code); return o && Number(o.value.readBigUInt64LE()); };
  t.deepEqual(all.filter((b) => b.type === 5).map((b) => [4, 6, 7, 8].map((code) => count(b, code))), [0, 1, 2].map((i) => [1000 + i, 102, 2, 100]));
  for (const epb of all.filter((b) => b.type === 6)) t.deepEqual(epb.options.find((o) => o.code === 2)?.value, Buffer.of(1, 0, 0, 0), 'inbound, and nothing of a frame check sequence');
});

test('pcap: nanoseconds by the format, and microseconds as pcap-parser reads them', async (t) => {
  const path = aPool(t), all = framesOf(path);
  await exported(path, `${path}.pcap`, { format: 'pcap' });
  const file = readFileSync(`${path}.pcap`);
  t.is(file.readUInt32LE(0), 0xa1b23c4d);
  let at = 24;
  for (const f of all) {
    t.is(BigInt(file.readUInt32LE(at)) * 1_000_000_000n + BigInt(file.readUInt32LE(at + 4)), f.ns);
    t.deepEqual([file.readUInt32LE(at + 8), file.readUInt32LE(at + 12)], [f.data.length, f.wire]);
    t.true(file.subarray(at + 16, at + 16 + f.data.length).equals(f.data));
    at += 16 + f.data.length;
  }
  t.is(at, file.length);

  await exported(path, `${path}.us.pcap`, { format: 'pcap', microseconds: true });
  const parser = createRequire(import.meta.url)('pcap-parser') as { parse(file: string): NodeJS.EventEmitter };
  const packets: { header: { timestampSeconds: number; timestampMicroseconds: number; capturedLength: number; originalLength: number }; data: Buffer }[] = [];
  await new Promise<void>((resolve, reject) => {
    parser.parse(`${path}.us.pcap`).on('packet', (p) => packets.push(p)).on('end', () => resolve()).on('error', reject);
  });
  t.is(packets.length, all.length);
  packets.forEach(({ header, data }, i) => {
    t.is(BigInt(header.timestampSeconds) * 1_000_000n + BigInt(header.timestampMicroseconds), all[i].ns / 1000n);
    t.deepEqual([header.capturedLength, header.originalLength], [all[i].data.length, all[i].wire]);
    t.true(data.equals(all[i].data));
  });
});

// -------------------------------------------------------------------------------------------------------- which frames

test('selections: any combination takes what a model takes, in order, in both formats', async (t) => {
  const path = aPool(t, { frames: 120 }), all = framesOf(path), pool = Pool.open(path);
  t.teardown(() => pool.close());
  const { match } = compileFilter('udp port 5353 or greater 900');
  const byFilter = (f: Frame): boolean => (f.data.length >= 38 && f.data.readUInt16BE(36) === 5353) || f.wire >= 900;
  const newest = all.reduce((m, f) => f.ns > m ? f.ns : m, 0n);
  const moment = fc.oneof(
    fc.nat(all.length - 1).map((i) => ({ relative: false, ns: all[i].ns })), fc.nat(all.length - 1).map((i) => ({ relative: true, ns: all[i].ns - newest })),
    fc.constantFrom({ relative: false, ns: 0n }, { relative: true, ns: -(1n << 70n) }, { relative: true, ns: 1n }));
  const option = <T>(a: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(a, { nil: undefined });
  let some = 0;
  await fc.assert(fc.asyncProperty(fc.record({
    match: option(fc.constant(match)), from: option(moment), to: option(moment), boot: option(fc.constantFrom<number | 'last'>(1, 2, 3, 'last')), last: option(fc.nat(400)),
    ports: fc.constantFrom<string[]>([], [], ['vm1'], ['tap:vm1', 'gen:p0'], ['2'], ['eth2'], ['xdp:eth3', 'p0']), snap: fc.constantFrom(0, 0, 1, 64, 2000), format: fc.constantFrom<'pcap' | 'pcapng'>('pcap', 'pcapng'),
  }), async (o) => {
    const boot = o.boot === 'last' ? 3 : o.boot, at = (m: { relative: boolean; ns: bigint }): bigint => m.relative ? newest + m.ns : m.ns;
    if (boot !== undefined && ((o.ports.includes('eth2') && boot !== 2) || (o.ports.includes('xdp:eth3') && boot !== 3))) {
      await t.throwsAsync(exported(pool, `${path}.sel`, o), { code: 'E_PORT_UNKNOWN' });
      return;
    }
    const chosen = all.filter((f) => (o.match === undefined || byFilter(f)) && (boot === undefined || f.boot === boot)
      && (o.from === undefined || f.ns >= at(o.from)) && (o.to === undefined || f.ns <= at(o.to))
      && (o.ports.length === 0 || o.ports.some((p) => p === String(f.ingress) || [specOf(f), specOf(f).split(',')[0], specOf(f).split(':')[1].split(',')[0]].includes(p))));
    const expected = o.last === undefined ? chosen : o.last === 0 ? [] : chosen.slice(-o.last);
    const result = await exported(pool, `${path}.sel`, o);
    const got = o.format === 'pcap' ? pcapFrames(`${path}.sel`) : pcapngFrames(`${path}.sel`);
    t.deepEqual(got, expected.map((f) => ({ ns: f.ns, wire: f.wire, digest: digest(f.data.subarray(0, o.snap || 65535)) })));
    t.is(result.frames, expected.length);
    some += expected.length;
  }), { numRuns: 150 });
  t.true(some > 1000, `${some} frames were selected`);
  await t.throwsAsync(exported(pool, `${path}.sel`, { boot: 7 }), { code: 'E_BOOT_UNKNOWN', message: /it knows 1, 2, 3/ });
  await t.throwsAsync(exported(pool, `${path}.sel`, { ports: ['vm9'] }), { code: 'E_PORT_UNKNOWN', message: /gen:p0, tap:vm1/ });
});

const digest = (bytes: Uint8Array): string => `${bytes.length} ${crc32c(bytes)}`;
function pcapFrames(file: string): { ns: bigint; wire: number; digest: string }[] {
  const b = readFileSync(file), out = [];
  for (let at = 24; at < b.length; at += 16 + b.readUInt32LE(at + 8)) {
    out.push({ ns: BigInt(b.readUInt32LE(at)) * 1_000_000_000n + BigInt(b.readUInt32LE(at + 4)), wire: b.readUInt32LE(at + 12), digest: digest(b.subarray(at + 16, at + 16 + b.readUInt32LE(at + 8))) });
  }
  return out;
}
function pcapngFrames(file: string): { ns: bigint; wire: number; digest: string }[] {
  return blocks(file).filter((b) => b.type === 6).map(({ body }) => ({
    ns: BigInt(body.readUInt32LE(4)) << 32n | BigInt(body.readUInt32LE(8)), wire: body.readUInt32LE(16), digest: digest(body.subarray(20, 20 + body.readUInt32LE(12))),
  }));
}
const comments = (file: string): string[] => blocks(file).filter((b) => b.type === 6).map((b) => b.options.find((o) => o.code === 1)?.value.toString() ?? '');
const headers = (file: string): string[] => blocks(file).filter((b) => b.type === 0x0a0d0d0a).map((b) => b.options.find((o) => o.code === 1)?.value.toString() ?? '');
const names = (file: string): string[] => blocks(file).filter((b) => b.type === 1).map((b) => b.options.find((o) => o.code === 2)!.value.toString());

// ------------------------------------------------------------------------------------------------- what became of a pool

test('gaps: told in the header, and on the first frame behind each', async (t) => {
  const path = join(scratch(t), 'a.pool'), out = `${path}.pcapng`;
  create(path, { bytes: MiB });
  const pool = Pool.open(path, { writable: true }), keeper = new Keeper(pool, { ports: [portEntry(0)] });
  for (let i = 0; i < 60; i++) keeper.keep(udp(i === 35 ? 5353 : 9, 80));
  keeper.close();
  const { geometry } = pool;
  pool.close();
  const forge = new Forge(path, geometry);
  for (const slot of [10, 11, 12, 30, 57]) forge.write(geometry.lanes[0].indexOffset + slot * 32 + 28, Buffer.from('torn'));
  forge.close();
  await exported(path, out);
  t.deepEqual(comments(out).map((c, i) => [i, c]).filter(([, c]) => c !== 'flooded'), [
    [10, '3 frames missing (sequence 10 to 12) before this one: lost in a crash; flooded'], [27, '1 frame missing (sequence 30) before this one: lost in a crash; flooded'],
    [53, '1 frame missing (sequence 57) before this one: lost in a crash; flooded'],
  ]);
  t.regex(headers(out)[0], /5 frames missing \(sequence 10 to 12, 30 and 57\), 5 torn by a crash/);
  // Behind a selection, on the first frame that is selected.
  await exported(path, out, { match: compileFilter('udp port 5353').match });
  t.deepEqual(comments(out), ['4 frames missing (sequence 10 to 12 and 30) before this one: lost in a crash; flooded']);
  await exported(path, out, { last: 20 });
  t.deepEqual(comments(out).filter((c) => c !== 'flooded'), ['1 frame missing (sequence 57) before this one: lost in a crash; flooded']);
});

test('ports that are known by number only: their run\'s block is gone', async (t) => {
  const path = join(scratch(t), 'a.pool'), out = `${path}.pcapng`;
  create(path, { bytes: MiB, boots: 2 });
  const pool = Pool.open(path, { writable: true });
  for (let run = 1; run <= 4; run++) {
    const keeper = new Keeper(pool, { ports: [portEntry(3), portEntry(run)] });
    for (let i = 0; i < 5; i++) keeper.keep(udp(9, 60), { ingress: 3, verdict: run });
    keeper.close();
  }
  pool.close();
  const result = await exported(path, out);
  t.deepEqual([result.frames, result.sections], [20, 4]);
  t.deepEqual(names(out), Array.from({ length: 4 }, () => ['port 3 of boot 1', 'port 3 of boot 2', 'gen:p3', 'gen:p4']).flat());
  t.deepEqual([0, 5, 10, 15].map((i) => comments(out)[i]), ['to port 1', 'to port 2', 'to gen:p3', 'to gen:p4']);
  t.regex(headers(out)[0], /its ports are known by number only/);
});

test('a page-cache file and a kernel that went down since: the header says how far it can be trusted', async (t) => {
  const path = join(scratch(t), 'a.pool'), out = `${path}.pcapng`;
  create(path, { bytes: MiB });
  const pool = Pool.open(path, { writable: true });
  const here = Uint8Array.from(Buffer.from(readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').replaceAll('-', '').trim(), 'hex'));
  for (const header of [{ medium: 'file' }, { medium: 'file', kernelBootId: here }, { medium: 'file', durability: 'power' }]) {
    const keeper = new Keeper(pool, { ports: [portEntry(0)], header });
    keeper.keep(udp(9, 60));
    keeper.close();
  }
  pool.close();
  await exported(path, out);
  for (const header of headers(out)) t.regex(header, /the machine has booted since boot 1, whose frames were in a page-cache file: what is here is as far as the kernel had written it back/);
  const report = inspectPool(Pool.open(path));
  t.deepEqual(report.boots.map((b) => b.kernelRestarted), [true, false, true]);
});

test('an empty pool, and a selection of nothing, are captures of no frame that say of which pool', async (t) => {
  const path = join(scratch(t), 'a.pool'), out = `${path}.pcapng`;
  create(path, { bytes: MiB });
  t.is((await exported(path, out)).frames, 0);
  t.regex(headers(out)[0], /framekeep pool [0-9a-f]{32}: nothing kept/);
  await exported(path, out, { format: 'pcap' });
  t.is(statSync(out).size, 24);
  const full = aPool(t, { frames: 20 });
  t.is((await exported(full, out, { match: compileFilter('tcp').match })).frames, 0);
  t.deepEqual(blocks(out).map((b) => b.type), [0x0a0d0d0a, 1, 1, 1, 1, 1]);
});

// -------------------------------------------------------------------------------------------------------- a living pool

test('a port that is added while the pool is being exported is described in mid-stream', async (t) => {
  const path = join(scratch(t), 'a.pool'), out = `${path}.pcapng`;
  create(path, { bytes: 32 * MiB });
  const pool = Pool.open(path, { writable: true }), keeper = new Keeper(pool, { ports: [portEntry(0)] });
  for (let i = 0; i < 9000; i++) keeper.keep(udp(9, 60), { ingress: i < 8900 ? 0 : 5, verdict: i < 8900 ? 255 : 6 });
  keeper.close();
  const reader = Pool.open(path);
  let done = 0;
  const result = await exported(reader, out, {
    progress: (n) => {
      if (done === 0) for (const id of [5, 6]) pool.writePort(keeper.boot, portEntry(id, { spec: `tap:late${id}` }));
      done = n;
    },
  });
  t.is(done, 8192);
  t.is(result.frames, 9000);
  t.deepEqual(names(out), ['gen:p0', 'tap:late5']);
  t.is(comments(out)[8950], 'to tap:late6');
  t.true(blocks(out).findIndex((b, i) => b.type === 1 && i > 2) > 8000);
  t.regex(headers(out)[0], /was running when this was exported/);
  reader.close();
  pool.close();
});

test.serial('a pool that another process fills at full speed: every frame exported is exact, and the rest is counted', async (t) => {
  const path = join(scratch(t), 'a.pool'), out = `${path}.pcapng`;
  create(path, { bytes: 4 * MiB });
  const writer = busyWriter(path, 2);
  let isOver = false, frames = 0, overtaken = 0, exports = 0;
  const written = writer.ended.then((n) => { isOver = true; return n; });
  await writer.started;
  while (!isOver) {
    const result = await exported(path, out);
    let last = -1;
    for (const { body, options } of blocks(out).filter((b) => b.type === 6)) {
      const sequence = Number(options.find((o) => o.code === 5)!.value.readBigUInt64LE()), length = body.readUInt32LE(12);
      if (sequence <= last || length !== 64 + sequence * 28 % 1400) throw new Error(`frame ${sequence} of ${length} bytes after ${last}`);
      for (let at = 20; at < 20 + length; at += 4) if (body.readUInt32LE(at) !== sequence % 2 ** 32) throw new Error(`frame ${sequence} holds ${body.readUInt32LE(at)}`);
      last = sequence;
    }
    frames += result.frames;
    overtaken += result.overtaken;
    exports++;
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.log(`${await written} frames written, ${exports} exports of ${frames} frames, ${overtaken} overtaken`);
  t.true(frames > 500 && await written > 50_000);
  if (has('a living pool, as tshark reads it', 'tshark')) {
    const run = spawnSync('tshark', ['-n', '-r', out, '-T', 'fields', '-e', 'frame.number'], { encoding: 'utf8' });
    t.is(run.status, 0);
    t.notRegex(run.stderr, /cut short|malformed|isn't/);
  }
});

test('stopping an export ends the file after a whole frame', async (t) => {
  const path = aPool(t, { frames: 9000, bytes: 128 * MiB, lanes: 1 }), out = `${path}.pcapng`, stop = new AbortController();
  const result = await exported(path, out, { signal: stop.signal, progress: (done) => { if (done >= 8192) stop.abort(); } });
  t.true(result.aborted && result.frames >= 8191 && result.frames < 10_000);
  t.is(blocks(out).filter((b) => b.type === 6).length, result.frames);
  const before = new AbortController();
  before.abort();
  t.is((await exported(path, out, { signal: before.signal })).frames, 0);
  t.is(blocks(out).length, 6);
});

// --------------------------------------------------------------------------------------------------------- the command

function framekeep(...args: string[]): { status: number | null; stdout: Buffer; stderr: string } {
  const run = spawnSync(process.execPath, [bin, ...args], { maxBuffer: 1 << 28 });
  return { status: run.status, stdout: run.stdout, stderr: run.stderr.toString() };
}

test('framekeep export: formats, filters, standard output, summary', (t) => {
  const path = aPool(t), total = 900;
  let run = framekeep('export', path, '-w', `${path}.pcapng`);
  t.is(run.status, 0, run.stderr);
  t.regex(run.stderr, /^900 frames, [\d,]+ bytes, in [\d.]+ s to .*a\.pool\.pcapng\n$/);
  t.is(run.stdout.length, 0);
  const file = readFileSync(`${path}.pcapng`);
  run = framekeep('export', path, '-w', '-');
  t.true(run.stdout.equals(file), 'the same on standard output');
  t.is(framekeep('export', path, '-w', `${path}.pcap`).status, 0);
  t.is(readFileSync(`${path}.pcap`).readUInt32LE(0), 0xa1b23c4d, 'by the name');
  t.is(framekeep('export', path, '-w', `${path}.x`, '--format', 'pcap').status, 0);
  t.true(readFileSync(`${path}.x`).equals(readFileSync(`${path}.pcap`)));
  t.is(framekeep('export', path, '-w', `${path}.pcap`, '--format', 'pcapng').status, 0);
  t.true(readFileSync(`${path}.pcap`).equals(file));
  run = framekeep('export', path, '-w', `${path}.pcap`, '--json', '--port', 'vm1', '--boot', 'last', '--last', '30', 'udp', 'port', '5353');
  const shown = JSON.parse(run.stdout.toString());
  t.is(run.status, 0);
  t.is(shown.format, 'pcap');
  t.is(shown.frames, framesOf(path).filter((f) => f.boot === 3 && f.ingress === 1 && f.data.readUInt16BE(36) === 5353).length);
  t.true(shown.complete && shown.frames > 0 && shown.frames + shown.notSelected <= total);
});

test('framekeep export: what is refused leaves everything as it was', (t) => {
  const path = aPool(t, { frames: 20 }), dir = join(path, '..'), other = join(dir, 'other.pool'), precious = join(dir, 'precious.pcapng');
  copyFileSync(path, other);
  symlinkSync(path, join(dir, 'link'));
  linkSync(path, join(dir, 'hard'));
  writeFileSync(precious, 'precious');
  const before = readFileSync(path);
  for (const [args, status, code] of [
    [['-w', path], 2, 'E_USAGE'], [['-w', join(dir, 'link')], 2, 'E_USAGE'], [['-w', join(dir, 'hard')], 2, 'E_USAGE'], [['-w', other], 1, 'E_POOL_EXISTS'],
    [['-w', precious, 'no such filter'], 2, 'E_FILTER_SYNTAX'], [['-w', precious, '--port', 'nobody'], 1, 'E_PORT_UNKNOWN'], [['-w', precious, '--boot', '9'], 1, 'E_BOOT_UNKNOWN'],
    [['-w', dir], 1, 'E_IO'], [['-w', join(dir, 'no', 'where')], 1, 'E_IO'], [['-w', '/dev/full'], 1, 'E_OUTPUT_FULL'],
  ] as [string[], number, string][]) {
    const run = framekeep('export', path, ...args);
    t.is(run.status, status, `${args.join(' ')}: ${run.stderr}`);
    t.true(run.stderr.includes(`[${code}]`), `${args.join(' ')}: ${run.stderr}`);
  }
  t.is(readFileSync(precious, 'utf8'), 'precious');
  t.true(readFileSync(path).equals(before));
  t.true(readFileSync(other).equals(before));
});

test.serial('framekeep export: a reader that goes away, and SIGINT in the middle', async (t) => {
  const path = aPool(t, { frames: 9000, bytes: 128 * MiB, lanes: 1 });
  const piped = spawnSync('sh', ['-c', '"$0" "$@" | head -c 1000 | wc -c; exit ${PIPESTATUS:-0}', process.execPath, bin, 'export', path, '-w', '-'], { encoding: 'utf8' });
  t.is(piped.stdout.trim(), '1000');
  t.is(piped.stderr, '', 'quietly');
  const status = spawnSync('bash', ['-c', '"$0" "$@" | head -c 1000 >/dev/null; echo ${PIPESTATUS[0]}', process.execPath, bin, 'export', path, '-w', '-'], { encoding: 'utf8' });
  t.is(status.stdout.trim(), '0');

  // The pipe is full, and read on only after the signal: what comes then ends with a whole frame.
  const child = spawn(process.execPath, [bin, 'export', path, '-w', '-'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks: Buffer[] = [];
  let said = '';
  child.stderr.on('data', (text) => { said += String(text); });
  await new Promise((resolve) => child.stdout.once('readable', resolve));
  child.kill('SIGINT');
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const code = await new Promise((resolve) => child.once('close', (c) => resolve(c)));
  t.is(code, 130, said);
  t.regex(said, /interrupted: the file ends after the last of them/);
  writeFileSync(`${path}.cut`, Buffer.concat(chunks));
  const found = blocks(`${path}.cut`).filter((b) => b.type === 6).length;
  t.true(found > 0 && found < 27_000, `${found} frames`);
});

test('hundreds of runs that are known by their records only: each a section, and the file stays in proportion', async (t) => {
  const path = join(scratch(t), 'a.pool'), out = `${path}.pcapng`;
  create(path, { bytes: 4 * MiB });
  const pool = Pool.open(path), { geometry } = pool, forge = new Forge(path, geometry);
  for (let i = 0; i < 1500; i++) forge.record(0, i, { buffer: i, boot: i + 1, ingress: i % 64 });
  forge.close();
  const result = await exported(pool, out);
  pool.close();
  t.deepEqual([result.frames, result.sections], [1500, 1500]);
  t.true(result.bytes < 1500 * 2000);
  t.is(names(out)[700], 'port 60 of boot 701');
});
