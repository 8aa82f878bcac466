/**
 * Frame selection: what libpcap compiles, what the verifier lets through, and whether the translated function says the same as
 * libpcap's interpreter, on the frames under captures/, on damaged and made-up ones, and for made-up programs.
 */
import test from 'ava';
import fc from './properties.js';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { packageRoot } from '../native/addon.js';
import { FramekeepError } from '../native/error.js';
import { LONGEST_FILTER, libpcapVersion, pcapCompile, pcapFilterBurst, pcapFilterRun } from '../native/pcap_filter.js';
import { ETHERNET, openCapture } from '../logger/capture/index.js';
import { LONGEST_PROGRAM, OP, decode, encode } from '../logger/filter/cbpf.js';
import type { Instruction } from '../logger/filter/cbpf.js';
import { compileFilter, disassemble, reachOf, toJavaScript, verify } from '../logger/filter/index.js';
import { has } from './needs.js';

const SNAP = 262144;

interface Frame { bytes: Uint8Array; wire: number }

/** All Ethernet frames under captures/; what is damaged gives the frames before the damage. */
function capturedFrames(): Frame[] {
  const frames: Frame[] = [];
  const files = readdirSync(join(packageRoot(), 'captures'), { recursive: true, encoding: 'utf8' }).filter((name) => /\.pcap(ng)?$/.test(name));
  for (const name of files) {
    try {
      const capture = openCapture(join(packageRoot(), 'captures', name));
      try {
        while (capture.next()) {
          if (capture.linkType !== ETHERNET) continue;
          frames.push({ bytes: capture.bytes.slice(capture.offset, capture.offset + capture.captured), wire: capture.wire });
        }
      } finally { capture.close(); }
    } catch (error) {
      if (!(error instanceof FramekeepError)) throw error;
    }
  }
  return frames;
}
const real = capturedFrames();

/** Expressions as people write them, and some of every kind of instruction that libpcap generates. */
const EXPRESSIONS = [
  'tcp', 'udp', 'arp', 'ip6', 'icmp6', 'stp', 'vlan', 'mpls', 'pppoes', 'rarp', 'igmp', 'sctp', 'carp', 'vrrp', 'iso', 'ipx', 'lat', 'llc', 'geneve',
  'tcp port 80', 'udp port 53 or tcp port 53', 'port 80 or port 443', 'portrange 1-1024', 'src portrange 2000-3000', 'not tcp port 22',
  'host 192.168.1.1', 'src host 10.0.0.1 and dst port 80', 'net 192.168.0.0/16', 'not net 10', 'dst net 224.0.0.0/4', 'ip6 host fe80::1', 'src net fe80::/10',
  'ether host 01:80:c2:00:00:0e', 'ether src 00:00:00:00:00:00', 'ether multicast', 'ether broadcast', 'ip multicast', 'ip6 multicast',
  'ether proto 0x88cc', 'ether[12:2] > 1500', 'ether[0] & 1 != 0', 'vlan 5', 'vlan and vlan and ip', 'vlan and tcp port 80', 'mpls 100 and ip', 'vlan or mpls',
  'less 64', 'greater 1000', 'len > 200 and len <= 600', 'len - 14 = ip[2:2]', 'ip[0] & 0xf > 5', 'ip[6:2] & 0x1fff != 0', 'ip[8] < 64', '-ip[8] = 0 - 64',
  'tcp[tcpflags] & (tcp-syn|tcp-fin) != 0', 'tcp[tcpflags] == tcp-syn|tcp-ack', 'tcp[13] = 18', 'icmp[icmptype] = icmp-echo', 'icmp6[icmp6type] == icmp6-neighborsolicit',
  'tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)', 'ip[ip[0]:4] = 1', 'ip[2:2] / 3 * 3 = ip[2:2]', 'ip[2:2] % ip[9] = 0',
  'ip[4:2] / (ip[8] - 64) > 2', 'ip[0] << (ip[1] + 4) != 0', 'ip[12:4] >> (ip[8] & 31) = 3', 'udp[4:2] ^ 0x55 > 0x40 | 2', 'ip[16:4] = 0xffffffff', 'ip[12:4] > 0x80000000',
  'udp[8:4] = 0x2', 'tcp[100:4] = 7', 'ip proto 47', 'ip proto \\tcp', 'ether proto \\ip', 'udp dst port 123', '(host 1.2.3.4 or net 10.1/16) and not (tcp or udp)', '1 = 1', 'ip and 1 = len',
];

