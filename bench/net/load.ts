/** Frames from host a to host b, made by the kernel on CPU 0 (native/src/prog_run.cc), and how many came to b. */
import { fileURLToPath } from 'node:url';
import type { Running } from '../child.js';
import type { Lab } from './lab.js';

const worker = fileURLToPath(new URL('load_worker.js', import.meta.url));

export interface Load {
  /** Frames a second; 0: as many as there can be. */
  readonly rate: number;
  readonly seconds: number;
  readonly size: number;
}
export interface LoadResult { readonly offered: number; readonly delivered: number; readonly seconds: number }

const command = (lab: Lab, { rate, seconds, size }: Load): string[] => [process.execPath, worker, JSON.stringify({ rate, seconds, size, source: lab.mac('a'), destination: lab.mac('b') })];

/** @throws when the kernel makes no frames */
export async function load(lab: Lab, wanted: Load): Promise<LoadResult> {
  const before = lab.counts(lab.b, 'eth0').rxPackets;
  const { stdout } = await lab.run(lab.a, command(lab, wanted), { seconds: wanted.seconds + 30 });
  await new Promise((resolve) => setTimeout(resolve, 200));  // what is still on its way
  const { offered, took } = JSON.parse(stdout) as { offered: number; took: number };
  return { offered, delivered: lab.counts(lab.b, 'eth0').rxPackets - before, seconds: took };
}

/** Frames without a gap until it is stopped, on what time others leave of CPU 0. @returns once they come to b */
export async function background(lab: Lab, rate: number, size: number): Promise<Running> {
  const before = lab.counts(lab.b, 'eth0').rxPackets, child = lab.start(lab.a, ['chrt', '--idle', '0', ...command(lab, { rate, seconds: 3600, size })]);
  for (let i = 0; lab.counts(lab.b, 'eth0').rxPackets < before + rate / 10; i++) {
    if (child.hasEnded || i > 200) throw new Error(`no frames come through: ${child.stderr}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return child;
}
