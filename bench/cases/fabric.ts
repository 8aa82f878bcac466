/** The switch without a wire: one data-plane thread in TypeScript against the C++ loop that does the same work. */
import { over, type Case } from '../case.js';
import { reference } from '../fabric/reference.js';
import { typescript } from '../fabric/measure.js';

// Two measurements. `rings`: frames are in their buffers already, the source moves descriptors alone; what is measured is the
// switch. `wire`: the source writes each frame, on its core, so that the data plane misses its cache on each, as behind a NIC.
const RINGS = { oneWay: true, writes: 'first' } as const, WIRE = { writes: 'each' } as const;

export const fabric: Case = {
  name: 'fabric',
  about: '64-byte frames of 1,024 MACs, nothing kept: take from a ring, learn, look up, forward, give buffers back; one thread',
  needs: [],
  minutes: 1,
  contestants: (settings) => [
    typescript('framekeep', settings, RINGS), reference('C++', settings, RINGS),
    typescript('framekeep, frames written by the other core', settings, WIRE), reference('C++, frames written by the other core', settings, WIRE),
  ],
  rows(median) {
    const of = (who: string): number | undefined => median(who, 'mpps'), wire = ', frames written by the other core';
    return [
      { what: '64-byte frames', value: of('framekeep'), unit: 'M frames/s', target: { atLeast: 25 } },
      { what: '… of the C++ loop', ratio: over(of('framekeep'), of('C++')), value: of('C++'), unit: 'M frames/s in C++', target: { atLeast: 0.7 } },
      { what: '… within a turn, of the C++ loop (says something on a busy machine, too)', ratio: over(median('C++', 'busyNs'), median('framekeep', 'busyNs')), value: median('framekeep', 'busyNs'), unit: 'ns a frame' },
      { what: '… each frame written by the other core', value: of(`framekeep${wire}`), unit: 'M frames/s' },
      { what: '… of the C++ loop', ratio: over(of(`framekeep${wire}`), of(`C++${wire}`)), value: of(`C++${wire}`), unit: 'M frames/s in C++' },
      { what: '… within a turn, of the C++ loop', ratio: over(median(`C++${wire}`, 'busyNs'), median(`framekeep${wire}`, 'busyNs')), value: median(`framekeep${wire}`, 'busyNs'), unit: 'ns a frame' },
    ];
  },
};
