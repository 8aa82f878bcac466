/**
 * `framekeep inspect --tui`: the list behind it against `PoolReader`, and the program in a real terminal, as a person uses it. What
 * the screens must be is in test/inspector_screens/, to be looked at; FRAMEKEEP_SCREENS=write makes them anew.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { freemem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { packageRoot, SLOT_VALID } from '../native/index.js';
import { compileFilter } from '../logger/filter/index.js';
import { create, IndexView, LANE_UNIT, Pool, PoolReader, recover, sequenceOf } from '../logger/index.js';
import { FrameList } from '../tui/inspect/frame_list.js';
import { ListPane } from '../tui/inspect/list_pane.js';
import { ReportPage } from '../tui/inspect/report_page.js';
import { Painter, type Cell } from '../tui/painter.js';
import { parseTarget, portName } from '../tui/inspect/frame_words.js';
import { Frames } from '../tui/inspect/frames.js';
import { timeLine } from '../tui/inspect/time_line.js';
import { CAPTURES, read, type Read } from './capture_file.js';
import { has } from './needs.js';
import { Forge, Keeper, portEntry, scratch, testFrame } from './pool_maker.js';
import { Terminal, type TerminalOptions } from './terminal.js';

const PROGRAM = join(packageRoot(), 'cli', 'framekeep.mjs'), SCREENS = join(packageRoot(), 'test', 'inspector_screens');
const UNTOUCHED = { alternate: false, cursor: true, mouse: false, keypad: false };
const KERNEL = Uint8Array.from(Buffer.from(readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').replaceAll('-', '').trim(), 'hex'));
const BEGIN = 1_763_697_157_424_701_360n, SECOND = 1_000_000_000n;

/** Gives all frames other times: records as the specification has them, with what was kept. */
function retime(path: string, timeOf: (sequence: number, lane: number) => bigint): void {
  const pool = Pool.open(path), recovery = recover(pool), forge = new Forge(path, pool.geometry);
  recovery.lanes.forEach(({ state }, lane) => {
    const v = new IndexView(pool.head, pool.geometry.lanes[lane]);
    for (let slot = 0; slot < state.length; slot++) {
      if (state[slot] !== SLOT_VALID) continue;
      v.at(slot);
      const sequence = sequenceOf(v.generation, state.length, slot);
      forge.record(lane, slot, {
        generation: v.generation, buffer: v.buffer, timestamp: timeOf(sequence, lane), offset: v.offsetInBuffer, kept: v.kept, wire: v.wire,
          ingress: v.ingress, verdict: v.verdict, boot: v.boot, flags: v.flags,
      });
    }
  });
  forge.close();
  pool.close();
}

/** A pool of three runs with real traffic at told times, 256 frames in all; `torn`: as if the second had been killed in mid-batch. */
function lab(directory: string, torn = true): string {
  const path = join(directory, 'lab.pool');
  create(path, { bytes: 4 << 20, chunk: 2048, boots: 8 });
  const runs: [string, string[], number, bigint][] = [['nb6-http.pcap', ['tap:homebox', 'tap:provider'], 60, 0n],
    ['mptcp-v0.pcap', ['tap:laptop', 'tap:server,queue=1'], 156, 40n], ['dns_icmp.pcap', ['xdp:eth1', 'xdp:eth2'], 40, 86_400n]];
  const times: bigint[] = [];
  let start = 0;
  for (const [file, ports, count, at] of runs) {
    const pool = Pool.open(path, { writable: true });
    const keeper = new Keeper(pool, { maxBatch: 16, ports: ports.map((spec, id) => portEntry(id, { spec })),
      header: { startNs: BEGIN + at * SECOND, kernelBootId: KERNEL, pid: 4321, host: 'lab', maxBatch: 16 } });
    const frames = read(join(CAPTURES, file)).frames;
    for (let i = 0; i < count; i++) {
      const f = frames[i % frames.length];
      keeper.keep(f.data, { ingress: i & 1, verdict: i % 9 === 8 ? 255 : i % 31 === 30 ? 228 : 1 - (i & 1), });
      times.push(BEGIN + at * SECOND + BigInt(i) * 50_000_000n + BigInt(i * i) * 1000n);
    }
    if (at === 86_400n) pool.writeCheckpoint(keeper.boot, { generation: 1, timeNs: BEGIN + 86_403n * SECOND, clean: true,
      ports: ports.map(() => ({ received: 25, dropped: 3, kept: 20, notSelected: 2, lost: 0 })) });
    keeper.close();
    pool.close();
    start += count;
    if (torn && start === 216) {
      const forge = new Forge(path, keeper.pool.geometry);
      for (const slot of [209, 212, 213]) forge.record(0, slot, { boot: keeper.boot, buffer: slot, spoil: 1 });
      forge.close();
    }
  }
  retime(path, (sequence) => times[sequence]);
  return path;
}

