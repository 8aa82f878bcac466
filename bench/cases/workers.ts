/**
 * Two data-plane threads against one: a whole switch with four generators, started from the command line. The generators run in the
 * threads that own their ports, so that what is compared is the same work, generators and all, on one core and on two.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../native/index.js';
import { Counters } from '../../switch/counters.js';
import { over, type Case, type Contestant, type Settings } from '../case.js';
import { Running } from '../child.js';
import { wait } from '../net/measured.js';

const program = join(packageRoot(), 'cli', 'framekeep.mjs');

/** Who speaks with whom. Ports are shared out in turn: 0 and 2 are the first thread's, 1 and 3 the second's. */
const PAIRS = { within: [2, 3, 0, 1], across: [1, 0, 3, 2] } as const;

function measured(name: string, workers: number, pairs: keyof typeof PAIRS, keep: 'all' | 'none', settings: Settings): Contestant {
  return {
    name,
    async measure() {
      const directory = mkdtempSync('/dev/shm/framekeep-bench-'), mac = (n: number): string => `02:00:00:00:0${n}:01`;
      const ports = PAIRS[pairs].map((to, from) => `gen:g${from},rate=0,src=${mac(from)},dst=${mac(to)}`);
      const child = new Running([process.execPath, program, 'up', ...ports, '--pool', join(directory, 'pool'), '--pool-size', '512M', '--keep', keep, '--workers', String(workers), '--name', 'bench', '--json', '--stats', '0'],
        { ...process.env, FRAMEKEEP_RUN: join(directory, 'run') });
      try {
        await child.until((out) => out.includes('"started"'));
        const counters = Counters.open(join(directory, 'run', 'bench', 'counters'));
        const sum = (): number => counters.snapshot().ports.reduce((n, p) => n + p.sent, 0);
        await wait(settings.quick ? 0.3 : 1);
        const before = sum(), from = performance.now();
        await wait(settings.quick ? 0.3 : settings.set('seconds', 2));
        const mpps = (sum() - before) / (performance.now() - from) / 1000;
        counters.close();
        return { mpps };
      } finally {
        await child.stop();
        rmSync(directory, { recursive: true, force: true });
      }
    },
  };
}

export const workers: Case = {
  name: 'workers',
  about: 'a switch with four generators of 60-byte frames on one data-plane thread, and on two (--workers 2); stations that speak within a thread, and across',
  needs: [],
  minutes: 1.5,
  contestants: (settings) => [
    measured('one', 1, 'within', 'none', settings), measured('two', 2, 'within', 'none', settings), measured('one, across', 1, 'across', 'none', settings), measured('two, across', 2, 'across', 'none', settings),
    measured('one, kept', 1, 'within', 'all', settings), measured('two, kept', 2, 'within', 'all', settings),
  ],
  rows(median) {
    const row = (what: string, suffix: string, target?: { atLeast: number }): ReturnType<Case['rows']>[number] => ({
      what, ratio: over(median(`two${suffix}`, 'mpps'), median(`one${suffix}`, 'mpps')), value: median(`two${suffix}`, 'mpps'), unit: 'M frames/s', ...(target !== undefined && { target }),
    });
    return [row('two threads, of one', '', { atLeast: 1.7 }), row('… every frame from one thread\'s port to the other\'s', ', across'), row('… every frame kept', ', kept')];
  },
};
