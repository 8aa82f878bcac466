/** What the dashboard is made of, without a terminal: who a frame is from, bounded samples, graphs, numbers. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from './properties.js';
import { compileFilter } from '../logger/filter/index.js';
import { Pool } from '../logger/pool.js';
import { PoolReader } from '../logger/reader.js';
import { countIn, rateText, spanText } from '../tui/amounts.js';
import { graph, History } from '../tui/graph.js';
import { fit, printable } from '../tui/painter.js';
import { classify, ipv6Text } from '../tui/top/classify.js';
import { ExportJob } from '../tui/top/export_job.js';
import { FrameSample } from '../tui/top/frame_sample.js';
import { paceText } from '../tui/top/panes.js';
import { PoolWindow } from '../tui/top/pool_window.js';
import { CAPTURES, read } from './capture_file.js';
import { Keeper, portEntry, scratch, testFrame } from './pool_maker.js';

test('an IPv6 address is written as RFC 5952 has it: as URLs do', (t) => {
  fc.assert(fc.property(fc.array(fc.constantFrom(0, 0, 0, 1, 0x20, 0xfe80, 0xffff), { minLength: 8, maxLength: 8 }), (groups) => {
    const bytes = Uint8Array.from(groups.flatMap((g) => [g >>> 8, g & 0xff])), full = groups.map((g) => g.toString(16)).join(':');
    t.is(`[${ipv6Text(bytes, 0)}]`, new URL(`http://[${full}]/`).hostname);
  }));
});

test('frames of every capture and any bytes have a talker and a protocol', (t) => {
  const files = readdirSync(CAPTURES).filter((f) => f.endsWith('.pcap')).map((f) => join(CAPTURES, f));
  const protocols = new Set<string>();
  for (const file of files) {
    for (const frame of read(file).frames) {
      const whole = classify(frame.data, 0, frame.data.length);
      protocols.add(whole.protocol);
      t.regex(whole.talker, /^([0-9a-f]{2}(:[0-9a-f]{2}){5}|\d+\.\d+\.\d+\.\d+|[0-9a-f:]+|cut short)$/);
      for (let length = 0; length < Math.min(80, frame.data.length); length += 7) t.truthy(classify(frame.data, 0, length).protocol);
    }
  }
  for (const known of ['HTTP (TCP)', 'ICMP', 'DNS (UDP)', 'LLDP', 'CDP', 'VRRP', 'ICMPv6', 'NTP (UDP)', 'VXLAN (UDP)', 'PVST+']) t.true(protocols.has(known), `${known} of ${[...protocols].join(', ')}`);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(50), (bytes, offset) => {
    const at = Math.min(offset, bytes.length), { talker, protocol } = classify(bytes, at, bytes.length - at);
    return talker.length > 0 && talker.length < 48 && protocol.length > 0;
  }));
});

test('a sample of few frames is all of them; of many it is bounded, and stands for all', (t) => {
  const path = join(scratch(t), 'pool'), pool = Pool.open(path, { writable: true, create: { bytes: 96 * 1024 ** 2 } });
  t.teardown(() => pool.close());
  const keeper = new Keeper(pool, { ports: [portEntry(0)], maxBatch: 256 }), now = (): number => Date.now() / 1000;
  const window = new PoolWindow(path), sample = new FrameSample();
  t.teardown(() => window.close());
  // One in four from another station.
  const keep = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const frame = testFrame(i, 60);
      frame[11] = i % 4 === 0 ? 0x44 : 0x02;
      keeper.keep(frame);
    }
    keeper.commit();
    window.look([0]);
  };
  const see = (next: number): void => {
    window.look([next]);
    sample.look(now());
  };
  let next = 0;
  keep(500);
  next += 500;
  sample.reset(window, undefined);
  see(next);
  t.is(sample.looked, 500);
  t.is(Math.round(sample.of), 500);
  t.deepEqual(sample.talkers.map((r) => [r.name, r.frames]), [['02:00:00:00:00:02', 375], ['02:00:00:00:00:44', 125]]);
  keep(20_000);
  next += 20_000;
  see(next);
  t.true(sample.looked <= 500 + 1024, String(sample.looked));
  t.true(sample.looked >= 500 + 1000, String(sample.looked));
  t.true(Math.abs(sample.of - 20_500) < 20, String(sample.of));
  const [most, least] = sample.talkers;
  t.true(Math.abs(least.frames / (most.frames + least.frames) - 0.25) < 0.02, JSON.stringify(sample.talkers));
  // Another filter looks at the minute again.
  sample.reset(window, compileFilter('ether src 02:00:00:00:00:44').match);
  see(next);
  t.true(sample.looked <= 8192);
  t.deepEqual(sample.talkers.map((r) => r.name), ['02:00:00:00:00:44']);
  t.true(Math.abs(sample.talkers[0].frames - 5125) < 400, String(sample.talkers[0].frames));
  // A minute later nothing of it is left.
  sample.look(now() + 70);
  t.is(sample.looked, 0);
  t.deepEqual(sample.talkers, []);
});

test('the window is what a reader of the whole pool finds, before and after it went round', (t) => {
  const path = join(scratch(t), 'pool'), pool = Pool.open(path, { writable: true, create: { bytes: 2 * 1024 ** 2 } });
  t.teardown(() => pool.close());
  const keeper = new Keeper(pool, { ports: [portEntry(0)], maxBatch: 16 }), window = new PoolWindow(path), [lane] = window.lanes;
  t.teardown(() => window.close());
  window.look([0]);
  t.deepEqual([window.held, window.newest], [0, 0]);
  t.deepEqual([...new Set(window.picture(40, keeper.boot))], [0]);
  for (const count of [10, Math.floor(window.slots / 2), window.slots, 3]) {
    for (let i = 0; i < count; i++) keeper.keep(testFrame(i, 100));
    keeper.commit();
    const next = keeper.logs[0].nextSequence, reader = new PoolReader(pool), seen: number[] = [];
    while (reader.next()) seen.push((reader.timeHigh * 2 ** 32 + reader.timeLow) / 1e9);
    for (const told of [next, Math.max(0, next - 5)]) {  // a switch that died may have said less than it kept
      window.look([told]);
      t.is(lane.next, next);
      t.is(window.held, seen.length);
      t.is(window.oldest, seen[0]);
      t.is(window.newest, seen.at(-1)!);
    }
    let frames = 0;
    t.is(lane.read(lane.next - lane.held, lane.next, () => { frames++; }), seen.length);
    t.is(frames, seen.length);
    const since = seen[Math.floor(seen.length / 2)];
    t.is(lane.next - lane.since(since), seen.filter((s) => s >= since).length);
    const parts = window.picture(window.slots, keeper.boot);
    t.is(parts.filter((what) => what === 2).length, seen.length);
  }
  // The switch goes on while the picture is drawn: what it replaces meanwhile is not empty.
  for (let i = 0; i < 64; i++) keeper.keep(testFrame(i, 100));
  keeper.commit();
  t.deepEqual([...new Set(window.picture(window.slots, keeper.boot))], [2]);
});

test('of several lanes the window, its picture and the sample are all of them, also of one that nobody writes', (t) => {
  const path = join(scratch(t), 'pool'), pool = Pool.open(path, { writable: true, create: { bytes: 12 * 1024 ** 2, lanes: 3 } });
  t.teardown(() => pool.close());
  const keeper = new Keeper(pool, { ports: [portEntry(0)], maxBatch: 16 }), window = new PoolWindow(path), sample = new FrameSample(), { slots } = window.lanes[0];
  t.teardown(() => window.close());
  const keep = (lane: number, count: number): void => {
    for (let i = 0; i < count; i++) {
      const frame = testFrame(i, 60);
      frame[11] = 0x10 + lane;
      keeper.keep(frame, {}, lane);
    }
    keeper.commit(lane);
  };
  window.look([]);
  t.deepEqual([window.slots, window.held, window.oldest, window.newest], [3 * slots, 0, 0, 0]);
  t.deepEqual(window.heads(30), [0, 10, 20]);
  sample.reset(window, undefined);
  // Lane 0 a few, lane 1 more than a lap, lane 2 two whole laps or a part of one; the last is one that no worker writes.
  for (const [first, second, third] of [[40, 0, 0], [0, slots + 7, 5], [3, 0, slots - 5], [0, 900, slots]]) {
    keep(0, first);
    keep(1, second);
    keep(2, third);
    const next = keeper.logs.map((log) => log.nextSequence), reader = new PoolReader(pool), seen: number[] = [];
    while (reader.next()) seen.push((reader.timeHigh * 2 ** 32 + reader.timeLow) / 1e9);
    for (const told of [next, next.slice(0, 2), []]) {
      window.look(told);
      t.deepEqual(window.lanes.map((lane) => lane.next), next);
      t.deepEqual([window.held, window.oldest, window.newest], [seen.length, Math.min(...seen), Math.max(...seen)]);
    }
    const parts = window.picture(window.slots, keeper.boot);
    t.is(parts.filter((what) => what === 2).length, seen.length);
    t.deepEqual(window.heads(window.slots), next.map((n, lane) => lane * slots + n % slots));
    sample.look(Date.now() / 1000);
  }
  // From the beginning: each lane is there with its part, though not every frame is looked at.
  const held = window.lanes.map((lane) => lane.held), all = window.held;
  sample.reset(window, undefined);
  sample.look(Date.now() / 1000);
  t.true(Math.abs(sample.of - all) < all / 100, `${sample.of} of ${all}`);
  t.true(sample.looked <= 8192 + 3);
  const frames = new Map(sample.talkers.map((r) => [r.name, r.frames]));
  held.forEach((count, lane) => t.true(Math.abs((frames.get(`02:00:00:00:00:1${lane}`) ?? 0) - count) <= 1 + count / 50, `lane ${lane}: ${[...frames]} of ${held}`));
});

test('how long a frame stays is said for the lanes that keep, and when all are full', (t) => {
  const lane = (held: number, rate: number): { slots: number; held: number; rate: number } => ({ slots: 1000, held, rate });
  t.is(paceText([lane(500, 100)]), 'keeps 100 f/s: full in 5.0 s; a frame is overwritten after 10 s');
  t.is(paceText([lane(1000, 100)]), 'keeps 100 f/s: a frame is overwritten after 10 s');
  t.is(paceText([lane(500, 100), lane(900, 10)]), 'keeps 110 f/s: full in 10 s; a frame is overwritten after 10 s to 100 s, by lane');
  t.is(paceText([lane(1000, 100), lane(900, 0)]), 'keeps 100 f/s: a frame is overwritten after 10 s');
  t.is(paceText([lane(1000, 100), lane(1000, 100)]), 'keeps 200 f/s: a frame is overwritten after 10 s');
});

test('an export tells how far it is, can be ended, and takes nobody\'s file', async (t) => {
  const directory = scratch(t), path = join(directory, 'pool'), pool = Pool.open(path, { writable: true, create: { bytes: 96 * 1024 ** 2 } });
  t.teardown(() => pool.close());
  const keeper = new Keeper(pool, { ports: [portEntry(0)], maxBatch: 256 });
  for (let i = 0; i < 20_000; i++) keeper.keep(testFrame(i, 60));
  keeper.commit();
  const run = (file: string, told: (job: ExportJob) => void): Promise<{ text: string; failed: boolean }> => new Promise((resolve) => {
    const job = ExportJob.start({ pool: path, file, match: undefined, seconds: undefined }, (ended) => ended === undefined ? told(job) : resolve(ended));
  });
  const parts: number[] = [], whole = join(directory, 'whole.pcapng');
  t.deepEqual(await run(whole, (job) => parts.push(job.part)), { text: `20,000 frames in ${whole}`, failed: false });
  t.true(parts.length >= 4, String(parts.length));
  t.deepEqual(parts, parts.toSorted((a, b) => a - b));
  t.true(parts.every((part) => part > 0 && part <= 1));
  t.is(read(whole).frames.length, 20_000);
  const cut = join(directory, 'cut.pcap'), { text } = await run(cut, (job) => job.cancel());
  t.regex(text, /^[\d,]+ frames, as far as it came, in .*$/);
  const frames = read(cut).frames.length;
  t.true(frames > 0 && frames < 20_000, String(frames));
  t.throws(() => ExportJob.start({ pool: path, file: whole, match: undefined, seconds: undefined }, () => undefined), { code: 'E_OUTPUT', message: /there already/ });
});

test('a graph has as many columns and rows as asked for, and its newest value at the right', (t) => {
  const history = new History(64);
  t.deepEqual(graph(history, 4, 1, 0, true), ['    ']);
  history.push(8);
  t.deepEqual(graph(history, 2, 1, 8, true), [' ⢸']);
  t.deepEqual(graph(history, 2, 2, 8, false), [' #', ' #']);
  history.push(2);
  t.deepEqual(graph(history, 2, 1, 8, true), [' ⣇']);
  fc.assert(fc.property(fc.array(fc.double({ min: 0, max: 1e12, noNaN: true }), { maxLength: 200 }), fc.integer({ min: 1, max: 80 }), fc.integer({ min: 1, max: 12 }), fc.boolean(), (values, columns, rows, utf8) => {
    const some = new History(64);
    for (const v of values) some.push(v);
    const lines = graph(some, columns, rows, some.peak(1000), utf8);
    return lines.length === rows && lines.every((line) => line.length === columns);
  }));
});

test('numbers fit their columns', (t) => {
  fc.assert(fc.property(fc.double({ min: 0, max: 1e15, noNaN: true }), (x) => rateText(x).length <= 5));
  fc.assert(fc.property(fc.nat(), (x) => countIn(x, 7).length <= 7));
  fc.assert(fc.property(fc.double({ min: -5, max: 1e8, noNaN: true }), (x) => spanText(x).length <= 12));
  t.is(rateText(999.7), '1.00k');
  t.is(rateText(1_234_567), '1.23M');
  t.is(spanText(75), '75 s');
  t.is(spanText(Infinity), 'never');
});

test('no text of a frame, name or file has a character that is not one column wide', (t) => {
  for (const utf8 of [true, false]) {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => {
      const shown = printable(text, { utf8, colours: 0 });
      return !/[\x00-\x1f\x7f-\x9f\u00ad\u0300-\u036f\ud800-\udfff\u200b-\u200f\u2028-\u202e]/.test(shown) && (utf8 || /^[ -~]*$/.test(shown));
    }));
  }
  t.is(fit('a long name', 6), 'a lon…');
});
