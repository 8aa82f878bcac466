/**
 * The data plane turned by hand: random traffic over several ports against a model of the learning switch, with every buffer
 * accounted for, every sum held, and every kept frame read back.
 */
import test, { type ExecutionContext } from 'ava';
import fc from './properties.js';
import { DROP_LOGIC, DROP_REASONS, DROP_NO_EGRESS, DROP_TX_FULL, Pool, PoolReader, VERDICT_DROPPED, VERDICT_FLOODED, type CreateOptions } from '../logger/index.js';
import type { FrameMatch } from '../logger/filter/index.js';
import { UNDECIDED } from '../switch/burst.js';
import { PORT, sumDropped } from '../switch/counters.js';
import { perFrame } from '../switch/lookup/logic.js';
import { Selection } from '../switch/selection.js';
import { HandPlane, Model, ordinary, type Expected, type HandOptions } from './plane_maker.js';
import { difference } from './alike.js';
import { testFrame } from './pool_maker.js';

/** Numbers that follow from a seed alone. */
function dice(seed: number): (below: number) => number {
  let x = seed >>> 0 || 1;
  return (below) => {
    x ^= x << 13; x >>>= 0; x ^= x >>> 17; x ^= x << 5; x >>>= 0;
    return x % below;
  };
}

const MAX_FRAME = 1514, LARGEST = 2048 - 256;

/** A frame between a dozen stations, group and reserved addresses among them, of any length, tagged or not. */
function randomFrame(roll: (below: number) => number, number: number): Uint8Array {
  const length = [60, 60, 64, roll(80), roll(LARGEST + 1), MAX_FRAME, MAX_FRAME + 1, LARGEST, 14, 13, 0][roll(11)], frame = testFrame(number, length);
  const destination = [2, 0, 0, 0, 0, roll(12)], source = [2, 0, 0, 0, 0, roll(12)];
  if (roll(8) === 0) destination.splice(0, 6, 255, 255, 255, 255, 255, 255);
  if (roll(12) === 0) destination.splice(0, 6, 1, 0x80, 0xc2, 0, 0, roll(20));
  if (roll(12) === 0) source[0] = 3;
  const head = [...destination, ...source, ...(roll(3) === 0 ? [[0x81, 0], [0x88, 0xa8]][roll(2)] : [8, 0]), roll(256) & 0xf1, roll(3)];
  frame.set(head.slice(0, Math.min(head.length, length)), 0);
  return frame;
}

interface Case extends HandOptions { readonly seed: number; readonly turns: number; readonly sample: number; readonly odd: boolean }

/** Frames with an odd last byte. */
const odd: FrameMatch = (bytes, offset, length) => (length > 0 && bytes[offset + length - 1] % 2 === 1 ? 1 : 0);

