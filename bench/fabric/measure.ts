/** One measurement of the fabric: in a process of its own, for the TypeScript data plane and for the C++ loop alike. */
import { fileURLToPath } from 'node:url';
import type { Contestant, Figures, Settings } from '../case.js';
import { run } from '../child.js';
import { availableParallelism } from 'node:os';
import { FABRIC, NEAR_SHARE, PATIENCE, TRIES, type FabricFigures, type FabricOptions } from './options.js';

const worker = fileURLToPath(new URL('worker.js', import.meta.url));

/** The options of a case, on this machine: pinned where there are two CPUs. */
export function optionsFor(settings: Settings, wanted: Partial<FabricOptions>): FabricOptions {
  const pinned = availableParallelism() >= 2 ? {} : { cpu: -1, sourceCpu: -1 };
  const quick = settings.quick ? { warmSeconds: 0.15, seconds: 0.15, poolBytes: 64 * 1024 ** 2 } : {};
  // Longer for large pools: a log that is full replaces records, and that is what is measured.
  const warmSeconds = Math.max(FABRIC.warmSeconds, (wanted.poolBytes ?? FABRIC.poolBytes) / 2048 / 3e6);
  return { ...FABRIC, ...pinned, warmSeconds, seconds: settings.set('seconds', FABRIC.seconds), ...wanted, ...quick };
}

/** `--set nice=-20`, as root: the scheduler's word for "before all others", on a machine that has other work. */
function before(settings: Settings): string[] {
  const nice = settings.set('nice', 0);
  return nice === 0 ? [] : ['nice', '-n', String(nice)];
}

export function typescript(name: string, settings: Settings, wanted: Partial<FabricOptions>): Contestant {
  const options = optionsFor(settings, wanted);
  return {
    name,
    measure: () => untilNear(settings, [process.execPath, worker, JSON.stringify(options)], options.seconds),
  };
}

/** What the program prints, from a time when the CPUs were near for most of it (options.ts); the last try's, if there was none. */
export async function untilNear(settings: Settings, program: readonly string[], seconds: number): Promise<Figures> {
  for (let repeated = 0; ; repeated++) {
    const { stdout } = await run([...before(settings), ...program], { seconds: 60 + (1 + PATIENCE) * seconds }), figures = JSON.parse(stdout) as FabricFigures;
    if (figures.nearShare >= NEAR_SHARE || repeated === TRIES - 1 || settings.quick) return { ...figures, repeated };
  }
}
