/** Every frame kept and flushed, by frame size: what keeping costs, and how far from a C++ loop that only the flushes limit. */
import { over, type Case, type Contestant, type Row } from '../case.js';
import { reference } from '../fabric/reference.js';
import { typescript } from '../fabric/measure.js';

/** Bytes → what keeping may cost at most, of the rate without: as PASTE published (1,514: as 1,280). */
export const COSTS = new Map([[64, 0.37], [256, 0.34], [768, 0.20], [1280, 0.10], [1514, 0.10]]);
const KEPT = { keep: '', flush: true } as const;

export const fabricKept: Case = {
  name: 'fabric-kept',
  about: 'every frame kept and flushed (clwb of frame and record, two fences); the source on the other core writes each frame; pool larger than the last-level cache',
  needs: [],
  minutes: 3,
  contestants: (settings) => [...COSTS.keys()].flatMap((size): Contestant[] => [
    typescript(`kept, ${size}`, settings, { size, ...KEPT }), reference(`C++ kept, ${size}`, settings, { size, ...KEPT }), typescript(`not kept, ${size}`, settings, { size }),
  ]),
  rows: (median) => [...COSTS].flatMap(([size, cost]): Row[] => {
    const kept = median(`kept, ${size}`, 'mpps'), loop = median(`C++ kept, ${size}`, 'mpps'), not = median(`not kept, ${size}`, 'mpps');
    return [
      size === 64 ? { what: `${size} bytes, every frame durable`, value: kept, unit: 'M frames/s', target: { atLeast: 14.88 } } : { what: `${size} bytes, every frame durable`, value: kept, unit: 'M frames/s' },
      { what: '… of the rate without keeping', ratio: over(kept, not), value: not, unit: 'M frames/s not kept', target: { atLeast: 1 - cost } },
      { what: '… of a C++ loop limited by clwb', ratio: over(kept, loop), value: loop, unit: 'M frames/s in C++', target: { atLeast: 0.8 } },
      { what: '… within a turn, of the C++ loop', ratio: over(median(`C++ kept, ${size}`, 'busyNs'), median(`kept, ${size}`, 'busyNs')), value: median(`kept, ${size}`, 'busyNs'), unit: 'ns a frame' },
    ];
  }),
};