/** Frames where filters look: real, real with bytes changed, cut anywhere, random ones, and none at all. */
const frame: fc.Arbitrary<Frame> = fc.oneof(
  { weight: 3, arbitrary: fc.nat(real.length - 1).map((i) => real[i]) },
  { weight: 3, arbitrary: fc.tuple(fc.nat(real.length - 1), fc.array(fc.tuple(fc.nat(80), fc.oneof(fc.nat(255), fc.constantFrom(0, 6, 17, 0x45, 0x60, 0xff))), { maxLength: 6 }))
    .map(([i, changes]) => {
      const bytes = real[i].bytes.slice();
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
      return { bytes, wire: real[i].wire };
    }) },
  { weight: 3, arbitrary: fc.tuple(fc.nat(real.length - 1), fc.nat(90)).map(([i, length]) => ({ bytes: real[i].bytes.slice(0, length), wire: real[i].wire })) },
  { weight: 1, arbitrary: fc.tuple(fc.uint8Array({ maxLength: 120 }), fc.oneof(fc.nat(2000), fc.constantFrom(0x7fffffff, 0x80000000, 0xffffffff))).map(([bytes, wire]) => ({ bytes, wire })) },
);

/**
 * Frames laid out in one segment as in a pool: each somewhere within noise, so that a load past its end would find something.
 * The table has three words a frame, as pcapFilterBurst takes it.
 */
function laidOut(frames: readonly Frame[]): { segment: Uint8Array; table: Uint32Array } {
  const table = new Uint32Array(3 * frames.length);
  let end = 0;
  frames.forEach(({ bytes, wire }, i) => { table.set([end + 17 + i % 7, bytes.length, wire], 3 * i); end += bytes.length + 48; });
  const segment = Uint8Array.from({ length: end + 64 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 24);
  frames.forEach(({ bytes }, i) => segment.set(bytes, table[3 * i]));
  return { segment, table };
}

/** Index of the first frame for which the function and libpcap's interpreter differ; −1 if there is none. */
function difference(program: Uint32Array, match: ReturnType<typeof toJavaScript>, { segment, table }: ReturnType<typeof laidOut>): number {
  const expected = new Uint32Array(table.length / 3);
  pcapFilterBurst(program, segment, table, expected);
  return expected.findIndex((result, i) => match(segment, table[3 * i], table[3 * i + 1], table[3 * i + 2]) !== result);
}

function compiled(expression: string): Uint32Array {
  const program = pcapCompile(expression, SNAP);
  if (typeof program === 'string') throw new Error(`${expression}: ${program}`);
  return program;
}

/** Index of the first frame of which the function says something else when all bytes behind its program's reach are gone; −1 if there is none. */
function cutDifference(program: Uint32Array, match: ReturnType<typeof toJavaScript>, frames: readonly Frame[]): number {
  const reach = reachOf(decode(program)), whole = laidOut(frames), cut = laidOut(frames.map(({ bytes, wire }) => ({ bytes: bytes.slice(0, Math.min(bytes.length, reach)), wire })));
  return frames.findIndex((_, i) => match(whole.segment, whole.table[3 * i], whole.table[3 * i + 1], whole.table[3 * i + 2])
    !== match(cut.segment, cut.table[3 * i], cut.table[3 * i + 1], cut.table[3 * i + 2]));
}

test('libpcap says its version', (t) => t.regex(libpcapVersion() ?? '', /^libpcap version \d+\.\d+/));

test('captures/ has frames to test with', (t) => t.true(real.length > 500, `${real.length} frames`));

test('each expression says the same as libpcap of all captured frames, and of the same cut short', (t) => {
  const frames = laidOut([...real, ...real.map(({ bytes, wire }, i) => ({ bytes: bytes.slice(0, i % 100), wire }))]);
  let selective = 0;
  for (const expression of EXPRESSIONS) {
    const program = compiled(expression);
    const { match, instructions } = compileFilter(expression);
    t.is(instructions, program.length / 2);
    t.is(difference(program, match, frames), -1, expression);
    t.is(cutDifference(program, match, real), -1, expression);
    const hits = real.filter(({ bytes, wire }) => match(bytes, 0, bytes.length, wire) === SNAP).length;
    if (hits > 0 && hits < real.length) selective++;
  }
  t.true(selective > EXPRESSIONS.length / 2, `${selective} of ${EXPRESSIONS.length} expressions select some of the frames and leave some`);
});

test('expressions put together at random say the same as libpcap of damaged and random frames', (t) => {
  const field = fc.tuple(fc.constantFrom('ether', 'ip', 'ip6', 'tcp', 'udp', 'icmp', 'arp'), fc.nat(70), fc.constantFrom(1, 2, 4)).map(([proto, at, size]) => `${proto}[${at}:${size}]`);
  const operand = fc.oneof({ weight: 4, arbitrary: field }, fc.constant('len'), fc.nat(0xffffffff).map(String), fc.nat(300).map(String));
  const term = fc.oneof(operand, fc.tuple(operand, fc.constantFrom('+', '-', '*', '/', '%', '&', '|', '^', '<<', '>>'), field).map(([a, op, b]) => `(${a} ${op} ${b})`));
  const relation = fc.tuple(term, fc.constantFrom('=', '!=', '<', '<=', '>', '>='), term).map(([a, op, b]) => `${a} ${op} ${b}`);
  const expression = fc.array(fc.tuple(fc.constantFrom('', 'not '), fc.oneof(fc.constantFrom(...EXPRESSIONS.filter((e) => !/vlan|mpls|pppoes|geneve/.test(e))), relation)), { minLength: 1, maxLength: 4 })
    .chain((parts) => fc.array(fc.constantFrom(' and ', ' or '), { minLength: parts.length, maxLength: parts.length })
      .map((joins) => parts.map(([not, part], i) => `${i > 0 ? joins[i] : ''}${not}(${part})`).join('')));
  let run = 0;
  fc.assert(fc.property(expression, fc.array(frame, { minLength: 1, maxLength: 12 }), (text, frames) => {
    const program = pcapCompile(text, SNAP);
    if (typeof program === 'string') return /rejects all|zero|shift by more/.test(program);  // what libpcap sees through
    run++;
    const { match } = compileFilter(text);
    return difference(program, match, laidOut(frames)) === -1 && cutDifference(program, match, frames) === -1;
  }), { numRuns: 1500 });
  t.true(run > 500, `${run} expressions compiled`);
});

const constant = fc.oneof(fc.nat(90), fc.nat(90), fc.nat(0xffffffff), fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x0800, 6, 17));
const opcode = (...names: (keyof typeof OP)[]): fc.Arbitrary<number> => fc.constantFrom(...names.map((name) => OP[name]));

