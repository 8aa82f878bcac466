/** A switch of one kind in a lab of its own, for one measurement. */
import { readFileSync } from 'node:fs';
import type { Contestant, Figures } from '../case.js';
import { cpuSeconds, family, Lab } from './lab.js';
import type { RunningSwitch, SwitchKind } from './switches.js';

/** Up, hosts known to each other; taken down again whatever happens. `pinned: false`: the switch runs where the scheduler puts it. */
export function measured(kind: SwitchKind, measure: (lab: Lab, sw: RunningSwitch) => Promise<Figures>, options: { name?: string; ports?: number; ping?: boolean; pinned?: boolean; missing?: string } = {}): Contestant {
  const missing = options.missing ?? kind.missing;
  return {
    name: options.name ?? kind.name, ...(missing !== undefined && { missing }),
    async measure() {
      const lab = new Lab(options.ports ?? 2);
      try {
        lab.pinned = options.pinned ?? true;
        const sw = await kind.start(lab);
        lab.pinned = true;
        try {
          if (options.ping !== false) await lab.ping();
          return await measure(lab, sw);
        } finally {
          await sw.stop();
        }
      } finally {
        lab.delete();
      }
    },
  };
}

const read = (path: string): string => readFileSync(path, 'utf8');
export const wait = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Share of one CPU that a process and its children took, %. */
export async function cpuPercent(pid: number, seconds: number): Promise<number> {
  const sum = (): number => family(pid, read).reduce((n, p) => { try { return n + cpuSeconds(p, read); } catch { return n; } }, 0);
  const before = sum(), from = performance.now();
  await wait(seconds);
  return (sum() - before) / ((performance.now() - from) / 1000) * 100;
}

/** Resident bytes that are not shared memory: a pool on tmpfs is RssShmem. */
export function residentBytes(pid: number): number {
  return family(pid, read).reduce((n, p) => {
    const status = read(`/proc/${p}/status`), kb = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
    return n + (kb('RssAnon') + kb('RssFile')) * 1024;
  }, 0);
}
