/** An export that follows a living pool: `export --follow`, into a program that reads a pipe, and what ends it. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { packageRoot } from '../native/index.js';
import { ByteSink } from '../logger/capture/index.js';
import { create, exportPool, Pool, type ExportOptions, type ExportResult, type FollowNews } from '../logger/index.js';
import { Keeper, portEntry, scratch, testFrame } from './pool_maker.js';
import { has } from './needs.js';

const program = join(packageRoot(), 'cli', 'framekeep.mjs');
const PORTS = [portEntry(0, { spec: 'tap:vm1' }), portEntry(1, { spec: 'xdp:eth1' })];

interface Living { readonly path: string; readonly pool: Pool; readonly keeper: Keeper; add(count: number, ingress?: number): void }

/** A pool in mid-run: frames of 60 bytes whose four bytes from 14 on number them. */
function living(t: ExecutionContext, bytes = 1 << 20, ports = PORTS): Living {
  const path = join(scratch(t), 'a.pool');
  create(path, { bytes });
  const pool = Pool.open(path, { writable: true }), keeper = new Keeper(pool, { ports });
  t.teardown(() => { keeper.close(); pool.close(); });
  let next = 0;
  return {
    path, pool, keeper,
    add(count, ingress = 0) {
      for (let i = 0; i < count; i++) keeper.keep(testFrame(next++), { ingress });
      keeper.commit();
    },
  };
}

/** The numbers of the frames in a pcapng file, in order, and the interfaces' names. */
function framesOf(path: string): { numbers: number[]; interfaces: string[]; comments: string[] } {
  const bytes = readFileSync(path), numbers: number[] = [], interfaces: string[] = [], comments: string[] = [];
  let at = 0;
  for (let length; at < bytes.length; at += length) {
    const type = bytes.readUInt32LE(at);
    length = bytes.readUInt32LE(at + 4);
    if (bytes.readUInt32LE(at + length - 4) !== length) throw new Error(`a block at ${at} does not end as it began`);
    if (type === 6) numbers.push(bytes.readUInt32BE(at + 28 + 14));
    const options = type === 1 ? at + 16 : type === 6 ? at + 28 + ((bytes.readUInt32LE(at + 20) + 3) & ~3) : at + length;
    for (let o = options; o < at + length - 4 && bytes.readUInt16LE(o) !== 0; o += 4 + ((bytes.readUInt16LE(o + 2) + 3) & ~3)) {
      const text = bytes.toString('utf8', o + 4, o + 4 + bytes.readUInt16LE(o + 2));
      if (type === 1 && bytes.readUInt16LE(o) === 2) interfaces.push(text);
      if (type === 6 && bytes.readUInt16LE(o) === 1) comments.push(text);
    }
  }
  if (at !== bytes.length) throw new Error('the file ends within a block');
  return { numbers, interfaces, comments };
}

function following(t: ExecutionContext, path: string, options: ExportOptions = {}): { out: string; news: FollowNews[]; stop: AbortController; done: Promise<ExportResult>; heard(kind: string): Promise<void> } {
  const out = `${path}.pcapng`, stop = new AbortController(), news: FollowNews[] = [], reading = Pool.open(path), fd = openSync(out, 'w');
  t.teardown(() => { reading.close(); closeSync(fd); });
  return {
    out, news, stop, done: exportPool(reading, new ByteSink(fd), { follow: true, signal: stop.signal, news: (n) => news.push(n), ...options }),
    async heard(kind) { while (!news.some((n) => n.kind === kind)) await after(10); },
  };
}

const upTo = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

test('what was there comes first, then what is kept from then on; a signal ends it after a whole block', async (t) => {
  const live = living(t);
  live.add(40);
  const f = following(t, live.path);
  await f.heard('caught-up');
  t.deepEqual(f.news, [{ kind: 'caught-up', frames: 40 }]);
  for (let i = 0; i < 5; i++) {
    live.add(20, i % 2);
    await after(60);
  }
  while (framesOf(f.out).numbers.length < 140) await after(20);  // what came is written without being asked for
  f.stop.abort();
  t.like(await f.done, { frames: 140, aborted: true, sections: 1 });
  t.deepEqual(framesOf(f.out).numbers, upTo(0, 140));
});

test('an empty pool is followed from its first frame on; ports that come later have their names', async (t) => {
  const live = living(t, 1 << 20, PORTS.slice(0, 1));
  const f = following(t, live.path, { count: 30 });
  await f.heard('caught-up');
  t.deepEqual(framesOf(f.out), { numbers: [], interfaces: ['tap:vm1'], comments: [] });
  live.add(10);
  live.pool.writePort(live.keeper.boot, PORTS[1]);
  live.add(25, 1);
  t.like(await f.done, { frames: 30, aborted: false }, 'the count ends it');
  t.like(framesOf(f.out), { numbers: upTo(0, 30), interfaces: ['tap:vm1', 'xdp:eth1'] });
});

test('a port selection follows too, also a port that is named again in the next run; the last N are counted once', async (t) => {
  const live = living(t);
  live.add(10, 0);
  live.add(10, 1);
  const f = following(t, live.path, { ports: ['eth1'], last: 3 });
  await f.heard('caught-up');
  live.add(5, 0);
  live.add(5, 1);
  while (framesOf(f.out).numbers.length < 8) await after(20);
  f.stop.abort();
  await f.done;
  t.deepEqual(framesOf(f.out).numbers, [17, 18, 19, 25, 26, 27, 28, 29]);
});

