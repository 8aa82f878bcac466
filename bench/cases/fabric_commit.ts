/** Forwarding a frame only after its record is durable, against the other way round. */
import { over, type Case } from '../case.js';
import { typescript } from '../fabric/measure.js';

const KEPT = { keep: '', flush: true } as const;

export const fabricCommit: Case = {
  name: 'fabric-commit',
  about: 'commit-before-forward against commit-after, 64-byte frames, every frame kept and flushed',
  needs: [],
  minutes: 0.5,
  contestants: (settings) => [typescript('before', settings, { ...KEPT, commitBeforeForward: true }), typescript('after', settings, KEPT)],
  rows(median) {
    const before = median('before', 'mpps'), after = median('after', 'mpps');
    return [{ what: 'commit before forward, of after', ratio: over(before, after), value: before, unit: 'M frames/s', target: { atLeast: 0.85 } }];
  },
};
