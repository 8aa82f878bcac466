/** Switching logic: every case of the learning switch, the hub, and modules of a user's own, those of docs/logic.md among them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { DROP_LOGIC, DROP_NO_EGRESS, DROP_OVERSIZE, DROP_RESERVED, DROP_RUNT, DROP_SAME_PORT, VERDICT_DROPPED } from '../logger/index.js';
import { FramekeepError, packageRoot } from '../native/index.js';
import { ASK, Burst, FLOOD, KEEP_NO, KEEP_SELECTED, KEEP_YES, macHash, SEVERAL, UNDECIDED } from '../switch/burst.js';
import { loadLogic } from '../switch/lookup/load.js';
import { LearningSwitch } from '../switch/lookup/learning.js';
import { FrameView, perFrame, type FrameLogic, type LogicContext, type SwitchLogic, type Verdict } from '../switch/lookup/logic.js';
import { HandPlane } from './plane_maker.js';
import { scratch, testFrame } from './pool_maker.js';

const CONTEXT: LogicContext = { fdbSize: 100, ageing: 10, vlanAware: false, forwardReserved: false };
const SAME = VERDICT_DROPPED + DROP_SAME_PORT, RESERVED = VERDICT_DROPPED + DROP_RESERVED, LOGIC = VERDICT_DROPPED + DROP_LOGIC, NO_EGRESS = VERDICT_DROPPED + DROP_NO_EGRESS;

type Sent = readonly [dst: string, src: string, rest?: string];
const bytes = (hex: string): number[] => [...Buffer.from(hex.replaceAll(/[: ]/g, ''), 'hex')];
const A = '02:00:00:00:00:0a', B = '02:00:00:00:00:0b', C = '06:00:00:00:00:0a';

/** A burst as the gather pass would make it. */
function burstOf(ingress: number, now: number, frames: readonly Sent[], seed = 0): Burst {
  const memory = new Uint8Array(frames.length * 64), burst = new Burst([memory]);
  burst.count = frames.length;
  burst.ingress = ingress;
  burst.now = now;
  burst.asked[ASK.count] = frames.length;
  burst.asked[ASK.seed] = seed;
  burst.asked[ASK.undecided] = UNDECIDED;
  frames.forEach(([dst, src, rest = '0800 4500'], i) => {
    const frame = [...bytes(dst), ...bytes(src), ...bytes(rest)], at = i * 64, words = new Uint32Array(memory.buffer, at, 4);
    memory.set(frame, at);
    burst.addressLow[i] = at;
    burst.length[i] = 60;
    burst.dstLow[i] = words[0];
    burst.dstHigh[i] = words[1] & 0xffff;
    burst.srcLow[i] = (words[1] >>> 16) | (words[2] << 16);
    burst.srcHigh[i] = words[2] >>> 16;
    burst.type[i] = words[3];
    burst.dstHash[i] = macHash(burst.dstLow[i], burst.dstHigh[i], seed);
    burst.srcHash[i] = macHash(burst.srcLow[i], burst.srcHigh[i], seed);
    burst.egress[i] = UNDECIDED;
  });
  return burst;
}
function decided(logic: SwitchLogic, ingress: number, now: number, ...frames: Sent[]): number[] {
  const burst = burstOf(ingress, now, frames, logic.table?.seed);
  logic.decide(burst);
  return [...burst.egress.subarray(0, frames.length)];
}

test('learning, source: refreshed, moved, learned; a group address never is', (t) => {
  const logic = new LearningSwitch(CONTEXT), { counters, table } = logic;
  t.deepEqual(decided(logic, 1, 100, [B, A], [B, A], [B, A]), [FLOOD, FLOOD, FLOOD]);
  t.deepEqual([counters.learned, counters.moved, table.size], [1, 0, 1]);
  t.deepEqual(decided(logic, 2, 105, [A, B]), [1], 'known: forwarded');
  t.deepEqual(decided(logic, 1, 109, [B, A]), [2], 'refreshed');
  t.deepEqual(decided(logic, 2, 118, [A, B]), [1], 'nine seconds after the refresh');
  t.deepEqual(decided(logic, 3, 118, [B, A]), [2], 'it moved');
  t.deepEqual(decided(logic, 2, 118, [A, B]), [3]);
  t.deepEqual([counters.learned, counters.moved], [2, 1]);
  const size = table.size;
  t.deepEqual(decided(logic, 4, 118, [B, '03:00:00:00:00:01'], [A, '03:00:00:00:00:01'], [B, 'ff:ff:ff:ff:ff:ff']), [2, 3, 2]);
  t.deepEqual([table.size, counters.groupSources], [size, 3]);
  t.deepEqual(decided(logic, 5, 118, ['02:00:00:00:00:0d', C], [C, A]), [FLOOD, SAME], 'words that differ in one bit are other stations');
});

