/** Who owns a buffer: the checker refuses what the state machine does not have, and a port that goes gives back exactly what it had. */
import test from 'ava';
import fc from './properties.js';
import { buffersGive, buffersPut, buffersRelease, buffersTakeBack, FramekeepError } from '../native/index.js';
import { Buffers, OwnershipChecker, WITH_SEVERAL, WITH_SHIFT, type Owner } from '../switch/buffers.js';
import { Burst } from '../switch/burst.js';

test('the checker lets through a change only from where the buffer is', (t) => {
  const owners: Owner[] = ['FREE', 'FILL', 'SWITCH', 'HELD'];
  for (const is of owners) {
    for (const from of owners) {
      const checker = new OwnershipChecker(10, new Uint8Array(4));
      if (is !== 'HELD') checker.move(12, 'HELD', is);
      if (from === is) { checker.move(12, from, 'FREE'); t.is(checker.ownerOf(12), 'FREE'); continue; }
      const error = t.throws(() => checker.move(12, from, 'FREE'), { instanceOf: FramekeepError }) as FramekeepError;
      t.is(error.code, 'E_OWNERSHIP');
      t.is(checker.ownerOf(12), is);
    }
  }
  t.throws(() => new OwnershipChecker(10, new Uint8Array(4)).move(14, 'HELD', 'FREE'), { message: /not one of this lane/ });
});

test('at the start: free are those given, and the rest is held by records', (t) => {
  const buffers = new Buffers({ first: 100, count: 10, chunk: 2048, free: Uint32Array.of(101, 105, 109), checked: true });
  t.is(buffers.freeCount, 3);
  for (let b = 100; b < 110; b++) {
    const isFree = [101, 105, 109].includes(b);
    t.is(buffers.holdersOf(b), isFree ? 0 : 1);
    t.is(buffers.checker!.ownerOf(b), isFree ? 'FREE' : 'HELD');
  }
  buffers.release(100);
  t.deepEqual([...buffers.free.subarray(0, 4)], [101, 105, 109, 100]);
  t.throws(() => buffers.release(101), { message: /let go of as HELD, but it is FREE/ });
});

/** What a buffer is given to, at random: a fill ring, the TX rings of some ports, the log. */
interface Use { fill: number; tx: number[]; log: boolean }

test('reclaim: a port that goes takes nothing of the others\' with it, and leaves nothing behind', (t) => {
  const use = fc.oneof(
    fc.record({ fill: fc.nat(3), tx: fc.constant<number[]>([]), log: fc.constant(false) }),
    fc.record({ fill: fc.constant(-1), tx: fc.uniqueArray(fc.nat(3), { maxLength: 4 }), log: fc.boolean() }),
  );
  fc.assert(fc.property(fc.array(use, { minLength: 1, maxLength: 40 }), fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }), (uses: Use[], order) => {
    const n = uses.length, buffers = new Buffers({ first: 0, count: n, chunk: 2048, free: Uint32Array.from({ length: n }, (_, i) => i), checked: true });
    const flooded = [0, 1, 2, 3].map(() => new Uint8Array(n)), checker = buffers.checker!;
    buffers.freeCount = 0;
    uses.forEach(({ fill, tx, log }, b) => {
      const holders = tx.length + Number(log);
      if (fill < 0 && holders === 0) { buffers.free[buffers.freeCount++] = b; return; }
      checker.move(b, 'FREE', 'FILL');
      if (fill >= 0) { buffers.state[b] = (fill + 1) << WITH_SHIFT; return; }
      checker.move(b, 'FILL', 'SWITCH');
      checker.move(b, 'SWITCH', 'HELD');
      buffers.state[b] = ((tx.length > 1 ? WITH_SEVERAL : tx.length === 1 ? tx[0] + 1 : 0) << WITH_SHIFT) | holders;
      if (tx.length > 1) for (const p of tx) flooded[p][b] = 1;
    });
    const left = uses.map((u) => new Set<string>([...(u.fill >= 0 ? [`fill${u.fill}`] : []), ...u.tx.map((p) => `tx${p}`), ...(u.log ? ['log'] : [])]));
    for (const p of order) {
      const before = left.filter((s) => s.size === 0).length;
      for (const s of left) { s.delete(`fill${p}`); s.delete(`tx${p}`); }
      t.is(buffers.reclaim(p, flooded[p]), left.filter((s) => s.size === 0).length - before);
      t.is(buffers.reclaim(p, flooded[p]), 0, 'a second time there is nothing');
      t.deepEqual([...buffers.free.subarray(0, buffers.freeCount)].sort((a, b) => a - b), left.flatMap((s, b) => s.size === 0 ? [b] : []));
      left.forEach((s, b) => t.is(checker.ownerOf(b), s.size === 0 ? 'FREE' : [...s][0].startsWith('fill') ? 'FILL' : 'HELD'));
    }
  }), { numRuns: 300 });
});

