/** What the inspector shows, without a terminal: the list against `PoolReader`, living and damaged pools, times, the time line, a million frames. */
import { readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { freemem } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import fc from './properties.js';
import { compileFilter } from '../logger/filter/index.js';
import { create, LANE_UNIT, Pool, PoolReader, recover } from '../logger/index.js';
import { FrameList } from '../tui/inspect/frame_list.js';
import { ListPane } from '../tui/inspect/list_pane.js';
import { ReportPage } from '../tui/inspect/report_page.js';
import { Painter, type Cell } from '../tui/painter.js';
import { parseTarget, portName } from '../tui/inspect/frame_words.js';
import { Frames } from '../tui/inspect/frames.js';
import { timeLine } from '../tui/inspect/time_line.js';
import { CAPTURES, read, type Read } from './capture_file.js';
import { Forge, Keeper, portEntry, scratch, testFrame } from './pool_maker.js';
import { BEGIN, retime, lab } from './inspected_pool.js';

test('the list has the order of PoolReader: lanes, laps, runs, torn records, frames over several buffers', (t) => {
  const directory = scratch(t);
  let n = 0;
  fc.assert(fc.property(fc.integer({ min: 1, max: 3 }), fc.array(fc.tuple(fc.nat(1500), fc.nat(60), fc.nat(2)), { minLength: 1, maxLength: 4 }),
    fc.array(fc.nat(200), { maxLength: 5 }), (lanes, runs, spoilt) => {
    const path = join(directory, `pool${n++}`);
    create(path, { bytes: 4 << 20, chunk: 2048, lanes, boots: 4 });
    for (const [count, , long] of runs) {
      const pool = Pool.open(path, { writable: true }), keeper = new Keeper(pool, { maxBatch: 8 });
      for (let i = 0; i < count; i++) {
        const lane = i % lanes, flags = long > 0 && i % (7 * lanes) < lanes ? 1 : long > 0 && i % (7 * lanes) < 2 * lanes ? 2 : 0;
        keeper.keep(testFrame(i), { flags }, lane);
      }
      keeper.close();
      pool.close();
    }
    // Lanes whose times go into one another, and clocks that were set back.
    retime(path, (sequence, lane) => BEGIN + BigInt(sequence * lanes + lane - (sequence % 5 === 0 && runs.every(([, , long]) => long === 0)
      ? Math.min(runs[0][1], sequence) : 0)) * 1000n);
    const pool = Pool.open(path), forge = new Forge(path, pool.geometry);
    for (const slot of spoilt) forge.record(slot % lanes, slot % pool.geometry.lanes[0].slots, { generation: 1, spoil: 1 });
    forge.close();
    const recovery = recover(pool), list = new FrameList(pool, recovery), reader = new PoolReader(pool, recovery), frames = new Frames(pool),
      ids: number[] = [];
    while (reader.next()) {
      const id = reader.lane * LANE_UNIT + reader.sequence, row = ids.push(id) - 1;
      if (list.id(row) !== id) throw new Error(`row ${row}: ${list.id(row)}, not ${id}`);
      // And what `access` finds there is what the reader found.
      if (!frames.access.read(id)) throw new Error(`row ${row} cannot be read`);
      const a = frames.access, same = a.boot === reader.boot && a.timeLow === reader.timeLow && a.wire === reader.wire && a.captured === reader.captured
        && Buffer.compare(a.bytes.subarray(a.offset, a.offset + a.captured), reader.bytes.subarray(reader.offset, reader.offset + reader.captured)) === 0;
      if (!same) throw new Error(`row ${row} is another frame`);
    }
    if (list.length !== ids.length) throw new Error(`${list.length} rows, ${ids.length} frames`);
    // Backwards too, where no window helps.
    for (let row = ids.length - 1; row >= 0; row -= 17) if (!frames.read(row)) throw new Error(`row ${row}, backwards`);
    pool.close();
  }), { numRuns: 25 });
  t.pass();
});

test('a living pool: new frames appear, replaced ones go or say so, the filter keeps up, marks stay on their frames', (t) => {
  const path = join(scratch(t), 'pool');
  create(path, { bytes: 1 << 20, chunk: 2048, boots: 4 });
  const writer = Pool.open(path, { writable: true }), keeper = new Keeper(writer, { maxBatch: 16 }), { slots } = writer.geometry.lanes[0];
  for (let i = 0; i < 100; i++) keeper.keep(testFrame(i));
  keeper.commit();
  const pool = Pool.open(path), frames = new Frames(pool), even = compileFilter('ether[17] & 1 = 0').match;
  t.true(frames.live && frames.total === 100);
  frames.setFilter('even', even);
  while (frames.work());
  t.is(frames.count, 50);
  frames.marks.add(frames.id(10));
  for (let i = 100; i < 150; i++) keeper.keep(testFrame(i));
  keeper.commit();
  t.deepEqual(frames.follow(), { dropped: 0, changed: true, more: false });
  while (frames.work());
  t.deepEqual([frames.total, frames.count, frames.number(10)], [150, 75, 21]);
  t.true(frames.marks.has(frames.id(10)));
  // Past a whole lap without a look: what was listed is replaced, and is not another frame.
  for (let i = 150; i < 150 + slots; i++) keeper.keep(testFrame(i));
  keeper.commit();
  t.false(frames.read(0));
  const { dropped } = frames.follow();
  t.is(dropped, 75);
  while (frames.follow().more);
  while (frames.work());
  t.is(frames.total, slots);
  t.is(frames.all.dropped, 150);
  t.true(frames.read(0));
  t.is(frames.access.bytes[frames.access.offset + 17] & 1, 0);
  frames.setFilter('', undefined);
  t.is(frames.number(0), 151);
  for (let row = 0; row < frames.count; row++) if (!frames.read(row)
    || frames.access.bytes[frames.access.offset + 16] << 8 !== (row + 150 & 0xff00)) return t.fail(`row ${row}`);
  pool.close();
  keeper.close();
  writer.close();
});

test('a pool with anything in it: list, report page, time line and layers come to an end, and show what they can', (t) => {
  const directory = scratch(t), path = lab(directory), sound = readFileSync(path), damaged = join(directory, 'damaged');
  const look = { utf8: true, colours: 0 } as const, { geometry } = Pool.open(path), lane = geometry.lanes[0];
  // Where what is read lies: boot blocks, records, the first frames.
  const place = fc.oneof(fc.integer({ min: 8192, max: 8192 + 8 * 16384 }), fc.integer({ min: lane.indexOffset, max: lane.indexOffset + 300 * 32 }),
    fc.integer({ min: geometry.buffersOffset, max: geometry.buffersOffset + 256 * 2048 }));
  const forged = fc.record({ slot: fc.nat(300), generation: fc.constantFrom(0, 1, 2, 7, 0xffffffff), buffer: fc.nat(2100),
    timestamp: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), kept: fc.nat(2048), offset: fc.nat(2048), wire: fc.nat(0xffffff),
    ingress: fc.nat(255), verdict: fc.nat(255), boot: fc.nat(0xffff), flags: fc.nat(31) });
  fc.assert(fc.property(fc.array(fc.tuple(place, fc.nat(255)), { maxLength: 40 }), fc.array(forged, { maxLength: 12 }), fc.boolean(), (bytes, records, cut) => {
    const copy = Buffer.from(sound);
    for (const [at, value] of bytes) copy[at] = value;
    writeFileSync(damaged, cut ? copy.subarray(0, geometry.buffersOffset + 128 * 2048) : copy);
    const forge = new Forge(damaged, geometry);
    for (const { slot, ...fields } of records) forge.record(0, slot, fields);
    forge.close();
    const pool = Pool.open(damaged), frames = new Frames(pool), cells: Cell[][] = Array.from({ length: 60 },
      () => Array.from({ length: 120 }, (): Cell => [0, ' ']));
    new ReportPage(frames).draw(new Painter(cells, look, { x: 0, y: 0, width: 120, height: 60 }));
    if (!cells.some((line) => line.map(([, ch]) => ch).join('').includes('What happened'))) throw new Error('no report');
    const list = new ListPane(frames, frames.total > 0 ? frames.exact(0)! : 0n), painter = new Painter(cells, look, { x: 0, y: 0, width: 120, height: 60 });
    for (let row = 0; row < frames.count; row += 40) {
      list.list.resize(frames.count);
      list.list.choose(row);
      list.draw(painter, true);
    }
    frames.setFilter('tcp', compileFilter('tcp').match, compileFilter('tcp').reach);
    while (frames.work());
    frames.follow();
    pool.close();
  }), { numRuns: 150 });
  t.pass();
});