test('a switch that is started again is followed into its next run: a section of its own, and every port by its name', async (t) => {
  const path = join(scratch(t), 'a.pool');
  create(path, { bytes: 1 << 20 });
  const run = (ports: typeof PORTS, first: number): void => {
    const pool = Pool.open(path, { writable: true }), keeper = new Keeper(pool, { ports });
    for (let i = 0; i < 10; i++) keeper.keep(testFrame(first + i), { ingress: i % ports.length });
    keeper.close();
    pool.close();
  };
  run(PORTS, 0);
  const f = following(t, path);
  await f.heard('caught-up');
  run([PORTS[0], portEntry(1, { spec: 'pipe:new' })], 10);
  await f.heard('boot');
  while (framesOf(f.out).numbers.length < 20) await after(20);
  f.stop.abort();
  t.like(await f.done, { sections: 2, frames: 20 });
  const { numbers, interfaces } = framesOf(f.out);
  t.deepEqual(numbers, upTo(0, 20));
  t.deepEqual(interfaces, ['tap:vm1', 'xdp:eth1', 'pipe:new', 'tap:vm1', 'xdp:eth1', 'pipe:new'], 'both sections count alike');
  if (!has('names of a followed run in tshark', 'tshark')) return;
  const said = spawnSync('tshark', ['-r', f.out, '-T', 'fields', '-e', 'frame.interface_name'], { encoding: 'utf8' }).stdout.trim().split('\n');
  t.deepEqual(said, [...Array.from({ length: 10 }, (_, i) => PORTS[i % 2].spec), ...Array.from({ length: 10 }, (_, i) => i % 2 === 0 ? 'tap:vm1' : 'pipe:new')]);
});

test('being overtaken is told, and is in the capture', async (t) => {
  const live = living(t), slots = live.pool.geometry.lanes[0].slots;
  live.add(10);
  const f = following(t, live.path);
  await f.heard('caught-up');
  live.add(slots * 3);  // at once: the follower looks twenty times a second
  await f.heard('overtaken');
  f.stop.abort();
  const { overtaken, frames } = await f.done, { comments } = framesOf(f.out);
  t.is(overtaken + frames, 10 + slots * 3);
  t.is(f.news.filter((n) => n.kind === 'overtaken').reduce((sum, n) => sum + n.frames, 0), overtaken);
  t.true(comments.some((c) => c.includes(`${overtaken.toLocaleString('en')} frames replaced by the switch before this one could be read`)), comments.find((c) => c.includes('replaced')));
});

function framekeep(...args: string[]): ChildProcess {
  return spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
}

test('export --follow: SIGINT is how it ends, with 0; a reader that goes away ends it quietly, also while nothing comes', async (t) => {
  const live = living(t);
  live.add(10);
  const child = framekeep('export', live.path, '-w', '-', '--follow');
  let stderr = '';
  child.stderr!.on('data', (text) => { stderr += text; });
  await once(child.stdout!, 'data');
  child.kill('SIGINT');
  t.deepEqual(await once(child, 'close'), [0, null], stderr);
  t.regex(stderr, /^10 frames, 600 bytes/);
  // No frame comes any more: only the pipe can say that nobody reads it.
  const piped = spawnSync('sh', ['-c', `"$0" "$1" export "$2" -w - -F | head -c 100 | wc -c; echo "$?"`, process.execPath, program, live.path], { encoding: 'utf8', timeout: 100_000 });
  t.is(piped.stderr, '');
  t.is(piped.stdout, '100\n0\n');
});

test('export --follow: a reader that stops reading does not keep SIGTERM from being heard', async (t) => {
  const live = living(t, 8 << 20);
  live.add(3000);
  const child = framekeep('export', live.path, '-w', '-', '--follow');
  await once(child.stdout!, 'readable');  // it writes, and what is not read stays in the pipe: that is full soon
  await after(500);
  child.kill('SIGTERM');
  t.deepEqual(await once(child, 'exit'), [0, null]);
});

test('export --follow and --to contradict each other', (t) => {
  const { status, stderr } = spawnSync(process.execPath, [program, 'export', 'x', '-w', 'y', '-F', '--to', '5'], { encoding: 'utf8' });
  t.is(status, 2);
  t.regex(stderr, /--follow goes on, and --to says where to end/);
});

if (has('export --follow into tshark', 'tshark')) {
  test('export --follow -w - | tshark -i -: frames arrive while they come, whoever ends first', async (t) => {
    const live = living(t), script = `${scratch(t)}/pipe.sh`;
    live.add(10);
    writeFileSync(script, `"$1" "$2" export "$3" -w - --follow 2>"$4" | tshark -i - -l -c 25 -T fields -e frame.interface_name -e eth.type 2>/dev/null\n`);
    const said = `${script}.err`, pipe = spawn('bash', ['-o', 'pipefail', script, process.execPath, program, live.path, said], { stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    pipe.stdout.on('data', (text) => { out += text; });
    const closed = once(pipe, 'close');
    while (out.split('\n').length <= 10) await after(20);
    live.add(15, 1);  // and nothing after these: framekeep notices by the pipe that tshark has seen enough
    t.deepEqual(await closed, [0, null]);
    t.deepEqual(out.trim().split('\n'), [...Array(10).fill('tap:vm1\t0x88b5'), ...Array(15).fill('xdp:eth1\t0x88b5')]);
    t.is(readFileSync(said, 'utf8'), '');
  });
}
