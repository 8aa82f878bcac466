/** The ring: against a queue, over the wrap of its indices at 2^32, and with the other side's index read late. */
import test from 'ava';
import fc from './properties.js';
import { unmap } from '../native/index.js';
import { makeSoftRings, Ring, ringsOf, softRingBytes, type RingPlace } from '../switch/ring.js';

/** A ring of its own memory whose indices both begin at `start`, seen from both sides. */
function ends(size: number, start: number, entryWords: 2 | 4): { producer: Ring; consumer: Ring } {
  const place: RingPlace = { buffer: new ArrayBuffer(192 + size * entryWords * 4), producer: 0, consumer: 64, flags: 128, entries: 192, size };
  const words = new Uint32Array(place.buffer);
  words[0] = words[16] = start;
  return { producer: new Ring(place, true, entryWords), consumer: new Ring(place, false, entryWords) };
}

test('a ring is a bounded queue, wherever its indices stand', (t) => {
  const step = fc.record({ produce: fc.nat(20), publish: fc.boolean(), consume: fc.nat(20), release: fc.boolean() });
  const start = fc.oneof(fc.constant(0), fc.integer({ min: 2 ** 32 - 40, max: 2 ** 32 - 1 }), fc.integer({ min: 2 ** 31 - 40, max: 2 ** 31 + 5 }));
  fc.assert(fc.property(fc.constantFrom(1, 2, 8, 16), start, fc.constantFrom<2 | 4>(2, 4), fc.array(step, { maxLength: 60 }), (size, at, entryWords, steps) => {
    const { producer, consumer } = ends(size, at, entryWords);
    let made = 0, published = 0, taken = 0, released = 0;
    for (const { produce, publish, consume, release } of steps) {
      for (let i = 0; i < produce; i++) {
        const room = producer.room(1);
        if (room === 0) { t.is(made - released, size, 'full only when it is'); break; }
        t.true(made - released + room <= size);
        if (entryWords === 4) producer.pushDescriptor(made, made ^ 0x5555, made & 0x7ff); else producer.pushAddress(made, made ^ 0x5555);
        made++;
      }
      if (publish) { producer.publish(); published = made; }
      for (let i = 0; i < consume && consumer.available() > 0; i++) {
        t.true(taken < published, 'nothing is seen before it was published');
        const e = consumer.at(consumer.next);
        t.deepEqual([consumer.words[e], consumer.words[e + 1]], [taken, taken ^ 0x5555]);
        if (entryWords === 4) t.deepEqual([consumer.words[e + 2], consumer.words[e + 3]], [taken & 0x7ff, 0]);
        consumer.next = (consumer.next + 1) >>> 0;
        taken++;
      }
      if (release) { consumer.publish(); released = taken; }
      t.is(producer.outstanding(), made - released);
      t.is(producer.room(size + 1), size - (made - released));
    }
    producer.publish();
    consumer.seen = consumer.next;  // as after everything known was consumed: it must look again
    t.is(consumer.available(), made - taken);
  }), { numRuns: 400 });
});

test('available() looks again only when what it knew is used up; room() only when it knows of too little', (t) => {
  const { producer, consumer } = ends(8, 2 ** 32 - 2, 4);
  producer.pushDescriptor(1, 0, 60);
  producer.publish();
  t.is(consumer.available(), 1);
  producer.pushDescriptor(2, 0, 60);
  producer.publish();
  t.is(consumer.available(), 1);
  consumer.next = (consumer.next + 1) >>> 0;
  t.is(consumer.available(), 1);
  consumer.publish();
  t.is(producer.room(6), 6, 'six were known');
  t.is(producer.room(7), 7, 'seven were not');
});

test('soft rings: four rings apart from each other, both sides on the same memory, and a wake-up flag each', (t) => {
  const size = 16, { memory, plane, port } = makeSoftRings(size);
  t.teardown(() => unmap(memory));
  t.true(memory.segments[0].byteLength >= softRingBytes(size));
  for (let i = 0; i < size; i++) {
    port.rx.pushDescriptor(100 + i, 1, 1000 + i);
    plane.tx.pushDescriptor(200 + i, 2, 2000 + i);
    plane.fill.pushAddress(300 + i, 3);
    port.completion.pushAddress(400 + i, 4);
  }
  for (const ring of [port.rx, plane.tx, plane.fill, port.completion]) { t.is(ring.room(1), 0); ring.publish(); }
  const again = ringsOf(memory.segments[0], size, 0, true);
  t.is(again.rx.next, size, 'a view made later goes on where the ring stands');
  for (const [ring, from, high] of [[plane.rx, 100, 1], [port.tx, 200, 2], [port.fill, 300, 3], [plane.completion, 400, 4]] as const) {
    t.is(ring.available(), size);
    for (let i = 0; i < size; i++) t.deepEqual([...ring.words.subarray(ring.at(i), ring.at(i) + 2)], [from + i, high]);
    t.false(ring.needsWakeup());
  }
  plane.tx.words[(192 + size * 16 + 128) >>> 2] = 1;  // the flags word of the second ring
  t.deepEqual([plane.rx, plane.tx, plane.fill, plane.completion].map((r) => r.needsWakeup()), [false, true, false, false]);
});
