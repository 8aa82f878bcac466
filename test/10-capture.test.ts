/**
 * Capture files as they are written: by the drafts' layout, as tshark, tcpdump, capinfos, editcap and pcap-parser read them, and
 * into outputs that fail.
 */
import test from 'ava';
import fc from './properties.js';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { closeSync, constants, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { ByteSink, PcapWriter, PcapngWriter } from '../logger/capture/index.js';
import { CAPTURES, blocks, epoch, fields, fresh, hex, hi, lo, put, read, sample, tcpdumpCount, tool, written } from './capture_file.js';
import { difference } from './alike.js';
import { has } from './needs.js';

test('pcapng: byte by byte as the draft lays it out', (t) => {
  const file = written((sink) => {
    const w = new PcapngWriter(sink);
    w.section({ hardware: 'cpu', os: 'os', application: 'app', comment: 'say' });
    w.interface({ name: 'sw0', description: 'd', mac: hex('0200aabbccdd'), speedBitsPerSecond: 10e9, filter: 'arp', os: 'L', hardware: 'nic' });
    put(w, { interfaceId: 0, time: 0x1122334455667788n, data: hex('0102030405'), wire: 0x1000, direction: 2, packetId: 2 ** 33 + 7, queue: 3, dropCount: 2 ** 32, comment: 'kept' });
    put(w, { interfaceId: 0, time: 1n, data: hex('ffffffff'), wire: 4 });
    w.statistics(0, { start: 0x1122334400000001n, end: 0x1122334455667788n, received: 5, dropped: 4, accepted: 3, osDropped: 2, delivered: 2 ** 40 });
  });
  t.deepEqual(readFileSync(file), hex(`
    0a0d0d0a 40000000 4d3c2b1a 0100 0000 ffffffffffffffff
      0100 0300 73617900  0200 0300 63707500  0300 0200 6f730000  0400 0300 61707000  0000 0000 40000000
    01000000 60000000 0100 0000 00000000
      0200 0300 73773000  0300 0100 64000000  0600 0600 0200aabbccdd 0000  0800 0800 00e40b5402000000  0900 0100 09000000
      0b00 0400 00617270  0c00 0100 4c000000  0f00 0300 6e696300  0000 0000 60000000
    06000000 5c000000 00000000 44332211 88776655 05000000 00100000 0102030405 000000
      0200 0400 02000000  0400 0800 0000000001000000  0500 0800 0700000002000000  0600 0400 03000000  0100 0400 6b657074  0000 0000 5c000000
    06000000 24000000 00000000 00000000 01000000 04000000 04000000 ffffffff 24000000
    05000000 70000000 00000000 44332211 88776655
      0200 0800 44332211 01000000  0300 0800 44332211 88776655  0400 0800 0500000000000000  0500 0800 0400000000000000
      0600 0800 0300000000000000  0700 0800 0200000000000000  0800 0800 0000000000010000  0000 0000 70000000`));
});

test('classic pcap: byte by byte', (t) => {
  const frame = (w: PcapWriter) => w.frame(hi(1700000000123456789n), lo(1700000000123456789n), hex('00aabb00'), 1, 2, 9);
  t.deepEqual(readFileSync(written((sink) => frame(new PcapWriter(sink)))),
    hex('4d3cb2a1 0200 0400 00000000 00000000 00000400 01000000  00f15365 15cd5b07 02000000 09000000 aabb'));
  t.deepEqual(readFileSync(written((sink) => frame(new PcapWriter(sink, { microseconds: true })))),
    hex('d4c3b2a1 0200 0400 00000000 00000000 00000400 01000000  00f15365 40e20100 02000000 09000000 aabb'));
});

const aTime = fc.oneof(fc.bigInt(0n, 2n ** 64n - 1n), fc.bigInt(1700000000000000000n, 1700000003000000000n));
const aComment = fc.oneof(fc.constant(''), fc.string({ maxLength: 40 }), fc.string({ unit: 'binary', maxLength: 40 }));
const aFrame = fc.record({
  interfaceId: fc.nat(3), time: aTime, data: fc.uint8Array({ maxLength: 1600, size: 'max' }).map((b) => Buffer.from(b)), wire: fc.constant(0),
  direction: fc.nat(2), packetId: fc.oneof(fc.constant(-1), fc.maxSafeNat()), queue: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
  dropCount: fc.oneof(fc.constant(-1), fc.maxSafeNat()), comment: aComment,
}).map((f) => ({ ...f, wire: f.data.length + (f.queue & 0xff) }));

test('pcapng: what is written is read again, wherever the frame lies in its source', (t) => {
  fc.assert(fc.property(fc.array(aFrame, { maxLength: 30 }), fc.nat(9), fc.nat(3), (frames, offset, snap) => {
    const file = written((sink) => {
      const w = new PcapngWriter(sink, { snapLength: snap * 100 });
      for (let i = 0; i < 4; i++) w.interface({ name: `port${i}` });
      for (const f of frames) put(w, f, Buffer.concat([Buffer.alloc(offset, 0xee), f.data, Buffer.alloc(9, 0xee)]), offset);
    });
    const { frames: back, error } = read(file);
    t.is(error, undefined);
    t.deepEqual(back.map((f) => [f.interfaceId, f.name, f.time, f.data, f.wire]),
      frames.map((f) => [f.interfaceId, `port${f.interfaceId}`, f.time, snap === 0 ? f.data : f.data.subarray(0, snap * 100), f.wire]));
    const comments = blocks(file).filter((b) => b.type === 6).map((b) => b.options.find((o) => o.code === 1)?.value.toString() ?? '');
    t.deepEqual(comments, frames.map((f) => Buffer.from(f.comment).toString()));
  }), { numRuns: 150 });
});

test('classic pcap: what is written is read again, to the nanosecond or the microsecond', (t) => {
  const until2106 = fc.oneof(fc.bigInt(0n, 2n ** 32n * 1000000000n - 1n), fc.bigInt(1700000000000000000n, 1700000003000000000n));
  fc.assert(fc.property(fc.array(fc.tuple(until2106, fc.uint8Array({ minLength: 1, maxLength: 70 })), { maxLength: 30 }), fc.boolean(), (frames, microseconds) => {
    const file = written((sink) => {
      const w = new PcapWriter(sink, { microseconds });
      for (const [time, data] of frames) w.frame(hi(time), lo(time), data, 0, data.length, data.length + 4);
    });
    const { frames: back, error } = read(file);
    t.is(error, undefined);
    t.deepEqual(back.map((f) => [f.time, f.data, f.wire]),
      frames.map(([time, data]) => [microseconds ? time - time % 1000n : time, Buffer.from(data), data.length + 4]));
  }), { numRuns: 150 });
});

test('the traps: one snap length, link type and resolution; no FCS, no verdict; whole blocks to the end; interfaces and sections at any time', (t) => {
  const f = { interfaceId: 0, time: 5n, data: Buffer.alloc(61, 1), wire: 61, direction: 0xffff, packetId: 1, queue: 0, dropCount: 0, comment: 'c' };
  const file = written((sink) => {
    const w = new PcapngWriter(sink, { snapLength: 96 });
    t.is(w.interface({ name: 'a' }), 0);
    put(w, f);
    t.is(w.interface({ name: 'b', speedBitsPerSecond: 1 }), 1);
    put(w, { ...f, interfaceId: 1, data: Buffer.alloc(300, 2) });
    w.section({ comment: 'another boot' });
    t.throws(() => put(w, f), { code: 'E_CAPTURE_INTERFACE' });
    t.is(w.interface({ name: 'c' }), 0);
    t.throws(() => put(w, { ...f, interfaceId: 1 }), { code: 'E_CAPTURE_INTERFACE' });
    t.throws(() => w.statistics(1, {}), { code: 'E_CAPTURE_INTERFACE' });
    put(w, f);
    w.statistics(0, {});
  });
  const all = blocks(file); // throws unless whole blocks make the file
  t.deepEqual(all.map((b) => b.type), [0x0a0d0d0a, 1, 6, 1, 6, 0x0a0d0d0a, 1, 6, 5]);
  const ports = all.filter((b) => b.type === 1);
  t.deepEqual(new Set(ports.map((b) => b.body.toString('hex'))), new Set(['0100000060000000']));
  t.deepEqual(ports.map((b) => b.options.find((o) => o.code === 9)?.value), [hex('09'), hex('09'), hex('09')]);
  for (const b of all.filter((each) => each.type === 6)) {
    t.deepEqual(b.options.find((o) => o.code === 2)?.value, hex('03000000'), 'nothing beside the direction');
    t.deepEqual(b.options.map((o) => o.code), [2, 4, 5, 6, 1], 'no hash (3), no verdict (7)');
    t.true(b.body.readUInt32LE(12) <= 96);
  }
});

test('a comment is cut after 65,535 bytes, never within a character; a frame after 262,144', (t) => {
  const file = written((sink) => {
    const w = new PcapngWriter(sink);
    w.interface({ name: 'a' });
    const f = { interfaceId: 0, time: 0n, data: Buffer.alloc(1), wire: 1 };
    put(w, { ...f, comment: 'x'.repeat(70000) });
    put(w, { ...f, comment: 'é'.repeat(70000) });
    put(w, { ...f, data: Buffer.alloc(300000, 7), wire: 300000, comment: '\u20ac'.repeat(70000) });
  });
  const frames = blocks(file).filter((b) => b.type === 6);
  t.deepEqual(frames.map((b) => b.options[0].value.toString()), ['x'.repeat(65535), 'é'.repeat(32767), '\u20ac'.repeat(21845)]);
  t.is(read(file).frames[2].data.length, 262144);
});

// What the tools make of it.
if (has('captures read by Wireshark\'s tools', 'tshark', 'tcpdump', 'capinfos', 'editcap')) {
  test('pcapng: tshark reads every field as it was written; tcpdump, capinfos and editcap do not complain', async (t) => {
    const frames = sample(500), ports = ['sw0', 'tap1', 'eth2'];
    const file = written((sink) => {
      const w = new PcapngWriter(sink);
      w.section({ application: 'framekeep', comment: 'recovered', os: 'Linux', hardware: 'x86-64' });
      for (const name of ports.slice(0, 2)) w.interface({ name, description: 'a port', mac: hex('020000000001'), speedBitsPerSecond: 25e9, filter: 'tcp', os: 'L', hardware: 'h' });
      for (const [i, f] of frames.entries()) {
        if (i === 250) w.interface({ name: ports[2] });
        put(w, i < 250 ? Object.assign(f, { interfaceId: f.interfaceId & 1 }) : f);
      }
      for (let i = 0; i < 3; i++) w.statistics(i, { start: frames[0].time, end: frames[499].time, received: 500, dropped: 0, accepted: 500, osDropped: 0, delivered: 500 });
    });
    const names = 'frame.time_epoch frame.cap_len frame.len frame.interface_name frame.packet_flags_direction frame.packet_id frame.interface_queue frame.drop_count frame.comment';
    const expected = frames.map((f) => [epoch(f.time), f.data.length, f.wire, ports[f.interfaceId], f.direction === 0 ? '' : `0x0000000${f.direction}`,
      f.packetId === -1 ? '' : f.packetId, f.queue === -1 ? '' : f.queue, f.dropCount === -1 ? '' : f.dropCount, f.comment].join('\t'));
    t.is(difference(await tool('tshark', '-n', '-r', file, ...fields(names)), expected), '');
    t.is(difference(await tool('sh', '-c', `cat ${file} | tshark -n -r - ${fields(names).join(' ')}`), expected), '');
    t.is(await tcpdumpCount(file), 500);
    const info = (await tool('capinfos', '-M', file)).join('\n');
    t.regex(info, /Number of packets:\s+500/);
    for (const said of [/encapsulation:\s+ether/, /hardware:\s+x86-64/, /oper-sys:\s+Linux/, /application:\s+framekeep/, /comment:\s+recovered/, /Speed = 25000000000/, /Filter string = tcp/,
      /Description = a port/, /Hardware = h/, /Operating system = L/, /Time precision = nanoseconds/]) t.regex(info, said);
    for (const format of ['pcapng', 'nsecpcap']) {
      const copy = fresh();
      await tool('editcap', '-F', format, file, copy);
      const back = read(copy);
      t.is(back.error, undefined);
      t.is(difference(back.frames.map((f) => [f.time, f.data, f.wire]), frames.map((f) => [f.time, f.data, f.wire])), '');
    }
  });

  test('pcapng of two sections, and both forms of classic pcap, read by every tool', async (t) => {
    const frames = sample(50).map((f) => ({ ...f, interfaceId: 0 }));
    const sections = written((sink) => {
      const w = new PcapngWriter(sink);
      for (const boot of [1, 2]) {
        w.section({ comment: `boot ${boot}` });
        w.interface({ name: `boot${boot}` });
        for (const f of frames) put(w, f);
        w.statistics(0, { received: 50 });
      }
    });
    const classic = (microseconds: boolean) => written((sink) => {
      const w = new PcapWriter(sink, { microseconds });
      for (const f of frames) w.frame(hi(f.time), lo(f.time), f.data, 0, f.data.length, f.wire);
    });
    const expected = frames.map((f) => [epoch(f.time), f.data.length, f.wire].join('\t'));
    const micro = frames.map((f) => [epoch(f.time - f.time % 1000n), f.data.length, f.wire].join('\t'));
    for (const [file, lines] of [[sections, [...expected, ...expected]], [classic(false), expected], [classic(true), micro]] as const) {
      t.deepEqual(await tool('tshark', '-n', '-r', file, ...fields('frame.time_epoch frame.cap_len frame.len')), lines);
      t.is(await tcpdumpCount(file), lines.length);
      await tool('capinfos', file);
      await tool('editcap', '-F', 'pcapng', file, fresh());
    }
  });
}

test('npm\'s pcap-parser reads microsecond pcap as it was written, and its own captures as this reader does', async (t) => {
  interface Packet { header: { timestampSeconds: number; timestampMicroseconds: number; capturedLength: number; originalLength: number }; data: Buffer }
  const require = createRequire(import.meta.url);
  const parser = require('pcap-parser') as { parse(file: string): NodeJS.EventEmitter };
  const parse = (file: string) => new Promise<unknown[]>((done, fail) => {
    const out: unknown[] = [];
    parser.parse(file).on('packet', (p: Packet) => out.push([BigInt(p.header.timestampSeconds) * 1000000000n + BigInt(p.header.timestampMicroseconds) * 1000n,
      p.data, p.header.originalLength])).on('end', () => done(out)).on('error', fail);
  });
  const frames = sample(300);
  const ours = written((sink) => {
    const w = new PcapWriter(sink, { microseconds: true });
    for (const f of frames) w.frame(hi(f.time), lo(f.time), f.data, 0, f.data.length, f.wire);
  });
  t.is(difference(await parse(ours), frames.map((f) => [f.time - f.time % 1000n, f.data, f.wire])), '');
  const own = resolve(require.resolve('pcap-parser/package.json'), '../test');
  for (const file of [join(own, 'smtp.pcap'), join(own, 'be.pcap'), join(CAPTURES, 'mptcp-v0.pcap'), join(CAPTURES, 'QinQpacket.pcap')]) {
    t.is(difference(read(file).frames.map((f) => [f.time, f.data, f.wire]), await parse(file)), '', file);
  }
});

// Outputs that fail.

function fill(sink: ByteSink, frames: number): void {
  const w = new PcapngWriter(sink), data = Buffer.alloc(1000, 5);
  w.interface({ name: 'a' });
  for (let i = 0; i < frames; i++) put(w, { interfaceId: 0, time: BigInt(i), data, wire: 1000 });
  sink.flush();
}

test('an output that is full, closed or not writable: one error, and again on every further try', (t) => {
  const full = new ByteSink(openSync('/dev/full', 'w'), 'out.pcapng');
  t.throws(() => fill(full, 1), { code: 'E_OUTPUT_FULL', message: /out\.pcapng: no space left/ });
  t.throws(() => full.flush(), { code: 'E_OUTPUT_FULL' });
  closeSync(full.fd);

  const fifo = fresh();
  execFileSync('mkfifo', [fifo]);
  const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK), closed = new ByteSink(openSync(fifo, 'w'));
  closeSync(reader);
  t.throws(() => fill(closed, 2000), { code: 'E_OUTPUT_CLOSED' });
  closeSync(closed.fd);

  const readable = new ByteSink(openSync('/dev/null', 'r'));
  t.throws(() => fill(readable, 1), { code: 'E_OUTPUT' });
  closeSync(readable.fd);
});

