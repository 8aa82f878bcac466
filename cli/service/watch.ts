/**
 * What the counters tell the log besides the switch's own events: frames that the system or their own shape kept from passing, and
 * frames that could not be kept. Looked at once a second; one line for each port in ten seconds at most, with the sum since the last.
 */
import type { CountersSnapshot, PortSnapshot } from '../../switch/index.js';

export type Level = 'debug' | 'info' | 'warn' | 'error';
export interface Happening { readonly level: Level; readonly event: string; readonly text: string; readonly fields: Readonly<Record<string, unknown>> }

const QUIET_SECONDS = 10;

/** By the name in the log. The other drops are a switch's daily work, or (a full TX ring) an event of its own. */
const REASONS: Readonly<Record<string, (p: PortSnapshot) => number>> = {
  'rx-ring-full': (p) => p.xdpRxRingFull,
  'no-buffer': (p) => p.xdpFillEmpty,
  'rx-dropped': (p) => p.xdpRxDropped,
  'tx-error': (p) => p.txErrors,
  oversize: (p) => p.dropped['oversize'],
  runt: (p) => p.dropped['runt'],
  malformed: (p) => p.dropped['malformed'],
};

export class Watch {
  private readonly told = new Map<string, { value: number; at: number }>();

  /** @param now seconds, of any clock that only goes forward */
  look(s: CountersSnapshot, now: number): Happening[] {
    const found: Happening[] = [];
    for (const p of s.ports) {
      const reasons: Record<string, number> = {};
      for (const [reason, of] of Object.entries(REASONS)) {
        const n = this.grown(`${p.id} ${reason}`, of(p), now);
        if (n > 0) reasons[reason] = n;
      }
      if (Object.keys(reasons).length > 0) {
        const text = `${p.spec}: not passed: ${Object.entries(reasons).map(([reason, n]) => `${n} ${reason}`).join(', ')}`;
        found.push({ level: 'warn', event: 'drops', text, fields: { port: p.spec, reasons } });
      }
      const lost = this.grown(`${p.id} lost`, p.lost, now);
      if (lost > 0) found.push({ level: 'error', event: 'lost', text: `${p.spec}: ${lost} frames could not be kept`, fields: { port: p.spec, frames: lost } });
    }
    return found;
  }

  /** By how much a counter grew since it was last told; 0 while it is too early to tell again. */
  private grown(key: string, value: number, now: number): number {
    const told = this.told.get(key), begun = told === undefined || value < told.value;  // a new port under an old number begins at 0
    if (value === (begun ? 0 : told.value)) {
      if (begun) this.told.set(key, { value, at: told?.at ?? -Infinity });
      return 0;
    }
    if (told !== undefined && now - told.at < QUIET_SECONDS) return 0;
    this.told.set(key, { value, at: now });
    return begun ? value : value - told.value;
  }
}
