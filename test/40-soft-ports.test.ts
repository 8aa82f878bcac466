/** Whole switches with the ports that need no privilege: generators, sinks, captures replayed, and a pipe between two processes. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { DROP_OVERSIZE, Pool, PoolReader } from '../logger/index.js';
import { FramekeepError } from '../native/index.js';
import { Switch, type CountersSnapshot, type PortSnapshot, type SwitchEvent, type SwitchOptions } from '../switch/index.js';
import { block, CAPTURES, le, read, saved, SECTION } from './capture_file.js';
import { difference } from './alike.js';
import { PATIENCE_MS, steady } from './patience.js';
import { scratch } from './pool_maker.js';
import type { Heard, Told } from './switch_end.js';

const run = process.env['FRAMEKEEP_RUN'] = mkdtempSync('/dev/shm/framekeep-run-');
process.on('exit', () => rmSync(run, { recursive: true, force: true }));

interface Started { readonly sw: Switch; readonly pool: string; readonly events: SwitchEvent[] }
let switches = 0;
/** 41-workers runs all of this with several data-plane threads. */
const WORKERS = Number(process.env['FRAMEKEEP_TEST_WORKERS'] ?? 1);

async function start(t: ExecutionContext, options: Partial<SwitchOptions> = {}): Promise<Started> {
  const pool = join(scratch(t), 'pool'), events: SwitchEvent[] = [];
  const sw = await Switch.start({ name: `t${switches++}`, pool, create: { bytes: WORKERS * (32 << 20) }, checked: true, workers: WORKERS, ...options });
  sw.on('event', (event) => events.push(event));
  sw.on('failed', (error) => t.fail(`the data plane failed: ${error.message}`));
  t.teardown(() => sw.stop());
  return { sw, pool, events };
}

async function until(t: ExecutionContext, what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !await holds(); await after(5)) if (performance.now() > end) { t.fail(`in ${PATIENCE_MS} ms it never came that ${what}`); throw new Error(what); }
}
const portOf = (s: CountersSnapshot, id: number): PortSnapshot => s.ports.find((p) => p.id === id)!;
const isDone = (sw: Switch, id: number) => () => portOf(sw.stats(), id).finished === 1;

/** The sums that are promised of every port, and the same buffers as there were. */
function sumsHold(t: ExecutionContext, s: CountersSnapshot): void {
  for (const p of s.ports) {
    t.is(p.received, p.forwarded + p.flooded + Object.values(p.dropped).reduce((a, b) => a + b, 0), p.spec);
    t.is(p.received, p.kept + p.notSelected + p.lost, p.spec);
  }
  t.is(s.global.committed, s.ports.reduce((n, p) => n + p.kept, 0));
}

interface Kept { readonly bytes: Buffer; readonly port: string; readonly wire: number }
function kept(path: string): Kept[] {
  const pool = Pool.open(path), reader = new PoolReader(pool), all: Kept[] = [], boots = pool.boots();
  while (reader.next()) {
    const port = boots.find((b) => b.id === reader.boot)?.ports.find((p) => p.id === reader.ingress)?.spec ?? '(unknown)';
    all.push({ bytes: Buffer.from(reader.bytes.subarray(reader.offset, reader.offset + reader.captured)), port, wire: reader.wire });
  }
  pool.close();
  return all;
}

/** Frame `number` of a generator, as its header comment has it. */
function generated(number: number, size: number, src = '020000000001', dst = '020000000002'): Buffer {
  const frame = Buffer.alloc(size);
  frame.write(`${dst}${src}88b5`, 0, 'hex');
  frame.writeBigUInt64BE(BigInt(number), 14);
  return frame;
}

