/**
 * How far into a frame a BPF program can look: whoever copies frames only to match them need not copy more.
 *
 * A program sees the captured length in one way only: a load past it ends the program with 0. So a frame that is cut off at or
 * behind the end of the farthest load gives the same result as the whole one; the wire's length is a number of its own (`ld len`).
 *
 * Most loads have constant places. The others are at X + k, where libpcap puts a header's length into X: four times four bits, or what
 * was computed from a byte. All jumps go forward, so that one pass finds the largest A, X and M[] before each instruction, over all
 * paths to it.
 *
 *     ldxb 4*([14]&0xf)     X ≤ 60
 *     ldh  [x + 16]         looks at bytes up to 60 + 16 + 2
 */
import { MEMORY_WORDS, OP, branches, returns, type Instruction } from './cbpf.js';

const ANY = 0xffffffff;
/** Offsets wrap at 2^32, and no frame of one record is longer. */
const FARTHEST = 65535;

/** The largest value of each register: A, X, M[0…15]; undefined: nothing gets there. */
type Largest = Float64Array;
const A = 0, X = 1, M = 2;

/**
 * @param program  one that `verify` accepts
 * @returns bytes from the frame's beginning, 0 where it looks at none; Infinity where nothing bounds it
 */
export function reachOf(program: readonly Instruction[]): number {
  const before: (Largest | undefined)[] = program.map(() => undefined);
  before[0] = new Float64Array(M + MEMORY_WORDS);
  let reach = 0;
  for (let at = 0; at < program.length; at++) {
    const now = before[at];
    if (now === undefined) continue;
    const instruction = program[at], { code, jt, jf, k } = instruction;
    reach = Math.max(reach, endOfLoad(instruction, now[X]));
    if (returns(code)) continue;
    if (code === OP.JA) { meet(before, at + 1 + k, now); continue; }
    if (branches(code)) { meet(before, at + 1 + jt, now); meet(before, at + 1 + jf, now); continue; }
    execute(instruction, now);
    meet(before, at + 1, now);
  }
  return reach <= FARTHEST ? reach : Infinity;
}

function meet(before: (Largest | undefined)[], at: number, now: Largest): void {
  const there = before[at];
  if (there === undefined) before[at] = now.slice();
  else for (let i = 0; i < there.length; i++) there[i] = Math.max(there[i], now[i]);
}

function endOfLoad({ code, k }: Instruction, x: number): number {
  switch (code) {
    case OP.LD_W_ABS: return k + 4;
    case OP.LD_H_ABS: return k + 2;
    case OP.LD_B_ABS: case OP.LDX_MSH: return k + 1;
    case OP.LD_W_IND: return x + k + 4;
    case OP.LD_H_IND: return x + k + 2;
    case OP.LD_B_IND: return x + k + 1;
    default: return 0;
  }
}

/** What an instruction that does not jump makes of the bounds. Past 32 bits a sum wraps: it can then be anything. */
function execute({ code, k }: Instruction, r: Largest): void {
  const bounded = (value: number): number => value <= ANY ? value : ANY;
  switch (code) {
    case OP.LD_H_ABS: case OP.LD_H_IND: r[A] = 0xffff; break;
    case OP.LD_B_ABS: case OP.LD_B_IND: r[A] = 0xff; break;
    case OP.LD_IMM: r[A] = k; break;
    case OP.LDX_IMM: r[X] = k; break;
    case OP.LDX_MSH: r[X] = 60; break;
    case OP.LD_MEM: r[A] = r[M + k]; break;
    case OP.LDX_MEM: r[X] = r[M + k]; break;
    case OP.ST: r[M + k] = r[A]; break;
    case OP.STX: r[M + k] = r[X]; break;
    case OP.TAX: r[X] = r[A]; break;
    case OP.TXA: r[A] = r[X]; break;
    case OP.ADD_K: r[A] = bounded(r[A] + k); break;
    case OP.ADD_X: r[A] = bounded(r[A] + r[X]); break;
    case OP.MUL_K: r[A] = bounded(r[A] * k); break;
    case OP.MUL_X: r[A] = bounded(r[A] * r[X]); break;
    case OP.LSH_K: r[A] = bounded(r[A] * 2 ** k); break;
    case OP.AND_K: r[A] = Math.min(r[A], k); break;
    case OP.AND_X: r[A] = Math.min(r[A], r[X]); break;
    case OP.RSH_K: r[A] = Math.floor(r[A] / 2 ** k); break;
    case OP.DIV_K: r[A] = Math.floor(r[A] / k); break;
    case OP.MOD_K: r[A] = Math.min(r[A], k - 1); break;
    case OP.DIV_X: case OP.RSH_X: case OP.MOD_X: break;                    // no larger than it was
    case OP.LDX_LEN: r[X] = ANY; break;
    default: r[A] = ANY;                                                 // a word, the wire's length; what can wrap, or set bits
  }
}
