/** Several data-plane threads: all that 40-soft-ports asks of one is asked of three, and what crosses between them is looked at. */
import test from 'ava';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { PATIENCE_MS, steady } from './patience.js';
import { Pool, PoolReader, verifyPool, VERDICT_FLOODED } from '../logger/index.js';
import { FramekeepError } from '../native/index.js';
import { ForwardingTable, LEARNED_FULL, tableMemory } from '../switch/fdb.js';
import { Switch, type SwitchEvent } from '../switch/index.js';
import { scratch } from './pool_maker.js';

process.env['FRAMEKEEP_TEST_WORKERS'] = '3';
await import('./40-soft-ports.test.js');

test.serial('frames that cross from worker to worker arrive, are kept in the lane of who received them, and are counted once', async (t) => {
  const pool = join(scratch(t), 'pool'), COUNT = 50_000, events: SwitchEvent[] = [];
  const sw = await Switch.start({ name: 'cross', pool, create: { bytes: 512 << 20 }, checked: true, workers: 2, held: true });
  t.teardown(() => sw.stop());
  sw.on('event', (event) => events.push(event));
  sw.on('failed', (error) => t.fail(error.message));
  t.is(sw.started.lanes, 2);
  // Two and two: each station's frames go to one at another worker, or at its own.
  const macs = ['02:00:00:00:01:00', '02:00:00:00:02:00', '02:00:00:00:03:00', '02:00:00:00:04:00'], to = [1, 2, 3, 0];
  const ports = [];
  for (const [i, mac] of macs.entries()) ports.push(await sw.addPort(`gen:g${i},rate=0,count=${COUNT},size=64,src=${mac},dst=${macs[to[i]]}`));
  await sw.begin();
  for (const end = Date.now() + PATIENCE_MS; sw.stats().ports.some((p) => p.finished !== 1);) { if (Date.now() > end) { t.fail('the generators did not finish'); break; } await after(20); }
  const { ports: counted, global } = await steady(() => sw.stats(), (stats) => [stats.ports, stats.global.committed]);
  await sw.stop();
  for (const p of counted) {
    t.is(p.received, COUNT);
    t.is(p.received, p.forwarded + p.flooded + Object.values(p.dropped).reduce((a, b) => a + b, 0), p.spec);
    t.is(p.received, p.kept + p.notSelected + p.lost, p.spec);
    t.true(p.sent > 0);
  }
  // What was put on a TX ring was sent: nothing is lost between two workers.
  const flooded = counted.reduce((n, p) => n + p.flooded, 0), forwarded = counted.reduce((n, p) => n + p.forwarded, 0), sent = counted.reduce((n, p) => n + p.sent, 0);
  t.true(sent >= forwarded + flooded && sent <= forwarded + 3 * flooded, `${sent} sent of ${forwarded} forwarded and ${flooded} flooded`);
  t.is(global.committed, 4 * COUNT);

  const kept = Pool.open(pool), reader = new PoolReader(kept), next = new Map<number, number>(), lanes = new Map<number, Set<number>>();
  let frames = 0, wrong = 0, lastTime = 0n, backwards = 0;
  while (reader.next()) {
    const { bytes, offset, ingress } = reader, view = Buffer.from(bytes.buffer, bytes.byteOffset + offset, reader.captured), number = Number(view.readBigUInt64BE(14));
    frames++;
    if (view[10] !== ingress + 1 || number !== (next.get(ingress) ?? 0) || (reader.verdict !== to[ingress] && reader.verdict !== VERDICT_FLOODED && reader.verdict < 224)) wrong++;
    next.set(ingress, number + 1);
    lanes.set(reader.lane, (lanes.get(reader.lane) ?? new Set()).add(ingress));
    const time = BigInt(reader.timeHigh) << 32n | BigInt(reader.timeLow);
    if (time + 1_000_000n < lastTime) backwards++;  // each lane follows the wall clock by itself
    lastTime = time;
  }
  kept.close();
  t.deepEqual([frames, wrong, backwards], [4 * COUNT, 0, 0], 'each port\'s frames are there in order, and the lanes are merged by time');
  t.deepEqual([...lanes.values()].map((ports) => [...ports].sort()).sort(), [[0, 2], [1, 3]]);
  t.true((await verifyPool(Pool.open(pool))).sound);
});

