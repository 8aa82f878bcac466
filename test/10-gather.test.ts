/** The gather pass (C++) against the same read frame by frame in TypeScript, and the two languages' layout of a burst. */
import test from 'ava';
import fc from './properties.js';
import { burstGather, burstLayout, mapMemory, unmap } from '../native/index.js';
import { ASK, ASK_CHECKSUMS, ASK_STAMPED, Burst, BURST, KEEP_SELECTED, macHash, MEASURED, UNDECIDED } from '../switch/burst.js';

const RUNT = 224, OVERSIZE = 225, COMPLETED = 4, SWITCH_TIME = 8, SEED = 0x1234567, SIZE = 512, FIRST_BUFFER = 2;

test('C++ and TypeScript agree where a burst\'s arrays lie', (t) => {
  const burst = new Burst([]), { bytes, measures, ...layout } = burstLayout();
  t.is(burst.memory.byteLength, bytes);
  t.is(burst.measured.byteOffset, measures);
  t.true(Object.keys(layout).length >= 18);
  for (const [name, offset] of Object.entries(layout)) t.is((burst as unknown as Record<string, Uint32Array>)[name].byteOffset, offset, name);
});

test('what is gathered is what the frames say, for every length, stamp and place in the ring', (t) => {
  const umem = mapMemory('gather', 1 << 20), bytes = Buffer.from(umem.segments[0]), burst = new Burst([bytes]), ring = new Uint32Array(SIZE * 4 + 48);
  const frame = fc.record({ chunk: fc.integer({ min: FIRST_BUFFER, max: 511 }), offset: fc.integer({ min: 8, max: 300 }), length: fc.oneof(fc.nat(64), fc.nat(1700)), stamp: fc.constantFrom(-1, -1, 0, 1, 5, 9e15), completed: fc.boolean(), seed: fc.nat(255) });
  fc.assert(fc.property(fc.array(frame, { maxLength: BURST }), fc.nat(2 ** 32 - 1), fc.boolean(), fc.boolean(), (frames, first, stamped, checksums) => {
    const used = new Set<number>(), distinct = frames.filter((f) => !used.has(f.chunk) && used.add(f.chunk)), began = process.hrtime.bigint() - 1000n;
    const { asked, measured } = burst;
    asked.fill(0);
    asked.set([48, first, distinct.length, SIZE - 1, 14, 1514, 11, FIRST_BUFFER], ASK.entries);
    asked[ASK.options] = (stamped ? ASK_STAMPED : 0) | (checksums ? ASK_CHECKSUMS : 0);
    asked.set([SEED, RUNT, OVERSIZE, UNDECIDED, COMPLETED, SWITCH_TIME, 512 - FIRST_BUFFER], ASK.seed);
    burst.keep.fill(9);
    measured[MEASURED.lastStamp] = Number(began);
    distinct.forEach((f, i) => {
      const at = f.chunk * 2048 + f.offset;
      for (let k = -8; k < 16; k++) bytes[at + k] = (f.seed * 31 + k * 7) & 0xff;
      bytes.writeBigUInt64LE(f.stamp < 0 ? 0n : f.stamp === 9e15 ? BigInt(2 ** 62) : began + BigInt(f.stamp), at - 8);
      ring.set([at, 0, f.length, 0], 48 + ((first + i) & (SIZE - 1)) * 4);
      burst.completed[i] = f.completed ? 1 : 0;
    });
    t.is(burstGather(umem.id, burst.memory, ring), 0);
    const ended = process.hrtime.bigint();
    t.true(measured[MEASURED.now] >= Number(began) && measured[MEASURED.now] <= Number(ended));
    t.true(Math.abs(measured[MEASURED.seconds] * 1e9 - measured[MEASURED.now]) < 1000);
    t.is(measured[MEASURED.bytes], distinct.reduce((n, f) => n + f.length, 0));
    let last = began;
    distinct.forEach((f, i) => {
      const at = f.chunk * 2048 + f.offset, good = f.length >= 14 && f.length <= 1514, head = good ? Buffer.from(bytes.subarray(at, at + 16)) : Buffer.alloc(16);
      if (f.length < 16) head.writeUInt16LE(0, 14);
      const words = [head.readUInt32LE(0), head.readUInt16LE(4), head.readUInt32LE(6), head.readUInt16LE(10), head.readUInt32LE(12)];
      t.deepEqual([burst.dstLow[i], burst.dstHigh[i], burst.srcLow[i], burst.srcHigh[i], burst.type[i]], words);
      t.deepEqual([burst.dstHash[i], burst.srcHash[i]], [macHash(words[0], words[1], SEED) >>> 0, macHash(words[2], words[3], SEED) >>> 0]);
      t.deepEqual([burst.addressLow[i], burst.addressHigh[i], burst.length[i], burst.buffer[i]], [at, 0, f.length, f.chunk - FIRST_BUFFER]);
      t.is(burst.egress[i], good ? UNDECIDED : f.length > 1514 ? OVERSIZE : RUNT);
      t.is(burst.keep[i], KEEP_SELECTED);
      const stamp = f.stamp < 0 ? 0n : f.stamp === 9e15 ? BigInt(2 ** 62) : began + BigInt(f.stamp), holds = stamp >= last && stamp <= ended;
      if (stamped && holds) last = stamp;
      t.is(burst.flags[i], (checksums && f.completed ? COMPLETED : 0) | (stamped && !holds ? SWITCH_TIME : 0));
      const said = (BigInt(burst.stampHigh[i]) << 32n) | BigInt(burst.stampLow[i]);
      t.is(Number(said), stamped && holds ? Number(stamp) : measured[MEASURED.now]);
    });
  }), { numRuns: 200 });
  unmap(umem);
});

test('a descriptor that points outside, and what is no ring, are refused', (t) => {
  const umem = mapMemory('gather', 4096), burst = new Burst([]), ring = new Uint32Array(4 * 4), { asked } = burst;
  asked.set([0, 0, 1, 3, 14, 1514, 11, 0], ASK.entries);
  asked[ASK.buffers] = 2;
  for (const [low, high] of [[4096, 0], [4090, 0], [0, 1], [0xffffffff, 0xffffffff], [0, 0]]) {
    ring.set([low, high, 60, 0]);
    t.is(burstGather(umem.id, burst.memory, ring), -14, `${high}:${low}`);
  }
  ring.set([256, 0, 60, 0]);
  asked[ASK.firstBuffer] = 1;
  t.is(burstGather(umem.id, burst.memory, ring), -14, 'a buffer before the lane\'s');
  asked.set([0], ASK.firstBuffer);
  asked[ASK.buffers] = 0;
  t.is(burstGather(umem.id, burst.memory, ring), -14, 'and one behind');
  asked[ASK.buffers] = 2;
  t.is(burstGather(umem.id, burst.memory, ring), 0);
  for (const [place, value] of [[ASK.mask, 7], [ASK.mask, 2], [ASK.entries, 1], [ASK.count, BURST + 1]]) {
    const was = asked[place];
    asked[place] = value;
    t.is(burstGather(umem.id, burst.memory, ring), -22);
    asked[place] = was;
  }
  t.is(burstGather(umem.id, burst.memory.subarray(1), ring), -22);
  t.is(burstGather(99, burst.memory, ring), -22);
  unmap(umem);
});
