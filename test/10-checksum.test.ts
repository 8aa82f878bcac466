/** Partial checksums: the native pass against a slow reference, on random frames between guard bytes, and on real traffic. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import fc from './properties.js';
import { completeChecksums, crc32c, mapMemory, unmap } from '../native/index.js';
import { Namespace } from './namespaces.js';
import { has } from './needs.js';
import { eventually } from './patience.js';

// ---- the reference: one byte after the other, big-endian, following the RFCs ----

/** The folded one's complement sum (RFC 1071) of big-endian 16-bit words. */
function onesSum(...parts: (readonly number[] | Uint8Array)[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i += 2) {
      sum += part[i] * 256 + (i + 1 < part.length ? part[i + 1] : 0);
      if (sum > 0xffff) sum -= 0xffff;
    }
  }
  return sum;
}

interface Found { protocol: number; start: number; end: number; field: number; pseudo: number }

/** Where a frame's transport segment lies and what its pseudo-header sums to; undefined where no checksum is to be looked at. */
function locate(f: Uint8Array): Found | undefined {
  const be16 = (at: number) => f[at] * 256 + f[at + 1];
  let at = 12, tags = 0;
  while (at + 2 <= f.length && tags < 2 && (be16(at) === 0x8100 || be16(at) === 0x88a8)) { at += 4; tags++; }
  if (at + 2 > f.length) return undefined;
  const type = be16(at), ip = at + 2, left = f.length - ip;
  let protocol: number, start: number, end: number, addresses: Uint8Array[];
  if (type === 0x0800) {
    if (left < 20 || f[ip] >> 4 !== 4) return undefined;
    start = ip + (f[ip] & 15) * 4;
    end = ip + be16(ip + 2);
    if (start < ip + 20 || end < start || end > f.length) return undefined;
    if ((f[ip + 6] & 0x20) !== 0 || (f[ip + 6] & 0x1f) !== 0 || f[ip + 7] !== 0) return undefined;
    protocol = f[ip + 9];
    addresses = [f.subarray(ip + 12, ip + 20)];
  } else if (type === 0x86dd) {
    if (left < 40 || f[ip] >> 4 !== 6 || be16(ip + 4) === 0) return undefined;
    start = ip + 40;
    end = start + be16(ip + 4);
    if (end > f.length) return undefined;
    protocol = f[ip + 6];
    let destination = f.subarray(ip + 24, ip + 40);
    while ([0, 43, 60].includes(protocol)) {
      if (end - start < 8) return undefined;
      const size = 8 + f[start + 1] * 8;
      if (end - start < size) return undefined;
      if (protocol === 43 && f[start + 3] > 0) {
        if (![2, 4].includes(f[start + 2]) || size < 24) return undefined;
        destination = f.subarray(start + 8, start + 24);
      }
      protocol = f[start];
      start += size;
    }
    addresses = [f.subarray(ip + 8, ip + 24), destination];
  } else return undefined;
  const length = end - start, field = { 6: 16, 17: 6, 132: 8 }[protocol];
  if (field === undefined || length < { 6: 20, 17: 8, 132: 12 }[protocol]!) return undefined;
  if (protocol === 17 && be16(start + 4) !== length) return undefined;
  return { protocol, start, end, field: start + field, pseudo: onesSum(...addresses, [0, protocol, length >> 8, length & 255]) };
}

/** Whether a receiver takes the frame's transport checksum for good. */
function verifies(f: Uint8Array, at: Found): boolean {
  const segment = f.subarray(at.start, at.end);
  if (at.protocol === 132) {
    const copy = Buffer.from(segment), given = copy.readUInt32LE(8);
    copy.writeUInt32LE(0, 8);
    return crc32c(copy) === given;
  }
  return onesSum([at.pseudo >> 8, at.pseudo & 255], segment) === 0xffff;
}