test.serial('a pool with fewer lanes than workers gets as many workers as it has lanes, and continues', async (t) => {
  const pool = join(scratch(t), 'pool'), name = 'few';
  for (const workers of [1, 3]) {
    const sw = await Switch.start({ name, pool, create: { bytes: 8 << 20 }, checked: true, workers });
    await sw.addPort('sink:s');
    const { id } = await sw.addPort('gen:g,rate=0,count=100');
    for (const end = Date.now() + PATIENCE_MS; sw.stats().ports[id].kept < 100 && Date.now() < end;) await after(10);
    t.is(sw.stats().ports[id].kept, 100);
    t.is(sw.started.lanes, 1);
    t.regex(sw.started.findings.join(), workers === 1 ? /^$/ : /1 lane, so that 1 of 3 workers run/);
    await sw.stop();
  }
  t.is(Pool.open(pool).geometry.lanes.length, 1);
});

test.serial('a pool of three lanes is continued by one worker, and by three again', async (t) => {
  const pool = join(scratch(t), 'pool');
  for (const [round, workers] of [3, 1, 3].entries()) {
    const sw = await Switch.start({ name: 'lanes', pool, create: { bytes: 16 << 20 }, checked: true, workers });
    for (let g = 0; g < 3; g++) await sw.addPort(`gen:g${g},rate=0,count=200,src=02:00:00:00:0${g}:0${round}`);
    for (const end = Date.now() + PATIENCE_MS; sw.stats().global.committed < 600 && Date.now() < end;) await after(10);
    t.is(sw.stats().global.committed, 600);
    t.is(sw.started.recovered, 600 * round);
    t.deepEqual([sw.started.torn, sw.started.gaps], [0, 0]);
    await sw.stop();
  }
  const { sound, frames, findings } = await verifyPool(Pool.open(pool));
  t.deepEqual([sound, frames, findings], [true, 1800, []]);
});

test.serial('ports come and go while others cross between workers', async (t) => {
  const pool = join(scratch(t), 'pool');
  const sw = await Switch.start({ name: 'come', pool, create: { bytes: 64 << 20 }, checked: true, workers: 2 });
  t.teardown(() => sw.stop());
  sw.on('failed', (error) => t.fail(error.message));
  await sw.addPort('gen:a,rate=0,macs=64,src=02:00:00:00:0a:00,dst=02:00:00:00:0b:00');
  await sw.addPort('gen:b,rate=0,macs=64,src=02:00:00:00:0b:00,dst=02:00:00:00:0a:00');
  for (let round = 0; round < 15; round++) {
    const added = await Promise.all(['sink:s', 'gen:c,rate=0,src=02:00:00:00:0c:00,dst=02:00:00:00:0a:07', 'sink:u'].map((spec) => sw.addPort(spec)));
    await after(20);
    const before = sw.stats().global.committed;
    await Promise.all(added.map(({ id }) => sw.removePort(id)));
    for (const end = Date.now() + PATIENCE_MS; sw.stats().global.committed === before;) { if (Date.now() > end) { t.fail('traffic stopped'); break; } await after(5); }
  }
  const error = await t.throwsAsync(sw.addPort('gen:bad,size=1'), { instanceOf: FramekeepError }) as FramekeepError;
  t.is(error.code, 'E_PORT_OPTION');
  await sw.stop();
  const s = sw.stats();
  for (const p of s.ports) t.is(p.received, p.forwarded + p.flooded + Object.values(p.dropped).reduce((a, b) => a + b, 0), p.spec);
  t.is(s.global.committed, s.ports.reduce((n, p) => n + p.kept, 0));
  t.true((await verifyPool(Pool.open(pool))).sound);
});

test('threads that learn into one table at once find what they learned; none waits for another', (t) => {
  const memory = tableMemory(1000), one = new ForwardingTable(1000, 300, memory), other = new ForwardingTable(1000, 300, memory);
  t.is(one.seed, other.seed);
  for (let i = 0; i < 500; i++) (i % 2 === 0 ? one : other).learn(i * 2, i, one.hash(i * 2, i), i % 64, 1);
  for (let i = 0; i < 500; i++) t.is((i % 2 === 0 ? other : one).lookup(i * 2, i, one.hash(i * 2, i), 1), i % 64);
  t.is(other.size, 500);
  // While another holds the lock, nothing is learned, and nobody waits.
  new Int32Array(memory)[0] = 1;
  t.is(one.learn(9999 * 2, 1, one.hash(9999 * 2, 1), 3, 1), 0);
  t.is(one.lookup(9999 * 2, 1, one.hash(9999 * 2, 1), 1), -1);
  t.is(one.lookup(0, 0, one.hash(0, 0), 1), 0, 'looking up goes on');
  new Int32Array(memory)[0] = 0;
  t.not(one.learn(9999 * 2, 1, one.hash(9999 * 2, 1), 3, 1), LEARNED_FULL);
  t.is(other.lookup(9999 * 2, 1, one.hash(9999 * 2, 1), 1), 3);
});
