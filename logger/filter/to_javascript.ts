/**
 * Translates a verified BPF program into a JavaScript function that V8 compiles like any other: no allocation a call (a
 * program that returns A, which libpcap never makes, may box a result past 2^31), 32-bit integers throughout.
 *
 * All jumps go forward, so that a jump is a `break` out of a labelled block that ends at its target:
 *
 *     jeq #0x800 jt 2 jf 9      L9: { if (A !== 2048) break L9;
 *     …                               …
 *     (009)                     }   …
 *
 * Jumps to a `ret` become that `return`; blocks open as late as proper nesting allows. Where they would nest deeper than
 * V8's parser likes, the program becomes a `switch` over instructions in a loop instead.
 *
 * Measured on a 2-core x86-64 VM, Node 20.20, ns a frame beside libpcap 1.10.3's interpreter (one native call a round); Ethernet frames
 * of captures/ drawn at random, first 4,096 of them (8 MiB), then 65,536 (128 MiB: the cache misses rule). Medians of three runs of
 * 21 interleaved rounds; on the machine when busy, the second column went to 23-56 ns for both.
 *
 *                                            instructions  selected   here       libpcap
 *     tcp port 80                                      20       4 %    5.5  21    8.6  26
 *     host 192.168.1.1 or net 10.0.0.0/8               26      30 %    9.1  24    9.5  25
 *     ip6 or arp or vlan                                8      28 %    7.9  24    8.2  21
 *     tcp[tcpflags] & (tcp-syn|tcp-fin) != 0           11       1 %    8.5  24    7.1  23
 *     udp portrange 1-1024 or icmp                     24       8 %    8.5  25    8.0  24
 *
 * Keeping track of the lengths already checked and of the registers' bounds, to leave checks and `>>> 0` out, gained nothing.
 */
import type { FrameMatch } from './index.js';
import { OP, branches, returns, verify } from './cbpf.js';
import type { Instruction } from './cbpf.js';

/** Deepest nesting of blocks. V8's parser recurses: on a main thread's stack it did 2,000 levels, and threw at 3,000. */
const DEEPEST = 200;
/** No frame is longer: it lies in a segment of 2^30 bytes. */
const LONGEST_FRAME = 2 ** 30;

/**
 * The function of a program from anywhere: its result for a frame is that of libpcap's interpreter, in 0 to 2^32-1.
 * @param program  two words an instruction, see cbpf.ts
 * @throws `E_FILTER_PROGRAM` if {@link verify} refuses it
 */
export function toJavaScript(program: Uint32Array): FrameMatch {
  return new Function('bytes', 'offset', 'captured', 'wire', bodyOf(verify(program))) as FrameMatch;
}

/** The function's source. */
function bodyOf(program: readonly Instruction[]): string {
  const blocks = blocksOf(program);
  const nested = depthOf(blocks) <= DEEPEST;
  const lines: string[] = [];
  const targets = new Set(blocks.map((block) => block.end));
  const opens = program.map((): string => '');
  if (nested) for (const { start, end } of blocks) opens[start] += `L${end}: {`;
  let live = true;                                          // whether anything falls through to here
  for (let at = 0; at < program.length; at++) {
    if (targets.has(at)) lines.push(nested ? '}' : `case ${at}:`);
    live ||= targets.has(at);
    lines.push(opens[at]);
    if (!live) continue;
    const { code } = program[at];
    const go = (to: number): string => jump(program, at, to, nested);
    if (returns(code)) { lines.push(returning(program[at])); live = false; }
    else if (code === OP.JA || branches(code)) {
      const [taken, otherwise] = destinations(program, at);
      lines.push(taken === otherwise ? go(taken)
        : go(otherwise) === '' ? `if (${condition(program[at])}) ${go(taken)}`
        : `if (${condition(program[at], true)}) ${go(otherwise)}${go(taken) === '' ? '' : `\n${go(taken)}`}`);
      live = go(taken) === '' || go(otherwise) === '';
    } else lines.push(statement(program[at]));
  }
  const used = [...new Set(lines.join('\n').match(/\b(A|X|p|M\d+)\b/g))];
  return ['"use strict";', 'offset |= 0; captured |= 0; wire |= 0;', used.length > 0 ? `let ${used.map((name) => `${name} = 0`).join(', ')};` : '',
    ...nested ? lines : ['for (let at = 0;;) switch (at) { case 0:', ...lines, '}']].filter((line) => line !== '').join('\n');
}

// ---- control flow

/** A labelled block, from before instruction `start` to before instruction `end`, its label. */
interface Block { start: number; readonly end: number }

/** Where both arms of a jump really go: through any chain of `ja`. */
function destinations(program: readonly Instruction[], at: number): [number, number] {
  const { code, jt, jf, k } = program[at];
  const through = (to: number): number => {
    while (program[to].code === OP.JA) to += 1 + program[to].k;
    return to;
  };
  return code === OP.JA ? [through(at + 1 + k), through(at + 1 + k)] : [through(at + 1 + jt), through(at + 1 + jf)];
}

/** The statement that goes from `at` to `to`: '' if that is next anyway. */
function jump(program: readonly Instruction[], at: number, to: number, nested: boolean): string {
  if (returns(program[to].code)) return returning(program[to]);
  if (to === at + 1) return '';
  return nested ? `break L${to};` : `{ at = ${to}; continue; }`;
}