/** What the frame is to become; undefined: it stays as it is. */
function reference(f: Uint8Array): Uint8Array | undefined {
  const at = locate(f);
  if (at === undefined) return undefined;
  const out = Buffer.from(f);
  if (at.protocol === 132) {
    if (out.readUInt32LE(at.field) !== 0) return undefined;
    const crc = crc32c(out.subarray(at.start, at.end));
    out.writeUInt32LE(crc, at.field);
    return crc === 0 ? undefined : out;
  }
  if (out.readUInt16BE(at.field) !== at.pseudo || verifies(f, at)) return undefined;
  out.writeUInt16BE(0, at.field);
  let sum = 0xffff - onesSum([at.pseudo >> 8, at.pseudo & 255], out.subarray(at.start, at.end));
  if (sum === 0 && at.protocol === 17) sum = 0xffff;
  out.writeUInt16BE(sum, at.field);
  return out;
}

// ---- frames ----

type Kind = 'partial' | 'finished' | 'random' | 'zero';
interface Shape {
  tags: readonly number[]; version: 4 | 6; addresses: Uint8Array; options: number; headers: readonly { kind: number; units: number; routing: number; left: number }[];
  protocol: number; payload: Uint8Array; fragment: number; padding: number; field: Kind; noise: number;
  /** By how many bytes the length in the IP header falls short of what is there. */
  less?: number;
}

function build(s: Shape): Uint8Array {
  const transport = { 6: 20, 17: 8, 132: 12 }[s.protocol] ?? 4;
  const segment = Buffer.alloc(transport + s.payload.length, 0x11);
  segment.set(s.payload, transport);
  const claimed = Math.max(segment.length - (s.less ?? 0), 0);
  if (s.protocol === 17) segment.writeUInt16BE(claimed, 4);
  let ip: Buffer;
  if (s.version === 4) {
    ip = Buffer.alloc(20 + s.options * 4, 1);
    ip[0] = 0x45 + s.options;
    ip.writeUInt16BE(ip.length + claimed, 2);
    ip.writeUInt16BE(s.fragment, 6);
    ip[9] = s.protocol;
    ip.set(s.addresses.subarray(0, 8), 12);
  } else {
    const headers = s.headers.map((h, i) => {
      const b = Buffer.alloc((h.units + 1) * 8, 0xa5);
      b.set([s.headers[i + 1]?.kind ?? s.protocol, h.units, h.routing, h.left]);
      return b;
    });
    const extension = Buffer.concat(headers);
    ip = Buffer.concat([Buffer.alloc(40), extension]);
    ip[0] = 0x60;
    ip.writeUInt16BE(extension.length + claimed, 4);
    ip[6] = s.headers[0]?.kind ?? s.protocol;
    ip.set(s.addresses, 8);
  }
  const tags = Buffer.alloc(s.tags.length * 4);
  s.tags.forEach((type, i) => { tags.writeUInt16BE(type, i * 4); tags.writeUInt16BE(42 + i, i * 4 + 2); });
  const frame = Buffer.concat([Buffer.from('020000000001020000000002', 'hex'), tags, Buffer.from([s.version === 4 ? 0x08 : 0x86, s.version === 4 ? 0x00 : 0xdd]), ip, segment, Buffer.alloc(s.padding, 0xee)]);
  // The field is set by what was built, also where nobody should look at it: a fragment, under three tags, behind AH.
  const field = { 6: 16, 17: 6, 132: 8 }[s.protocol], start = frame.length - s.padding - segment.length, end = start + claimed;
  if (field === undefined) return frame;
  if (s.protocol === 132) {
    frame.writeUInt32LE(0, start + field);
    frame.writeUInt32LE({ partial: 0, zero: 0, finished: crc32c(frame.subarray(start, end)), random: s.noise }[s.field], start + field);
  } else {
    const hop = s.headers.findLast((h) => h.kind === 43 && h.left > 0 && h.units >= 2);
    const addresses = s.version === 4 ? s.addresses.subarray(0, 8) : hop ? [...s.addresses.subarray(0, 16), ...new Array<number>(16).fill(0xa5)] : s.addresses;
    const pseudo = onesSum(addresses, [0, s.protocol, claimed >> 8, claimed & 255]);
    frame.writeUInt16BE(0, start + field);
    const sum = 0xffff - onesSum([pseudo >> 8, pseudo & 255], frame.subarray(start, end));
    frame.writeUInt16BE({ partial: pseudo, zero: 0, finished: sum === 0 ? 0xffff : sum, random: s.noise & 0xffff }[s.field], start + field);
  }
  return frame;
}

