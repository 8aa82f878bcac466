/** How reports, section headers and messages say numbers, times and lists. */
import type { Gap } from './recover.js';

/** `2026-11-21T04:12:37.424701360Z`. */
export function iso(ns: bigint): string {
  const ms = ns / 1_000_000n;
  return `${new Date(Number(ms)).toISOString().slice(0, -5)}.${String(ns % 1_000_000_000n).padStart(9, '0')}Z`;
}
export const isoOrNull = (ns: bigint): string | null => ns === 0n ? null : iso(ns);
export const macText = (mac: Uint8Array): string => mac.some((b) => b !== 0) ? Array.from(mac, (b) => b.toString(16).padStart(2, '0')).join(':') : '';
export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
export const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);

/** A whole number with commas, as `toLocaleString('en')` writes it; but the first call of that loads ICU's data: 30 ms, and 8 MB. */
export const thousands = (n: number): string => String(n).replace(/\B(?=(?:\d{3})+$)/g, ',');
export const count = (n: number, what: string): string => `${thousands(n)} ${what}${n === 1 ? '' : 's'}`;
/** `boot 3`, `boots 3, 4 and 9`, `boots 1–5`. */
export function numbers(what: string, list: readonly number[]): string {
  if (list.length === 1) return `${what} ${list[0]}`;
  const isRun = list.length > 2 && list.every((n, i) => i === 0 || n === list[i - 1] + 1);
  return `${what}s ${isRun ? `${list[0]}–${list.at(-1)}` : few(list.map(String))}`;
}
function few(list: readonly string[]): string {
  return list.length > 8 ? `${list.slice(0, 8).join(', ')} and ${list.length - 8} more` : `${list.slice(0, -1).join(', ')} and ${list.at(-1)}`;
}
export const slotsText = (slots: readonly number[]): string => slots.length === 1 ? `slot ${slots[0]}` : `slots ${few(slots.map(String))}`;
/** `3 frames missing (sequence 97 to 99)`. */
export function gapsText(gaps: readonly Gap[]): string {
  const one = (g: Gap): string => g.from === g.to ? `${g.from}` : `${g.from} to ${g.to}`;
  const missing = sum(gaps.map((g) => g.to - g.from + 1));
  return `${count(missing, 'frame')} missing (sequence ${gaps.length === 1 ? one(gaps[0]) : few(gaps.map(one))})`;
}
