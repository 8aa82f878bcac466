/**
 * Hostile frames, and a hostile peer. Frames of any content: what becomes of them depends on their own bytes alone, whatever lies
 * around them in memory; in the sanitized build native code that reads anything else ends the process. The peer of a pipe
 * writes anything into the memory that both share, also while this side reads it.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { compileFilter, toJavaScript, type FrameMatch } from '../logger/filter/index.js';
import { Pool, PoolReader } from '../logger/index.js';
import { lockFile } from '../native/index.js';
import { sanitizerForbid } from '../native/sanitizer.js';
import { BURST } from '../switch/burst.js';
import hub from '../switch/lookup/hub.js';
import { LearningSwitch } from '../switch/lookup/learning.js';
import { perFrame, type SwitchLogic } from '../switch/lookup/logic.js';
import type { PortContext } from '../switch/ports/driver.js';
import { PipePort } from '../switch/ports/pipe.js';
import { Selection } from '../switch/selection.js';
import { HandPlane, HandPort } from './plane_maker.js';
import { PATIENCE_MS } from './patience.js';
import { portEntry, scratch } from './pool_maker.js';

const SEED = Number(process.env['FRAMEKEEP_SEED'] ?? 36);
/** Numbers that follow from a seed alone. */
function dice(seed: number): (below: number) => number {
  let x = seed >>> 0 || 1;
  return (below) => { x ^= x << 13; x >>>= 0; x ^= x >>> 17; x ^= x << 5; x >>>= 0; return x % below; };
}

/** What lies around frames: nothing, ones, and what looks like more of a frame (tags, headers, a partial checksum's length). */
const NEIGHBOURS: readonly Uint8Array[] = [Uint8Array.of(0), Uint8Array.of(0xff), Uint8Array.from(Buffer.from('8100000588a8000608004500002800010000400600000a0000010a00000200501f90', 'hex'))];

/** Puts each frame where the switch would receive it, between neighbours of the test's choice, and forbids native code to touch those. */
class BetweenNeighbours extends HandPort {
  readonly used = new Set<number>();
  override readonly partialChecksums: boolean;
  private readonly pattern: Uint8Array;

  constructor(context: PortContext, pattern: Uint8Array, checksums: boolean) {
    super(context);
    this.pattern = pattern;
    this.partialChecksums = checksums;
  }

  override receive(): void {
    const n = this.capacity(Math.min(this.waiting.length, BURST)), { chunk, umem, segments } = this.context;
    this.taken = this.waiting.splice(0, n);
    for (const frame of this.taken) {
      this.takeBuffer();
      const bytes = segments[this.segment], start = this.frameAt - 256, address = this.addressHigh * 4294967296 + this.addressLow;
      sanitizerForbid?.(umem.id, address - 256, chunk, false);
      for (let i = 0; i < chunk; i++) bytes[start + i] = this.pattern[i % this.pattern.length];
      bytes.set(frame, this.frameAt);
      this.used.add((address - 256) / chunk);
      sanitizerForbid?.(umem.id, address - 256, chunk, true);
      sanitizerForbid?.(umem.id, address, frame.length, false);
      this.give(frame.length);
    }
    if (n > 0) this.publish();
  }
}

const LARGEST = 2048 - 256;
const TAGS = [0x8100, 0x88a8, 0x9100, 0x9200], TYPES = [0x0800, 0x86dd, 0x0806, 0x88b5, 0x8847, 0x88cc, 0x8906, 0, 1, 1500, 1501, 1535, 1536, 0xffff];