const shape: fc.Arbitrary<Shape> = fc.record({
  tags: fc.oneof({ weight: 3, arbitrary: fc.constant<number[]>([]) }, fc.array(fc.constantFrom<number>(0x8100, 0x88a8, 0x9100), { maxLength: 3 })),
  version: fc.constantFrom<4 | 6>(4, 6),
  addresses: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  options: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 10 })),
  headers: fc.oneof({ weight: 2, arbitrary: fc.constant<Shape['headers'][number][]>([]) }, fc.array(fc.record({
    kind: fc.oneof({ weight: 6, arbitrary: fc.constantFrom(0, 43, 60) }, fc.constantFrom(44, 51, 50, 59)), units: fc.integer({ min: 0, max: 6 }),
    routing: fc.constantFrom(0, 2, 3, 4), left: fc.constantFrom(0, 0, 1, 2),
  }), { maxLength: 4 })),
  protocol: fc.oneof({ weight: 6, arbitrary: fc.constantFrom(6, 17) }, fc.constantFrom(132, 1, 47, 58)),
  payload: fc.oneof(fc.uint8Array({ maxLength: 90 }), fc.uint8Array({ minLength: 90, maxLength: 1460 }), fc.constant(new Uint8Array(200).fill(0xff))),
  fragment: fc.oneof({ weight: 5, arbitrary: fc.constantFrom(0, 0x4000, 0x8000) }, fc.constantFrom(0x2000, 1, 0x1fff, 0x20b9)),
  padding: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 40 })),
  field: fc.oneof({ weight: 3, arbitrary: fc.constant<Kind>('partial') }, fc.constantFrom<Kind>('finished', 'random', 'zero')),
  noise: fc.integer({ min: 0, max: 0xffffffff }),
  less: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 30 })),
});

/** Frames as built; some cut short, at the front or by a few bytes at the end, some with one byte wrong in the first 80. */
const anyFrame = fc.tuple(shape, fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, fc.integer({ min: 0, max: 120 }), fc.integer({ min: -8, max: -1 })), fc.option(fc.tuple(fc.nat(79), fc.nat(255)), { freq: 3 }))
  .map(([s, cut, wrong]) => {
    const whole = Uint8Array.from(build(s));
    if (wrong !== null && wrong[0] < whole.length) whole[wrong[0]] = wrong[1];
    const frame = whole.slice(0, cut);
    return { frame, rest: whole.subarray(frame.length) };
  });

const CHUNK = 4096, SLOTS = 16;
const memory = mapMemory('checksum-test', CHUNK * SLOTS), bytes = new Uint8Array(memory.segments[0]);
const ENTRIES = 48;  // words before the ring, as rings have their indices there
const ring = new Uint32Array(ENTRIES + SLOTS * 4);

const place = (i: number, frame: Uint8Array, offset: number) => i === SLOTS - 1 ? CHUNK * SLOTS - frame.length : i * CHUNK + offset;

/** Lets the native pass at frames that lie in memory already. */
function run(frames: readonly Uint8Array[], first: number, offset: number): { count: number; marks: number[]; memory: Uint8Array } {
  const marks = new Uint8Array(SLOTS).fill(9);
  frames.forEach((frame, i) => ring.set([place(i, frame, offset), 0, frame.length, 0], ENTRIES + ((first + i) & (SLOTS - 1)) * 4));
  const count = completeChecksums(memory.id, ring, ENTRIES, first, frames.length, SLOTS - 1, marks);
  return { count, marks: [...marks.subarray(0, frames.length)], memory: bytes.slice() };
}
/** One frame amid bytes of `guard`. */
function runOne(frame: Uint8Array, guard: number): { count: number; after: Uint8Array } {
  bytes.fill(guard);
  bytes.set(frame, 256);
  const got = run([frame], 0, 256);
  return { count: got.count, after: got.memory.subarray(256, 256 + frame.length) };
}