/** Plays a case to its end. @returns what is wrong */
function play(t: ExecutionContext, c: Case): string[] {
  const roll = dice(c.seed), selection = new Selection({ sample: c.sample, ...(c.odd && { match: odd }) });
  const hand = new HandPlane(t, { ...c, selection }), { plane, log } = hand, model = new Model(c.minFrame ?? 14, MAX_FRAME, c.vlanAware ?? false);
  const wrong: string[] = [], kept: Expected[] = [], isCopied = log.copies;
  let sampled = 0, number = 0, nextId = 3, mostKept = 0;
  const select = (e: Expected): void => {
    if (c.odd && !(e.frame.length > 0 && e.frame[e.frame.length - 1] % 2 === 1)) return;
    if (++sampled < c.sample) return;
    sampled = 0;
    kept.push(e);
    mostKept++;
  };
  const add = (id: number): void => {
    const driver = hand.add(id);
    driver.mayDo = roll(2) === 0 ? Infinity : roll(200);
    driver.watch = () => { if (c.commitBeforeForward && log.pending > 0) wrong.push('a frame is sent before it is committed'); };
  };
  for (let id = 0; id < 3; id++) add(id);
  for (let turn = 0; turn < c.turns; turn++) {
    if (roll(15) === 0 && nextId < 64) add(nextId++);
    if (roll(20) === 0 && hand.drivers.size > 1) {
      const id = [...hand.drivers.keys()][roll(hand.drivers.size)];
      hand.remove(id);
      model.forget(id);
    }
    if (roll(10) === 0) {
      const id = [...hand.drivers.keys()][roll(hand.drivers.size)], port = hand.port(id);
      port.up = !port.up && port.forwarding;
      if (!port.up) { plane.options.logic.portDown!(id); model.forget(id); }
    }
    if (roll(10) === 0) {
      const id = [...hand.drivers.keys()][roll(hand.drivers.size)], port = hand.port(id);
      port.forwarding = port.up = !port.forwarding;
      if (!port.up) { plane.options.logic.portDown!(id); model.forget(id); }
    }
    if (roll(10) === 0) {
      const port = hand.port([...hand.drivers.keys()][roll(hand.drivers.size)]);
      port.keeping = !port.keeping;
    }
    for (const driver of hand.drivers.values()) {
      if (roll(3) > 0) for (let n = roll(100); n > 0; n--) driver.waiting.push(randomFrame(roll, number++));
      if (roll(4) === 0) driver.mayDo = roll(3) === 0 ? Infinity : roll(60);
    }
    const room = new Map(plane.live.filter((p) => p.up).map((p) => [p.id, p.tx.size - p.spare + 1 - p.tx.outstanding()]));
    plane.turn();
    for (const [id, driver] of [...hand.drivers].sort(([a], [b]) => a - b)) {
      for (const frame of driver.taken) {
        const expected = model.frame(frame, id, room, hand.port(id).forwarding);
        if (hand.port(id).keeping) select(expected);
      }
    }
    wrong.push(...hand.sums());
    if (log.nextSequence !== kept.length) wrong.push(`turn ${turn}: ${log.nextSequence} frames kept, not ${kept.length}`);
    if (wrong.length > 0) return wrong;
  }
  for (const [id, driver] of hand.drivers) { driver.waiting.length = 0; void id; }
  hand.drain();
  wrong.push(...hand.audit());
  for (let id = 0; id < nextId; id++) {
    const counters = hand.counters.port(id), is = { received: counters[PORT.received], forwarded: counters[PORT.forwarded], flooded: counters[PORT.flooded], dropped: [...counters.subarray(PORT.dropped, PORT.dropped + DROP_REASONS.length)] };
    t.deepEqual(is, model.counts(id), `port ${id}`);
    t.is(counters[PORT.sent], model.pushed.get(id) ?? 0);
    t.is(counters[PORT.txFull], model.turnedAway.get(id) ?? 0);
    const driver = hand.drivers.get(id);
    if (driver !== undefined) {
      t.is(driver.sent.length, counters[PORT.sent]);
      t.is(driver.sent.reduce((n, f) => n + f.length, 0), counters[PORT.sentBytes]);
    }
  }
  plane.publishCounters();
  const { global, ports } = hand.counters.snapshot();
  t.deepEqual([global.freeBuffers, global.nextSequence, global.committed], [hand.buffers.freeCount, kept.length, mostKept]);
  t.is(global.keptBytes, kept.reduce((n, e) => n + Math.min(e.frame.length, plane.snap), 0));
  t.deepEqual(ports, [], 'ports that nobody described are not shown');
  const { path } = hand;
  const slots = log.slotBuffer.length;
  hand.close();
  const pool = Pool.open(path), reader = new PoolReader(pool);
  let n = Math.max(0, kept.length - slots);
  while (reader.next()) {
    const e = kept[reader.sequence];
    if (reader.sequence !== n++ || reader.ingress !== e.ingress || reader.verdict !== e.verdict || reader.wire !== e.frame.length || (reader.flags & ~0x08) !== 0) {
      wrong.push(`record ${reader.sequence}: ingress ${reader.ingress} verdict ${reader.verdict} wire ${reader.wire} flags ${reader.flags}, not ${e.ingress} ${e.verdict} ${e.frame.length}`);
    }
    if (!Buffer.from(e.frame.subarray(0, Math.min(plane.snap, e.frame.length))).equals(reader.bytes.subarray(reader.offset, reader.offset + reader.captured))) wrong.push(`record ${reader.sequence} differs from its frame`);
  }
  if (n !== kept.length) wrong.push(`${n} frames read, not ${kept.length}`);
  pool.close();
  t.is(isCopied, c.where !== undefined);
  return wrong;
}

const cases = (where?: string): fc.Arbitrary<Case> => fc.record({
  seed: fc.integer({ min: 1, max: 2 ** 31 }), turns: fc.constant(80), sample: fc.constantFrom(1, 1, 3), odd: fc.boolean(), snap: fc.constantFrom(0xffff, 64, 1), minFrame: fc.constantFrom(14, 60),
  reserve: fc.constantFrom(64, 200, 300), maxBatch: fc.constantFrom(1, 7, 60), commitBeforeForward: fc.boolean(), vlanAware: fc.boolean(), ...(where !== undefined && { where: fc.constant(where), copyBuffers: fc.constantFrom(40, 512) }),
}) as fc.Arbitrary<Case>;

