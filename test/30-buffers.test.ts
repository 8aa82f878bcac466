/** Who owns a buffer: the checker refuses what the state machine does not have, and a port that goes gives back exactly what it had. */
import test from 'ava';
import fc from 'fast-check';
import { FramekeepError } from '../native/index.js';
import { Buffers, OwnershipChecker, WITH_SEVERAL, WITH_SHIFT, type Owner } from '../switch/buffers.js';

test('the checker lets through a change only from where the buffer is', (t) => {
  const owners: Owner[] = ['FREE', 'FILL', 'SWITCH', 'HELD'];
  for (const is of owners) {
    for (const from of owners) {
      const checker = new OwnershipChecker(10, 4);
      if (is !== 'HELD') checker.move(12, 'HELD', is);
      if (from === is) { checker.move(12, from, 'FREE'); t.is(checker.ownerOf(12), 'FREE'); continue; }
      const error = t.throws(() => checker.move(12, from, 'FREE'), { instanceOf: FramekeepError }) as FramekeepError;
      t.is(error.code, 'E_OWNERSHIP');
      t.is(checker.ownerOf(12), is);
    }
  }
  t.throws(() => new OwnershipChecker(10, 4).move(14, 'HELD', 'FREE'), { message: /not one of this lane/ });
});

test('at the start: free are those given, and the rest is held by records', (t) => {
  const buffers = new Buffers(100, 10, Uint32Array.of(101, 105, 109), true);
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
    const n = uses.length, buffers = new Buffers(0, n, Uint32Array.from({ length: n }, (_, i) => i), true);
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