test('random frames become what the reference says, nothing around them changes, nothing around them matters', (t) => {
  let completed = 0, seen = 0;
  fc.assert(fc.property(fc.array(anyFrame, { minLength: 1, maxLength: SLOTS }), fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 0, max: 300 }), (all, first, offset) => {
    const frames = all.map((one) => one.frame), wanted = frames.map(reference);
    // The last guard is the likeliest to mislead: what was cut off still stands behind the frame.
    for (const guard of [0x00, 0xff, 'rest'] as const) {
      bytes.fill(guard === 'rest' ? 0x5a : guard);
      all.forEach(({ frame, rest }, i) => {
        bytes.set(frame, place(i, frame, offset));
        if (guard === 'rest' && i < SLOTS - 1) bytes.set(rest, place(i, frame, offset) + frame.length);
      });
      const expected = bytes.slice();
      frames.forEach((frame, i) => expected.set(wanted[i] ?? frame, place(i, frame, offset)));
      const got = run(frames, first, offset);
      const differs = Buffer.compare(got.memory, expected) === 0 ? -1 : got.memory.findIndex((b, k) => b !== expected[k]);
      if (differs >= 0) throw new Error(`byte ${differs % CHUNK - offset} of frame ${Math.floor(differs / CHUNK)}: ${got.memory[differs]}, not ${expected[differs]}`);
      if (got.count !== wanted.filter(Boolean).length) throw new Error(`counted ${got.count}`);
      got.marks.forEach((mark, i) => { if (mark !== (wanted[i] ? 1 : 0)) throw new Error(`mark ${i}`); });
    }
    completed += wanted.filter(Boolean).length;
    seen += frames.length;
  }), { numRuns: 1500 });
  t.true(completed > seen / 10 && completed < seen * 0.9, `${completed} of ${seen} were completed: the frames are worth something`);
});

test('every whole partial frame verifies afterwards; a finished one is never touched', (t) => {
  let looked = 0;
  fc.assert(fc.property(shape, (s) => {
    const frame = build(s), at = locate(frame);
    fc.pre(at !== undefined && s.field !== 'random' && (s.field !== 'zero' || s.protocol === 132));
    const good = verifies(frame, at!);
    const got = runOne(frame, 0x77), { after } = got;
    if (!verifies(after, at!)) throw new Error('does not verify');
    if (good && Buffer.compare(after, frame) !== 0) throw new Error('a good frame was altered');
    if (got.count !== (good ? 0 : 1)) throw new Error('miscounted');
    looked++;
  }), { numRuns: 3000 });
  t.true(looked > 1000);
});

test('a finished checksum that looks partial by accident stays as it is', (t) => {
  // The last two bytes are chosen so that the finished checksum is the pseudo-header's sum itself.
  for (const protocol of [6, 17]) {
    const shaped = (tail: number[]): Shape => ({ tags: [], version: 4, addresses: new Uint8Array(32).fill(7), options: 0, headers: [], protocol, payload: Uint8Array.from([1, 2, 3, 4, ...tail]), fragment: 0, padding: 0, field: 'partial', noise: 0 });
    const frame = build(shaped([0, 0])), at = locate(frame)!;
    const lacking = 0xffff - onesSum([at.pseudo >> 8, at.pseudo & 255], frame.subarray(at.start, at.end));
    const accident = build(shaped([lacking >> 8, lacking & 255]));
    t.true(verifies(accident, at));
    const got = runOne(accident, 0);
    t.is(got.count, 0);
    t.is(Buffer.compare(got.after, accident), 0);
  }
});