/** Any verifiable program: M[] is written first, jumps go forward and within, all instructions occur. */
function anyProgram(length: { minLength: number; maxLength: number }, jumps = 4): fc.Arbitrary<Instruction[]> {
  const instruction = fc.oneof(
    { weight: 3, arbitrary: fc.record({ code: opcode('LD_W_ABS', 'LD_H_ABS', 'LD_B_ABS', 'LD_W_IND', 'LD_H_IND', 'LD_B_IND', 'LDX_MSH'), k: fc.oneof({ weight: 9, arbitrary: fc.nat(70) }, constant.filter((k) => k < 0xffe00000)) }) },
    { weight: 2, arbitrary: fc.record({ code: opcode('LD_LEN', 'LDX_LEN', 'LD_IMM', 'LDX_IMM', 'TAX', 'TXA', 'NEG', 'TAX'), k: constant }) },
    { weight: 2, arbitrary: fc.record({ code: opcode('LD_MEM', 'LDX_MEM', 'ST', 'STX'), k: fc.nat(15) }) },
    { weight: 3, arbitrary: fc.record({ code: opcode('ADD_K', 'SUB_K', 'MUL_K', 'OR_K', 'AND_K', 'XOR_K', 'ADD_X', 'SUB_X', 'MUL_X', 'DIV_X', 'OR_X', 'AND_X', 'LSH_X', 'RSH_X', 'MOD_X', 'XOR_X'), k: constant }) },
    { weight: 1, arbitrary: fc.record({ code: opcode('DIV_K', 'MOD_K'), k: constant.filter((k) => k !== 0) }) },
    { weight: 1, arbitrary: fc.record({ code: opcode('LSH_K', 'RSH_K', 'LDX_IMM'), k: fc.nat(31) }) },
    { weight: jumps, arbitrary: fc.record({ code: opcode('JEQ_K', 'JGT_K', 'JGE_K', 'JSET_K', 'JEQ_X', 'JGT_X', 'JGE_X', 'JSET_X', 'JA'), k: constant }) },
    { weight: 1, arbitrary: fc.record({ code: opcode('RET_K', 'RET_A'), k: constant }) },
  );
  return fc.array(fc.tuple(instruction, fc.nat(255), fc.nat(255)), length).map((body) => {
    const writes = Array.from({ length: 16 }, (_, k) => ({ code: k % 2 === 0 ? OP.ST : OP.STX, jt: 0, jf: 0, k }));
    const ending = [{ code: OP.ADD_X, jt: 0, jf: 0, k: 0 }, { code: OP.RET_A, jt: 0, jf: 0, k: 0 }];
    return [...writes, ...body.map(([{ code, k }, jt, jf], i) => {
      const room = body.length - i + 1;                     // the last two may be jumped to
      return code === OP.JA ? { code, jt: 0, jf: 0, k: jt % room }
        : (code & 7) === 5 ? { code, jt: jt % 3 === 0 ? 0 : jt % room, jf: jf % 3 === 0 ? 0 : jf % room, k } : { code, jt: 0, jf: 0, k };
    }), ...ending];
  });
}