/** The blocks that the reachable jumps need, in the order of their ends, properly nested. */
function blocksOf(program: readonly Instruction[]): Block[] {
  const firstSource = new Map<number, number>();            // by target
  let live = true;
  for (let at = 0; at < program.length; at++) {
    live ||= firstSource.has(at);
    if (!live) continue;
    const { code } = program[at];
    if (returns(code)) live = false;
    else if (code === OP.JA || branches(code)) {
      const sides = destinations(program, at);
      for (const to of sides) if (jump(program, at, to, true).startsWith('break') && !firstSource.has(to)) firstSource.set(to, at);
      live = sides.some((to) => jump(program, at, to, true) === '');
    }
  }
  const blocks: Block[] = [...firstSource].map(([end, start]) => ({ start, end })).sort((a, b) => a.end - b.end);
  for (let i = 0; i < blocks.length; i++) {                 // a block that would cross an earlier one takes that in whole
    for (let j = i - 1; j >= 0 && blocks[i].start < blocks[j].end; j--) {
      blocks[i].start = Math.min(blocks[i].start, blocks[j].start);
    }
  }
  return blocks.reverse();                                  // outermost first where they start together
}

function depthOf(blocks: readonly Block[]): number {
  const edges = blocks.flatMap(({ start, end }) => [{ at: start, by: 1 }, { at: end, by: -1 }]).sort((a, b) => a.at - b.at || a.by - b.by);
  let depth = 0, deepest = 0;
  for (const { by } of edges) deepest = Math.max(deepest, depth += by);
  return deepest;
}

// ---- instructions

const returning = ({ code, k }: Instruction): string => code === OP.RET_K ? `return ${k};` : 'return A >>> 0;';

/** A conditional jump's condition in JavaScript, or its negation. Registers are held as int32. */
function condition({ code, k }: Instruction, not = false): string {
  const withX = (code & 8) !== 0;
  switch (code) {
    case OP.JEQ_K: case OP.JEQ_X: return `A ${not ? '!==' : '==='} ${withX ? 'X' : k | 0}`;
    case OP.JGT_K: case OP.JGT_X: return `A >>> 0 ${not ? '<=' : '>'} ${withX ? 'X >>> 0' : k}`;
    case OP.JGE_K: case OP.JGE_X: return `A >>> 0 ${not ? '<' : '>='} ${withX ? 'X >>> 0' : k}`;
    default: return `(A & ${withX ? 'X' : k | 0}) ${not ? '===' : '!=='} 0`;  // jset
  }
}

/** Loads `size` bytes, network byte order, from `place` in `bytes`. */
function load(size: number, place: (byte: number) => string): string {
  return Array.from({ length: size }, (_, byte) => `bytes[${place(byte)}]${byte < size - 1 ? ` << ${8 * (size - 1 - byte)}` : ''}`).join(' | ');
}

function absolute(size: number, k: number): string {
  return `if (captured < ${k + size}) return 0; A = ${load(size, (byte) => `offset + ${k + byte}`)};`;
}

function indexed(size: number, k: number): string {
  if (k + size > LONGEST_FRAME) return 'return 0;';
  return `if (X >>> 0 > captured - ${k + size}) return 0; p = offset + X + ${k} | 0; A = ${load(size, (byte) => byte === 0 ? 'p' : `p + ${byte}`)};`;
}

/** What one instruction that does not jump does to A, X and M[]. */
function statement({ code, k }: Instruction): string {
  switch (code) {
    case OP.LD_W_ABS: return absolute(4, k);
    case OP.LD_H_ABS: return absolute(2, k);
    case OP.LD_B_ABS: return absolute(1, k);
    case OP.LD_W_IND: return indexed(4, k);
    case OP.LD_H_IND: return indexed(2, k);
    case OP.LD_B_IND: return indexed(1, k);
    case OP.LDX_MSH: return `if (captured < ${k + 1}) return 0; X = (bytes[offset + ${k}] & 15) << 2;`;
    case OP.LD_LEN: return 'A = wire;';
    case OP.LDX_LEN: return 'X = wire;';
    case OP.LD_IMM: return `A = ${k | 0};`;
    case OP.LDX_IMM: return `X = ${k | 0};`;
    case OP.LD_MEM: return `A = M${k};`;
    case OP.LDX_MEM: return `X = M${k};`;
    case OP.ST: return `M${k} = A;`;
    case OP.STX: return `M${k} = X;`;
    case OP.TAX: return 'X = A;';
    case OP.TXA: return 'A = X;';
    case OP.ADD_K: return `A = A + ${k | 0} | 0;`;
    case OP.ADD_X: return 'A = A + X | 0;';
    case OP.SUB_K: return `A = A - ${k | 0} | 0;`;
    case OP.SUB_X: return 'A = A - X | 0;';
    case OP.MUL_K: return `A = Math.imul(A, ${k | 0});`;
    case OP.MUL_X: return 'A = Math.imul(A, X);';
    case OP.DIV_K: return `A = (A >>> 0) / ${k} | 0;`;
    case OP.DIV_X: return 'if (X === 0) return 0; A = (A >>> 0) / (X >>> 0) | 0;';
    case OP.MOD_K: return `A = (A >>> 0) % ${k} | 0;`;
    case OP.MOD_X: return 'if (X === 0) return 0; A = (A >>> 0) % (X >>> 0) | 0;';
    case OP.AND_K: return `A &= ${k | 0};`;
    case OP.AND_X: return 'A &= X;';
    case OP.OR_K: return `A |= ${k | 0};`;
    case OP.OR_X: return 'A |= X;';
    case OP.XOR_K: return `A ^= ${k | 0};`;
    case OP.XOR_X: return 'A ^= X;';
    case OP.LSH_K: return `A <<= ${k};`;
    case OP.RSH_K: return `A = A >>> ${k} | 0;`;
    case OP.LSH_X: return 'A = X >>> 0 < 32 ? A << X : 0;';
    case OP.RSH_X: return 'A = X >>> 0 < 32 ? A >>> X | 0 : 0;';
    default: return 'A = 0 - A | 0;';                        // neg
  }
}
