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
 * FIGURES
 */
import type { FrameMatch } from './index.js';
import { OP, branches, returns, verify } from './cbpf.js';
import type { Instruction } from './cbpf.js';
import { boundsOf } from './flow.js';
import type { Bounds } from './flow.js';

/** Deepest nesting of blocks. V8's parser recurses: at some thousand levels it overruns the stack of a thread. */
const DEEPEST = 200;
const INT_MAX = 0x7fffffff;

/**
 * The function of a program from anywhere: its result for a frame is that of libpcap's interpreter, in 0 to 2^32-1.
 * @param program  two words an instruction, see cbpf.ts
 * @throws `E_FILTER_PROGRAM` if {@link verify} refuses it
 */
export function toJavaScript(program: Uint32Array): FrameMatch {
  return new Function('bytes', 'offset', 'captured', 'wire', bodyOf(verify(program))) as FrameMatch;
}

/** The function's source, for tests and the curious. */
export function bodyOf(program: readonly Instruction[]): string {
  const bounds = boundsOf(program);
  const blocks = blocksOf(program);
  const nested = depthOf(blocks) <= DEEPEST;
  const lines: string[] = [];
  const targets = new Set(blocks.map((block) => block.end));
  let live = true;                                          // whether anything falls through to here
  for (let at = 0; at < program.length; at++) {
    if (targets.has(at)) lines.push(nested ? '}' : `case ${at}:`);
    live ||= targets.has(at);
    if (nested) for (const block of blocks) if (block.start === at) lines.push(`L${block.end}: {`);
    if (!live) continue;
    const here = bounds[at]!;
    const { code } = program[at];
    const go = (to: number): string => jump(program, at, to, nested);
    if (returns(code)) { lines.push(returning(program[at])); live = false; }
    else if (code === OP.JA || branches(code)) {
      const [taken, otherwise] = destinations(program, at);
      lines.push(taken === otherwise ? go(taken)
        : go(otherwise) === '' ? `if (${condition(program[at], here)}) ${go(taken)}`
        : `if (${condition(program[at], here, true)}) ${go(otherwise)}${go(taken) === '' ? '' : `\n${go(taken)}`}`);
      live = go(taken) === '' || go(otherwise) === '';
    } else lines.push(statement(program[at], here));
  }
  const used = [...new Set(lines.join('\n').match(/\b(A|X|p|M\d+)\b/g))];
  return ['"use strict";', 'offset |= 0; captured |= 0; wire |= 0;', used.length > 0 ? `let ${used.map((name) => `${name} = 0`).join(', ')};` : '',
    ...nested ? lines : ['for (let at = 0;;) switch (at) { case 0:', ...lines, '}']].join('\n');
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
    for (let j = i - 1; j >= 0; j--) {
      if (blocks[j].start < blocks[i].start && blocks[i].start < blocks[j].end) blocks[i].start = blocks[j].start;
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

/** A register as an unsigned number; the int32 itself where it cannot be negative. */
const unsigned = (register: string, bound: number): string => bound <= INT_MAX ? register : `(${register} >>> 0)`;

/** A conditional jump's condition in JavaScript, or its negation. */
function condition({ code, k }: Instruction, { a, x }: Bounds, not = false): string {
  const withX = (code & 8) !== 0;
  const right = withX ? unsigned('X', x) : `${k}`;
  switch (code) {
    case OP.JEQ_K: case OP.JEQ_X: return `A ${not ? '!==' : '==='} ${withX ? 'X' : k | 0}`;
    case OP.JGT_K: case OP.JGT_X: return `${unsigned('A', a)} ${not ? '<=' : '>'} ${right}`;
    case OP.JGE_K: case OP.JGE_X: return `${unsigned('A', a)} ${not ? '<' : '>='} ${right}`;
    default: return `(A & ${withX ? 'X' : k | 0}) ${not ? '===' : '!=='} 0`;  // jset
  }
}

/** Loads `size` bytes, network byte order, from `place` in `bytes`. */
function load(size: number, place: (byte: number) => string): string {
  return Array.from({ length: size }, (_, byte) => `bytes[${place(byte)}]${byte < size - 1 ? ` << ${8 * (size - 1 - byte)}` : ''}`).join(' | ');
}

function absolute(size: number, k: number, { seen }: Bounds): string {
  const check = k + size > seen ? `if (captured < ${k + size}) return 0; ` : '';
  return `${check}A = ${load(size, (byte) => `offset + ${k + byte}`)};`;
}

function indexed(size: number, k: number, { x }: Bounds): string {
  const check = `if (${unsigned('X', x)} > captured - ${k + size}) return 0; `;
  return k + size > INT_MAX ? 'return 0;'                   // no frame is that long
    : size === 1 ? `${check}A = bytes[offset + X + ${k} | 0];`
    : `${check}p = offset + X + ${k} | 0; A = ${load(size, (byte) => byte === 0 ? 'p' : `p + ${byte}`)};`;
}

/** What one instruction that does not jump does to A, X and M[]. */
function statement({ code, k }: Instruction, bounds: Bounds): string {
  const { a, x } = bounds;
  const ua = unsigned('A', a), ux = unsigned('X', x);
  switch (code) {
    case OP.LD_W_ABS: return absolute(4, k, bounds);
    case OP.LD_H_ABS: return absolute(2, k, bounds);
    case OP.LD_B_ABS: return absolute(1, k, bounds);
    case OP.LD_W_IND: return indexed(4, k, bounds);
    case OP.LD_H_IND: return indexed(2, k, bounds);
    case OP.LD_B_IND: return indexed(1, k, bounds);
    case OP.LDX_MSH: return `${k + 1 > bounds.seen ? `if (captured < ${k + 1}) return 0; ` : ''}X = (bytes[offset + ${k}] & 15) << 2;`;
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
    case OP.DIV_K: return `A = ${ua} / ${k} | 0;`;
    case OP.DIV_X: return `if (X === 0) return 0; A = ${ua} / ${ux} | 0;`;
    case OP.MOD_K: return `A = ${ua} % ${k} | 0;`;
    case OP.MOD_X: return `if (X === 0) return 0; A = ${ua} % ${ux} | 0;`;
    case OP.AND_K: return `A &= ${k | 0};`;
    case OP.AND_X: return 'A &= X;';
    case OP.OR_K: return `A |= ${k | 0};`;
    case OP.OR_X: return 'A |= X;';
    case OP.XOR_K: return `A ^= ${k | 0};`;
    case OP.XOR_X: return 'A ^= X;';
    case OP.LSH_K: return `A <<= ${k};`;
    case OP.RSH_K: return `A = A >>> ${k} | 0;`;
    case OP.LSH_X: return `A = ${ux} < 32 ? A << X : 0;`;
    case OP.RSH_X: return `A = ${ux} < 32 ? A >>> X | 0 : 0;`;
    default: return 'A = 0 - A | 0;';                        // neg
  }
}