/** In a terminal whose time is UTC. */
function inspect(t: ExecutionContext, pool: string, options: TerminalOptions = {}): Terminal {
  const terminal = new Terminal([process.execPath, PROGRAM, 'inspect', '--tui', pool], { ...options, env: { TZ: 'UTC', ...options.env } });
  t.teardown(() => terminal.close());
  return terminal;
}

/** Compares the screen with the one that is written down; the directory's name, always as long, is taken out. */
async function compare(t: ExecutionContext, terminal: Terminal, name: string, directory: string): Promise<void> {
  const file = join(SCREENS, `${name}.txt`);
  const shown = (): string => `${terminal.text().replaceAll(directory, '/dev/shm/framekeep-test-DIRECT').replaceAll(/ in \d\.\d\d s/g, ' in 0.00 s')}\n`;
  if (process.env['FRAMEKEEP_SCREENS'] === 'write') {
    await sleep(500);
    mkdirSync(SCREENS, { recursive: true });
    writeFileSync(file, shown());
  }
  const wanted = readFileSync(file, 'utf8');
  for (let i = 0; i < 60 && shown() !== wanted; i++) await sleep(100);
  t.is(shown(), wanted, name);
}

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
    frames.setFilter('tcp', compileFilter('tcp').match);
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
    const { match } = compileFilter(expression), start = performance.now(), cpu = process.cpuUsage();
    let longest = 0;
    frames.setFilter(expression, match);
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