test('random programs say the same as libpcap of damaged and random frames', (t) => {
  let zero = 0, other = 0;
  fc.assert(fc.property(anyProgram({ minLength: 0, maxLength: 40 }), fc.array(frame, { minLength: 1, maxLength: 8 }), (instructions, frames) => {
    const program = encode(instructions), layout = laidOut(frames);
    const match = toJavaScript(program);
    if (match(layout.segment, layout.table[0], layout.table[1], layout.table[2]) === 0) zero++; else other++;
    return difference(program, match, layout) === -1;
  }), { numRuns: 3000 });
  t.true(Math.min(zero, other) > 100, `of the first frames ${zero} were refused, ${other} were not`);
});

test('programs whose jumps nest too deep for blocks say the same as libpcap', (t) => {
  let dispatched = 0;
  fc.assert(fc.property(anyProgram({ minLength: 700, maxLength: 1200 }, 40), fc.array(frame, { minLength: 1, maxLength: 8 }), (instructions, frames) => {
    const program = encode(instructions), match = toJavaScript(program);
    if (match.toString().includes('switch')) dispatched++;
    return difference(program, match, laidOut(frames)) === -1;
  }), { numRuns: 40 });
  t.true(dispatched > 0, 'none nested deeper than blocks go');
  t.false(compileFilter('tcp port 80').match.toString().includes('switch'));
});

test('random programs say the same of the bytes within their reach as of whole frames', (t) => {
  let bounded = 0;
  fc.assert(fc.property(anyProgram({ minLength: 1, maxLength: 30 }), fc.array(frame, { minLength: 1, maxLength: 8 }), (instructions, frames) => {
    const program = encode(instructions);
    if (reachOf(instructions) < 200) bounded++;
    return cutDifference(program, toJavaScript(program), frames) === -1;
  }), { numRuns: 2000 });
  t.true(bounded > 200, `${bounded} programs with a reach that cuts`);
});

test('how far filters reach', (t) => {
  const reach = (expression: string): number => compileFilter(expression).reach;
  t.is(reach(''), 0);
  t.is(reach('less 64'), 0);                                   // the wire's length is no byte of the frame
  t.is(reach('arp'), 14);
  t.is(reach('ip host 10.0.0.1'), 34);
  t.is(reach('ip and udp and dst port 53'), 14 + 60 + 4);      // behind the longest IPv4 header
  t.is(reach('ip6 host fe80::1'), 54);
  t.is(reach('ether[1000:4] = 1'), 1004);
  t.is(reach('ip[ip[0]:4] = 1'), 14 + 255 + 4);                // a place that a byte says
  t.is(reach('ip[ip[2:2]:4] = 1'), Infinity);                  // … that two bytes say: past any buffer
  t.is(reach('ip[len:1] = 1'), Infinity);
  t.is(reach('ip[ip[0] - 5:1] = 1'), Infinity);                // what is taken away can wrap
});