test('a UDP checksum that comes to zero is written as its complement', (t) => {
  const shaped = (tail: number[]): Shape => ({ tags: [0x8100], version: 6, addresses: new Uint8Array(32).fill(3), options: 0, headers: [], protocol: 17, payload: Uint8Array.from([9, ...tail, 0]), fragment: 0, padding: 3, field: 'partial', noise: 0 });
  // Payload bytes 1 and 2 are the halves of two words: one is the other's high byte.
  let frame = build(shaped([0, 0])), at = locate(frame)!;
  for (let k = 0; k < 65536 && onesSum(frame.subarray(at.start, at.end)) !== 0xffff; k++) frame = build(shaped([k & 255, k >> 8]));
  t.is(onesSum(frame.subarray(at.start, at.end)), 0xffff);
  t.not(at.pseudo, 0xffff);
  const got = runOne(frame, 0);
  t.is(got.count, 1);
  t.is(Buffer.from(got.after).readUInt16BE(at.field), 0xffff);
  t.true(verifies(got.after, at));
});

test('of the two ways to write zero, the one that is there stays', (t) => {
  // TCP, pseudo-header 0xFFFF: addresses make up for protocol and length, and the segment without its field sums to 0xFFFF.
  const payload = Uint8Array.from([0, 0]), addresses = new Uint8Array(32), rest = 0xffff - 6 - 22;
  addresses.set([rest >> 8, rest & 255]);
  const shaped: Shape = { tags: [], version: 4, addresses, options: 0, headers: [], protocol: 6, payload, fragment: 0, padding: 0, field: 'partial', noise: 0 };
  const at = locate(build(shaped))!;
  t.is(at.pseudo, 0xffff);
  const lacking = 0xffff - onesSum(build(shaped).subarray(at.start, at.end));
  payload.set([lacking >> 8, lacking & 255]);
  const frame = build(shaped);
  t.true(verifies(frame, at));
  const got = runOne(frame, 0);
  t.is(got.count, 0);
  t.is(Buffer.compare(got.after, frame), 0);
});

test('descriptors that point outside, parts of frames and wrong rings are passed over or refused', (t) => {
  const frame = build({ tags: [], version: 4, addresses: new Uint8Array(32).fill(9), options: 0, headers: [], protocol: 6, payload: new Uint8Array(100), fragment: 0, padding: 0, field: 'partial', noise: 0 });
  const marks = new Uint8Array(4), size = CHUNK * SLOTS;
  const put = (...descriptor: number[]) => { ring.set(descriptor, ENTRIES); return completeChecksums(memory.id, ring, ENTRIES, 0, 1, SLOTS - 1, marks); };
  bytes.set(frame, size - frame.length);
  t.is(put(size - frame.length + 1, 0, frame.length, 0), 0);
  t.is(put(size - frame.length, 1, frame.length, 0), 0);
  t.is(put(0xffffffff, 0xffffffff, frame.length, 0), 0);
  t.is(put(size - frame.length, 0, 0xffffffff, 0), 0);
  t.is(put(size - frame.length, 0, frame.length, 1), 0);
  t.is(put(size - frame.length, 0, frame.length, 0), 1);
  t.is(completeChecksums(memory.id, ring, ENTRIES + 1, 0, 1, SLOTS - 1, marks), -22);
  t.is(completeChecksums(memory.id, ring, ENTRIES, 0, 1, 4, marks), -22);
  t.is(completeChecksums(memory.id, ring, ENTRIES, 0, 5, SLOTS - 1, marks), -22);
  t.is(completeChecksums(4242, ring, ENTRIES, 0, 1, SLOTS - 1, marks), -22);
  const other = mapMemory('checksum-gone', 4096);
  unmap(other);
  t.is(completeChecksums(other.id, ring, ENTRIES, 0, 1, SLOTS - 1, marks), -22);
});

// ---- real ones ----

/** The frames of a little-endian microsecond pcap file, with where their bytes are. */
function* framesOf(file: Buffer): Generator<{ at: number; length: number }> {
  if (file.readUInt32LE(0) !== 0xa1b2c3d4) throw new Error('not the pcap that was asked for');
  for (let at = 24; at + 16 <= file.length;) {
    const length = file.readUInt32LE(at + 8);
    yield { at: at + 16, length };
    at += 16 + length;
  }
}

