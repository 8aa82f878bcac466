/** The selection against what its options say, one frame at a time. */
import test from 'ava';
import fc from './properties.js';
import { Burst, FLOOD, KEEP_NO, KEEP_SELECTED, KEEP_YES, SEVERAL } from '../switch/burst.js';
import { Selection } from '../switch/selection.js';

interface Frame { egress: number; low: number; high: number; asked: number; length: number; place: number }
const frame: fc.Arbitrary<Frame> = fc.record({
  egress: fc.constantFrom(0, 1, 2, 40, 63, 224, 228, FLOOD, FLOOD, SEVERAL), low: fc.integer({ min: 0, max: 7 }), high: fc.constantFrom(0, 1 << 8, 1 << 31),
  asked: fc.constantFrom(KEEP_SELECTED, KEEP_SELECTED, KEEP_SELECTED, KEEP_YES, KEEP_NO), length: fc.integer({ min: 0, max: 100 }), place: fc.nat(3),
});
const PORTS = [0, 1, 2, 40, 63];
const SEGMENT = 4096;

/** Two segments; the frame's first byte says where it lies. */
function burstOf(ingress: number, frames: readonly Frame[]): Burst {
  const segments = [new Uint8Array(SEGMENT), new Uint8Array(SEGMENT)], burst = new Burst(segments);
  burst.count = frames.length;
  burst.ingress = ingress;
  frames.forEach((f, i) => {
    const at = (f.place & 1) * 1024 + 256;
    burst.addressLow[i] = (((f.place >> 1) << 30) | at) >>> 0;
    segments[f.place >> 1][at] = f.place + 1;
    burst.length[i] = f.length;
    burst.egress[i] = f.egress;
    burst.set[2 * i] = f.low;
    burst.set[2 * i + 1] = f.high;
    burst.keep[i] = f.asked;
  });
  return burst;
}

test('filter, ports, direction, sampling, the logic\'s word and freezing, together', (t) => {
  const chosen = fc.array(fc.record({ port: fc.constantFrom(...PORTS), received: fc.boolean(), sent: fc.boolean() }), { maxLength: 4 });
  const options = fc.record({ none: fc.boolean(), sample: fc.constantFrom(1, 1, 2, 5), filtered: fc.boolean(), restrict: fc.boolean(), frozen: fc.constantFrom(false, false, false, true), chosen, forgotten: fc.constantFrom(-1, ...PORTS) });
  const bursts = fc.array(fc.record({ ingress: fc.constantFrom(...PORTS), frames: fc.array(frame, { maxLength: 12 }) }), { maxLength: 6 });
  fc.assert(fc.property(options, bursts, (o, all) => {
    const seen: number[] = [];
    const selection = new Selection({
      none: o.none, sample: o.sample,
      ...(o.filtered && { match: (bytes: Uint8Array, offset: number, length: number, wire: number) => { seen.push(length - wire); return length > 50 && bytes[offset] % 2 === 1 ? 65535 : 0; } }),
    });
    if (o.restrict) selection.restrictToPorts();
    for (const c of o.chosen) selection.choosePort(c.port, c.received, c.sent);
    selection.forgetPort(o.forgotten & 0xff);
    selection.frozen = o.frozen;
    const chosenNow = o.chosen.filter((c) => c.port !== o.forgotten), byPort = o.restrict || o.chosen.length > 0;
    let sampled = 0;
    for (const { ingress, frames } of all) {
      const burst = burstOf(ingress, frames);
      selection.select(burst);
      frames.forEach((f, i) => {
        const goesTo = (p: number): boolean => f.egress === FLOOD ? p !== ingress : f.egress === SEVERAL ? ((p < 32 ? f.low : f.high) >>> (p % 32) & 1) === 1 : f.egress === p;
        let yes = !o.none && (!byPort || chosenNow.some((c) => (c.received && c.port === ingress) || (c.sent && goesTo(c.port))));
        if (o.filtered) yes &&= f.length > 50 && (f.place + 1) % 2 === 1;
        if (f.asked !== KEEP_SELECTED) yes = f.asked === KEEP_YES;
        else if (yes && o.sample > 1 && !o.frozen) { sampled = (sampled + 1) % o.sample; yes = sampled === 0; }
        if (o.frozen) yes = false;
        t.is(burst.keep[i], yes ? 1 : 0, `frame ${i}`);
      });
    }
    t.true(seen.every((difference) => difference === 0), 'on the way in, all of a frame is there');
  }), { numRuns: 500 });
});

test('a new policy takes effect at once, and leaves chosen ports chosen and frozen frozen', (t) => {
  const kept = (selection: Selection, ingress: number): number => {
    const burst = burstOf(ingress, [{ egress: 1, low: 0, high: 0, asked: KEEP_SELECTED, length: 60, place: 0 }]);
    selection.select(burst);
    return burst.keep[0];
  };
  const selection = new Selection({});
  t.is(kept(selection, 5), 1);
  selection.becomes(new Selection({ none: true }));
  t.is(kept(selection, 5), 0);
  const restricted = new Selection({});
  restricted.restrictToPorts();
  selection.choosePort(7, true, false);
  selection.becomes(restricted);
  t.deepEqual([kept(selection, 5), kept(selection, 7)], [0, 1]);
  selection.frozen = true;
  selection.becomes(restricted);
  t.is(kept(selection, 7), 0);
});
