/** A pool of a million mixed frames, after the switch: recovery, export, a filter over all of it. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../../native/index.js';
import { over, type Case, type Contestant, type Figures } from '../case.js';
import { lacking, run } from '../child.js';
import { FOUR_TERMS } from '../fabric/traffic.js';

const worker = fileURLToPath(new URL('../storage/worker.js', import.meta.url)), program = join(packageRoot(), 'cli', 'framekeep.mjs');
let directory: string | undefined;

export const storage: Case = {
  name: 'storage',
  about: 'a pool of 10^6 mixed frames (496 bytes on average) on tmpfs: recovery, a four-term filter over all of it, export beside editcap on the same frames',
  needs: [],
  minutes: 1.5,
  async contestants(settings) {
    const frames = settings.quick ? 50_000 : settings.set('frames', 1_000_000), small = Math.round(frames / 16);
    const dir = directory = mkdtempSync('/dev/shm/framekeep-bench-');
    const at = (name: string): string => join(dir, name);
    const look = async (...args: string[]): Promise<Figures> => JSON.parse((await run([process.execPath, worker, ...args], { seconds: 300 })).stdout) as Figures;
    settings.progress(`storage: making a pool of ${frames} frames`);
    await look('fill', at('pool'), String(frames));
    await look('fill', at('small'), String(small));
    await run([process.execPath, program, 'export', at('pool'), '-w', at('same.pcapng')], { seconds: 300 });  // editcap's input
    const program_ = (name: string, command: string[], missing?: string): Contestant => ({
      name, ...(missing !== undefined && { missing }),
      async measure() {
        const from = performance.now();
        await run(command, { seconds: 300 });
        const ms = performance.now() - from, bytes = statSync(at('out.pcapng')).size;
        rmSync(at('out.pcapng'));
        return { ms, gbPerSecond: bytes / ms / 1e6 };
      },
    });
    const exporting = (name: string, pool: string): Contestant => ({
      name,
      async measure() {
        const figures = await look('export', at(pool), at('out.pcapng'));
        rmSync(at('out.pcapng'));
        return { ...figures, gbPerSecond: figures['bytes'] / figures['ms'] / 1e6 };
      },
    });
    return [
      { name: 'recovery', measure: () => look('recover', at('pool')) },
      { name: 'filter', measure: () => look('filter', at('pool'), FOUR_TERMS) },
      exporting('export', 'pool'), exporting('export of a sixteenth', 'small'),
      program_('framekeep export', [process.execPath, program, 'export', at('pool'), '-w', at('out.pcapng')]),
      program_('editcap', ['editcap', at('same.pcapng'), at('out.pcapng')], lacking('editcap')),
    ];
  },
  rows(median) {
    const large = median('export', 'anonMb'), small = median('export of a sixteenth', 'anonMb');
    return [
      { what: 'recovery, in a new process', value: median('recovery', 'ms'), unit: 'ms', target: { atMost: 250 }, note: 'with the pool\'s index in this process\'s page tables already: ' + `${median('recovery', 'againMs')?.toFixed(1) ?? '–'} ms` },
      { what: 'filter over every frame', value: median('filter', 'againMs'), unit: 'ms', target: { atMost: 150 }, note: `the first time a process touches the pool: ${median('filter', 'ms')?.toFixed(0) ?? '–'} ms` },
      { what: 'export to pcapng on tmpfs', value: median('export', 'gbPerSecond'), unit: 'GB/s', target: { atLeast: 1 } },
      { what: 'framekeep export, of editcap\'s speed on the same frames, both from the command line', ratio: over(median('editcap', 'ms'), median('framekeep export', 'ms')), value: median('editcap', 'gbPerSecond'), unit: 'GB/s by editcap', target: { atLeast: 2 } },
      { what: 'private memory of an export, of that of a pool a sixteenth the size', ratio: over(large, small), value: large, unit: 'MB', target: { atMost: 1.5 } },
    ];
  },
  end() {
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
    directory = undefined;
  },
};
