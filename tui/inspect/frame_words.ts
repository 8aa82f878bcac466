/** How a kept frame's times, ports and fate are said, and how a person says a time. */
import type { Boot } from '../../logger/format.js';
import { FLAG_CHECKSUM_COMPLETED, FLAG_SWITCH_TIME, VERDICT_DROPPED, VERDICT_FLOODED, VERDICT_SEVERAL } from '../../logger/format.js';
import { LANE_UNIT, type FrameAccess } from '../../logger/frame_access.js';
import { verdictText } from '../../logger/report.js';
import { iso } from '../../logger/words.js';
import type { Field } from '../decode/index.js';

export const nsOf = (high: number, low: number): bigint => (BigInt(high) << 32n) | BigInt(low);

/** ns since 1970 of what logger/words.ts wrote; 0 of null. */
export const nsOfIso = (iso: string | null): bigint => iso === null ? 0n : BigInt(Date.parse(`${iso.slice(0, 19)}Z`)) * 1_000_000n + BigInt(iso.slice(20, 29));

export type Clock = 'since' | 'delta' | 'day';
export const CLOCKS: readonly Clock[] = ['since', 'delta', 'day'];

/** `12.345678`, or with a sign. */
export function secondsText(ns: bigint, digits = 6): string {
  const positive = ns < 0n ? -ns : ns, unit = 10n ** BigInt(9 - digits), rounded = positive / unit, whole = 10n ** BigInt(digits);
  return `${ns < 0n ? '-' : ''}${rounded / whole}.${String(rounded % whole).padStart(digits, '0')}`;
}
/** Local time of day with microseconds. */
export function dayTime(ns: bigint): string {
  const d = new Date(Number(ns / 1_000_000n)), two = (n: number): string => String(n).padStart(2, '0');
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}.${String(ns / 1000n % 1_000_000n).padStart(6, '0')}`;
}

/** `tap:vm1,queue=2` is called `vm1`. */
export function portName(spec: string): string {
  const plain = spec.split(/,(?=[a-z][a-z0-9-]*(=|$))/)[0], name = plain.slice(plain.indexOf(':') + 1);
  return name.includes('/') ? name.slice(name.lastIndexOf('/') + 1) : name;
}

/** `vm1→vm2`, `vm1→all`, `vm1→several`, `vm1→dropped`. */
export function way(boot: Boot | undefined, ingress: number, verdict: number): string {
  const name = (id: number): string => {
    const spec = boot?.ports.find((p) => p.id === id)?.spec;
    return spec === undefined ? `port ${id}` : portName(spec);
  };
  const to = verdict === VERDICT_FLOODED ? 'all' : verdict === VERDICT_SEVERAL ? 'several' : verdict >= VERDICT_DROPPED ? 'dropped' : name(verdict);
  return `${name(ingress)}→${to}`;
}

/** What the pool says of a frame, as a layer above its first. */
export function frameLayer(a: FrameAccess, number: number, id: number, boot: Boot | undefined, begin: bigint): Field {
  const ns = nsOf(a.timeHigh, a.timeLow), lane = Math.floor(id / LANE_UNIT);
  const spec = boot?.ports.find((p) => p.id === a.ingress)?.spec ?? `port ${a.ingress}`, cut = a.captured < a.wire;
  const child = (name: string, text: string): Field => ({ key: '', name, text, at: 0, length: 0, value: undefined, children: [] });
  return {
    key: '', name: `Frame ${number}`, at: 0, length: a.captured, value: undefined,
    text: `${a.wire} bytes${cut ? `, ${a.captured} of them kept` : ''}, in by ${spec}, ${verdictText(a.verdict, boot)}`,
    children: [
      child('Time', iso(ns)), child('Since the first frame', `${secondsText(ns - begin, 9)} s`),
      child('Time stamp by', (a.flags & FLAG_SWITCH_TIME) !== 0 ? 'the switch, when it took the frame from the ring' : 'the driver'),
      child('Received by', spec), child('Forwarded', verdictText(a.verdict, boot)),
      child('Length', `${a.wire} bytes on the wire, ${a.captured} kept`),
      child('Checksum', (a.flags & FLAG_CHECKSUM_COMPLETED) !== 0 ? 'completed by the port: the sender had left it to the NIC' : 'as received'),
      child('Kept as', `sequence ${id - lane * LANE_UNIT}${lane > 0 ? ` of lane ${lane}` : ''}, boot ${a.boot}`
        + (boot === undefined ? ' (its block is gone)' : boot.name === '' ? '' : ` of ${boot.name}`)),
    ],
  };
}

/** Where to go: to a frame's number, or a time in ns since 1970. */
export type Target = { readonly number: number } | { readonly ns: number };

/**
 * `#1234`: frame 1234. `12.5`: that many seconds after the first frame. `-10s`, `-5m`: before the newest. `14:05`, `14:05:09.5`: that
 * time of the newest frame's day, local. `2026-11-21T04:12:37.5Z`, `@1763697157.25`: as they say.
 * @returns a sentence where it is none of those
 */
export function parseTarget(text: string, begin: number, newest: number): Target | string {
  const t = text.trim();
  let m: RegExpExecArray | null;
  if ((m = /^#\s*(\d+)$/.exec(t)) !== null) return { number: Number(m[1]) };
  if ((m = /^@(\d+(\.\d+)?)$/.exec(t)) !== null) return { ns: Number(m[1]) * 1e9 };
  if ((m = /^-\s*(\d+(\.\d+)?)\s*(ms|s|m|h)?$/.exec(t)) !== null) return { ns: newest - Number(m[1]) * { ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 }[m[3] ?? 's']! };
  if ((m = /^\+?(\d+(\.\d+)?)\s*s?$/.exec(t)) !== null) return { ns: begin + Number(m[1]) * 1e9 };
  if ((m = /^(\d{1,2}):(\d\d)(?::(\d\d(\.\d+)?))?$/.exec(t)) !== null && Number(m[1]) < 24 && Number(m[2]) < 60) {
    const day = new Date(newest / 1e6);
    day.setHours(Number(m[1]), Number(m[2]), 0, 0);
    return { ns: day.getTime() * 1e6 + Number(m[3] ?? 0) * 1e9 };
  }
  if (/^\d{4}-\d\d-\d\d/.test(t)) {
    const ms = Date.parse(t.replace(' ', 'T'));
    if (Number.isFinite(ms)) return { ns: ms * 1e6 };
  }
  return 'like 12.5 (seconds after the first), -10s, 14:05:09, 2026-11-21T04:12:37Z or #1234';
}