test('a full non-blocking pipe is waited for, and nothing is lost', async (t) => {
  const fifo = fresh(), out = fresh();
  execFileSync('mkfifo', [fifo]);
  const fd = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK); // both ways, so that it opens before its reader does
  const child = spawn('sh', ['-c', `exec < ${fifo}; echo; sleep 0.2; cat > ${out}`], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((done) => child.on('close', done));
  await new Promise((ready) => child.stdout.once('data', ready)); // it has the fifo open
  fill(new ByteSink(fd), 3000);
  closeSync(fd);
  await ended;
  t.true(readFileSync(out).equals(readFileSync(written((sink) => fill(sink, 3000)))));
  t.is(read(out).frames.length, 3000);
});

if (has('a file system that fills up under a capture', 'root', 'mount')) {
  test('a file system that fills up: E_OUTPUT_FULL, and what is there reads up to its last whole frame', (t) => {
    const mount = fresh();
    mkdirSync(mount);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1500k', 'tmpfs', mount]);
    try {
      const file = join(mount, 'out'), sink = new ByteSink(openSync(file, 'w'));
      t.throws(() => fill(sink, 4000), { code: 'E_OUTPUT_FULL' });
      closeSync(sink.fd);
      t.is(statSync(file).size, sink.written);
      const { frames, error } = read(file);
      t.is(error?.code, 'E_CAPTURE_TRUNCATED');
      t.is(frames.length, Math.floor((sink.written - 28 - 40) / 1032));
    } finally { spawnSync('umount', [mount]); }
  });
}

