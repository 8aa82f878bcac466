/** The forwarding database against a Map: nothing that was learned is lost, whatever is deleted, moved, aged or flushed between. */
import test from 'ava';
import fc from './properties.js';
import { entriesOf, ForwardingTable, keyOf, macOf as macText, LEARNED_FULL, LEARNED_MOVE, LEARNED_NEW, LEARNED_NOTHING } from '../switch/fdb.js';

interface Entry { port: number; isStatic: boolean; seen: number }
type Step = { kind: 'learn' | 'static'; key: number; port: number } | { kind: 'delete'; key: number } | { kind: 'flush'; port: number; statics: boolean } | { kind: 'wait'; seconds: number } | { kind: 'sweep'; slots: number };

const KEYS = 40;
/** Few keys that differ in each of their parts: in the MAC's two words and in the VLAN. */
const lowOf = (key: number): number => (key % 5 === 0 ? key : 0xfffffff0 + (key & 15)) >>> 0;
const highOf = (key: number): number => (key << 8 & 0xff00) | (key % 3 << 16);
const macOf = (key: number): string => [lowOf(key), lowOf(key) >>> 8, lowOf(key) >>> 16, lowOf(key) >>> 24, highOf(key), highOf(key) >>> 8]
  .map((b) => (b & 255).toString(16).padStart(2, '0')).join(':');

const key = fc.nat(KEYS - 1), port = fc.nat(63);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ kind: fc.constant('learn' as const), key, port }) }, { weight: 2, arbitrary: fc.record({ kind: fc.constant('static' as const), key, port }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('delete' as const), key }) }, { weight: 1, arbitrary: fc.record({ kind: fc.constant('flush' as const), port: fc.integer({ min: -1, max: 63 }), statics: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), seconds: fc.nat(6) }) }, { weight: 2, arbitrary: fc.record({ kind: fc.constant('sweep' as const), slots: fc.nat(64) }) },
);

const learn = (table: ForwardingTable, low: number, high: number, port: number, now: number): number => table.learn(low, high, table.hash(low, high), port, now);
const lookup = (table: ForwardingTable, low: number, high: number, now: number): number => table.lookup(low, high, table.hash(low, high), now);

test('agrees with a Map after every step, in tables so small that their entries crowd', (t) => {
  fc.assert(fc.property(fc.constantFrom(1, 3, 8, 16, 40), fc.constantFrom(0, 10), fc.array(step, { maxLength: 150 }), (capacity, ageing, steps) => {
    const table = new ForwardingTable(capacity, ageing), model = new Map<number, Entry>();
    let now = 1000;
    const isAged = (e: Entry): boolean => ageing !== 0 && !e.isStatic && now - e.seen >= ageing;
    for (const s of steps) {
      switch (s.kind) {
        case 'learn': {
          const was = model.get(s.key);
          const expected = was === undefined ? (model.size >= capacity ? LEARNED_FULL : LEARNED_NEW) : was.isStatic || was.port === s.port ? LEARNED_NOTHING : LEARNED_MOVE;
          t.is(learn(table, lowOf(s.key), highOf(s.key), s.port, now), expected);
          if (expected === LEARNED_MOVE) t.is(table.movedFrom, was!.port);
          if (expected === LEARNED_NEW || expected === LEARNED_MOVE) model.set(s.key, { port: s.port, isStatic: false, seen: now });
          else if (was !== undefined && (!was.isStatic || was.port === s.port)) was.seen = now;
          break;
        }
        case 'static': {
          const fits = model.has(s.key) || model.size < capacity;
          t.is(table.setStatic(lowOf(s.key), highOf(s.key), s.port, now), fits);
          if (fits) model.set(s.key, { port: s.port, isStatic: true, seen: now });
          break;
        }
        case 'delete': t.is(table.delete(lowOf(s.key), highOf(s.key)), model.delete(s.key)); break;
        case 'flush': {
          const going = [...model].filter(([, e]) => (s.port < 0 || e.port === s.port) && (s.statics || !e.isStatic));
          for (const [k] of going) model.delete(k);
          t.is(table.flush(s.port, s.statics), going.length);
          break;
        }
        case 'wait': now += s.seconds; break;
        case 'sweep': {
          // Which of the aged are in the slots looked at is the table's affair; that no other goes is ours.
          const aged = [...model].filter(([, e]) => isAged(e)).length, gone = table.sweep(now, s.slots);
          t.true(gone <= aged);
          if (s.slots >= table.slots) t.is(gone, aged, 'a whole round leaves none');
          else if (gone > 0) { table.sweep(now, table.slots); }
          if (gone > 0) for (const [k, e] of [...model]) if (isAged(e)) model.delete(k);
        }
      }
      t.is(table.size, model.size);
      for (let k = 0; k < KEYS; k++) {
        const e = model.get(k);
        t.is(lookup(table, lowOf(k), highOf(k), now), e === undefined || isAged(e) ? -1 : e.port);
      }
      const shown = table.entries(now).map((e) => `${e.mac}/${e.vlan} ${e.port} ${e.isStatic} ${e.ageSeconds}`).sort();
      t.deepEqual(shown, [...model].filter(([, e]) => !isAged(e)).map(([k, e]) => `${macOf(k)}/${highOf(k) >>> 16} ${e.port} ${e.isStatic} ${now - e.seen}`).sort());
    }
  }), { numRuns: 300 });
});