/** Tags on tags, headers cut anywhere, lengths that lie, types of any kind, noise. */
function hostileFrame(roll: (below: number) => number): Uint8Array {
  const bytes: number[] = [], u16 = (x: number): void => { bytes.push(x >> 8 & 255, x & 255); };
  for (const end of [0, 1]) bytes.push(...[[2, 0, 0, 0, 0, roll(6)], [255, 255, 255, 255, 255, 255], [1, 0x80, 0xc2, 0, 0, roll(32)], [0x33, 0x33, 0, 0, 0, roll(4)], [0, 0, 0, 0, 0, 0], Array.from({ length: 6 }, () => roll(256))][end === 1 && roll(3) > 0 ? 0 : roll(6)]);
  for (let n = [0, 0, 1, 2, roll(9), 400][roll(6)]; n > 0; n--) { u16(TAGS[roll(4)]); u16(roll(65536)); }
  u16(TYPES[roll(TYPES.length)]);
  switch (roll(5)) {
    case 0: { // IPv4 that lies about its lengths, with TCP or UDP that lie too
      bytes.push(0x40 | roll(16), roll(256)); u16([20, 40, 65535, roll(65536)][roll(4)]); u16(roll(65536)); u16([0, 0x4000, 0x2000 | roll(8192)][roll(3)]); bytes.push(64, [6, 17, 132, 1, roll(256)][roll(5)]); u16(roll(65536));
      for (let i = 0; i < 8; i++) bytes.push(roll(256));
      for (let n = roll(60); n > 0; n--) bytes.push(roll(256));
      break;
    }
    case 1: { // IPv6, extension headers on extension headers
      bytes.push(0x60, 0, 0, 0); u16(roll(65536)); bytes.push([0, 43, 44, 60, 6, 17, roll(256)][roll(7)], 64);
      for (let i = 0; i < 32; i++) bytes.push(roll(256));
      for (let n = roll(12); n > 0; n--) { bytes.push([0, 43, 44, 60, 6][roll(5)], [0, 1, 255, roll(8)][roll(4)]); for (let i = 0; i < 6; i++) bytes.push(roll(256)); }
      break;
    }
    case 2: for (let n = roll(200); n > 0; n--) bytes.push(roll(256)); break;
    default: break;
  }
  const whole = Math.min(bytes.length, LARGEST), length = [whole, roll(whole + 1), roll(64), 14, 15, 16, 17, 18, 60, LARGEST, roll(LARGEST + 1)][roll(11)];
  const frame = new Uint8Array(length);
  for (let i = 0; i < length; i++) frame[i] = bytes[i] ?? roll(256);
  return frame;
}

const FILTERS = ['', 'vlan and vlan and tcp', 'tcp[tcpflags] & tcp-syn != 0', 'ip6 proto 6 or ip6[40] = 6', 'ether[1790] = 0 or ether[60] = 255', 'udp port 53 or tcp port 80', 'greater 100', 'ip[6:2] & 0x1fff = 0 and tcp[13] > 3'];
const matchOf = (expression: string): { match?: FrameMatch } => {
  const { program } = compileFilter(expression);
  return program === undefined ? {} : { match: toJavaScript(program) };
};
/** Built-in ones, and a user's that looks everywhere, also far behind the end. */
const logicOf = (kind: number): SwitchLogic => [
  new LearningSwitch({ fdbSize: 256, ageing: 0, vlanAware: false, forwardReserved: false }), new LearningSwitch({ fdbSize: 256, ageing: 0, vlanAware: true, forwardReserved: true }), hub(),
  perFrame({ name: 'curious', forward: (f, ingress, v) => { const sum = f.u32(12) + f.u16(f.length - 1) + f.u8(f.length) + f.u32(LARGEST - 3) + f.u8(-1); if (sum % 3 === 0) v.flood(); else v.forward((ingress + sum) % 4); v.keep(f.u8(f.length + 1) === 0 && sum % 2 === 0); } }),
][kind];