test('no allocation a frame, written or read', (t) => {
  const file = fresh(), modules = resolve(import.meta.dirname, '../logger/capture/index.js');
  const script = `
    import { ByteSink, PcapWriter, PcapngWriter, frameMeta, openCapture } from ${JSON.stringify(modules)};
    import { openSync, closeSync } from 'node:fs';
    const data = new Uint8Array(4096), meta = frameMeta();
    meta.direction = 1; meta.queue = 2; meta.comment = 'forwarded to sw1';
    function write(w, n, classic) {
      for (let i = 0; i < n; i++) {
        const hi = 0x17900000 + (i >>> 20), lo = Math.imul(i, 2654435761);
        if (classic) w.frame(hi, lo, data, i & 7, 60, 60);
        else { meta.packetId = i * 2 ** 22; meta.dropCount = i; w.frame(0, hi, lo, data, i & 7, 60, 64, meta); }
      }
    }
    function all(file) { const c = openCapture(file); let sum = 0; while (c.next()) sum = (sum + c.captured + (c.tsLo | 0)) | 0; c.close(); return sum; }
    for (const classic of [false, true]) {
      const fd = openSync(${JSON.stringify(file)}, 'w'), sink = new ByteSink(fd);
      const w = classic ? new PcapWriter(sink) : new PcapngWriter(sink);
      if (!classic) w.interface({ name: 'a' });
      write(w, 30000, classic);
      console.log('begin'); write(w, 500000, classic); console.log('end');
      sink.flush(); closeSync(fd);
      all(${JSON.stringify(file)});
      console.log('begin'); all(${JSON.stringify(file)}); console.log('end');
    }`;
  const { stdout } = spawnSync(process.execPath, ['--trace-gc', '--input-type=module', '-e', script], { encoding: 'utf8', maxBuffer: 1 << 28 });
  let measured = false, collections = 0, phases = 0;
  for (const line of stdout.split('\n')) {
    if (line === 'begin') { measured = true; phases++; }
    else if (line === 'end') measured = false;
    else if (measured && /Scavenge|Mark-Compact/.test(line)) collections++;
  }
  t.is(phases, 4);
  // 500,000 frames at the 16 bytes of the smallest object would fill the nursery many times in each of the four phases.
  t.true(collections <= 4, `${collections} collections`);
});
