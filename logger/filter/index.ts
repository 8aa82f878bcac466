/**
 * Selecting frames by a pcap-filter(7) expression: libpcap compiles it to classic BPF, which becomes a JavaScript function
 * over the frame where it lies in the pool.
 */
import { FramekeepError } from '../../native/error.js';
import { pcapCompile } from '../../native/pcap_filter.js';
import { OP, decode, encode } from './cbpf.js';
import { reachOf } from './reach.js';
import { syntaxError } from './syntax_error.js';
import { toJavaScript } from './to_javascript.js';

export { disassemble, verify } from './cbpf.js';
export { reachOf } from './reach.js';
export { toJavaScript } from './to_javascript.js';

/**
 * Whether a frame is selected, and how much of it.
 * @param bytes     a pool segment, at most 2^30 bytes
 * @param offset    where the frame begins in it
 * @param captured  how many of its bytes are there; they end within `bytes`
 * @param wire      how long it was
 * @returns 0: not selected; else the most bytes to keep, up to 2^32-1, which can be more than were captured
 */
export type FrameMatch = (bytes: Uint8Array, offset: number, captured: number, wire: number) => number;

export interface Filter {
  readonly expression: string;
  /** BPF instructions, as a measure of what the filter costs. */
  readonly instructions: number;
  readonly match: FrameMatch;
  /**
   * How many bytes of a frame `match` can look at: of the first so many it says the same as of all of them, given the same `wire`.
   * Infinity: as many as there are.
   */
  readonly reach: number;
  /** The classic BPF program, two words an instruction: what another thread makes its own function from (`toJavaScript`). */
  readonly program: Uint32Array;
}

/** tcpdump's default snap length, and the most that can be asked for: more than any frame. */
const WHOLE_FRAMES = 262144;

/**
 * Compiles an expression, or the empty one, which selects every frame and needs no libpcap. Frames are Ethernet from the
 * destination address on, VLAN tags in place, no FCS. Names are resolved now, once.
 * @throws `E_FILTER_SYNTAX` with libpcap's message and the place; `E_FILTER_UNSUPPORTED` for what only a Linux socket filter can
 *   ask (`inbound`, `ifindex`, `ether[-1]`) and for loops (`protochain`); `E_FILTER_LENGTH`; `E_LIBPCAP_MISSING`; `E_SNAP_LENGTH`
 */
export function compileFilter(expression: string, { snapLength = WHOLE_FRAMES }: { snapLength?: number } = {}): Filter {
  if (!Number.isInteger(snapLength) || snapLength < 1 || snapLength > WHOLE_FRAMES) {
    throw new FramekeepError('E_SNAP_LENGTH', `a snap length of ${snapLength} bytes`, `give a whole number from 1 to ${WHOLE_FRAMES}`);
  }
  const program = expression.trim() === ''
    ? encode([{ code: OP.RET_K, jt: 0, jf: 0, k: snapLength }]) : pcapCompile(expression, snapLength);
  if (typeof program === 'string') {
    throw syntaxError(expression, program, (other) => {
      const result = pcapCompile(other, snapLength);
      return typeof result === 'string' ? result : undefined;
    });
  }
  return { expression, instructions: program.length / 2, match: translated(expression, program), reach: reachOf(decode(program)), program };
}

/** What libpcap compiles, but only a Linux socket filter or a loop can do, in the words of the expression's author. */
function translated(expression: string, program: Uint32Array): FrameMatch {
  try {
    return toJavaScript(program);
  } catch (error) {
    const kind = ((error as Error).cause as { kind?: string } | undefined)?.kind;
    if (kind === undefined) throw error;
    throw new FramekeepError('E_FILTER_UNSUPPORTED', `the filter "${expression}" asks for more than a frame and one pass over it: ${(error as Error).message}`,
      kind === 'loop' ? 'it walks header chains (protochain): test the first header instead, as in "ip6 proto 6"'
        : 'what only Linux knows about an interface (inbound, outbound, ifindex) has options of its own: select by port and direction',
      { cause: error });
  }
}