test('what an arithmetic instruction does at its edges', (t) => {
  const edges = [0, 1, 2, 31, 32, 33, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff];
  const nothing = laidOut([{ bytes: new Uint8Array(0), wire: 0xffffffff }]);
  const withX = Object.entries(OP).filter(([name]) => /^(ADD|SUB|MUL|DIV|OR|AND|LSH|RSH|MOD|XOR)_X$/.test(name)).map(([, code]) => code);
  const jumps = Object.entries(OP).filter(([name]) => /^J.*_[XK]$/.test(name)).map(([, code]) => code);
  const insn = (code: number, k = 0, jt = 0, jf = 0): Instruction => ({ code, jt, jf, k });
  for (const a of edges) for (const x of edges) {
    const set = [insn(OP.LD_IMM, a), insn(OP.LDX_IMM, x)];
    for (const code of withX) {
      const constantForm = code - 8, divides = code === OP.DIV_X || code === OP.MOD_X, shifts = code === OP.LSH_X || code === OP.RSH_X;
      const programs = [[...set, insn(code), insn(OP.RET_A)], [...set, insn(OP.NEG), insn(code), insn(OP.RET_A)]];
      if (!(divides && x === 0) && !(shifts && x > 31)) programs.push([...set, insn(constantForm, x), insn(OP.RET_A)]);
      for (const program of programs) t.is(difference(encode(program), toJavaScript(encode(program)), nothing), -1, program.map(disassemble).join('; '));
    }
    for (const code of jumps) {
      const program = encode([...set, insn(code, x, 0, 1), insn(OP.RET_K, 0xffffffff), insn(OP.RET_K, 7)]);
      t.is(difference(program, toJavaScript(program), nothing), -1, disassemble(insn(code, x, 0, 1), 2));
    }
  }
});

test('a load at the edge of a frame reads all of it or ends the program', (t) => {
  const bytes = Uint8Array.from({ length: 20 }, (_, i) => 0xf0 - i);
  const layout = laidOut([{ bytes, wire: 20 }]);
  for (const [name, x] of [['ABS', 0], ['IND', 0], ['IND', 5], ['IND', 0x7ffffff0], ['IND', 0xfffffff0], ['IND', 0xffffffff]] as const) for (const size of ['W', 'H', 'B'] as const) {
    for (const k of [0, 10, 14, 15, 16, 17, 18, 19, 20, 21, 2 ** 30 - 1, 0x7ffffffe, 0x80000000, 0xffdfffff]) {
      const program = encode([{ code: OP.LDX_IMM, jt: 0, jf: 0, k: x }, { code: OP[`LD_${size}_${name}`], jt: 0, jf: 0, k }, { code: OP.RET_A, jt: 0, jf: 0, k: 0 }]);
      t.is(difference(program, toJavaScript(program), layout), -1, `ld ${size} ${name} k ${k} x ${x}`);
    }
  }
});

test('the empty expression selects every frame, at the snap length', (t) => {
  for (const expression of ['', '  \n']) {
    const { match, instructions } = compileFilter(expression, { snapLength: 96 });
    t.is(instructions, 1);
    t.true(real.every(({ bytes, wire }) => match(bytes, 0, bytes.length, wire) === 96));
    t.is(match(new Uint8Array(0), 0, 0, 0), 96);
  }
  t.is(compileFilter('ip or not ip', { snapLength: 1 }).match(real[0].bytes, 0, real[0].bytes.length, 60), 1);
  for (const snapLength of [0, -1, 1.5, Number.NaN, SNAP + 1]) t.throws(() => compileFilter('', { snapLength }), { code: 'E_SNAP_LENGTH' });
});

test('a call allocates nothing', (t) => {
  for (const expression of ['tcp port 80', 'host 192.168.1.1 or net 10', 'ip[12:4] > 0x80000000']) {
    const { match } = compileFilter(expression, { snapLength: SNAP });
    const { segment, table } = laidOut(real.slice(0, 64));
    let hits = 0;
    const calls = (n: number): void => { for (let i = 0; i < n; i++) { const f = 3 * (i & 63); if (match(segment, table[f], table[f + 1], table[f + 2]) !== 0) hits++; } };
    calls(200_000);
    const least = Math.min(...Array.from({ length: 5 }, () => {  // a collection or the compiler's thread can disturb one
      const before = process.memoryUsage().heapUsed;
      calls(200_000);
      return Math.abs(process.memoryUsage().heapUsed - before);
    }));
    t.true(least < 200_000, `${expression}: ${least} bytes for 200,000 calls (${hits} hits)`);
  }
});