if (has('the inspector in a terminal', 'tmux')) {
  test('80×24: report, frames, layers, bytes, filter, as they are written down', async (t) => {
    const directory = scratch(t), terminal = inspect(t, lab(directory));
    await terminal.shows('What happened');
    await compare(t, terminal, '80x24-report', directory);
    await terminal.keys('G');
    await compare(t, terminal, '80x24-report-end', directory);
    await terminal.keys('Enter');
    await compare(t, terminal, '80x24-frames', directory);
    await terminal.keys('Down', 'j', 'Tab', 'End', 'Enter', 'Down', 'l', 'j');
    await compare(t, terminal, '80x24-layers', directory);
    await terminal.keys('Tab', 'g', 'Down', 'Right');
    await compare(t, terminal, '80x24-bytes', directory);
    await terminal.keys('/');
    terminal.type('udp port 53');
    await terminal.keys('Enter');
    await compare(t, terminal, '80x24-filter', directory);
    await terminal.keys('?');
    await compare(t, terminal, '80x24-help', directory);
    await terminal.keys('Escape', 'q');
    t.is(await terminal.exitCode(), 0);
  });

  test('200×60: report and frames, as they are written down', async (t) => {
    const directory = scratch(t), terminal = inspect(t, lab(directory), { width: 200, height: 60 });
    await terminal.shows('What happened');
    await compare(t, terminal, '200x60-report', directory);
    await terminal.keys('r', 'PPage', 'NPage', 'Tab', 'O');
    await compare(t, terminal, '200x60-frames', directory);
  });

  test('a plain locale: nothing but ASCII; NO_COLOR: no colour', async (t) => {
    const directory = scratch(t), path = lab(directory), terminal = inspect(t, path, { env: { LANG: undefined, LC_ALL: 'C', NO_COLOR: '1' } });
    await terminal.shows('What happened');
    await compare(t, terminal, '80x24-plain-report', directory);
    await terminal.keys('Enter', 'm', 'Tab', 'Down', 'Enter');
    await compare(t, terminal, '80x24-plain-frames', directory);
    t.regex(terminal.text(), /^[\n\x20-\x7e]*$/);
    t.notRegex(terminal.coloured().join(''), /\x1b\[[\d;]*\b(3[0-8]|4[0-8]|9\d|10\d)\b/);
    const colourful = inspect(t, path);
    await colourful.shows('What happened');
    await colourful.keys('Enter', 'Tab', 'Down');
    await sleep(300);
    t.regex(colourful.coloured().join(''), /\x1b\[[\d;]*38;5;/);
  });

  test('the chosen field\'s bytes are marked, and a byte chooses its field', async (t) => {
    const terminal = inspect(t, lab(scratch(t)));
    await terminal.shows('What happened');
    await terminal.keys('Enter', 'Tab', 'Down', 'Enter', 'Down');
    // Ethernet's destination: six bytes.
    await terminal.shows('Bytes 0 to 5: Destination (eth.dst)');
    t.regex(terminal.coloured().join('\n'), /\x1b\[[\d;]*48;5;221[\d;]*m00 17 33 61 00 00\x1b/);
    await terminal.keys('Down');
    await terminal.shows('Bytes 6 to 11: Source (eth.src)');
    await terminal.keys('Tab', 'g', 'Down', ...Array<string>(15).fill('Right'));
    await terminal.shows('Byte 31: Protocol (ip.proto)');
    await terminal.click(10, 19);
    await terminal.shows('Bytes 0 to 5: Destination (eth.dst)');
  });

  test('marks, export of the marked and of what is shown, times, vi keys', async (t) => {
    const directory = scratch(t), terminal = inspect(t, lab(directory), { cwd: directory });
    await terminal.shows('What happened');
    await terminal.keys('Enter', 'm', 'Space', 'G', 'm');
    await terminal.shows('253 frames, 3 marked');
    await terminal.keys('e');
    await terminal.shows('3 marked frames to: lab-marked.pcapng');
    await terminal.keys('Enter');
    await terminal.shows('3 frames in lab-marked.pcapng');
    const written = read(join(directory, 'lab-marked.pcapng')), homebox = read(join(CAPTURES, 'nb6-http.pcap')).frames;
    t.is(written.error, undefined);
    t.deepEqual(written.frames.map((f) => f.data), [homebox[0].data, homebox[1].data, read(join(CAPTURES, 'dns_icmp.pcap')).frames[39 % 32].data]);
    await terminal.keys('e', 'Enter');
    await terminal.shows('lab-marked.pcapng is there already');
    await terminal.keys('Escape', 'N');
    await terminal.shows('Frame 2: ');
    await terminal.keys('/');
    terminal.type('icmp');
    await terminal.keys('Enter');
    await terminal.shows(/icmp: 2\d of 253/);
    await terminal.keys('E');
    await terminal.shows(/2\d shown frames to: lab.pcapng/);
    await terminal.keys('Enter');
    await terminal.shows(/2\d frames in lab.pcapng/);
    const { match } = compileFilter('icmp'), shown = read(join(directory, 'lab.pcapng')).frames;
    t.true(shown.length > 20 && shown.every((f) => match(f.data, 0, f.data.length, f.wire) !== 0));
    await terminal.keys('Escape', 't');
    terminal.type('41');
    await terminal.keys('Enter');
    await terminal.shows(/Frame 8\d: /);
    await terminal.keys('t');
    terminal.type('#250');
    await terminal.keys('Enter');
    await terminal.shows('Frame 250: ');
    await terminal.keys('t');
    terminal.type('soon');
    await terminal.keys('Enter');
    await terminal.shows('like 12.5');
    await terminal.keys('Escape', 'k', 'k', 'T');
    await terminal.shows('Frame 248: ');
    await terminal.keys('/');
    terminal.type('tcp porrt 80');
    await terminal.keys('Enter');
    await terminal.shows(/filter: tcp porrt 80 +.*syntax error/);
  });

  test('the mouse chooses, scrolls, opens; the window may change its size at any time', async (t) => {
    const terminal = inspect(t, lab(scratch(t)));
    await terminal.shows('What happened');
    await terminal.wheel('down', 10, 10);
    await terminal.keys('Enter');
    await terminal.click(20, 6);
    await terminal.shows('Frame 5: ');
    await terminal.wheel('down', 20, 6);
    await terminal.shows('Frame 8: ');
    await terminal.click(3, 13);
    await terminal.click(3, 13);
    await terminal.shows('▾ Ethernet');
    terminal.resize(200, 60);
    await terminal.shows((text) => text.split('\n').some((line) => line.includes('▾ Ethernet') && / [0-9a-f]{2} [0-9a-f]{2} /.test(line)));
    terminal.resize(60, 16);
    await terminal.shows((text) => text.includes('Frame 8: ') && Math.max(...text.split('\n').map((l) => l.length)) <= 60);
    terminal.resize(40, 10);
    await terminal.shows('60×16 is needed');
    terminal.resize(80, 24);
    await terminal.shows('▾ Ethernet');
    await terminal.keys('q');
    t.is(await terminal.exitCode(), 0);
    t.deepEqual(terminal.modes(), UNTOUCHED);
  });

  test('a pool that is being written to: follow, and what was replaced is said', async (t) => {
    const path = join(scratch(t), 'pool');
    create(path, { bytes: 1 << 20, chunk: 2048, boots: 4 });
    const writer = Pool.open(path, { writable: true }), keeper = new Keeper(writer, { maxBatch: 16, ports: [portEntry(0), portEntry(1)] }),
      { slots } = writer.geometry.lanes[0];
    t.teardown(() => { keeper.close(); writer.close(); });
    const keep = (from: number, to: number): void => { for (let i = from; i < to; i++) keeper.keep(testFrame(i), { verdict: 1 }); keeper.commit(); };
    keep(0, 50);
    const terminal = inspect(t, path);
    await terminal.shows('What happened');
    await terminal.keys('F');
    await terminal.shows('50 frames, following');
    await terminal.shows('Frame 50: ');
    keep(50, 60);
    await terminal.shows('Frame 60: ');
    await terminal.keys('k');
    keep(60, 70);
    await terminal.shows('70 frames');
    await terminal.shows('Frame 59: ');
    // Two laps at once: the reader of the list is overtaken.
    keep(70, 2 * slots + 100);
    await terminal.shows(new RegExp(`${slots} frames \\([\\d,]+ replaced since\\)`));
    await terminal.keys('G');
    await terminal.shows(/Frame [\d,]+: 0x88b5/);
    t.is(terminal.text().split('\n').filter((line) => /0x88b5|Local experimental 1/.test(line)).length > 5, true);
  });

  test('a switch that is killed: the inspector sees it live, then what it left; the dashboard opens the inspector, and comes back', async (t) => {
    const directory = scratch(t), pool = join(directory, 'pool'), env = { FRAMEKEEP_RUN: join(directory, 'run') };
    const replay = (file: string, name: string): string => `replay:${join(CAPTURES, file)},as=${name},speed=0,loop=no`;
    const child = spawn(process.execPath, [PROGRAM, 'up', replay('mptcp-v0.pcap', 'laptop'), replay('http.pcap', 'web'), 'sink:rest', '--name', 'lab', '--pool', pool, '--pool-size', '8M', '--stats', '0', '--json'],
      { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'ignore'] });
    t.teardown(() => { child.kill('SIGKILL'); });
    await new Promise<void>((resolve) => { child.stdout.on('data', (text) => { if (String(text).includes('"started"')) resolve(); }); });
    const terminal = new Terminal([process.execPath, PROGRAM, 'top', 'lab'], { env: { TZ: 'UTC', ...env } });
    t.teardown(() => terminal.close());
    await terminal.shows('running');
    await sleep(1500);
    await terminal.keys('i');
    await terminal.shows('A switch is keeping frames in it.');
    await terminal.shows(/pool living +307 frames/);
    child.kill('SIGKILL');
    await terminal.shows(/pool +307 frames/);
    await terminal.keys('R');
    await terminal.shows(/1 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +killed or crashed/);
    await terminal.keys('Enter', 'G');
    await terminal.shows('Frame 307: ');
    await terminal.keys('q');
    await terminal.shows('DIED');
    await terminal.keys('q');
    t.is(await terminal.exitCode(), 0);
    t.deepEqual(terminal.modes(), UNTOUCHED);
    t.is(terminal.stty().after, terminal.stty().before);
  });

  test('however it ends, the terminal is as it was', async (t) => {
    const directory = scratch(t), path = lab(directory);
    for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGKILL'] as const) {
      const terminal = inspect(t, path);
      await terminal.shows('What happened');
      await terminal.keys('Enter');
      process.kill(await terminal.pid(), signal);
      await terminal.exitCode();
      for (let i = 0; i < 30 && JSON.stringify(terminal.modes()) !== JSON.stringify(UNTOUCHED); i++) await sleep(100);
      t.deepEqual(terminal.modes(), UNTOUCHED, signal);
      if (signal !== 'SIGKILL') t.is(terminal.stty().after, terminal.stty().before, signal);
    }
  });
}

test('without a terminal it says so, and what to do instead', (t) => {
  const path = lab(scratch(t)), run = (...args: string[]): { status: number | null; stderr: string } => spawnSync(process.execPath,
    [PROGRAM, 'inspect', ...args], { encoding: 'utf8', timeout: 60_000 });
  const plain = run('--tui', path);
  t.is(plain.status, 1);
  t.regex(plain.stderr, /standard output is no terminal\n.*framekeep inspect .* prints the report\n.*E_TERMINAL/);
  t.is(run('--tui', '--json', path).status, 2);
  t.regex(run('--tui', `${path}.not`).stderr, /E_POOL_MISSING/);
});