test.serial('gen and sink: what is made arrives, is kept byte by byte, and the counters of a stopped switch stay readable', async (t) => {
  const { sw, pool, events } = await start(t), gen = await sw.addPort('gen:a,count=5000,rate=0,size=61'), sink = await sw.addPort('sink:b');
  await until(t, 'all was made', isDone(sw, gen.id));
  await until(t, 'it was told', () => events.some((e) => e.kind === 'port-finished' && e.port === gen.id));
  await sw.stop();
  const s = sw.stats(), a = portOf(s, gen.id), b = portOf(s, sink.id);
  sumsHold(t, s);
  t.is(a.received, 5000);
  t.is(b.sent + b.txFull, 5000 - a.dropped['no-egress']);
  t.true(s.global.bursts >= 5000 / 256 && s.global.commits > 0 && s.global.commits <= s.global.bursts);
  t.is(s.global.stopped, 1);
  const frames = kept(pool);
  t.is(frames.length, 5000);
  frames.forEach((f, i) => { if (!f.bytes.equals(generated(i, 61))) t.fail(`frame ${i} is another`); });
  const error = await t.throwsAsync(sw.addPort('sink:late'), { instanceOf: FramekeepError }) as FramekeepError;
  t.is(error.code, 'E_STOPPED');
  await sw.stop();
});

test.serial('gen: its rate, and addresses that count up', async (t) => {
  const { sw, pool } = await start(t), began = performance.now();
  const gen = await sw.addPort('gen:a,rate=500,count=200,macs=3,src=02:00:00:00:00:ff,dst=02:00:00:ff:ff:ff');
  await until(t, 'all was made', isDone(sw, gen.id));
  t.true(performance.now() - began >= 390, '200 at 500 a second, the first at once: 398 ms');
  await sw.stop();
  t.deepEqual(kept(pool).slice(0, 4).map((f) => f.bytes.toString('hex', 0, 12)), ['020000ffffff0200000000ff', '020000000000020000000100', '020000000001020000000101', '020000ffffff0200000000ff']);
});

test.serial('replay: two ports with opposite filters play a conversation in step, at its pace or at none', async (t) => {
  const file = join(CAPTURES, 'mptcp-v0.pcap'), all = read(file).frames, host = 'f2:8c:f5:24:1b:21';
  for (const speed of [0, 20]) {
    const { sw, pool } = await start(t), began = performance.now();
    const a = await sw.addPort(`replay:${file},speed=${speed},filter=ether src ${host}`), b = await sw.addPort(`replay:${file},speed=${speed},filter=not ether src ${host}`);
    await until(t, 'both ended', () => isDone(sw, a.id)() && isDone(sw, b.id)());
    if (speed > 0) t.true(performance.now() - began >= 9070 / speed * 0.95);
    await sw.stop();
    const s = sw.stats();
    sumsHold(t, s);
    t.deepEqual([portOf(s, a.id).received, portOf(s, b.id).received], [153, 111]);
    const frames = kept(pool), from = (mine: boolean): Buffer[] => all.filter((f) => (f.data.toString('hex', 6, 12) === host.replaceAll(':', '')) === mine).map((f) => f.data);
    t.not(a.spec, b.spec);
    t.is(difference(frames.filter((f) => f.port === a.spec).map((f) => f.bytes), from(true)), '');
    t.is(difference(frames.filter((f) => f.port === b.spec).map((f) => f.bytes), from(false)), '');
  }
});

test.serial('replay: loop, and a count that ends it', async (t) => {
  const { sw, pool } = await start(t), file = join(CAPTURES, 'vrrp.pcap'), { frames } = read(file);
  const id = (await sw.addPort(`replay:${file},speed=0,loop,count=${frames.length * 2 + 7}`)).id;
  await until(t, 'it ended', isDone(sw, id));
  await sw.stop();
  t.is(difference(kept(pool).map((f) => f.bytes), [...frames, ...frames, ...frames.slice(0, 7)].map((f) => f.data)), '');
});

