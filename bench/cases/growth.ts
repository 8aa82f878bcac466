/** How the fabric's rate grows and shrinks: one parameter at a time, as plots. */
import type { Case, Contestant, Plot, Settings } from '../case.js';
import { run } from '../child.js';
import { freemem } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { FabricOptions } from '../fabric/options.js';
import { typescript } from '../fabric/measure.js';
import { reference } from '../fabric/reference.js';
import type { Figures } from '../case.js';

interface Sweep {
  readonly name: string;
  readonly title: string;
  readonly x: { readonly label: string; readonly log?: boolean };
  readonly values: readonly number[];
  readonly lines: readonly { readonly label: string; readonly options: (x: number) => Partial<FabricOptions>; readonly inCpp?: true }[];
}

const KEPT = { keep: '', flush: true } as const, MIB = 1024 ** 2;
const ours = (options: (x: number) => Partial<FabricOptions>): Sweep['lines'] => [{ label: 'nothing kept', options }, { label: 'every frame kept', options: (x) => ({ ...options(x), ...KEPT }) }];
const both = (options: (x: number) => Partial<FabricOptions>): Sweep['lines'] => [
  ...ours(options), { label: 'kept, C++ by clwb', options: (x) => ({ ...options(x), ...KEPT }), inCpp: true },
];
/** One in so many kept, for a share in %. */
const sampleOf = (percent: number): Partial<FabricOptions> => percent === 0 ? { keep: null } : { ...KEPT, sample: Math.round(100 / percent) };

const SWEEPS: readonly Sweep[] = [
  { name: 'frame-size', title: 'Frames a second by frame size', x: { label: 'bytes a frame' }, values: [64, 128, 256, 512, 1024, 1514], lines: both((size) => ({ size })) },
  { name: 'burst', title: 'Frames a second by longest burst, 64 bytes', x: { label: 'longest burst', log: true }, values: [8, 16, 32, 64, 128, 256], lines: ours((most) => ({ most })) },
  { name: 'macs', title: 'Frames a second by number of stations, 64 bytes', x: { label: 'MAC addresses', log: true }, values: [10, 1000, 10_000, 100_000, 1_000_000], lines: ours((macs) => ({ macs })) },
  { name: 'ports', title: 'Frames a second by number of ports, 64 bytes', x: { label: 'ports', log: true }, values: [2, 4, 8, 16, 32, 64], lines: ours((ports) => ({ ports })) },
  {
    name: 'pool-size', title: 'Frames a second by size of the pool, 64 bytes', x: { label: 'bytes', log: true }, values: [16, 64, 256, 1024, 4096, 8192].map((n) => n * MIB),
    lines: [{ label: 'every frame kept', options: (poolBytes) => ({ poolBytes, ...KEPT }) }, { label: 'kept, C++ by clwb', options: (poolBytes) => ({ poolBytes, ...KEPT }), inCpp: true }],
  },
  { name: 'share-kept', title: 'Frames a second by share kept, 64 bytes', x: { label: '% of frames kept' }, values: [0, 1, 5, 10, 25, 50, 100], lines: [{ label: '64 bytes', options: sampleOf }, { label: '1514 bytes', options: (p) => ({ ...sampleOf(p), size: 1514 }) }] },
];

const nameOf = (sweep: Sweep, line: number, x: number): string => `${sweep.name} ${x}: ${sweep.lines[line].label}`;
const tableWorker = fileURLToPath(new URL('../fabric/table_worker.js', import.meta.url));

/** A pool in tmpfs is memory: what does not fit is left out, and said. */
function tooLarge(options: Partial<FabricOptions>): string | undefined {
  const { poolBytes = 0 } = options;
  return poolBytes * 1.2 > freemem() ? `a pool of ${poolBytes / MIB} MiB does not fit into the memory that is free` : undefined;
}

function contestants(settings: Settings): Contestant[] {
  const points = SWEEPS.flatMap((sweep) => sweep.lines.flatMap((line, i) => (settings.quick ? [sweep.values[0], sweep.values.at(-2)!] : sweep.values).map((x): Contestant => {
    const options = { seconds: settings.set('seconds', 0.5), ...line.options(x) }, missing = settings.quick ? undefined : tooLarge(options);
    const contestant = line.inCpp ? reference(nameOf(sweep, i, x), settings, options) : typescript(nameOf(sweep, i, x), settings, options);
    return missing === undefined ? contestant : { ...contestant, missing };
  })));
  return [...points, { name: 'table of 10^6', measure: async () => JSON.parse((await run([process.execPath, tableWorker, '1000000'])).stdout) as Figures }];
}

export const growth: Case = {
  name: 'growth',
  about: 'the fabric by frame size, burst, stations, ports, pool size and share kept; each frame written by the other core',
  needs: [],
  minutes: 8,
  contestants,
  rows: (median) => [{ what: '10^6 MACs in the forwarding table', value: median('table of 10^6', 'mb'), unit: 'MB', target: { atMost: 64 } }],
  plots: (median) => SWEEPS.map((sweep): Plot => ({
    name: sweep.name, title: sweep.title, x: sweep.x, y: { label: 'million frames a second' },
    lines: sweep.lines.map((line, i) => ({
      label: line.label,
      points: sweep.values.map((x) => [x, median(nameOf(sweep, i, x), 'mpps')] as const).filter((p): p is readonly [number, number] => p[1] !== undefined),
    })),
  })),
};
