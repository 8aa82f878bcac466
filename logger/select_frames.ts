/**
 * Which frames an export takes: by filter, time, port, run, and the newest so many of those. Decided a frame from numbers that
 * were worked out before: no BigInt, no Map, no allocation.
 */
import { FramekeepError } from '../native/index.js';
import { LANE_UNIT } from './frame_access.js';
import { MAX_PORTS, type Boot } from './format.js';
import type { FrameMatch } from './filter/index.js';
import type { PoolReader } from './reader.js';

/** A time: ns since 1970, or, where `relative`, ns added to the newest frame's. */
export interface Moment { readonly relative: boolean; readonly ns: bigint }

export interface FrameSelection {
  /** Undefined: every frame. */
  readonly match?: FrameMatch | undefined;
  /** How far into a frame `match` looks, bytes (`Filter.reach`). Undefined: anywhere. */
  readonly reach?: number | undefined;
  /** Undefined: every frame; else those of these numbers, lane × 2^48 + sequence. */
  readonly ids?: { has(id: number): boolean } | undefined;
  /** Both ends included. */
  readonly from?: Moment | undefined;
  readonly to?: Moment | undefined;
  /** Ports that received the frame: as they were specified (`tap:vm1`), by name (`vm1`) or by number. Empty or undefined: any. */
  readonly ports?: readonly string[] | undefined;
  /** A run's number, or the newest run. */
  readonly boot?: number | 'last' | undefined;
  /** The newest so many of what the rest selects. */
  readonly last?: number | undefined;
}

const LATEST = (1n << 64n) - 1n;
const clamp = (ns: bigint): bigint => ns < 0n ? 0n : ns > LATEST ? LATEST : ns;
const FRAMES_A_LOOK = 4096;

export class FrameSelector {
  private readonly selection: FrameSelection;
  private readonly everything: boolean;
  /** How many bytes of a frame `takes` looks at. */
  readonly reach: number;
  private readonly match: FrameMatch | undefined;
  private fromHigh: number;
  private fromLow: number;
  private readonly toHigh: number;
  private readonly toLow: number;
  private readonly onlyBoot: number;
  private readonly byPort: boolean;
  /** By number, of the run in `boot`. */
  private readonly mask = new Uint8Array(256);
  private boot = -1;
  private boots: readonly Boot[];

  /** @throws FramekeepError E_PORT_UNKNOWN, E_BOOT_UNKNOWN when nothing in the pool is called so */
  constructor(selection: FrameSelection, boots: readonly Boot[], pool: { readonly boots: readonly number[]; readonly newestNs: bigint }) {
    const { ports = [] } = selection, at = (m: Moment): bigint => clamp(m.relative ? pool.newestNs + m.ns : m.ns);
    const from = selection.from === undefined ? 0n : at(selection.from), to = selection.to === undefined ? LATEST : at(selection.to);
    const boot = selection.boot === 'last' ? pool.boots.at(-1) : selection.boot;
    this.selection = selection;
    this.boots = boots;
    this.match = selection.match;
    this.reach = selection.match === undefined ? 0 : selection.reach ?? Infinity;
    this.fromHigh = Number(from >> 32n);
    this.fromLow = Number(from & 0xffffffffn);
    this.toHigh = Number(to >> 32n);
    this.toLow = Number(to & 0xffffffffn);
    this.onlyBoot = boot ?? -1;
    this.byPort = ports.length > 0;
    this.everything = this.match === undefined && selection.ids === undefined && selection.from === undefined && selection.to === undefined && boot === undefined && !this.byPort;
    if (boot !== undefined && !pool.boots.includes(boot)) {
      throw new FramekeepError('E_BOOT_UNKNOWN', `the pool knows no boot ${boot}`, pool.boots.length === 0 ? 'no switch has run on it yet' : `it knows ${pool.boots.join(', ')}`);
    }
    for (const wanted of ports) {
      if (/^\d+$/.test(wanted) && Number(wanted) < MAX_PORTS) continue;
      if (boots.some((b) => (boot === undefined || b.id === boot) && b.ports.some((p) => isCalled(p.spec, wanted)))) continue;
      const names = [...new Set(boots.flatMap((b) => b.ports.map((p) => p.spec)))];
      throw new FramekeepError('E_PORT_UNKNOWN', boot === undefined ? `no run of the switch had a port ${wanted}` : `boot ${boot} had no port ${wanted}`,
        names.length === 0 ? 'its port names are gone: say the number, as inspect shows it' : `there were ${names.join(', ')}`);
    }
  }

