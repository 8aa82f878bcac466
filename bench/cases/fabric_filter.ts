/** A filter that selects one frame in a hundred, against none. */
import { over, type Case } from '../case.js';
import { typescript } from '../fabric/measure.js';
import { FOUR_TERMS } from '../fabric/traffic.js';

export const fabricFilter: Case = {
  name: 'fabric-filter',
  about: `mixed traffic; the filter "${FOUR_TERMS}" selects 1 %, against keeping nothing`,
  needs: [],
  minutes: 1,
  contestants: (settings) => [
    typescript('filter', settings, { size: 'mixed', keep: FOUR_TERMS, flush: true }), typescript('no filter', settings, { size: 'mixed' }),
    typescript('filter, 64', settings, { keep: FOUR_TERMS, flush: true }), typescript('no filter, 64', settings, {}),
  ],
  rows(median) {
    const a = median('filter', 'mpps'), b = median('no filter', 'mpps'), share = over(median('filter', 'keptMpps'), a);
    return [
      { what: 'with the filter, of without', ratio: over(a, b), value: a, unit: 'M frames/s', target: { atLeast: 0.7 }, note: share === undefined ? undefined : `selected ${(share * 100).toFixed(2)} %` },
      { what: '64-byte frames that its first term refuses', ratio: over(median('filter, 64', 'mpps'), median('no filter, 64', 'mpps')), value: median('filter, 64', 'mpps'), unit: 'M frames/s' },
    ];
  },
};
