/**
 * Classic BPF: the instruction set, the verifier that every program passes before it is translated, and a disassembler
 * for its messages.
 *
 * A program is a `Uint32Array`, two words an instruction (struct sock_filter, linux/filter.h): opcode | jt << 16 |
 * jf << 24, then k. The machine has an accumulator A and an index X, 32 bits and unsigned, both 0 at the start, and 16
 * words of memory M[]. All jumps go forward, so that every program ends. A load that reaches past the captured bytes,
 * and a division by zero, end the program with 0.
 *
 * Source: McCanne and Jacobson, "The BSD Packet Filter" (USENIX 1993), table 1; the verifier's rules are those of
 * Linux's bpf_check_classic() and check_load_and_stores(), net/core/filter.c, which are stricter than libpcap's.
 */
import { FramekeepError } from '../../native/error.js';

export interface Instruction { readonly code: number; readonly jt: number; readonly jf: number; readonly k: number }

/** Opcodes by mnemonic, linux/bpf_common.h. K: with the constant, X: with the index register. */
export const OP = {
  LD_W_ABS: 0x20, LD_H_ABS: 0x28, LD_B_ABS: 0x30, LD_W_IND: 0x40, LD_H_IND: 0x48, LD_B_IND: 0x50,
  LD_LEN: 0x80, LD_IMM: 0x00, LD_MEM: 0x60, LDX_LEN: 0x81, LDX_IMM: 0x01, LDX_MEM: 0x61, LDX_MSH: 0xb1, ST: 0x02, STX: 0x03,
  ADD_K: 0x04, SUB_K: 0x14, MUL_K: 0x24, DIV_K: 0x34, OR_K: 0x44, AND_K: 0x54, LSH_K: 0x64, RSH_K: 0x74, MOD_K: 0x94, XOR_K: 0xa4,
  ADD_X: 0x0c, SUB_X: 0x1c, MUL_X: 0x2c, DIV_X: 0x3c, OR_X: 0x4c, AND_X: 0x5c, LSH_X: 0x6c, RSH_X: 0x7c, MOD_X: 0x9c, XOR_X: 0xac,
  NEG: 0x84, JA: 0x05, JEQ_K: 0x15, JGT_K: 0x25, JGE_K: 0x35, JSET_K: 0x45, JEQ_X: 0x1d, JGT_X: 0x2d, JGE_X: 0x3d, JSET_X: 0x4d,
  RET_K: 0x06, RET_A: 0x16, TAX: 0x07, TXA: 0x87,
} as const;

/** Words of M[]. */
export const MEMORY_WORDS = 16;
/** The most instructions of a program: as many as struct sock_fprog can count. */
export const LONGEST_PROGRAM = 65535;

const MNEMONIC = new Map<number, string>(Object.entries(OP).map(([name, code]) => [code, name.replace(/_.*/, '').toLowerCase()]));
/** How tcpdump -d writes the operand, where it is not `x` or k in hexadecimal. */
const OPERAND = new Map<number, (k: number) => string>([
  ...[OP.LD_W_ABS, OP.LD_H_ABS, OP.LD_B_ABS].map((code) => [code, (k: number) => `[${k | 0}]`] as const),
  ...[OP.LD_W_IND, OP.LD_H_IND, OP.LD_B_IND].map((code) => [code, (k: number) => `[x + ${k | 0}]`] as const),
  ...[OP.LD_LEN, OP.LDX_LEN].map((code) => [code, () => '#pktlen'] as const),
  ...[OP.LD_MEM, OP.LDX_MEM, OP.ST, OP.STX].map((code) => [code, (k: number) => `M[${k | 0}]`] as const),
  ...[OP.ADD_K, OP.SUB_K, OP.MUL_K, OP.DIV_K, OP.MOD_K, OP.LSH_K, OP.RSH_K, OP.RET_K].map((code) => [code, (k: number) => `#${k | 0}`] as const),
  ...[OP.RET_A, OP.NEG, OP.TAX, OP.TXA].map((code) => [code, () => ''] as const),
  [OP.LDX_MSH, (k) => `4*([${k | 0}]&0xf)`],
]);
const SIZE_SUFFIX = new Map<number, string>([
  [OP.LD_H_ABS, 'h'], [OP.LD_B_ABS, 'b'], [OP.LD_H_IND, 'h'], [OP.LD_B_IND, 'b'], [OP.LDX_MSH, 'b'],
]);

/** True for the conditional jumps. */
export const branches = (code: number): boolean => (code & 7) === 5 && code !== OP.JA;
/** True for the instructions that end a program. */
export const returns = (code: number): boolean => (code & 7) === 6;

/** Splits the words of a program into instructions, verifying nothing. */
export function decode(program: Uint32Array): Instruction[] {
  return Array.from({ length: program.length >> 1 }, (_, i) => ({
    code: program[2 * i] & 0xffff, jt: (program[2 * i] >>> 16) & 0xff, jf: program[2 * i] >>> 24, k: program[2 * i + 1],
  }));
}

/** The inverse of {@link decode}. */
export function encode(instructions: readonly Instruction[]): Uint32Array {
  return Uint32Array.from(instructions.flatMap(({ code, jt, jf, k }) => [code | jt << 16 | jf << 24, k]));
}