/** What became of the frames, all of it. */
function outcome(t: ExecutionContext, frames: readonly (readonly Uint8Array[])[], filter: string, kind: number, checksums: boolean, pattern: Uint8Array): { outcome: unknown; used: number; buffers: number } {
  const hand = new HandPlane(t, { bytes: 1 << 20, logic: logicOf(kind), selection: new Selection(matchOf(filter)), maxFrame: LARGEST, maxBatch: 16 });
  const ports = frames.map((_, id) => hand.add(id, (context) => new BetweenNeighbours(context, pattern, checksums)));
  const { id, bytes } = hand.context.umem;
  sanitizerForbid?.(id, 0, bytes, true);
  ports.forEach((port, i) => port.waiting.push(...frames[i].map((frame) => frame.slice())));
  hand.drain();
  t.deepEqual(hand.audit(), []);
  const counters = ports.map((_, i) => [...hand.counters.port(i)]), sent = ports.map((port) => port.sent.map((frame) => Buffer.from(frame).toString('latin1')));
  const used = new Set(ports.flatMap((port) => [...port.used])).size, buffers = hand.buffers.count, { path } = hand;
  sanitizerForbid?.(id, 0, bytes, false);
  hand.close();
  const pool = Pool.open(path), reader = new PoolReader(pool), kept: unknown[] = [];
  while (reader.next()) kept.push([reader.sequence, reader.ingress, reader.verdict, reader.wire, reader.flags & 4, Buffer.from(reader.bytes.subarray(reader.offset, reader.offset + reader.captured)).toString('latin1')]);
  pool.close();
  return { outcome: { counters, sent, kept }, used, buffers };
}

const ROUNDS = Number(process.env['FRAMEKEEP_ROUNDS'] ?? 24);
test.serial(`${ROUNDS * 1500} hostile frames (seed ${SEED}): what becomes of each depends on its own bytes alone, and no buffer is lost`, (t) => {
  t.timeout(60_000 + ROUNDS * 10_000);
  const roll = dice(SEED);
  let used = 0, buffers = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const frames = Array.from({ length: 3 }, () => Array.from({ length: 500 }, () => hostileFrame(roll)));
    if (round === 0) frames.push(Array.from({ length: LARGEST + 1 }, (_, length) => Uint8Array.from({ length }, () => roll(256))));  // every length there is
    const filter = FILTERS[round % FILTERS.length], kind = (round >> 1) % 4, checksums = round % 3 === 0;
    const [first, ...others] = NEIGHBOURS.map((pattern) => outcome(t, frames, filter, kind, checksums, pattern));
    for (const other of others) t.true(isDeepStrictEqual(other.outcome, first.outcome), `round ${round}: filter "${filter}", logic ${kind}, checksums ${checksums}`);
    used = Math.max(used, first.used);
    buffers = first.buffers;
  }
  t.true(used > buffers / 2, `${used} of ${buffers} buffers were received into`);
  t.log(`${ROUNDS} rounds, each thrice; ${sanitizerForbid === undefined ? 'addon as it is' : 'native code watched byte by byte'}`);
});

test.serial('a frame that fills the last buffer to its last byte, and one of no byte there, are as anywhere else', (t) => {
  const hand = new HandPlane(t, { bytes: 1 << 20, maxFrame: LARGEST }), port = hand.add(0, (context) => new BetweenNeighbours(context, NEIGHBOURS[1], true)), other = hand.add(1);
  const frames = Array.from({ length: 3000 }, (_, i) => Uint8Array.from({ length: i % 2 === 0 ? LARGEST : [14, 15, 0][i % 3] }, (_x, at) => at < 6 ? 255 : at < 12 ? 2 : (at * 7 + i) & 255));
  port.waiting.push(...frames);
  hand.drain();
  t.true(port.used.has(hand.buffers.first + hand.buffers.count - 1), 'the last buffer was among them');
  const expected = frames.filter((f) => f.length >= 14);
  t.is(other.sent.length, expected.length);
  t.true(other.sent.every((frame, i) => Buffer.compare(frame, expected[i]) === 0));
  sanitizerForbid?.(hand.context.umem.id, 0, hand.context.umem.bytes, false);
  t.deepEqual(hand.audit(), []);
});

// ------------------------------------------------------------------------------------------------------------ a hostile peer