test.serial('replay: damaged captures are refused, or end their port with a word, and the traffic of others goes on', async (t) => {
  const { sw, events } = await start(t), folder = join(CAPTURES, 'malformed');
  const gen = await sw.addPort('gen:a,rate=2000');
  await sw.addPort('sink:b');
  let refused = 0, told = 0;
  await Promise.all(readdirSync(folder).filter((f) => /\.pcap/.test(f)).map(async (name) => {
    const good = read(join(folder, name));
    try {
      const { id } = await sw.addPort(`replay:${join(folder, name)},speed=0${name.startsWith('cut') ? ',loop' : ''}`), before = portOf(sw.stats(), gen.id).received;
      await until(t, `${name} ended`, isDone(sw, id));
      await until(t, `traffic goes on after ${name}`, () => portOf(sw.stats(), gen.id).received > before);
      await sw.removePort(id);
      t.is(portOf(sw.stats(), id).received, good.frames.length, name);
      // It comes from the worker that has the port, by a way of its own.
      if (good.error !== undefined) await until(t, `${name} was told of`, () => events.some((e) => e.kind === 'port-warning' && e.port === id));
      const warnings = events.filter((e) => e.kind === 'port-warning' && e.port === id);
      if (good.error !== undefined) { told++; t.deepEqual(warnings.map((w) => 'text' in w && w.text), [good.error.message], name); } else t.deepEqual(warnings, [], name);
    } catch (error) {
      if (!(error instanceof FramekeepError)) throw error;
      refused++;
      t.regex(error.code, /^E_CAPTURE/, name);
      t.true(good.error !== undefined || good.frames.some((f) => f.linkType !== 1), `${name}: ${error.message}`);
    }
  }));
  t.true(refused >= 3 && told > 3, `${refused} refused, ${told} told`);
  await sw.stop();
  sumsHold(t, sw.stats());
});

/** A pcapng file of such frames: on which of the interfaces, of these link types, and what. */
function capture(links: readonly number[], frames: readonly (readonly [number, Buffer])[]): string {
  const packet = (on: number, data: Buffer): Buffer => block(6, Buffer.concat([le(on, 0, 0, data.length, data.length), data, Buffer.alloc(-data.length & 3)]));
  return saved(SECTION, ...links.map((link) => block(1, le(link, 262144))), ...frames.map(([on, data]) => packet(on, data)));
}

test.serial('replay: frames too long for a buffer are counted as oversize; link types other than Ethernet are refused', async (t) => {
  const { sw, events } = await start(t), lengths = [60, 1792, 1793, 5000, 61];
  const { id } = await sw.addPort(`replay:${capture([1], lengths.map((n) => [0, generated(n, n)]))},speed=0`);
  await until(t, 'it ended', isDone(sw, id));
  await sw.removePort(id);
  const p = portOf(sw.stats(), id);
  t.deepEqual([p.received, p.dropped['oversize']], [5, 2]);
  t.is(DROP_OVERSIZE, 1);
  for (const file of [join(CAPTURES, 'mptcp-v1.pcap'), capture([101], [[0, generated(1, 60)]])]) {
    const error = await t.throwsAsync(sw.addPort(`replay:${file}`), { instanceOf: FramekeepError }) as FramekeepError;
    t.is(error.code, 'E_CAPTURE_LINKTYPE');
  }
  const mixed = (await sw.addPort(`replay:${capture([1, 101], [[0, generated(1, 60)], [0, generated(2, 60)], [1, generated(3, 60)], [0, generated(4, 60)]])},speed=0`)).id;
  await until(t, 'it ended in mid-traffic', isDone(sw, mixed));
  t.is(portOf(sw.stats(), mixed).received, 2);
  await until(t, 'and says why', () => events.some((e) => e.kind === 'port-warning' && e.port === mixed && /link type 101/.test(e.text)));
});

