/** The same as fabric-kept, each frame written past the caches, as a NIC's DMA does it on a machine that does not place it there. */
import { over, type Case, type Contestant, type Row } from '../case.js';
import { reference } from '../fabric/reference.js';
import { typescript } from '../fabric/measure.js';

const SIZES = [64, 1514], KEPT = { keep: '', flush: true, writes: 'stream' } as const;

export const fabricDma: Case = {
  name: 'fabric-dma',
  about: 'every frame kept and flushed, frames written past the caches (non-temporal stores) instead of into the other core\'s',
  needs: [],
  minutes: 1,
  contestants: (settings) => SIZES.flatMap((size): Contestant[] => [typescript(`kept, ${size}`, settings, { size, ...KEPT }), reference(`C++ kept, ${size}`, settings, { size, ...KEPT })]),
  rows: (median) => SIZES.map((size): Row => ({
    what: `${size} bytes, every frame durable, of the C++ loop`, ratio: over(median(`kept, ${size}`, 'mpps'), median(`C++ kept, ${size}`, 'mpps')), value: median(`kept, ${size}`, 'mpps'), unit: 'M frames/s',
  })),
};