// ---- what is refused

/** A bad expression, libpcap's words, and the column and length of the mark; undefined: none can be known. */
const BAD: [string, RegExp, [number, number] | undefined][] = [
  ['tcp and port port 80', /syntax error/, [13, 4]],
  ['tcp and (port 80', /syntax error/, [16, 1]],
  ['tcp prt 80', /syntax error/, [4, 3]],
  ['tcp and', /syntax error/, [7, 1]],
  [')', /syntax error/, [0, 1]],
  ['tcp # 80', /syntax error/, [4, 1]],
  ['ip and\n\ttcp prt 80', /syntax error/, [12, 3]],
  ['ip[0', /syntax error/, [4, 1]],
  ['port ssh and porté', /syntax error/, [17, 1]],
  ['port nosuch', /unknown port 'nosuch'/, [5, 6]],
  ['udp or port 99999 or tcp', /illegal port number 99999/, [12, 5]],
  ['vlan 5000 and ip', /VLAN tag 5000/, [5, 4]],
  ['ip or net 10.0.0.1/8', /non-network bits set/, [10, 10]],
  ['ether host 00:11:22:33:44', /bogus ethernet address/, [11, 12]],
  ['ip proto 4294967296', /overflows 32 bits/, [9, 10]],
  ['ip6 host 1.2.3.4', /'ip6' modifier/, [0, 3]],
  ['port nosuch or tcp port nosuch', /unknown port 'nosuch'/, [5, 6]],
  ['tcp and ip broadcast', /netmask not known/, [8, 12]],
  ['ip and tcp[0:3] = 1', /data size must be 1, 2, or 4/, [0, 15]],
  ['ip[0] / 0 = 1', /division by zero/, [0, 9]],
  ['tcp and udp', /rejects all packets/, undefined],
  ['ip and ifname eth0', /ifname/, [0, 18]],
  ['tcp\0 and more', /NUL/, [3, 1]],
];

test('a bad expression gets libpcap\'s message and a mark under the place', (t) => {
  for (const [expression, words, mark] of BAD) {
    const error = t.throws(() => compileFilter(expression), { instanceOf: FramekeepError, code: 'E_FILTER_SYNTAX' }, expression);
    if (error === undefined) continue;
    const [what, shown, below] = error.message.split('\n');
    t.regex(what, words, expression);
    t.is(shown.slice(3), expression.replaceAll(/[\n\t\0]/g, ' '));
    if (mark === undefined) { t.notRegex(error.message, /\^/, expression); continue; }
    const [, blank, drawn] = /^ {3}( *)(\^~*|~*\^ libpcap read to here)$/.exec(below) ?? [];
    t.deepEqual([blank?.length, drawn?.replace(/ .*/, '').length], mark, error.message);
  }
});

test('the place of a mistake in a long expression is shown with what is around it', (t) => {
  const expression = `${'ip or '.repeat(60)}prt 80${' or tcp'.repeat(60)}`;
  const error = t.throws(() => compileFilter(expression), { code: 'E_FILTER_SYNTAX' });
  const [, shown, below] = error!.message.split('\n');
  t.true(shown.length < 140);
  t.is(shown.slice(below.indexOf('^'), below.length), 'prt');
});

test('any damage to an expression is an error with a code, or a filter', (t) => {
  const damaged = fc.tuple(fc.constantFrom(...EXPRESSIONS), fc.nat(60), fc.constantFrom('', '(', ')', ' and ', ' port ', '[', ']', ':', '!', '\\', '#', '\0', 'é', '99999999999', ' fe:fe:fe: '))
    .map(([text, at, piece]) => text.slice(0, at) + piece + text.slice(at + 1)).filter((text) => !/(host|net) *[a-z_]|gateway/.test(text));  // no names to resolve
  let bad = 0;
  fc.assert(fc.property(damaged, (text) => {
    try {
      compileFilter(text);
    } catch (error) {
      bad++;
      if (!(error instanceof FramekeepError) || !/^E_FILTER_(SYNTAX|UNSUPPORTED)$/.test(error.code)) throw error;
    }
  }), { numRuns: 600 });
  t.true(bad > 100, `${bad} were bad`);
});

