/** Numbers for narrow columns: counts, rates, bytes, spans of time. */
import { thousands } from '../logger/words.js';

/** `0`, `950`, `1.25k`, `48.1M`: at most five columns and the unit. */
export function rateText(n: number, unit = ''): string {
  if (!(n > 0)) return `0${unit}`;
  if (n < 999.5) return `${n < 10 && n % 1 !== 0 ? n.toFixed(1) : n.toFixed(0)}${unit}`;
  let i = -1;
  do { n /= 1000; i++; } while (n >= 999.5 && i < 4);
  return `${n < 10 ? n.toFixed(2) : n < 100 ? n.toFixed(1) : n.toFixed(0)}${'kMGTP'[i]}${unit}`;
}

/** As it is where it fits so many columns, else rounded: `123,456` or `12.3M`. */
export const countIn = (n: number, columns: number): string => thousands(n).length <= columns ? thousands(n) : rateText(n);

/** `0.4 s`, `12 s`, `3 min 20 s`, `5 h 10 min`, `3 d 4 h`. */
export function spanText(seconds: number): string {
  const s = Math.max(0, seconds);
  if (!Number.isFinite(s)) return 'never';
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
  if (s < 172_800) return `${Math.floor(s / 3600)} h ${Math.round(s % 3600 / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.round(s % 86_400 / 3600)} h`;
}

/** Local time of day. @param seconds since 1970 */
export function clockText(seconds: number): string {
  const d = new Date(seconds * 1000), two = (n: number): string => String(n).padStart(2, '0');
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/** Local date and time of day. */
export function dayText(seconds: number): string {
  const d = new Date(seconds * 1000), two = (n: number): string => String(n).padStart(2, '0');
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clockText(seconds)}`;
}