test('a large table, half full by its own measure: everything is found, and after half is deleted the other half is', (t) => {
  const n = 50_000, table = new ForwardingTable(n, 300);
  for (let i = 0; i < n; i++) t.is(learn(table, (i * 7) >>> 0, i & 0xffff, i % 64, 1), LEARNED_NEW);
  t.is(learn(table, 1, 0xffff, 0, 1), LEARNED_FULL);
  for (let i = 0; i < n; i += 2) t.true(table.delete((i * 7) >>> 0, i & 0xffff));
  let wrong = 0;
  for (let i = 0; i < n; i++) if (lookup(table, (i * 7) >>> 0, i & 0xffff, 2) !== (i % 2 === 0 ? -1 : i % 64)) wrong++;
  t.is(wrong, 0);
  t.is(table.size, n / 2);
});

test('addresses that count up, as racks of machines have them, do not crowd: a lookup stays short', (t) => {
  // With a poor hash a run of 30,000 neighbours is one cluster, and this takes minutes instead of milliseconds.
  const n = 30_000, table = new ForwardingTable(n, 300), began = process.hrtime.bigint();
  for (const shift of [0, 8, 16]) {
    table.flush(-1);
    for (let i = 0; i < n; i++) learn(table, (i << shift) >>> 0, (i >>> (32 - shift)) & 0xffff, i % 64, 1);
    for (let i = 0; i < n; i++) lookup(table, ((i << shift) ^ 0x80) >>> 0, 0xffff, 1);
  }
  t.true(Number(process.hrtime.bigint() - began) < 30e9);
});

test('a sweep in slices ends with a whole round behind it, and static entries stay', (t) => {
  const table = new ForwardingTable(1000, 10);
  for (let i = 0; i < 900; i++) learn(table, i * 977, i, 1, i % 2 === 0 ? 100 : 105);
  table.setStatic(12345, 6, 7, 0);
  let gone = 0;
  for (let slices = 0; slices < table.slots / 64; slices++) gone += table.sweep(110, 64);
  t.true(gone >= 445 && gone <= 450, 'one may have been shifted from the end of the table to its beginning meanwhile');
  gone += table.sweep(110, table.slots);
  t.is(gone, 450);
  t.is(lookup(table, 12345, 6, 1e6), 7);
  t.is(table.sweep(1e6, table.slots), 450);
  t.is(table.size, 1);
});

test('copied in slices, a table gives the same entries as all at once', (t) => {
  const table = new ForwardingTable(500, 10);
  for (let i = 0; i < 400; i++) learn(table, i * 977, i, i % 64, 100 + i % 20);
  table.setStatic(7, 8, 9, 0);
  const shown: unknown[] = [];
  for (let from = 0; from < table.slots; from += 100) shown.push(...entriesOf(table.copy(from, 100), 115, table.ageing));
  t.deepEqual(shown, table.entries(115));
  t.is(shown.length, 1 + Array.from({ length: 400 }, (_, i) => i).filter((i) => 115 - (100 + i % 20) < 10).length);
});

test('a MAC in words is the same MAC again, and nothing else is taken for one', (t) => {
  fc.assert(fc.property(fc.array(fc.nat(255), { minLength: 6, maxLength: 6 }), fc.nat(4094), (bytes, vlan) => {
    const mac = bytes.map((b) => b.toString(16).padStart(2, '0')).join(':'), key = keyOf(mac.toUpperCase().replaceAll(':', '-'), vlan)!;
    t.deepEqual([macText(key.low, key.high), key.high >>> 16], [mac, vlan]);
  }));
  for (const bad of ['', '02:00:00:00:00', '02:00:00:00:00:0g', '020000000001', '02:00:00:00:00:01:02', ' 02:00:00:00:00:01']) t.is(keyOf(bad, 0), undefined, bad);
});