test('a time is found, and said in many ways', (t) => {
  const path = lab(scratch(t)), pool = Pool.open(path), frames = new Frames(pool), begin = Number(BEGIN);
  for (const row of [0, 59, 60, 100, frames.count - 1]) t.is(frames.rowAt(Number(frames.exact(row)!) - 300), row, `row ${row}`);
  t.is(frames.rowAt(0), 0);
  t.is(frames.rowAt(9e18), frames.count - 1);
  t.deepEqual(parseTarget('12.5', begin, 0), { ns: begin + 12.5e9 });
  t.deepEqual(parseTarget(' -10s', begin, begin), { ns: begin - 10e9 });
  t.deepEqual(parseTarget('-2m', begin, begin), { ns: begin - 120e9 });
  t.deepEqual(parseTarget('#77', begin, 0), { number: 77 });
  t.deepEqual(parseTarget('2025-11-21T03:52:37.5Z', begin, 0), { ns: Date.parse('2025-11-21T03:52:37.5Z') * 1e6 });
  t.deepEqual(parseTarget('@1763697157.25', begin, 0), { ns: 1763697157.25e9 });
  const at = parseTarget('04:05:06.5', begin, begin);
  t.true(typeof at !== 'string' && 'ns' in at && new Date(at.ns / 1e6).toTimeString().startsWith('04:05:06') && at.ns % 1e9 === 0.5e9);
  for (const wrong of ['', 'yesterday', '25:00', '12:61']) t.is(typeof parseTarget(wrong, begin, begin), 'string', wrong);
  t.deepEqual(['tap:vm1,queue=2', 'replay:/x/a.pcap,as=web', 'replay:b.pcap', 'eth0'].map(portName), ['vm1', 'a.pcap', 'b.pcap', 'eth0']);
  pool.close();
});