test('zero-copy: what becomes of every frame agrees with the model, and no buffer is lost', (t) => {
  fc.assert(fc.property(cases(), (c) => { t.deepEqual(play(t, c), []); }), { numRuns: 25 });
});

if (ordinary !== undefined) {
  test('one-copy: the same on an ordinary file', (t) => {
    fc.assert(fc.property(cases(ordinary), (c) => { t.deepEqual(play(t, c), []); }), { numRuns: 10 });
  });
}

/** Two ports and a frame from the first to the second, which has spoken before. */
function pair(t: ExecutionContext, options: HandOptions & Partial<CreateOptions> = {}): HandPlane {
  const hand = new HandPlane(t, options);
  hand.add(0);
  hand.add(1);
  return hand;
}
const speak = (to: number, from: number, length = 60): Uint8Array => {
  const frame = testFrame(1, length);
  frame.set([2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from], 0);
  return frame;
};

test('every length from 0 to a full buffer: too short and too long are dropped by name, the rest arrives byte by byte', (t) => {
  const hand = pair(t, { bytes: 8 << 20, maxFrame: LARGEST - 1 }), a = hand.drivers.get(0)!, b = hand.drivers.get(1)!;
  const frames = Array.from({ length: LARGEST + 1 }, (_, n) => testFrame(n, n));
  a.waiting.push(...frames);
  hand.drain();
  t.is(difference(b.sent, frames.slice(14, LARGEST)), '');
  const c = hand.counters.port(0);
  t.deepEqual([c[PORT.received], c[PORT.dropped], c[PORT.dropped + 1], c[PORT.kept]], [LARGEST + 1, 14, 1, LARGEST + 1]);
  t.deepEqual(hand.audit(), []);
});

test('a port that sends nothing for a long time does not take the buffers of the others', (t) => {
  const hand = pair(t, { reserve: 64 });
  hand.add(2);
  const [a, b, c] = [0, 1, 2].map((id) => hand.drivers.get(id)!);
  b.waiting.push(speak(9, 1));
  c.waiting.push(speak(9, 2));
  hand.drain();
  b.mayDo = 0;  // stuck
  c.sent.length = 0;
  for (let i = 0; i < 500; i++) a.waiting.push(speak(1, 0), speak(2, 0));
  for (let turn = 0; turn < 2000 && a.waiting.length > 0; turn++) hand.plane.turn();
  hand.plane.turn();
  t.is(a.waiting.length, 0, 'port 0 still has buffers to receive into');
  t.is(c.sent.length, 500, 'and what it sends to port 2 arrives');
  const stuck = hand.counters.port(1)[PORT.txFull];
  t.true(stuck > 400 && stuck === hand.counters.port(0)[PORT.dropped + DROP_TX_FULL]);
  hand.drain();
  t.deepEqual(hand.audit(), []);
});

test('64 ports one after the other on the smallest pool: the last one added still receives', (t) => {
  const hand = new HandPlane(t, { reserve: 64 });
  for (let id = 0; id < 64; id++) hand.add(id);
  const last = hand.drivers.get(63)!;
  for (let i = 0; i < 20; i++) last.waiting.push(speak(200, 100));
  for (let turn = 0; turn < 100; turn++) hand.plane.turn();
  t.is(last.waiting.length, 0);
  t.is(hand.counters.port(63)[PORT.flooded], 20);
  for (const [id, driver] of hand.drivers) t.is(driver.sent.length, id === 63 ? 0 : 20);
  t.deepEqual(hand.audit(), []);
});

test('flooding: to nobody, to those that are down, to full rings, each dropped for its own reason', (t) => {
  const hand = new HandPlane(t, { reserve: 64 }), reasons = (): number[] => [DROP_TX_FULL, DROP_NO_EGRESS].map((r) => hand.counters.port(0)[PORT.dropped + r]);
  const a = hand.add(0);
  const send = (): void => { a.waiting.push(speak(99, 0)); hand.plane.turn(); };
  send();
  t.deepEqual(reasons(), [0, 1], 'alone');
  const b = hand.add(1);
  hand.port(1).up = false;
  send();
  t.deepEqual(reasons(), [0, 2], 'the other is down');
  hand.port(1).up = true;
  b.mayDo = 0;
  const fits = hand.port(1).tx.size - hand.port(1).spare + 1;
  for (let i = 0; i < fits + 3; i++) send();
  t.deepEqual(reasons(), [3, 2], 'the other is full');
  hand.drain();
  t.is(b.sent.length, fits);
  t.deepEqual(hand.audit(), []);
});

