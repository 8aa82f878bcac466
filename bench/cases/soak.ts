/** Ten minutes of traffic, one in a whole run, everything kept (--set soak=3600 for an hour): does memory grow, is every frame accounted for? */
import { medianOf, type Case } from '../case.js';
import { load } from '../net/load.js';
import { measured, residentBytes } from '../net/measured.js';
import { FRAMEKEEP_KEPT } from '../net/switches.js';

export const soak: Case = {
  name: 'soak',
  about: 'four ports, 200,000 frames a second for ten minutes (in a whole run, one; --set soak=SECONDS), everything kept, the pool overwritten again and again',
  needs: ['root', 'ip', 'ethtool', 'taskset', 'ping'],
  minutes: 1.2,
  minutesAlone: 11,
  rounds: 1,
  contestants: (settings) => [measured(FRAMEKEEP_KEPT, async (lab, sw) => {
    const seconds = settings.quick ? 6 : settings.set('soak', settings.whole ? 60 : 600), sizes: number[] = [];
    await load(lab, { rate: 200_000, seconds: 1, size: 200 });
    await sw.accounts!();
    let frames = 0;
    for (let done = 0; done < seconds; done += 2) {
      frames += (await load(lab, { rate: 200_000, seconds: Math.min(2, seconds - done), size: 200 })).delivered;
      sizes.push(residentBytes(sw.pid!));
      if (done % 60 === 58) settings.progress(`soak: ${done + 2} of ${seconds} s, ${(sizes.at(-1)! / 1e6).toFixed(1)} MB`);
    }
    const { unaccounted } = await sw.accounts!(), quarter = Math.max(1, sizes.length >> 2);
    return { frames, unaccounted, growthMb: (medianOf(sizes.slice(-quarter)) - medianOf(sizes.slice(0, quarter))) / 1e6, residentMb: sizes.at(-1)! / 1e6 };
  }, { ports: 4 })],
  rows(median) {
    const of = (figure: string): number | undefined => median(FRAMEKEEP_KEPT.name, figure);
    return [
      { what: 'growth, last quarter against first', value: of('growthMb'), unit: 'MB', target: { atMost: 2 } },
      { what: 'resident beyond the pool at the end', value: of('residentMb'), unit: 'MB', target: { atMost: 120 } },
      { what: 'frames that nobody can account for', value: of('unaccounted'), unit: 'frames', target: { atMost: 0 } },
      { what: 'frames delivered', value: of('frames'), unit: 'frames' },
    ];
  },
};