test('what only a Linux socket filter or a loop can do is refused', (t) => {
  for (const expression of ['inbound', 'tcp and outbound', 'ifindex 3', 'ether[0xfffff004:2] = 1', 'ether[0xffffffff] = 1', 'ip protochain 6', 'ip6 protochain \\tcp']) {
    const error = t.throws(() => compileFilter(expression), { instanceOf: FramekeepError, code: 'E_FILTER_UNSUPPORTED' }, expression);
    t.true(error?.message.includes(`"${expression}"`) === true && error.remedy !== '', expression);
  }
});

test('an expression too long for libpcap is refused before libpcap sees it', (t) => {
  const long = Array.from({ length: 20000 }, (_, i) => `net ${i % 200 + 1}`).join(' or ');  // 1.10.3 ends the process
  const error = t.throws(() => compileFilter(long), { instanceOf: FramekeepError, code: 'E_FILTER_LENGTH' });
  t.regex(error!.message, new RegExp(`${long.length} bytes.*${LONGEST_FILTER}`));
  t.notThrows(() => compileFilter(`ip${' '.repeat(LONGEST_FILTER - 2)}`));
  t.throws(() => compileFilter(`ip${' '.repeat(LONGEST_FILTER - 1)}`), { code: 'E_FILTER_LENGTH' });
});

test('without libpcap a filter is refused by name, and no filter is none', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'framekeep-'));
  try {
    for (const name of ['libpcap.so.0.8', 'libpcap.so.1']) writeFileSync(join(dir, name), 'no library');
    const module = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);
    const script = `const { compileFilter } = await import(${module('../logger/filter/index.js')});
      const { libpcapVersion } = await import(${module('../native/pcap_filter.js')});
      let code, message; try { compileFilter('tcp') } catch (error) { ({ code, message } = error) }
      console.log(JSON.stringify({ code, message, version: libpcapVersion() ?? null, empty: compileFilter('').match(new Uint8Array(60), 0, 60, 60) }));`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', env: { ...process.env, LD_LIBRARY_PATH: dir } });
    t.is(stderr, '');
    const { code, message, version, empty } = JSON.parse(stdout);
    t.is(code, 'E_LIBPCAP_MISSING');
    t.regex(message, /libpcap\.so\.0\.8[^]*libpcap\.so\.1[^]*apt-get install libpcap0\.8/);
    t.is(version, null);
    t.is(empty, SNAP);
  } finally { rmSync(dir, { recursive: true }); }
});

test('threads compile at the same time', async (t) => {
  const script = `const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.native).then(({ pcapCompile }) => {
      for (let i = 0; i < 30; i++) for (const [text, words] of workerData.expected) {
        if (pcapCompile(text, ${SNAP}).join() !== words) throw new Error(text);
      }
      parentPort.postMessage('same');
    });`;
  const expected = EXPRESSIONS.map((text) => [text, compiled(text).join()]);
  const results = await Promise.all(Array.from({ length: 4 }, () => new Promise((resolve, reject) => {
    const worker = new Worker(script, { eval: true, workerData: { native: new URL('../native/pcap_filter.js', import.meta.url).href, expected } });
    worker.once('message', resolve).once('error', reject);
  })));
  t.deepEqual(results, ['same', 'same', 'same', 'same']);
});