if (has('completing the partial checksums of a real veth', 'root', 'ip', 'tcpdump', 'tshark')) {
  test('what a stack leaves to its NIC on veth is what tshark calls good afterwards', async (t) => {
    const a = new Namespace(), b = new Namespace(), directory = mkdtempSync(join(tmpdir(), 'framekeep-checksum-'));
    t.teardown(() => { a.delete(); b.delete(); rmSync(directory, { recursive: true }); });
    a.sh(`ip link add v0 type veth peer name v1 netns ${b.name}`);
    for (const [ns, name, n] of [[a, 'v0', 1], [b, 'v1', 2]] as const) {
      ns.sh(`sysctl -qw net.ipv6.conf.${name}.disable_ipv6=0; ip addr add 10.77.0.${n}/24 dev ${name}; ip addr add fd77::${n}/64 dev ${name} nodad; ip link set ${name} up`);
    }
    const before = join(directory, 'before.pcap'), after = join(directory, 'after.pcap');
    const capture = spawn('ip', ['netns', 'exec', a.name, 'tcpdump', '-i', 'v0', '-Q', 'in', '-U', '--immediate-mode', '-w', before, 'tcp or udp'], { stdio: ['ignore', 'ignore', 'pipe'] });
    let told = '';
    capture.stderr.on('data', (text) => { told += text; });
    await eventually(() => `tcpdump listening: ${told}`, () => told.includes('listening on'));
    const server = await a.start(`
      const { createServer } = await import('node:net'), { createSocket } = await import('node:dgram');
      const s = createServer((c) => c.resume()).listen(7777, '::', () => { const u = createSocket('udp6').bind(7778, () => say(1)); });`);
    for (const host of ['10.77.0.1', 'fd77::1']) {
      b.node(`const { connect } = await import('node:net'), { createSocket } = await import('node:dgram');
        const c = connect(7777, ${JSON.stringify(host)}, () => c.end('x'.repeat(1001)));
        await new Promise((done) => c.once('close', done));
        const u = createSocket(${JSON.stringify(host.includes(':') ? 'udp6' : 'udp4')});
        await new Promise((done) => u.send('y'.repeat(333), 7778, ${JSON.stringify(host)}, done)); u.close(); say(1);`);
    }
    await server.kill();
    // The last that was sent: 333 bytes by UDP over IPv6.
    await eventually('the last datagram in the capture', () => {
      const written = readFileSync(before);
      return written.length > 24 && [...framesOf(written)].some(({ at, length }) => length === 14 + 40 + 8 + 333 && at + length <= written.length);
    });
    capture.kill('SIGINT');
    await once(capture, 'close');

    const status = (path: string): string[] => {
      const { stdout } = spawnSync('tshark', ['-r', path, '-o', 'tcp.check_checksum:TRUE', '-o', 'udp.check_checksum:TRUE', '-T', 'fields',
        '-e', 'frame.number', '-e', 'tcp.flags.syn', '-e', 'tcp.checksum.status', '-e', 'udp.checksum.status'], { encoding: 'utf8' });
      return stdout.trimEnd().split('\n');
    };
    const file = readFileSync(before);
    const frames = [...framesOf(file)];
    const good = (line: string) => line.split('\t').slice(2).includes('1');
    const wasBad = status(before);
    t.true(frames.length >= 8);
    t.is(wasBad.length, frames.length);
    t.is(wasBad.filter((line) => line.split('\t')[1] === '1').length, 2, 'one SYN by IPv4, one by IPv6');
    t.true(wasBad.filter((line) => line.split('\t')[1] === '1').every((line) => !good(line)), 'both came partial');

    let completed = 0;
    for (const { at, length } of frames) {
      const got = runOne(file.subarray(at, at + length), 0xdd);
      file.set(got.after, at);
      completed += got.count;
    }
    writeFileSync(after, file);
    t.is(completed, wasBad.filter((line) => !good(line)).length);
    t.true(status(after).every(good), status(after).join('\n'));
  });
}