test('give, put, take back, release: a model and the native passes agree on every buffer, whatever a port\'s peer says it has sent', (t) => {
  const FIRST = 100, COUNT = 24, SIZE = 32, PORTS = 3;
  type Step = { what: 'give' | 'send' | 'log' | 'complete' | 'evict'; port: number; n: number; several: boolean; lie: boolean };
  const step: fc.Arbitrary<Step> = fc.record({ what: fc.constantFrom('give', 'send', 'log', 'complete', 'evict'), port: fc.nat(PORTS - 1), n: fc.integer({ min: 0, max: 6 }), several: fc.boolean(), lie: fc.boolean() });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), fc.nat(2 ** 32 - 1), (steps, start) => {
    const all = Uint32Array.from({ length: COUNT }, (_, i) => FIRST + i), buffers = new Buffers({ first: FIRST, count: COUNT, chunk: 2048, free: all, checked: false });
    const model = { free: [...all], state: new Map([...all].map((b) => [b, { holders: 0, with: 0 }])) }, ring = new Uint32Array(8 + SIZE * 4), burst = new Burst([]), flooded = Array.from({ length: PORTS }, () => new Uint8Array(COUNT));
    const filled: number[][] = [[], [], []], sent: number[][] = [[], [], []], kept: number[] = [];
    const letGo = (b: number, whole: boolean): void => {
      const s = model.state.get(b)!;
      if (s.holders === 0) return;
      s.holders--;
      if (!whole) s.with = 0;
      if (s.holders === 0) model.free.push(b);
    };
    let at = start;
    for (const { what, port, n, several, lie } of steps) {
      if (what === 'give') {
        const count = Math.min(n, model.free.length);
        t.is(buffersGive(buffers.memory, port, ring, 8, SIZE - 1, at, count), 0);
        for (let i = 0; i < count; i++) {
          const b = model.free.pop()!, e = 8 + (((at + i) >>> 0) & (SIZE - 1)) * 2;
          model.state.set(b, { holders: 0, with: port + 1 });
          t.deepEqual([ring[e], ring[e + 1]], [b * 2048, 0]);
          filled[port].push(b);
        }
      } else if (what === 'send') {
        const frames = filled[port].splice(0, n), to = several ? [0, 1, 2] : [port];
        frames.forEach((b, i) => { burst.buffer[i] = b - FIRST; burst.addressLow[i] = b * 2048 + 256; burst.addressHigh[i] = 0; burst.length[i] = 60 + i; burst.egress[i] = several ? 255 : port; });
        for (const out of to) {
          const bytes = buffersPut(buffers.memory, burst.memory, Uint8Array.from(frames.keys()), frames.length, out, flooded[out], ring, 8, SIZE - 1, at);
          t.is(bytes, frames.reduce((sum, _, i) => sum + 60 + i, 0));
          frames.forEach((b, i) => {
            const e = 8 + (((at + i) >>> 0) & (SIZE - 1)) * 4, s = model.state.get(b)!;
            t.deepEqual([...ring.subarray(e, e + 4)], [b * 2048 + 256, 0, 60 + i, 0]);
            model.state.set(b, several ? { holders: s.holders + 1, with: WITH_SEVERAL } : { holders: 1, with: out + 1 });
            t.is(flooded[out][b - FIRST], several ? 1 : 0);
            sent[out].push(b);
          });
        }
      } else if (what === 'log') {
        for (const b of sent[port].slice(0, n)) {  // as settle does
          buffers.state[b - FIRST]++;
          model.state.get(b)!.holders++;
          kept.push(b);
        }
      } else if (what === 'complete') {
        const done = sent[port].splice(0, n), others = new Uint32Array(2 * 16), strange: number[] = [];
        const said = lie ? [...done, FIRST + COUNT, 5, 0xfffff, ...model.free.slice(0, 2)] : done;  // another lane's, and what nobody holds
        said.forEach((b, i) => { const e = 8 + (((at + i) >>> 0) & (SIZE - 1)) * 2; ring[e] = b * 2048 + 256; ring[e + 1] = Math.floor((b * 2048 + 256) / 2 ** 32); });
        for (const b of said) {
          if (!model.state.has(b)) { strange.push(b); continue; }
          const whole = model.state.get(b)!.with === WITH_SEVERAL;
          if (whole) flooded[port][b - FIRST] = 0;
          letGo(b, whole);
        }
        t.is(buffersTakeBack(buffers.memory, flooded[port], others, ring, 8, SIZE - 1, at, said.length), strange.length);
        t.deepEqual([...others.subarray(0, 2 * strange.length)].filter((_, i) => i % 2 === 0), strange.map((b) => b * 2048 + 256));
      } else {
        const list = Uint32Array.from(kept.splice(0, n).flatMap((b) => [b, 0xffffffff]));
        for (const b of list) if (b !== 0xffffffff) letGo(b, true);
        t.is(buffersRelease(buffers.memory, list, list.length), 0);
      }
      at = (at + 7) >>> 0;
      t.deepEqual([...buffers.free.subarray(0, buffers.freeCount)], model.free);
      for (const [b, s] of model.state) t.deepEqual([buffers.holdersOf(b), s.holders === 0 && model.free.includes(b) ? s.with : buffers.withOf(b)], [s.holders, s.with]);
    }
  }), { numRuns: 300 });
});