test('learning, source: a full table is counted, and what it holds still forwards', (t) => {
  const logic = new LearningSwitch({ ...CONTEXT, fdbSize: 2 });
  t.deepEqual(decided(logic, 1, 0, [C, A], [C, B], [A, C], [B, C]), [FLOOD, FLOOD, SAME, SAME]);
  t.is(logic.table.size, 2);
  t.true(logic.counters.full > 0);
  t.deepEqual(decided(logic, 2, 0, [A, C], [C, C]), [1, FLOOD]);
});

test('learning, destination: reserved, group, at the ingress, known, unknown, aged', (t) => {
  const logic = new LearningSwitch(CONTEXT);
  const reserved = Array.from({ length: 16 }, (_, i): Sent => [`01:80:c2:00:00:0${i.toString(16)}`, A]);
  t.deepEqual(decided(logic, 1, 0, ...reserved), reserved.map(() => RESERVED));
  t.is(logic.table.size, 1, 'its source is learned all the same');
  t.deepEqual(decided(logic, 1, 0, ['01:80:c2:00:00:10', A], ['01:80:c2:00:01:00', A], ['01:80:c2:01:00:00', A], ['01:00:5e:00:00:01', A], ['ff:ff:ff:ff:ff:ff', A], ['33:33:00:00:00:01', A]), Array(6).fill(FLOOD));
  t.deepEqual(decided(logic, 1, 0, [A, B], [A, A]), [SAME, SAME]);
  t.deepEqual(decided(logic, 2, 9, [A, C], [C, C], ['02:00:00:00:00:0e', C]), [1, SAME, FLOOD]);
  t.deepEqual(decided(logic, 2, 10, [A, C]), [FLOOD], 'not seen for ten seconds');
  const open = new LearningSwitch({ ...CONTEXT, forwardReserved: true });
  t.deepEqual(decided(open, 1, 0, ...reserved), reserved.map(() => FLOOD));
});

test('learning: what was dropped for its length is neither learned from nor decided', (t) => {
  const logic = new LearningSwitch(CONTEXT), burst = burstOf(1, 0, [[B, A], [A, B]], logic.table.seed);
  burst.egress[0] = VERDICT_DROPPED + DROP_RUNT;
  burst.egress[1] = VERDICT_DROPPED + DROP_OVERSIZE;
  logic.decide(burst);
  t.deepEqual([...burst.egress.subarray(0, 2)], [VERDICT_DROPPED + DROP_RUNT, VERDICT_DROPPED + DROP_OVERSIZE]);
  t.is(logic.table.size, 0);
});

test('learning, by VLAN: one address at two ports in two VLANs; priority bits do not matter; without it they are one', (t) => {
  const vlan5 = '8100 0005', vlan5urgent = '8100 e005', service5 = '88a8 0005', vlan261 = '8100 0105', untagged = '0800 0005';
  const aware = new LearningSwitch({ ...CONTEXT, vlanAware: true });
  decided(aware, 1, 0, [B, A, vlan5]);
  decided(aware, 2, 0, [B, A, vlan261]);
  decided(aware, 3, 0, [B, A, untagged]);
  t.deepEqual(decided(aware, 4, 0, [A, B, vlan5], [A, B, vlan5urgent], [A, B, service5], [A, B, vlan261], [A, B, untagged], [A, B, '8100 0006']), [1, 1, 1, 2, 3, FLOOD]);
  t.deepEqual(aware.table.entries(0).filter((e) => e.mac === A).map((e) => [e.vlan, e.port]).sort(), [[0, 3], [261, 2], [5, 1]]);
  const unaware = new LearningSwitch(CONTEXT);
  decided(unaware, 1, 0, [B, A, vlan5]);
  t.deepEqual(decided(unaware, 2, 0, [A, B, vlan261], [A, B, untagged]), [1, 1]);
});