test.serial('more than 64 ports, one after the other: each record keeps the name of the port it came in at', async (t) => {
  const { sw, pool } = await start(t, { create: { bytes: 8 << 20 } }), N = 140, first = sw.started.boot;
  const sink = await sw.addPort('sink:s');
  for (let i = 0; i < N; i++) {
    const { id } = await sw.addPort(`gen:g${i},rate=0,count=3,src=06:00:00:00:00:${i.toString(16).padStart(2, '0')}`);
    await until(t, `port ${i} gave its frames`, () => portOf(sw.stats(), id).kept === 3);
    await sw.removePort(id);
    const s = sw.stats();
    t.is(portOf(s, id).kept, 3);
    t.is(portOf(s, sink.id).spec, 'sink:s');
  }
  t.is(portOf(sw.stats(), sink.id).sent, N * 3);
  t.true(sw.stats().global.boot >= first + 2, 'two runs began meanwhile');
  await sw.stop();
  t.deepEqual(kept(pool).map((f) => `${f.port} ${f.bytes[11]}`), Array.from({ length: N * 3 }, (_, k) => `gen:g${Math.floor(k / 3)} ${Math.floor(k / 3)}`));
  const all = Pool.open(pool), boots = all.boots();
  t.true(boots.every((b) => b.ports.some((p) => p.spec === 'sink:s' && p.id === sink.id) && b.checkpoint?.clean === true), 'the port that stayed is in every run');
  all.close();
});

test.serial('64 at once are possible, and the 65th is refused', async (t) => {
  const { sw } = await start(t);
  for (let i = 0; i < 64; i++) await sw.addPort(`sink:s${i}`);
  const error = await t.throwsAsync(sw.addPort('sink:one-more'), { instanceOf: FramekeepError }) as FramekeepError;
  t.is(error.code, 'E_PORT_LIMIT');
  await sw.removePort(5);
  t.is((await sw.addPort('sink:one-more')).id, 5);
});

test.serial('options that a port does not know, or that cannot be, are refused, and the switch is as it was', async (t) => {
  const { sw } = await start(t);
  for (const [spec, code] of [
    ['gen:a,sise=60', 'E_PORT_OPTION'], ['gen:a,size=21', 'E_PORT_OPTION'], ['gen:a,size=1793', 'E_PORT_OPTION'], ['gen:a,rate=x', 'E_PORT_OPTION'], ['gen:a,src=1', 'E_PORT_OPTION'], ['sink:a,rate=1', 'E_PORT_OPTION'],
    ['replay:/nowhere.pcap', 'E_CAPTURE'], [`replay:${join(CAPTURES, 'vrrp.pcap')},filter=nonsense (`, 'E_FILTER'], ['brick:a', 'E_PORT_KIND'], ['sink', 'E_PORT_SYNTAX'], ['gen:a,rate=1,rate=2', 'E_PORT_SYNTAX'],
  ]) {
    const error = await t.throwsAsync(sw.addPort(spec), { instanceOf: FramekeepError }, spec) as FramekeepError;
    t.true(error?.code.startsWith(code), `${spec}: ${error?.code}`);
  }
  t.deepEqual(sw.stats().ports, []);
  t.is((await sw.addPort('sink:a')).id, 0);
});

test.serial('what is kept, how much of it, of whom, and ageing change while it runs', async (t) => {
  const { sw, pool } = await start(t);
  const a = await sw.addPort('gen:a,rate=500,size=100'), b = await sw.addPort('gen:b,rate=500,size=100');  // slow enough that the pool holds all of it
  const more = async (id: number, key: 'kept' | 'notSelected'): Promise<void> => {
    const from = portOf(sw.stats(), id)[key];
    await until(t, `${id} ${key} grows`, () => portOf(sw.stats(), id)[key] > from + 50);
  };
  await more(a.id, 'kept');
  await sw.setSnap(40);
  await more(a.id, 'kept');
  await sw.setKeepPorts([{ name: 'b', direction: 'in' }]);
  await more(a.id, 'notSelected');
  await more(b.id, 'kept');
  const keptOfA = portOf(sw.stats(), a.id).kept;
  await sw.setKeepPorts([{ name: 'gen:a', direction: 'in' }]);
  await more(b.id, 'notSelected');
  await more(a.id, 'kept');
  t.true(portOf(sw.stats(), a.id).kept > keptOfA);
  await sw.setKeepPorts([]);
  await more(b.id, 'kept');
  const silent = await sw.addPort('gen:silent,rate=0,count=10,size=40,src=02:00:00:00:00:77');
  await until(t, 'it was learned', async () => (await sw.fdb()).some((e) => e.port === silent.id));
  await sw.freeze(true);
  t.true(await sw.setAgeing(1));
  await until(t, 'it has aged', async () => !(await sw.fdb()).some((e) => e.port === silent.id));
  await sw.stop();
  sumsHold(t, sw.stats());
  t.deepEqual([...new Set(kept(pool).map((f) => f.bytes.length))], [100, 40]);
});