test('a pass that is given what cannot be touches nothing: rings, lists and buffers that are not there', (t) => {
  const buffers = new Buffers({ first: 10, count: 4, chunk: 2048, free: Uint32Array.of(10, 11), checked: false }), ring = new Uint32Array(8), burst = new Burst([]), none = new Uint8Array(4);
  const before = buffers.memory.slice();
  t.is(buffersGive(buffers.memory, 0, ring, 0, 3, 0, 3), -22, 'more than are free');
  t.is(buffersGive(buffers.memory, 0, ring, 1, 3, 0, 1), -22, 'a ring that ends before its last entry');
  t.is(buffersGive(buffers.memory, 0, ring, 0, 2, 0, 1), -22, 'a mask that is none');
  t.is(buffersGive(buffers.memory.subarray(0, 80), 0, ring, 0, 3, 0, 1), -22, 'no room for what the head says');
  t.is(buffersPut(buffers.memory, burst.memory, new Uint8Array(1), 2, 0, none, new Uint32Array(16), 0, 3, 0), -22, 'a list that is too short');
  t.is(buffersTakeBack(buffers.memory, none, new Uint32Array(2), ring, 0, 3, 0, 2), -22, 'no room for another lane\'s');
  t.is(buffersTakeBack(buffers.memory, new Uint8Array(3), new Uint32Array(4), ring, 0, 3, 0, 2), -22);
  t.is(buffersRelease(buffers.memory, new Uint32Array(1), 2), -22);
  t.deepEqual(buffers.memory, before);
  burst.buffer[0] = 4;
  t.is(buffersPut(buffers.memory, burst.memory, new Uint8Array(1), 1, 0, none, new Uint32Array(16), 0, 3, 0), -14);
  t.is(buffersRelease(buffers.memory, Uint32Array.of(14), 1), -14);
  t.deepEqual(buffers.memory, before);
});

test('with the checker on, a native pass ends at the first transition that is not allowed, and says which', (t) => {
  const buffers = new Buffers({ first: 10, count: 4, chunk: 2048, free: Uint32Array.of(10, 11), checked: true }), ring = new Uint32Array(8);
  buffers.expectDone(buffersGive(buffers.memory, 0, ring, 0, 3, 0, 1));
  t.is(buffers.checker!.ownerOf(11), 'FILL');
  t.throws(() => buffers.expectDone(buffersTakeBack(buffers.memory, new Uint8Array(4), new Uint32Array(4), ring, 0, 3, 0, 1)), { code: 'E_OWNERSHIP', message: /buffer 11 is let go of as HELD, but it is FILL/ });
  buffers.free[buffers.freeCount++] = 12;
  t.throws(() => buffers.expectDone(buffersGive(buffers.memory, 0, ring, 0, 3, 0, 1)), { code: 'E_OWNERSHIP', message: /buffer 12 goes from FREE to FILL, but it is HELD/ });
  t.throws(() => buffers.releaseAll(Uint32Array.of(10), 1), { message: /buffer 10 is let go of as HELD, but it is FREE/ });
});