test('learning: a port that goes is forgotten; the tick sweeps out what aged, and counts it', (t) => {
  const logic = new LearningSwitch(CONTEXT);
  decided(logic, 1, 0, [C, A]);
  decided(logic, 2, 5, [C, B]);
  logic.portRemoved(1);
  t.deepEqual(decided(logic, 3, 5, [A, C], [B, C]), [FLOOD, 2]);
  logic.tick(15);
  t.deepEqual([logic.counters.entries, logic.counters.aged], [0, 2]);
});

test('the hub floods whatever has no verdict yet', async (t) => {
  const hub = await loadLogic('hub', CONTEXT), burst = burstOf(1, 0, [[A, B], ['01:80:c2:00:00:00', B], [B, B]]);
  burst.egress[2] = VERDICT_DROPPED;
  hub.decide(burst);
  t.deepEqual([...burst.egress.subarray(0, 3)], [FLOOD, FLOOD, VERDICT_DROPPED]);
  t.is((await loadLogic('learning', CONTEXT)).name, 'learning');
});

const say = (what: (verdict: Verdict) => void): [number, number, number, number] => {
  const burst = burstOf(0, 0, [[A, B]]);
  perFrame({ forward: (_frame, _ingress, verdict) => what(verdict) }).decide(burst);
  return [burst.egress[0], burst.set[0], burst.set[1], burst.keep[0]];
};

test('a verdict: each word of it, together and in any order; numbers that no port has reach nobody', (t) => {
  t.deepEqual(say(() => undefined), [LOGIC, 0, 0, KEEP_SELECTED]);
  t.deepEqual(say((v) => v.drop()), [LOGIC, 0, 0, KEEP_SELECTED]);
  t.deepEqual(say((v) => v.forward(63)), [63, 0, 0, KEEP_SELECTED]);
  t.deepEqual(say((v) => v.flood()), [FLOOD, 0, 0, KEEP_SELECTED]);
  t.deepEqual(say((v) => { v.also(0); v.also(31); v.also(32); v.also(63); }), [SEVERAL, 0x80000001, 0x80000001, KEEP_SELECTED]);
  t.deepEqual(say((v) => { v.forward(3); v.also(4); }), [SEVERAL, 0b11000, 0, KEEP_SELECTED], 'the first one stays');
  t.deepEqual(say((v) => { v.also(4); v.forward(3); v.also(5); }), [SEVERAL, 0b101000, 0, KEEP_SELECTED], 'forward means this and no other');
  t.deepEqual(say((v) => { v.flood(); v.also(4); }), [FLOOD, 0, 0, KEEP_SELECTED]);
  t.deepEqual(say((v) => { v.also(4); v.drop(); }), [LOGIC, 0, 0, KEEP_SELECTED]);
  for (const port of [-1, 64, 255, 256, 300, NaN, Infinity]) {
    t.deepEqual(say((v) => v.forward(port)), [NO_EGRESS, 0, 0, KEEP_SELECTED], `${port}`);
    t.deepEqual(say((v) => v.also(port)), [SEVERAL, 0, 0, KEEP_SELECTED], `${port}`);
  }
  t.is(say((v) => v.keep(true))[3], KEEP_YES);
  t.is(say((v) => v.keep(false))[3], KEEP_NO);
});

test('a frame view reads the frame, big-endian, and nothing past its end', (t) => {
  const seen: number[][] = [];
  perFrame({ forward: (f: FrameView, ingress) => { seen.push([ingress, f.length, f.u8(0), f.u16(12), f.etherType, f.u32(8), f.u8(59), f.u8(60), f.u16(59), f.u8(-1)]); } }).decide((() => {
    const burst = burstOf(7, 0, [[A, B, '88b5 ffff'], [B, A]]);
    burst.segments[0].fill(0x99, 59, 64);
    return burst;
  })());
  t.deepEqual(seen[0], [7, 60, 2, 0x88b5, 0x88b5, 0x0b, 0x99, 0, 0x9900, 0]);
  t.is(seen[1][5], 0x0a);
});

function moduleOf(t: ExecutionContext, source: string, name = 'logic.mjs'): string {
  const path = join(scratch(t), name);
  writeFileSync(path, source);
  return path;
}