test('the time line has each run where it was, idle time cut out, torn records at the end of their run', (t) => {
  const pool = Pool.open(lab(scratch(t))), frames = new Frames(pool), line = timeLine(frames, 60);
  t.is(line.pieces.length, 3);
  t.deepEqual(line.rows.map((r) => r.density.reduce((a, b) => a + b, 0)), [60, 153, 40]);
  line.rows.forEach((r, i) => r.density.forEach((n, column) => {
    const piece = line.pieces[i];
    if (n > 0) t.true(column >= piece.column && column < piece.column + piece.columns, `boot ${r.id} in column ${column}`);
  }));
  t.deepEqual([line.rows[0].torn, line.rows[2].torn], [[], []]);
  const last = line.pieces[1].column + line.pieces[1].columns;
  t.true(line.rows[1].torn.length > 0 && line.rows[1].torn.every((at) => at >= last - 4 && at < last));
  t.true(line.rows[1].gaps.length > 0);
  pool.close();
});

test('a million frames: opened, filtered and searched in slices', (t) => {
  const directory = scratch(t), free = statfsSync(directory), room = free.bavail * free.bsize, count = Math.min(room, freemem()) > 5e9 ? 1_000_000 : 50_000;
  const path = join(directory, 'pool'), samples = ['http.pcap', 'mptcp-v0.pcap', 'dns_icmp.pcap', 'nb6-http.pcap', 'vrrp.pcap',
    'QinQpacket.pcap'].flatMap((f): Read[] => read(join(CAPTURES, f)).frames);
  create(path, { bytes: count * (count < 1_000_000 ? 2500 : 2200), chunk: 2048 });  // a small pool keeps an eighth in reserve
  const writer = Pool.open(path, { writable: true }), keeper = new Keeper(writer, { maxBatch: 256, ports: [portEntry(0), portEntry(1)] });
  for (let i = 0; i < count; i++) keeper.keep(samples[(i * 7) % samples.length].data, { ingress: i & 1, verdict: 1 - (i & 1) });
  keeper.close();
  writer.close();
  const before = process.memoryUsage().arrayBuffers, began = performance.now(), pool = Pool.open(path), frames = new Frames(pool),
    opened = performance.now() - began;
  const said: string[] = [];
  for (const expression of ['tcp port 80', 'udp port 53', 'vlan or arp', 'tcp port 80']) {
    const { match, reach } = compileFilter(expression), start = performance.now(), cpu = process.cpuUsage();
    let longest = 0;
    frames.setFilter(expression, match, reach);
    for (let more = true; more;) {
      const from = performance.now();
      more = frames.work();
      longest = Math.max(longest, performance.now() - from);
    }
    const { user, system } = process.cpuUsage(cpu);
    said.push(`"${expression}" ${((performance.now() - start) / 1000).toFixed(2)} s (${((user + system) / 1e6).toFixed(2)} s of a processor, longest slice ${longest.toFixed(0)} ms, ${frames.count} found)`);
    // The same by the samples alone.
    const one = samples.map((f) => match(f.data, 0, f.data.length, f.wire) !== 0);
    let wanted = 0;
    for (let i = 0; i < count; i++) wanted += Number(one[(i * 7) % samples.length]);
    t.is(frames.count, wanted, expression);
  }
  const from = performance.now();
  frames.setFilter('', undefined);
  t.is(frames.rowAt(Number(frames.exact(count - 5)!) + 300) > count - 6, true);
  t.log(`${frames.total} frames: opened in ${opened.toFixed(0)} ms; ${said.join('; ')}; to a time ${(performance.now() - from).toFixed(0)} ms; ${((process.memoryUsage().arrayBuffers - before) / 1e6).toFixed(0)} MB beside the pool`);
  pool.close();
});