test.serial('told to stop, a switch that sleeps does so at once', async (t) => {
  let fastest = Infinity;
  // Told by the one that was disturbed least; what sleeps on takes 200 ms each time.
  for (let i = 0; i < 20 && fastest >= 200; i++) {
    const { sw } = await start(t, { create: { bytes: WORKERS * (4 << 20) } });
    await after(20);
    const began = performance.now();
    await sw.stop();
    fastest = Math.min(fastest, performance.now() - began);
  }
  t.true(fastest < 200, `${fastest} ms: it slept its 250 ms once more`);
});

/** Clock ticks (of 10 ms) that each thread of this process has used. */
const ticks = (): Map<string, number> => new Map(readdirSync('/proc/self/task').map((tid) => {
  const f = readFileSync(`/proc/self/task/${tid}/stat`, 'utf8').split(') ')[1].split(' ');
  return [tid, Number(f[11]) + Number(f[12])];
}));

test.serial('idle with four ports, a switch takes less than a hundredth of a core', async (t) => {
  const before0 = new Set(ticks().keys()), { sw } = await start(t, { checked: false });
  for (const spec of ['sink:a', 'sink:b', 'gen:c,count=10,rate=0', `replay:${join(CAPTURES, 'vrrp.pcap')},speed=0`]) await sw.addPort(spec);
  await after(700);
  // Of some looks the one that was disturbed least: ticks are drawn at random, and a clock tick of another's may be taken for ours.
  let share = 1;
  for (let i = 0; i < 5 && share >= 0.01 + 10 / 2500; i++) {
    const before = ticks(), began = performance.now();
    await after(2500);
    const used = [...ticks()].filter(([tid]) => !before0.has(tid)).reduce((n, [tid, x]) => n + x - (before.get(tid) ?? 0), 0);
    share = Math.min(share, used * 10 / (performance.now() - began));
  }
  t.log(`${(share * 100).toFixed(1)} % of a core`);
  t.true(share < 0.01 + 10 / 2500, 'and what one tick of the clock cannot tell apart');
});

