/**
 * Capture files as they are read: what tshark reads, from either byte order and every form; damage of any kind is one clear error
 * after the good frames.
 */
import test from 'ava';
import fc from './properties.js';
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { openCapture } from '../logger/capture/index.js';
import { CAPTURES, SECTION, block, epoch, fields, folder, fresh, hex, hi, le, lo, read, run, saved } from './capture_file.js';
import { difference } from './alike.js';
import { has } from './needs.js';

const captures = (readdirSync(CAPTURES, { recursive: true }) as string[]).filter((name) => /\.pcap(ng)?$/.test(name)).sort();
const DAMAGED: Record<string, [frames: number, code: string, said: RegExp]> = {
  'malformed/nothing.pcap': [0, 'E_CAPTURE_EMPTY', /empty/],
  'malformed/not-a-capture.pcap': [0, 'E_CAPTURE_FOREIGN', /neither pcap nor pcapng/],
  'malformed/truncated_dns_2.pcap': [1, 'E_CAPTURE_TRUNCATED', /at byte 240 expected the 16 bytes of frame 2's header, but the file ends at 247/],
  'malformed/cut-in-file-header.pcap': [0, 'E_CAPTURE_TRUNCATED', /at byte 0 expected the 24 bytes.*ends at 17/],
  'malformed/cut-in-frame.pcap': [10, 'E_CAPTURE_TRUNCATED', /at byte 1196 expected the 98 bytes of frame 11, but the file ends at 1216/],
  'malformed/zero-tail.pcap': [8, 'E_CAPTURE_MALFORMED', /at byte 944: zeros/],
  'malformed/lying-length.pcap': [3, 'E_CAPTURE_MALFORMED', /at byte 382: frame 4 of 4294967295 bytes, expected at most 262144/],
  'malformed/cut-in-block.pcapng': [2, 'E_CAPTURE_TRUNCATED', /at byte 872 expected a block of 348 bytes, but the file ends at 912/],
  'malformed/bad-trailer.pcapng': [2, 'E_CAPTURE_MALFORMED', /at byte 1216: .*length 352, expected 348/],
  'malformed/lying-length.pcapng': [2, 'E_CAPTURE_MALFORMED', /at byte 876: .*2147483644 bytes/],
  'malformed/lying-captured.pcapng': [3, 'E_CAPTURE_MALFORMED', /at byte 1220: frame 4 of 16777216 bytes in a block that has room for 344/],
  'malformed/short-block.pcapng': [1, 'E_CAPTURE_MALFORMED', /at byte 500: .* 8 bytes/],
  'malformed/unknown-interface.pcapng': [1, 'E_CAPTURE_MALFORMED', /at byte 496: frame 2 of interface 7, expected one of the 1/],
  'malformed/zero-tail.pcapng': [4, 'E_CAPTURE_MALFORMED', /at byte 1596: zeros/],
  'pcapng/be/test901.pcapng': [1, 'E_CAPTURE_MALFORMED', /at byte 492: a section of version 2.0, expected 1.x/],
  'pcapng/le/test901.pcapng': [1, 'E_CAPTURE_MALFORMED', /at byte 492: a section of version 2.0, expected 1.x/],
};

test('each damaged capture gives its good frames, then the one error that says what and where', (t) => {
  for (const name of captures) {
    const { frames, error } = read(join(CAPTURES, name));
    const [count, code, said] = DAMAGED[name] ?? [frames.length, undefined, undefined];
    t.is(error?.code, code, name);
    t.is(frames.length, count, name);
    if (said !== undefined) t.regex(error!.message, said);
  }
  t.true(Object.keys(DAMAGED).every((name) => captures.includes(name)));
});

test('pcapng of either byte order reads the same', (t) => {
  const big = captures.filter((name) => name.startsWith('pcapng/be/'));
  t.is(big.length, 26);
  for (const name of big) t.is(difference(read(join(CAPTURES, name)).frames, read(join(CAPTURES, name.replace('/be/', '/le/'))).frames), '', name);
});

/** Two fuzzed files have 808,464,432 µs in a second: tshark's nanoseconds pass 2^32, the reader carries them into the seconds. */
const FUZZED_TIME = 808464432n * 1000000000n + 808464432n * 1000n;

if (has('every capture compared with tshark', 'tshark')) {
  test('every capture reads as tshark reads it: count, lengths, times, interfaces', async (t) => {
    // Not as tshark does: it takes a tail of zeros for frames of 1970, and names a second section's interfaces by the first's.
    const rest = captures.filter((name) => name !== 'malformed/zero-tail.pcap' && DAMAGED[name]?.[1] !== 'E_CAPTURE_EMPTY');
    let next = 0;
    const worker = async () => {
      while (next < rest.length) {
        const name = rest[next++], file = join(CAPTURES, name), ours = read(file).frames;
        const { stdout } = await run('tshark', ['-n', '-r', file, ...fields('frame.time_epoch frame.cap_len frame.len frame.interface_id frame.interface_name frame.encap_type frame.protocols')], { maxBuffer: 1 << 28 })
          .catch((error: { stdout: string }) => error); // it exits 2 where a file is damaged
        const theirs = stdout.split('\n').filter((line) => line !== '').map((line) => line.split('\t'));
        // Custom blocks show as frames without an interface; classic pcap has none at all.
        const frames = ours.length > 0 && name.endsWith('ng') ? theirs.filter((line) => line[3] !== '') : theirs.filter((line) => line[6] !== 'data' || !name.endsWith('ng'));
        t.is(difference(frames.map((line) => line.slice(0, 3)),
          ours.map((f) => [!f.hasTime ? '' : f.time === FUZZED_TIME ? '808464432.1010580352' : epoch(f.time), String(f.data.length), String(f.wire)])), '', name);
        for (const [i, f] of ours.entries()) {
          if (name.endsWith('ng')) t.is(frames[i][3], String(f.interfaceId), name);
          if (name.endsWith('ng') && f.section === 0) t.is(frames[i][4], f.name.replaceAll('\r', '\\r').replaceAll('\n', '\\n'), name);
          t.is(frames[i][5] === '1', f.linkType === 1, name); // WTAP_ENCAP_ETHERNET
        }
      }
    };
    await Promise.all([worker(), worker()]);
  });
}

test('pcapng: every resolution and offset of times', (t) => {
  fc.assert(fc.property(fc.oneof(fc.nat(19), fc.nat(63).map((n) => n | 0x80)), fc.bigInt(-(2n ** 32n), 2n ** 32n), fc.bigInt(0n, 2n ** 64n - 1n), (resolution, offset, units) => {
    const options = Buffer.alloc(24);
    options.writeUInt16LE(9, 0); options.writeUInt16LE(1, 2); options[4] = resolution;
    options.writeUInt16LE(14, 8); options.writeUInt16LE(8, 10); options.writeBigInt64LE(offset, 12);
    for (const withOffset of [false, true]) {
      const file = saved(SECTION, block(1, Buffer.concat([le(1, 0), options.subarray(0, withOffset ? 20 : 8)])), block(6, le(0, hi(units), lo(units), 0, 60)));
      const scale = resolution & 0x80 ? 2n ** BigInt(resolution & 0x7f) : 10n ** BigInt(resolution);
      t.is(read(file).frames[0].time, BigInt.asUintN(64, units * 1000000000n / scale + (withOffset ? offset * 1000000000n : 0n)));
    }
  }), { numRuns: 300 });
});

test('old forms: obsolete packet blocks, modified pcap, swapped lengths, a frame check sequence', async (t) => {
  const frame = Buffer.alloc(60, 9), time = 1700000000123456000n, µs = time / 1000n;
  const obsolete = saved(SECTION, block(1, le(1, 0)), block(2, Buffer.concat([hex('0000 0500'), le(hi(µs), lo(µs), 60, 64), frame])));
  const modified = saved(hex('34cdb2a1 0200 0400'), le(0, 0, 65535, 1), le(1700000000, 123456, 60, 64, 2), hex('0800 00 00'), frame);
  const swapped = saved(hex('d4c3b2a1 0200 0300'), le(0, 0, 65535, 1), le(1700000000, 123456, 64, 60), frame);
  for (const file of [obsolete, modified, swapped]) {
    const { frames, error } = read(file);
    t.is(error, undefined);
    t.deepEqual(frames.map((f) => [f.time, f.data, f.wire]), [[time, frame, 64]]);
  }
  const fcs = openCapture(saved(hex('d4c3b2a1 0200 0400'), le(0, 0, 65535, 0x24000001)));
  t.deepEqual([fcs.linkType, fcs.fcsLength, fcs.next()], [1, 4, false]);
  fcs.close();
});

test('what is no capture is told apart: compressed, foreign, missing, a folder', (t) => {
  const attempt = (file: string) => read(file).error!;
  for (const [bytes, remedy] of [[gzipSync('x'), /gunzip -c/], [hex('28b52ffd00'), /zstd -dc/], [hex('04224d1800'), /lz4 -dc/], [Buffer.from('snoop\0\0\0'), /editcap -F pcapng/]] as const) {
    const error = attempt(saved(bytes));
    t.is(error.code, 'E_CAPTURE_FOREIGN');
    t.regex(error.remedy, remedy);
  }
  t.is(attempt(saved(hex('d4c3'))).code, 'E_CAPTURE_FOREIGN');
  t.is(attempt(join(folder, 'missing')).code, 'E_CAPTURE_OPEN');
  t.is(attempt(folder).code, 'E_CAPTURE_OPEN');
  t.is(attempt(saved(hex('d4c3b2a1 0300 0000'), Buffer.alloc(16))).code, 'E_CAPTURE_MALFORMED');
  t.is(attempt(saved(hex('0a0d0d0a 1c000000 00000000'), Buffer.alloc(16))).code, 'E_CAPTURE_MALFORMED');
});

test('a length costs no memory until its bytes come: claims, large blocks skipped, too many interfaces', (t) => {
  const claim = saved(SECTION, block(1, le(1, 0)), block(6, le(0, 0, 1, 0, 60)), le(6, 64 << 20));
  t.like(read(claim), { error: { code: 'E_CAPTURE_TRUNCATED' }, largest: 1 << 18 });
  const large = saved(SECTION, block(1, le(1, 0)), block(0xbad, Buffer.alloc(40 << 20)), block(6, le(0, 0, 1, 0, 60)));
  t.like(read(large), { error: undefined, largest: 1 << 18, frames: { length: 1 } });
  const many = read(saved(SECTION, ...Array<Buffer>(65537).fill(block(1, le(1, 0)))));
  t.regex(many.error!.message, /more than 65536 interfaces/);
});

test('10,000 mutated captures: a capture\'s own errors or none, in bounded time and memory', (t) => {
  const seeds = captures.map((name) => readFileSync(join(CAPTURES, name))).filter((bytes) => bytes.length > 30 && bytes.length < 5000);
  const codes = new Set(['E_CAPTURE_MALFORMED', 'E_CAPTURE_TRUNCATED', 'E_CAPTURE_FOREIGN']), file = fresh();
  const seen = new Set<string>();
  let state = 99;
  const random = (n: number) => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return Math.floor((state / 2 ** 32) * n); };
  const start = process.cpuUsage();
  for (let run = 0; run < 10000; run++) {
    const bytes = Buffer.from(seeds[random(seeds.length)]), head = run % 2 === 0 ? bytes.length : Math.min(bytes.length, 200);
    for (let i = random(4); i >= 0; i--) {
      const at = random(head);
      if (i === 0 && at + 4 <= bytes.length) bytes.writeUInt32LE([0, 1, 0x7fffffff, 0x80000000, 0xffffffff, random(2 ** 32), random(4096)][random(7)], at & ~3);
      else bytes[at] = random(256);
    }
    writeFileSync(file, random(4) === 0 ? bytes.subarray(0, 4 + random(bytes.length)) : bytes);
    const { error, largest, frames } = read(file);
    if (error !== undefined && !codes.has(error.code)) t.fail(`${error.code} after ${frames.length} frames: ${error.message}`);
    if (error !== undefined) seen.add(error.code);
    if (largest > 1 << 18 || frames.length > bytes.length) t.fail(`run ${run}: ${largest} bytes of buffer, ${frames.length} frames`);
  }
  t.deepEqual(seen, codes);
  // Of a processor, however many share it; 2 s where this was written.
  const { user, system } = process.cpuUsage(start), seconds = (user + system) / 1e6;
  t.log(`${seconds.toFixed(1)} s of a processor`);
  t.true(seconds < 60);
});

test('a fifo is read like a file', (t) => {
  const fifo = fresh(), name = join(CAPTURES, 'QinQpacket.pcap');
  execFileSync('mkfifo', [fifo]);
  spawn('sh', ['-c', `cat ${name} > ${fifo}`]);
  const { frames, error } = read(fifo);
  t.is(error, undefined);
  t.is(difference(frames, read(name).frames), '');
});
