/**
 * `npm run test:vm`: power cuts. FRAMEKEEP_SEED repeats the moments; words on the command line choose trials by name;
 * FRAMEKEEP_VM_KEEP=1 keeps the machines' files.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { devdax } from './devdax.js';
import { files } from './files.js';
import { baseImage, initramfs, projectImage } from './image.js';
import type { Rig } from './machine.js';
import { CannotRun, kernel, needPrograms } from './packages.js';
import { Report } from './report.js';
import { Trial, type TrialOptions } from './trial.js';

const report = new Report(), seed = process.env['FRAMEKEEP_SEED'] ?? String(Date.now() % 1e6), say = report.say.bind(report);
const directory = mkdtempSync(join(tmpdir(), 'framekeep-vm-'));

type Plan = Pick<TrialOptions, 'name' | 'nvdimms' | 'disks' | 'virtioPmem' | 'memoryMiB'> & { readonly run: (trial: Trial) => Promise<void> };
/** The longest first. */
const TRIALS: readonly Plan[] = [
  { name: 'files', run: files, nvdimms: 1, disks: 1, memoryMiB: 1024 },
  { name: 'devdax', run: devdax, nvdimms: 1, disks: 0, virtioPmem: 1, memoryMiB: 768 },
];

async function one(rig: Rig, { run, ...what }: Plan): Promise<void> {
  const trial = new Trial({ ...what, rig, report, directory, seed });
  try {
    await run(trial);
  } catch (error) {
    trial.check('goes to its end', false, (error as Error).stack ?? String(error));
  } finally { await trial.end(); }
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => { process.exit(130); });  // the machines end with this process
try {
  needPrograms(say);
  const found = kernel(say), rig: Rig = { kernel: found, initramfs: initramfs(found), disks: [baseImage(say), projectImage(directory)] };
  say(`FRAMEKEEP_SEED=${seed}; Linux ${found.version} and Node ${process.version} in the machines; ${cpus().length} CPUs here`);
  const wanted = process.argv.slice(2), waiting = TRIALS.filter((t) => wanted.length === 0 || wanted.some((word) => t.name.includes(word)));
  // Two machines at a time: each has two CPUs to emulate.
  const next = async (): Promise<void> => { for (let t = waiting.shift(); t !== undefined; t = waiting.shift()) await one(rig, t); };
  await Promise.all(cpus().length > 1 ? [next(), next()] : [next()]);
} catch (error) {
  if (!(error instanceof CannotRun)) throw error;
  report.check(`the rig can run: ${error.message}`, false, error.remedy);
}
if (report.failed > 0 || process.env['FRAMEKEEP_VM_KEEP'] !== undefined) say(`the machines' files are in ${directory}`);
else rmSync(directory, { recursive: true });
process.exitCode = report.close();