test('the verifier refuses what could do more than read its frame and end', (t) => {
  const insn = (code: number, k = 0, jt = 0, jf = 0): Instruction => ({ code, jt, jf, k });
  const ret = insn(OP.RET_K, 1);
  const refused: [Instruction[], RegExp][] = [
    [[], /1 to 65535 instructions/],
    [[insn(OP.LD_IMM)], /instruction 0 \(ld #0x0\) is the last and does not return/],
    [[insn(0xffff), ret], /\(\.word 0xffff\) is not an instruction/],
    [[insn(OP.LD_W_ABS | 0x8000), ret], /is not an instruction/],
    [[insn(0x0e), ret], /is not an instruction/],                             // ret x, which libpcap's interpreter lacks
    [[insn(OP.JA, 1), ret], /\(ja 2\) jumps past the end/],
    [[insn(OP.JA, 0xffffffff), ret], /\(ja 0\) jumps backwards/],
    [[insn(OP.JEQ_K, 6, 0, 1), ret], /\(jeq #0x6 jt 1 jf 2\) jumps past the end/],
    [[insn(OP.JGT_X, 6, 255, 0), ret], /\(jgt x jt 256 jf 1\) jumps past the end/],
    [[insn(OP.ST, 16), ret], /\(st M\[16\]\) uses a memory word past M\[15\]/],
    [[insn(OP.LD_MEM, 0xffffffff), ret], /past M\[15\]/],
    [[insn(OP.LD_MEM, 3), ret], /instruction 0 .* may read M\[3\] before it is written/],
    [[insn(OP.JEQ_K, 6, 0, 1), insn(OP.STX, 3), insn(OP.LDX_MEM, 3), ret], /instruction 2 \(ldx M\[3\]\) may read/],
    [[insn(OP.DIV_K, 0), ret], /divides by zero/], [[insn(OP.MOD_K, 0), ret], /divides by zero/],
    [[insn(OP.LSH_K, 32), ret], /shifts by more/], [[insn(OP.RSH_K, 0xffffffff), ret], /shifts by more/],
    [[insn(OP.LD_H_ABS, 0xfffff004), ret], /loads the packet type/], [[insn(OP.LD_B_ABS, 0xfff0000e), ret], /loads byte -1048562/],
    [[insn(OP.LDX_MSH, 0xffffffff), ret], /loads byte -1/],
  ];
  for (const [program, words] of refused) t.throws(() => toJavaScript(encode(program)), { instanceOf: FramekeepError, code: 'E_FILTER_PROGRAM', message: words });
  t.throws(() => verify(new Uint32Array(3)), { code: 'E_FILTER_PROGRAM' });
  t.throws(() => verify(new Uint32Array(2 * LONGEST_PROGRAM + 2).fill(6)), { code: 'E_FILTER_PROGRAM' });
  const both = [insn(OP.JEQ_K, 6, 0, 2), insn(OP.STX, 3), insn(OP.JA, 1), insn(OP.ST, 3), insn(OP.LDX_MEM, 3), ret];
  t.deepEqual(verify(encode(both)), both);
  t.throws(() => pcapFilterRun(Uint32Array.of(0xffff, 0, 6, 0), new Uint8Array(14), 14), { code: 'E_FILTER_PROGRAM' });
  t.throws(() => pcapFilterRun(Uint32Array.of(OP.JA, 0xffffffff, 6, 0), new Uint8Array(14), 14), { code: 'E_FILTER_PROGRAM' });
});

test('any program is refused with a code, or says the same as libpcap', (t) => {
  const flip = fc.tuple(anyProgram({ minLength: 0, maxLength: 12 }), fc.array(fc.tuple(fc.nat(1000), fc.nat(31)), { minLength: 1, maxLength: 3 })).map(([instructions, bits]) => {
    const program = encode(instructions);
    for (const [word, bit] of bits) program[word % program.length] ^= 1 << bit;
    return program;
  });
  let refused = 0, run = 0;
  fc.assert(fc.property(fc.oneof({ weight: 5, arbitrary: flip }, fc.uint32Array({ maxLength: 8 })), fc.array(frame, { minLength: 1, maxLength: 4 }), (program, frames) => {
    let match;
    try {
      match = toJavaScript(program);
    } catch (error) {
      refused++;
      return error instanceof FramekeepError && error.code === 'E_FILTER_PROGRAM';
    }
    run++;
    return difference(program, match, laidOut(frames)) === -1 && cutDifference(program, match, frames) === -1;
  }), { numRuns: 2000 });
  t.true(Math.min(refused, run) > 100, `${refused} refused, ${run} run`);
});

if (has('tcpdump as a second compiler of filters', 'tcpdump')) {
  const tcpdump = (flag: string, expression: string): string[] =>
    spawnSync('tcpdump', ['-y', 'EN10MB', '-s', `${SNAP}`, flag, '--', expression], { encoding: 'utf8' }).stdout.trim().split('\n');

  test('tcpdump compiles the same programs, and prints them as we do', (t) => {
    for (const expression of EXPRESSIONS) {
      const program = decode(compiled(expression));
      t.deepEqual([`${program.length}`, ...program.map(({ code, jt, jf, k }) => `${code} ${jt} ${jf} ${k}`)], tcpdump('-ddd', expression), expression);
      const printed = tcpdump('-d', expression).map((line) => line.replace(/^\(\d+\) /, '').trim().replaceAll(/\s+/g, ' '));
      t.deepEqual(program.map(disassemble), printed, expression);
    }
  });
}
