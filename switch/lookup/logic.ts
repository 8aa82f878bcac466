/**
 * The switching logic's one interface: given frames and the port they came in at, where do they go, and are they kept. The
 * learning switch is one such module, the hub another; a user's own file is named on the command line.
 *
 * A module exports (as default) a function that makes either
 *   - a `SwitchLogic`, which decides a burst at a time (what the built-in ones are), or
 *   - a `FrameLogic`, which decides one frame at a time through a view: easier, and some 15 ns a frame slower.
 */
import { DROP_LOGIC, DROP_NO_EGRESS, MAX_PORTS, VERDICT_DROPPED } from '../../logger/format.js';
import { type Burst, FLOOD, KEEP_NO, KEEP_SELECTED, KEEP_YES, offsetOf, segmentOf, SEVERAL, UNDECIDED } from '../burst.js';
import type { FdbEntry, ForwardingTable } from '../fdb.js';

export interface SwitchLogic {
  readonly name: string;
  /** Sets `egress[i]` of every frame whose egress is UNDECIDED; may set `keep[i]`. Called once a burst, in the hot path. */
  decide(burst: Burst): void;
  /** The port is there (again, or newly), or its traffic must not reach anybody any more. */
  portAdded?(port: number): void;
  portRemoved?(port: number): void;
  /** Its link is down, or it was disabled, and may come back; without this `portRemoved` is called. */
  portDown?(port: number): void;
  /** Stations that were seen at another port since the last call; the first few. Asked when the counter `moved` has grown. */
  takeMoves?(): readonly Move[];
  /** Some ten times a second: ageing and the like. @param now seconds, CLOCK_MONOTONIC */
  tick?(now: number): void;
  /** Counters by name, for statistics; read once a second. */
  readonly counters?: Readonly<Record<string, number>>;
  /** The forwarding table, where it has one: for showing and editing. */
  readonly table?: ForwardingTable;
}

/** A station that sent from another port than before. */
export interface Move { readonly mac: string; readonly vlan: number; readonly from: number; readonly to: number }

export interface FrameLogic {
  readonly name?: string;
  /** Says through `verdict` what happens to one frame; saying nothing drops it. */
  forward(frame: FrameView, ingress: number, verdict: Verdict): void;
  portAdded?(port: number): void;
  portRemoved?(port: number): void;
  tick?(now: number): void;
}

/** What a logic module is given to start from. */
export interface LogicContext {
  /** Entries and seconds asked for on the command line. */
  readonly fdbSize: number;
  readonly ageing: number;
  readonly vlanAware: boolean;
  readonly forwardReserved: boolean;
  /** Memory of the forwarding table that the switch's threads share (switch/fdb.ts). */
  readonly table?: SharedArrayBuffer;
}

export type LogicFactory = (context: LogicContext) => SwitchLogic | FrameLogic;
export type { Burst, FdbEntry };

/** One frame, read-only by convention: the same object for every frame. Reading past its end gives 0. */
export class FrameView {
  length = 0;
  private bytes: Uint8Array = new Uint8Array(0);
  private offset = 0;

  /** @internal */
  move(burst: Burst, i: number): void {
    this.bytes = burst.segments[segmentOf(burst.addressLow[i], burst.addressHigh[i])];
    this.offset = offsetOf(burst.addressLow[i]);
    this.length = burst.length[i];
  }
  u8(at: number): number { return at >= 0 && at < this.length ? this.bytes[this.offset + at] : 0; }
  /** Big-endian, as on the wire. */
  u16(at: number): number { return (this.u8(at) << 8) | this.u8(at + 1); }
  u32(at: number): number { return ((this.u16(at) << 16) | this.u16(at + 2)) >>> 0; }
  get etherType(): number { return this.u16(12); }
}

/** Where one frame goes: the same object for every frame. */
export class Verdict {
  /** @internal */ egress = 0;
  /** @internal */ low = 0;
  /** @internal */ high = 0;
  /** @internal */ keeping = KEEP_SELECTED;

  /** To this port and no other. A number that no port can have drops it. */
  forward(port: number): void { this.become(port >= 0 && port < MAX_PORTS ? port : VERDICT_DROPPED + DROP_NO_EGRESS); }
  /** To every port but the ingress. */
  flood(): void { this.become(FLOOD); }
  /** To this port as well: call it for each. After `flood` it changes nothing. */
  also(port: number): void {
    if (this.egress === FLOOD) return;
    if (this.egress < MAX_PORTS) this.add(this.egress);
    this.egress = SEVERAL;
    this.add(port);
  }
  drop(): void { this.become(VERDICT_DROPPED + DROP_LOGIC); }

  private become(egress: number): void {
    this.egress = egress;
    this.low = this.high = 0;
  }
  private add(port: number): void {
    if (port >= 0 && port < 32) this.low |= 1 << port;
    else if (port >= 32 && port < MAX_PORTS) this.high |= 1 << (port - 32);
  }
  /** Keep it, or not, whatever the filter says. */
  keep(yes: boolean): void { this.keeping = yes ? KEEP_YES : KEEP_NO; }
}

/** A burst logic that asks a frame logic about each frame. */
export function perFrame(logic: FrameLogic): SwitchLogic {
  const view = new FrameView(), verdict = new Verdict();
  return {
    name: logic.name ?? 'custom',
    decide(burst) {
      for (let i = 0; i < burst.count; i++) {
        if (burst.egress[i] !== UNDECIDED) continue;
        verdict.egress = VERDICT_DROPPED + DROP_LOGIC;
        verdict.low = verdict.high = 0;
        verdict.keeping = KEEP_SELECTED;
        view.move(burst, i);
        logic.forward(view, burst.ingress, verdict);
        burst.egress[i] = verdict.egress;
        burst.set[2 * i] = verdict.low;
        burst.set[2 * i + 1] = verdict.high;
        burst.keep[i] = verdict.keeping;
      }
    },
    portAdded: (port) => logic.portAdded?.(port),
    portRemoved: (port) => logic.portRemoved?.(port),
    tick: (now) => logic.tick?.(now),
  };
}
