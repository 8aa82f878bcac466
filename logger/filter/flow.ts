/**
 * What a verified BPF program is known to have done before each instruction, for the translator: how many captured
 * bytes were already checked for, and how large A, X and the words of M[] can be. All jumps go forward, so that one pass in
 * order meets every predecessor of an instruction before the instruction itself.
 *
 * With it, `tcp port 80` is left with 5 of its 8 length checks, and comparisons of bytes and 16-bit words need no
 * conversion to unsigned.
 */
import { MEMORY_WORDS, OP, branches, returns } from './cbpf.js';
import type { Instruction } from './cbpf.js';

/** Bounds before an instruction; registers are unsigned and at most these. `seen`: bytes of the frame surely captured. */
export interface Bounds { seen: number; a: number; x: number; memory: number[] }

const ANY = 0xffffffff;

/** The bounds before each instruction, undefined where none leads. */
export function boundsOf(program: readonly Instruction[]): (Bounds | undefined)[] {
  const before: (Bounds | undefined)[] = Array.from({ length: program.length }, () => undefined);
  before[0] = { seen: 0, a: 0, x: 0, memory: new Array<number>(MEMORY_WORDS).fill(0) };
  for (let at = 0; at < program.length; at++) {
    const here = before[at];
    if (here === undefined) continue;
    const { code, jt, jf, k } = program[at];
    if (returns(code)) continue;
    const after = step(program[at], here);
    if (code === OP.JA) join(before, at + 1 + k, after);
    else if (branches(code)) { join(before, at + 1 + jt, after); join(before, at + 1 + jf, after); }
    else join(before, at + 1, after);
  }
  return before;
}

function join(before: (Bounds | undefined)[], at: number, from: Bounds): void {
  const to = before[at];
  before[at] = to === undefined ? from : {
    seen: Math.min(to.seen, from.seen), a: Math.max(to.a, from.a), x: Math.max(to.x, from.x),
    memory: to.memory.map((bound, word) => Math.max(bound, from.memory[word])),
  };
}

const capped = (bound: number): number => bound > ANY ? ANY : Math.floor(bound);
/** The smallest 2^n - 1 that is not below the bounds: no `or` or `xor` of them has a higher bit. */
const allOnes = (a: number, b: number): number => 2 ** (32 - Math.clz32(Math.max(a, b))) - 1;

function step({ code, k }: Instruction, { seen, a, x, memory }: Bounds): Bounds {
  switch (code) {
    case OP.LD_W_ABS: case OP.LD_W_IND: return { seen: Math.max(seen, k + 4), a: ANY, x, memory };
    case OP.LD_H_ABS: case OP.LD_H_IND: return { seen: Math.max(seen, k + 2), a: 0xffff, x, memory };
    case OP.LD_B_ABS: case OP.LD_B_IND: return { seen: Math.max(seen, k + 1), a: 0xff, x, memory };
    case OP.LDX_MSH: return { seen: Math.max(seen, k + 1), a, x: 60, memory };
    case OP.LD_LEN: return { seen, a: ANY, x, memory };
    case OP.LDX_LEN: return { seen, a, x: ANY, memory };
    case OP.LD_IMM: return { seen, a: k, x, memory };
    case OP.LDX_IMM: return { seen, a, x: k, memory };
    case OP.LD_MEM: return { seen, a: memory[k], x, memory };
    case OP.LDX_MEM: return { seen, a, x: memory[k], memory };
    case OP.ST: return { seen, a, x, memory: memory.with(k, a) };
    case OP.STX: return { seen, a, x, memory: memory.with(k, x) };
    case OP.TAX: return { seen, a, x: a, memory };
    case OP.TXA: return { seen, a: x, x, memory };
    case OP.ADD_K: case OP.ADD_X: { const sum = a + (code === OP.ADD_K ? k : x); return { seen, a: capped(sum), x, memory }; }
    case OP.MUL_K: case OP.MUL_X: { const product = a * (code === OP.MUL_K ? k : x); return { seen, a: capped(product), x, memory }; }
    case OP.LSH_K: return { seen, a: capped(a * 2 ** k), x, memory };
    case OP.RSH_K: return { seen, a: capped(a / 2 ** k), x, memory };
    case OP.DIV_K: return { seen, a: capped(a / k), x, memory };
    case OP.MOD_K: return { seen, a: Math.min(a, k - 1), x, memory };
    case OP.AND_K: return { seen, a: Math.min(a, k), x, memory };
    case OP.AND_X: return { seen, a: Math.min(a, x), x, memory };
    case OP.OR_K: case OP.XOR_K: return { seen, a: allOnes(a, k), x, memory };
    case OP.OR_X: case OP.XOR_X: return { seen, a: allOnes(a, x), x, memory };
    case OP.RSH_X: case OP.DIV_X: case OP.MOD_X: return { seen, a, x, memory };  // X is at least 0, or 1: none grows A
    case OP.SUB_K: case OP.SUB_X: case OP.LSH_X: case OP.NEG: return { seen, a: ANY, x, memory };
    default: return { seen, a, x, memory };                                        // jumps
  }
}