test('what a logic leaves undecided, or sends where no port can be, is counted all the same', (t) => {
  let verdict = 0;
  const hand = pair(t, { logic: { name: 'odd', decide: (burst) => { for (let i = 0; i < burst.count; i++) burst.egress[i] = verdict; } } }), a = hand.drivers.get(0)!;
  const c = hand.counters.port(0);
  for (verdict = 0; verdict < 256; verdict++) {
    a.waiting.push(speak(1, 0));
    hand.plane.turn();
    t.deepEqual(hand.sums(), [], `verdict ${verdict}`);
  }
  t.is(c[PORT.dropped + DROP_LOGIC], 1 + (UNDECIDED - (VERDICT_DROPPED + DROP_REASONS.length) + 1), 'its own, and what is no reason');
  t.is(c[PORT.dropped + DROP_NO_EGRESS], 1 + 222 + 1, 'its own; ports that are not there; SEVERAL with nobody in the set');
  hand.drain();
  t.deepEqual(hand.audit(), []);
});

test('a logic may send a frame back, and to a set of ports with holes', (t) => {
  const logic = perFrame({ forward: (frame, ingress, verdict) => { if (frame.u8(5) === 77) verdict.forward(ingress); else { verdict.also(0); verdict.also(33); verdict.also(63); verdict.also(50); } } });
  const hand = new HandPlane(t, { reserve: 200, logic });
  for (const id of [0, 1, 33, 63]) hand.add(id);
  hand.drivers.get(1)!.waiting.push(speak(77, 1), speak(5, 1));
  hand.drain();
  t.deepEqual([...hand.drivers].map(([id, d]) => [id, d.sent.length]), [[0, 1], [1, 1], [33, 1], [63, 1]]);
  t.deepEqual(hand.audit(), []);
});

for (const [where, name] of [[undefined, 'zero-copy'], [ordinary, 'one-copy']] as const) {
  if (name === 'one-copy' && ordinary === undefined) continue;
  test(`${name}: when no more can be kept, forwarding goes on, and the frames of the batch are lost, not kept`, (t) => {
    // The format numbers (2^32 − 1) laps; the log refuses the batch that would pass them (E_POOL_WORN).
    const probe = new HandPlane(t, { ...(where && { where }) }), { slots } = probe.pool.geometry.lanes[0];
    probe.close();
    const hand = pair(t, { ...(where && { where }), maxBatch: 16, nextSequence: Math.min((2 ** 32 - 1) * slots, Number.MAX_SAFE_INTEGER - slots) - 16 - 20 }), a = hand.drivers.get(0)!, b = hand.drivers.get(1)!;
    for (let i = 0; i < 100; i++) a.waiting.push(speak(200, i));
    hand.drain();
    t.is(b.sent.length, 100);
    t.is(hand.plane.keepingStopped?.code, 'E_POOL_WORN');
    t.true(hand.selection.frozen);
    const c = hand.counters.port(0);
    t.true(c[PORT.lost] > 0 && c[PORT.kept] > 0, `${c[PORT.lost]} lost, ${c[PORT.kept]} kept`);
    t.is(c[PORT.keptBytes], c[PORT.kept] * 60);
    t.is(c[PORT.kept], hand.log.counters[1]);
    t.deepEqual(hand.audit(), []);
    const lost = c[PORT.lost];
    for (let i = 0; i < 100; i++) a.waiting.push(speak(200, i));
    hand.drain();
    t.is(b.sent.length, 200);
    t.deepEqual([c[PORT.lost], c[PORT.notSelected] >= 100], [lost, true]);
    t.deepEqual(hand.audit(), []);
  });
}

test('a port that leaves in mid-flight takes its share of flooded frames with it, and no more', (t) => {
  const hand = pair(t, { reserve: 200 });
  hand.add(2);
  const [a, b, c] = [0, 1, 2].map((id) => hand.drivers.get(id)!);
  b.mayDo = c.mayDo = 0;
  for (let i = 0; i < 30; i++) a.waiting.push(speak(99, 0));
  for (let i = 0; i < 5; i++) hand.plane.turn();
  t.is(hand.counters.port(0)[PORT.flooded], 30);
  hand.remove(1);
  hand.drain();
  t.is(c.sent.length, 30);
  t.deepEqual(hand.audit(), []);
  t.is(sumDropped(hand.counters.port(0)), 0);
  t.is(hand.counters.port(1)[PORT.sent], 30, 'put on its ring, whatever became of them');
  t.is(VERDICT_FLOODED, 255);
});