  /** Whether it takes every frame, `last` aside. */
  get takesAll(): boolean { return this.everything; }

  /** Whether the frame that the reader is at is one of those, `last` aside. */
  takes(reader: PoolReader): boolean {
    if (this.everything) return true;
    if (this.onlyBoot >= 0 && reader.boot !== this.onlyBoot) return false;
    const { timeHigh, timeLow } = reader;
    if (timeHigh < this.fromHigh || (timeHigh === this.fromHigh && timeLow < this.fromLow)) return false;
    if (timeHigh > this.toHigh || (timeHigh === this.toHigh && timeLow > this.toLow)) return false;
    const { ids } = this.selection;
    if (ids !== undefined && !ids.has(reader.lane * LANE_UNIT + reader.sequence)) return false;
    if (this.byPort) {
      if (reader.boot !== this.boot) this.lookUpPorts(reader.boot);
      if (this.mask[reader.ingress] === 0) return false;
    }
    return this.match === undefined || this.match(reader.bytes, reader.offset, reader.captured, reader.wire) !== 0;
  }

  /** From now on `from` is passed, whatever a clock that is put back says; unless it is still to come. */
  takeNew(): void {
    const now = BigInt(Date.now()) * 1_000_000n;
    if (BigInt(this.fromHigh) << 32n <= now) this.fromHigh = this.fromLow = 0;
  }

  /** Tells it of ports that came since. */
  update(boots: readonly Boot[]): void {
    this.boots = boots;
    this.boot = -1;
  }

  /**
   * Brings the reader to where the newest `last` begin: looks at a window from the end on, four times as large each time, until
   * it holds so many.
   * @returns how many selected frames to pass over from there. Of a living pool, some may be replaced meanwhile: never more
   *   than `last` are taken, sometimes fewer.
   */
  async seek(reader: PoolReader, signal?: AbortSignal): Promise<number> {
    const { last } = this.selection;
    if (last === undefined) return 0;
    const { reach } = reader;
    reader.reach = this.reach;
    try {
      return await this.passedOver(reader, last, signal);
    } finally {
      reader.reach = reach;
    }
  }

  private async passedOver(reader: PoolReader, last: number, signal: AbortSignal | undefined): Promise<number> {
    const most = Math.max(...reader.pool.geometry.lanes.map((lane) => lane.slots));
    for (let window = Math.max(last, 1); ; window *= 4) {
      reader.seekLast(window >= most ? Infinity : window);
      // Lanes reach back differently far: what is sure begins where the last of those that are cut off begins.
      const cut = reader.recovery.lanes.map((lane) => window < most && lane.newest >= 0 && lane.oldest < lane.next - window);
      let selected = 0, sure = 0, unseen = cut.filter(Boolean).length, looked = 0;
      while (reader.next()) {
        if (cut[reader.lane]) {
          cut[reader.lane] = false;
          unseen--;
          sure = 0;
        }
        if (this.takes(reader)) {
          selected++;
          sure++;
        }
        if (++looked % FRAMES_A_LOOK !== 0) continue;
        await new Promise((resolve) => setImmediate(resolve));
        if (signal?.aborted) return 0;
      }
      if ((sure < last || unseen > 0) && window < most) continue;
      reader.seekLast(window >= most ? Infinity : window);
      return Math.max(0, selected - last);
    }
  }

  private lookUpPorts(id: number): void {
    const entries = this.boots.find((b) => b.id === id)?.ports ?? [], { ports = [] } = this.selection;
    this.boot = id;
    this.mask.fill(0);
    for (const wanted of ports) {
      if (/^\d+$/.test(wanted)) this.mask[Number(wanted) & 0xff] = 1;
      for (const port of entries) if (isCalled(port.spec, wanted)) this.mask[port.id] = 1;
    }
  }
}

/** `tap:vm1,queue=2` is called that, `tap:vm1`, and `vm1`. */
function isCalled(spec: string, wanted: string): boolean {
  const plain = spec.split(/,(?=[a-z][a-z0-9-]*=)/)[0];
  return wanted === spec || wanted === plain || wanted === plain.slice(plain.indexOf(':') + 1);
}