/** One instruction in tcpdump -d's notation; `at` is its index, from which jump targets are counted. */
export function disassemble({ code, jt, jf, k }: Instruction, at: number): string {
  const name = MNEMONIC.get(code);
  if (name === undefined) return `.word 0x${code.toString(16)}`;
  if (code === OP.JA) return `ja ${at + 1 + (k | 0)}`;
  const operand = OPERAND.get(code)?.(k) ?? ((code & 7) > 3 && (code & 8) !== 0 ? 'x' : `#0x${k.toString(16)}`);
  const text = `${name}${SIZE_SUFFIX.get(code) ?? ''} ${operand}`.trimEnd();
  return branches(code) ? `${text} jt ${at + 1 + jt} jf ${at + 1 + jf}` : text;
}

/**
 * What makes a program unfit, found in {@link verify}: a short reason about one instruction.
 * `loop` and `linux` are faults that libpcap's own output can have.
 */
interface Fault { at: number; reason: string; kind?: 'loop' | 'linux' }

/**
 * Decodes a program that may come from anywhere, and refuses one that could do anything but read its frame and end.
 * @throws `E_FILTER_PROGRAM`, naming the instruction; the cause's `kind` is 'loop' for a backward jump, 'linux' for a load
 *   that only a Linux socket filter can do
 */
export function verify(program: Uint32Array): Instruction[] {
  const count = program.length / 2;
  if (!Number.isInteger(count) || count < 1 || count > LONGEST_PROGRAM) {
    throw new FramekeepError('E_FILTER_PROGRAM', `a BPF program has 1 to ${LONGEST_PROGRAM} instructions of two words; this one has ${program.length} words`);
  }
  const instructions = decode(program);
  const fault = faultOf(instructions) ?? unwrittenMemory(instructions);
  if (fault !== undefined) {
    throw new FramekeepError('E_FILTER_PROGRAM',
      `BPF instruction ${fault.at} (${disassemble(instructions[fault.at], fault.at)}) ${fault.reason}`, '', { cause: fault });
  }
  return instructions;
}

function faultOf(program: readonly Instruction[]): Fault | undefined {
  const last = program.length - 1;
  for (let at = 0; at <= last; at++) {
    const { code, jt, jf, k } = program[at];
    if (!MNEMONIC.has(code)) return { at, reason: 'is not an instruction' };
    switch (code) {
      case OP.LD_W_ABS: case OP.LD_H_ABS: case OP.LD_B_ABS: case OP.LDX_MSH:
        if (k >= LINUX_OFFSETS) return { at, reason: `loads ${linuxMeaning(k)}, which is not in the frame`, kind: 'linux' };
        break;
      case OP.LD_MEM: case OP.LDX_MEM: case OP.ST: case OP.STX:
        if (k >= MEMORY_WORDS) return { at, reason: `uses a memory word past M[${MEMORY_WORDS - 1}]` };
        break;
      case OP.DIV_K: case OP.MOD_K:
        if (k === 0) return { at, reason: 'divides by zero' };
        break;
      case OP.LSH_K: case OP.RSH_K:
        if (k > 31) return { at, reason: 'shifts by more than 31 bits' };
        break;
      case OP.JA:
        if (k > 0x7fffffff) return { at, reason: 'jumps backwards', kind: 'loop' };
        if (at + 1 + k > last) return { at, reason: 'jumps past the end' };
        break;
      default:
        if (branches(code) && at + 1 + Math.max(jt, jf) > last) return { at, reason: 'jumps past the end' };
    }
  }
  return returns(program[last].code) ? undefined : { at: last, reason: 'is the last and does not return' };
}

/** Finds a read of M[] that some path reaches without a write: M[] has no defined contents at the start. */
function unwrittenMemory(program: readonly Instruction[]): Fault | undefined {
  const written = new Uint16Array(program.length).fill(0xffff);  // before each instruction, on all paths to it
  written[0] = 0;
  let now = 0xffff;                                             // what falls through; 0xffff: nothing does
  for (let at = 0; at < program.length; at++) {
    const { code, jt, jf, k } = program[at];
    now &= written[at];
    switch (code) {
      case OP.ST: case OP.STX: now |= 1 << k; break;
      case OP.LD_MEM: case OP.LDX_MEM:
        if ((now & 1 << k) === 0) return { at, reason: `may read M[${k}] before it is written` };
        break;
      case OP.JA: written[at + 1 + k] &= now; now = 0xffff; break;
      case OP.RET_K: case OP.RET_A: now = 0xffff; break;
      default:
        if (branches(code)) { written[at + 1 + jt] &= now; written[at + 1 + jf] &= now; now = 0xffff; }
    }
  }
  return undefined;
}

/** Offsets from here up mean something else to a Linux socket filter: SKF_LL_OFF, linux/filter.h. */
const LINUX_OFFSETS = 0xffe00000;
/** SKF_AD_OFF + i, linux/filter.h. */
const ANCILLARY = ['the protocol', 'the packet type (inbound, outbound)', 'the interface index', 'a netlink attribute', 'a nested netlink attribute',
  'the mark', 'the queue', 'the hardware type', 'the receive hash', 'the CPU', 'A xor X', 'the stripped VLAN tag', 'the VLAN tag\'s presence',
  'the payload offset', 'a random number', 'the stripped VLAN protocol'];

function linuxMeaning(k: number): string {
  const ancillary = k - 0xfffff000;
  return ancillary >= 0 && ancillary % 4 === 0 && ancillary / 4 < ANCILLARY.length
    ? `${ANCILLARY[ancillary / 4]} from Linux's socket buffer` : `byte ${k | 0}`;
}