test('a module that is none is refused as E_LOGIC, with the reason', async (t) => {
  const cases: [string, RegExp][] = [
    ['/nowhere/logic.mjs', /there is no switching logic/], ['bridge', /there is no switching logic 'bridge'/],
    [moduleOf(t, 'export const x = 1;'), /default export is not a function/], [moduleOf(t, 'export default 5;'), /default export is not a function/],
    [moduleOf(t, 'export default () => ({});'), /neither decide\(\) nor forward\(\)/], [moduleOf(t, 'export default () => undefined;'), /neither decide\(\) nor forward\(\)/],
    [moduleOf(t, 'export default () => { throw new Error("no table today"); };'), /does not load: no table today/], [moduleOf(t, 'export default ('), /does not load/],
  ];
  for (const [path, message] of cases) {
    const error = await t.throwsAsync(loadLogic(path, CONTEXT), { instanceOf: FramekeepError, message }) as FramekeepError;
    t.is(error.code, 'E_LOGIC');
  }
});

test('what a module throws in mid-traffic is told as its fault, with its stack', async (t) => {
  for (const source of ['decide() { null.x; }', 'forward() { null.x; }']) {
    const path = moduleOf(t, `export default () => ({ ${source} });`), logic = await loadLogic(path, CONTEXT);
    const error = t.throws(() => decided(logic, 0, 0, [A, B]), { instanceOf: FramekeepError }) as FramekeepError;
    t.is(error.code, 'E_LOGIC');
    t.regex(error.message, new RegExp(`${path}[^]*Cannot read properties of null[^]*at `));
  }
});

test('a module is given what the command line asked for, and keeps its own this', async (t) => {
  const path = moduleOf(t, 'export default (context) => ({ calls: 0, context, decide(burst) { this.calls += burst.count; }, tick() { this.calls = -1; } });');
  const logic = await loadLogic(path, CONTEXT) as SwitchLogic & { calls: number; context: LogicContext };
  decided(logic, 0, 0, [A, B], [A, B]);
  t.is(logic.calls, 2);
  t.deepEqual(logic.context, CONTEXT);
  logic.tick!(0);
  t.is(logic.calls, -1);
});

/** The modules of docs/logic.md, by the file name that each begins with. */
function documented(name: string): string {
  const page = readFileSync(join(packageRoot(), 'docs/logic.md'), 'utf8');
  const source = [...page.matchAll(/```js\n(\/\/ [^]*?)```/g)].map((m) => m[1]).find((s) => s.startsWith(`// ${name}`));
  if (source === undefined) throw new Error(`docs/logic.md has no ${name}`);
  return source;
}

test('docs/logic.md, isolate.mjs: stations reach the uplink and nobody else, and ARP is kept', async (t) => {
  const logic = await loadLogic(moduleOf(t, documented('isolate.mjs')), CONTEXT);
  t.is(logic.name, 'isolate');
  t.deepEqual(decided(logic, 2, 0, [B, A], ['ff:ff:ff:ff:ff:ff', A]), [0, 0]);
  t.deepEqual(decided(logic, 0, 0, [A, B], [C, B], ['ff:ff:ff:ff:ff:ff', B], [B, B]), [2, FLOOD, FLOOD, LOGIC]);
  const burst = burstOf(1, 0, [[A, C, '0806 0001'], [A, C]]);
  logic.decide(burst);
  t.deepEqual([...burst.keep.subarray(0, 2)], [KEEP_YES, KEEP_SELECTED]);
  logic.portRemoved!(2);
  t.deepEqual(decided(logic, 0, 0, [A, B], [C, B]), [FLOOD, 1]);
});

test('docs/logic.md, wire.mjs: in a data plane, ports are wired two by two', async (t) => {
  const logic: SwitchLogic = await loadLogic(moduleOf(t, documented('wire.mjs')), CONTEXT), hand = new HandPlane(t, { logic, bytes: 4 << 20 });
  const ports = [0, 1, 2, 3].map((id) => hand.add(id));
  ports.forEach((port, id) => { for (let n = 0; n <= id; n++) port.waiting.push(testFrame(id, 64)); });
  hand.drain();
  t.deepEqual(ports.map((p) => p.sent.length), [2, 1, 4, 3]);
  t.deepEqual(hand.audit(), []);
});

test('a frame logic has no more than it needs, and its other calls reach it', (t) => {
  const heard: string[] = [], user: FrameLogic = { forward: () => undefined, portAdded: (p) => heard.push(`+${p}`), portRemoved: (p) => heard.push(`-${p}`), tick: (n) => heard.push(`t${n}`) };
  const logic = perFrame(user);
  logic.portAdded!(1);
  logic.portRemoved!(2);
  logic.tick!(3);
  t.deepEqual(heard, ['+1', '-2', 't3']);
  t.is(logic.name, 'custom');
  perFrame({ forward: () => undefined }).tick!(1);
});
