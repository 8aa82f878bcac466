/** What a switch with four ports costs while nothing comes, how fast it is there, and how much memory it takes. */
import type { Case, Contestant } from '../case.js';
import { Lab } from '../net/lab.js';
import { cpuPercent, measured, residentBytes, wait } from '../net/measured.js';
import { FORWARDER, FRAMEKEEP, FRAMEKEEP_KEPT, OVS, TESTPMD, VDE, type SwitchKind } from '../net/switches.js';
import { compileReference } from '../reference.js';

const startName = (kind: SwitchKind): string => `start of ${kind.name}`;

/** From the command to the first frame at host b: one is sent each half millisecond. */
function start(kind: SwitchKind): Contestant {
  return {
    name: startName(kind), ...(kind.missing !== undefined && { missing: kind.missing }),
    async measure() {
      const lab = new Lab(4), program = await compileReference('pinger');
      lab.pinned = false;
      try {
        const first = lab.start(lab.b, [program, 'first', 'eth0']);
        await first.until((out) => out.includes('ready'));
        const sender = lab.start(lab.a, [program, 'send', 'eth0']);
        await wait(0.2);
        const from = process.hrtime.bigint(), sw = await kind.start(lab);
        try {
          await first.until((out) => /\n\d+\n/.test(out));
          return { startMs: Number(BigInt(/\n(\d+)\n/.exec(first.stdout)![1]) - from) / 1e6 };
        } finally {
          await sender.stop();
          await first.stop();
          await sw.stop();
        }
      } finally {
        lab.delete();
      }
    },
  };
}

export const xdpIdle: Case = {
  name: 'xdp-idle',
  about: 'four ports: CPU while idle, from the command to the first frame forwarded, resident memory beyond the pool',
  needs: ['root', 'ip', 'ethtool', 'taskset', 'ping'],
  minutes: 2,
  contestants: (settings) => [
    ...[FRAMEKEEP_KEPT, FORWARDER, OVS, TESTPMD, VDE].map((kind) => measured(kind, async (_, sw) => {
      await wait(1);
      const percent = await cpuPercent(sw.pid!, settings.quick ? 1 : settings.set('seconds', 4));
      return { percent, residentMb: residentBytes(sw.pid!) / 1e6 };
    }, { ports: 4 })),
    start(FRAMEKEEP), start(FORWARDER),
  ],
  rows(median) {
    return [
      { what: 'idle framekeep, of one CPU', value: median(FRAMEKEEP_KEPT.name, 'percent'), unit: '%', target: { atMost: 1 } },
      { what: 'framekeep: command to first frame forwarded', value: median(startName(FRAMEKEEP), 'startMs'), unit: 'ms', target: { atMost: 400 } },
      { what: 'framekeep: resident beyond the pool', value: median(FRAMEKEEP_KEPT.name, 'residentMb'), unit: 'MB', target: { atMost: 120 } },
      ...[FORWARDER, OVS, TESTPMD, VDE].map((kind) => ({ what: `idle ${kind.name}, of one CPU`, value: median(kind.name, 'percent'), unit: '%' })),
      { what: 'C forwarder: command to first frame forwarded', value: median(startName(FORWARDER), 'startMs'), unit: 'ms' },
    ];
  },
};