/** Offsets of native/src/pipe.cc's file. */
const RING_A = 4096, RING_BYTES = 4096 + 512 * 4096, RING_B = RING_A + RING_BYTES;

/** A plane with an ordinary port and one end of a pipe, whose other end is the test's. */
function piped(t: ExecutionContext): { hand: HandPlane; a: HandPort; pipe: PipePort; path: string } {
  const hand = new HandPlane(t, { bytes: 1 << 20, maxFrame: LARGEST }), path = join(scratch(t), 'wire');
  const a = hand.add(0), pipe = new PipePort(hand.context, undefined, path, 'pipe');
  hand.pool.writePort(1, portEntry(1));
  hand.plane.addPort(1, pipe);
  return { hand, a, pipe, path };
}
const turn = (hand: HandPlane, times = 1): void => { for (let i = 0; i < times; i++) hand.plane.turn(); };

test.serial('pipe: with anything in the shared memory, this end delivers whole frames or counts them as malformed, and loses no buffer', (t) => {
  const { hand, a, pipe, path } = piped(t), roll = dice(SEED), fd = openSync(path, 'r+');
  t.true(lockFile(fd, 2), 'the other end is taken');
  const numbers = [0, 1, 511, 512, 513, 4088, 4089, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffe00];
  const put = (at: number, value: number): void => { const word = Buffer.alloc(4); word.writeUInt32LE(value >>> 0); writeSync(fd, word, 0, 4, at); };
  for (let round = 0; round < 4000; round++) {
    for (let n = roll(6); n > 0; n--) {
      const ring = roll(2) === 0 ? RING_A : RING_B, value = roll(3) === 0 ? roll(2 ** 32 - 1) : numbers[roll(numbers.length)];
      switch (roll(4)) {
        case 0: put(ring, value); break;              // producer
        case 1: put(ring + 64, value); break;         // consumer
        case 2: put(ring + 4096 + roll(512) * 4096, value); break;   // a frame's length
        default: writeSync(fd, Uint8Array.from({ length: 64 }, () => roll(256)), 0, 64, roll(4096 + 2 * RING_BYTES - 64));
      }
    }
    a.waiting.push(hostileFrame(roll));
    turn(hand);
    const wrong = hand.sums();
    if (wrong.length > 0) { t.deepEqual(wrong, [], `round ${round}`); break; }
  }
  turn(hand, 20);
  pipe.statistics(hand.counters.port(1));
  t.log(`${hand.counters.port(1)[0]} frames taken from it, ${a.sent.length} of them sent on`);
  t.true(a.sent.every((frame) => frame.length <= LARGEST));
  closeSync(fd);
  hand.plane.removePort(1);
  hand.drain();
  t.deepEqual(hand.audit(), []);
});

test.serial('pipe: a peer that writes as fast as it can while this end reads does no more', async (t) => {
  const { hand, a, path } = piped(t), roll = dice(SEED);
  const child = fork(join(import.meta.dirname, 'hostile_peer.js'), [path], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  t.teardown(() => { child.kill('SIGKILL'); });
  await once(child, 'message');
  const began = performance.now(), seconds = (): number => (performance.now() - began) / 1000, received = (): number => hand.counters.port(1)[0];
  let turns = 0;
  while (seconds() < 1.5 || (received() <= 1000 && seconds() < PATIENCE_MS / 1000)) {
    if (turns % 8 === 0) a.waiting.push(hostileFrame(roll));
    turn(hand);
    turns++;
    if (turns % 1000 === 0) { t.deepEqual(hand.sums(), []); a.sent.length = 0; await new Promise(setImmediate); }
  }
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
  t.log(`${turns} turns, ${received()} frames taken from it`);
  t.true(received() > 1000);
  hand.plane.removePort(1);
  hand.drain();
  t.deepEqual(hand.audit(), []);
  t.is(statSync(path).size, 4096 + 2 * RING_BYTES);
  t.is(readFileSync(path).length, 4096 + 2 * RING_BYTES);
});
