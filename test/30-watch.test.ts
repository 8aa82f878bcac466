/** What the counters tell an operator: at once, then every ten seconds while it goes on, and not of what is normal. */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Counters, GLOBAL, PORT, PORT_UP } from '../switch/counters.js';
import { CountersWatch } from '../switch/watch.js';

/** A watch over counters of two ports; `after` lets a second pass. */
function watched(t: ExecutionContext): { a: Float64Array; global: Float64Array; after(): string[] } {
  const directory = mkdtempSync('/dev/shm/framekeep-watch-'), counters = Counters.create(join(directory, 'counters'), { pid: 1, startSeconds: 0, name: 'w', pool: '/p' });
  t.teardown(() => { counters.close(); rmSync(directory, { recursive: true }); });
  for (const [id, spec] of ['tap:a', 'tap:b'].entries()) counters.describePort(id, PORT_UP, spec, '');
  const watch = new CountersWatch();
  let now = 100;
  const after = (): string[] => watch.look(counters.snapshot(), ++now).map((e) => `${e.kind}${'spec' in e ? ` ${e.spec}` : ''}${'count' in e ? ` ${e.count}` : ''}`);
  t.deepEqual(after(), [], 'the first look has nothing to compare with');
  return { a: counters.port(0), global: counters.global, after };
}

test('a port that does not send as fast as frames come is told of at once, and again after ten seconds while it lasts', (t) => {
  const { a, after } = watched(t), told: [number, string[]][] = [];
  for (let second = 0; second < 25; second++) {
    a[PORT.txFull] += second < 15 ? 7 : 0;
    const events = after();
    if (events.length > 0) told.push([second, events]);
  }
  t.deepEqual(told, [[0, ['overload tap:a 7']], [10, ['overload tap:a 70']], [20, ['overload tap:a 28']]], 'every dropped frame is told of once');
  for (let second = 0; second < 12; second++) t.deepEqual(after(), []);
  a[PORT.txFull] += 1;
  t.deepEqual(after(), ['overload tap:a 1'], 'after a quiet time at once again');
});

test('floods are told of when they are most of many frames, a full table whenever an address finds no room', (t) => {
  const { a, global, after } = watched(t);
  a[PORT.received] += 900; a[PORT.flooded] += 900;
  t.deepEqual(after(), [], 'few frames: ARP and its like');
  a[PORT.received] += 50_000; a[PORT.flooded] += 2000;
  t.deepEqual(after(), [], 'a small part of many');
  a[PORT.received] += 5000; a[PORT.flooded] += 4000;
  global[GLOBAL.fdbFull] += 3;
  t.deepEqual(after(), ['fdb-full 3', 'floods 4000']);
});