/** A switch in a process of its own. */
async function other(t: ExecutionContext, options: SwitchOptions): Promise<{ child: ChildProcess; recovered: number; add(spec: string): Promise<number>; remove(id: number): Promise<void>; stats(): Promise<CountersSnapshot> }> {
  const child = fork(resolve(import.meta.dirname, 'switch_end.js'), [JSON.stringify(options)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  t.teardown(() => { child.kill('SIGKILL'); });
  const hear = async (): Promise<Heard> => (await once(child, 'message', { signal: AbortSignal.timeout(PATIENCE_MS) }))[0] as Heard;
  const ask = async (told: Told): Promise<Heard> => { const heard = hear(); child.send(told); return heard; };
  const { recovered } = await hear() as { recovered: number };
  return {
    child, recovered,
    add: async (spec) => (await ask({ add: spec }) as { added: number }).added,
    remove: async (id) => { await ask({ remove: id }); },
    stats: async () => (await ask({ stats: true }) as { stats: CountersSnapshot }).stats,
  };
}

test.serial('pipe: frames cross between two processes both ways; one end is killed in mid-traffic, comes back, and they cross again', async (t) => {
  const { sw, pool } = await start(t, { keep: 'ether src 06:00:00:00:00:0b' }), farPool = join(scratch(t), 'far'), far: SwitchOptions = { name: `far${process.pid}`, pool: farPool, create: { bytes: 8 << 20 }, checked: true };
  const near = (await sw.addPort('pipe:wire')).id, received = (): number => portOf(sw.stats(), near).received;
  const first = await other(t, far), firstPipe = await first.add('pipe:wire');
  // Each looks ten times a second whether the other is there; what is sent before is sent to nobody.
  const probe = await first.add('gen:probe,rate=50,size=60,src=06:00:00:00:00:0d,dst=06:00:00:00:00:0a');
  await until(t, 'the first frames arrived', () => received() > 5);
  await first.remove(probe);
  const sentBefore = await steady(async () => portOf(await first.stats(), firstPipe).sent), receivedBefore = await steady(received);
  const gen = await first.add('gen:x,count=20000,rate=20000,size=300,src=06:00:00:00:00:0b,dst=06:00:00:00:00:0a');
  await until(t, 'the other has sent all', async () => portOf(await first.stats(), gen).finished === 1);
  const sent = (await steady(async () => portOf(await first.stats(), firstPipe).sent)) - sentBefore;
  t.true(sent > 1000, `${sent} sent`);
  await until(t, `${sent} frames arrived`, () => received() - receivedBefore === sent);
  await sw.addPort('gen:back,rate=2000,src=06:00:00:00:00:0a,dst=06:00:00:00:00:0c');
  await until(t, 'frames cross the other way', async () => portOf(await first.stats(), firstPipe).received > 100);
  await first.add('gen:y,rate=0,size=1500,src=06:00:00:00:00:0b,dst=06:00:00:00:00:0a');
  const before = received();
  await until(t, 'they come thick', () => received() > before + 500);

  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  await steady(received);  // what the dead one left in the wire comes yet
  const alone = portOf(sw.stats(), near);
  await until(t, 'what is sent to nobody is let go', () => portOf(sw.stats(), near).sent > alone.sent + 100);
  t.is(portOf(sw.stats(), near).received, alone.received);

  const second = await other(t, far), secondPipe = await second.add('pipe:wire');
  t.true(second.recovered > 0, 'what the killed one kept is there');
  await until(t, 'frames cross to the one that came back', async () => portOf(await second.stats(), secondPipe).received > 100);
  await second.add('gen:z,rate=5000,size=77,src=06:00:00:00:00:0b,dst=06:00:00:00:00:0a');
  await until(t, 'and from it', () => received() > alone.received + 100);
  second.child.kill('SIGKILL');
  await once(second.child, 'exit');
  await sw.stop();
  sumsHold(t, sw.stats());
  t.is(portOf(sw.stats(), near).txErrors, 0);
  let last = -1, size = 0, wrong = 0;
  for (const { bytes } of kept(pool)) {
    const number = Number(bytes.readBigUInt64BE(14));
    if (bytes.length !== size) { size = bytes.length; last = -1; }
    // 300 and 1500 bytes mix while both generators run; of one size numbers only grow.
    if (!bytes.equals(generated(number, size, '06000000000b', '06000000000a')) || number <= last) wrong++;
    last = number;
  }
  t.is(wrong, 0, 'frames torn, altered or repeated');
});

test.serial('pipe: two ends and no third; one process may have both', async (t) => {
  const { sw } = await start(t);
  await sw.addPort('gen:g,rate=1000,count=500,dst=02:00:00:00:00:99');
  const a = await sw.addPort('pipe:ring');
  const error = await (async () => { await sw.addPort('pipe:ring'); return t.throwsAsync(sw.addPort('pipe:ring'), { instanceOf: FramekeepError }); })() as FramekeepError;
  t.is(error.code, 'E_PIPE_BUSY');
  await sw.removePort(a.id);
  t.regex((await sw.addPort('pipe:ring')).note, /end A/);

  // A file that is no pipe: refused as often as it is tried, since no try keeps the end that it took.
  writeFileSync(join(run, 'pipes', 'foreign'), 'not a pipe');
  for (let i = 0; i < 3; i++) {
    const foreign = await t.throwsAsync(sw.addPort('pipe:foreign'), { instanceOf: FramekeepError }) as FramekeepError;
    t.is(foreign.code, 'E_PIPE');
  }
});
