/** Round trips through the switch, idle and under load: ICMP echo, answered by the other host's kernel. */
import type { Case, Contestant } from '../case.js';
import { load } from '../net/load.js';
import { measured } from '../net/measured.js';
import { BRIDGE, FORWARDER, FRAMEKEEP_KEPT, OVS, TESTPMD, type SwitchKind } from '../net/switches.js';
import { compileReference } from '../reference.js';
import type { Figures } from '../case.js';

const KINDS = [FRAMEKEEP_KEPT, BRIDGE, FORWARDER, OVS, TESTPMD];
const nameOf = (kind: SwitchKind, loaded: boolean): string => `${kind.name}, ${loaded ? 'half load' : 'idle'}`;

export const xdpLatency: Case = {
  name: 'xdp-latency',
  about: 'round trips of ICMP echo through the switch, 100 µs between them; half load: 60-byte frames at half of what framekeep takes (--set halfload=, pings=10^6 for the full count)',
  needs: ['root', 'ip', 'ethtool', 'taskset', 'ping'],
  rounds: 3,
  contestants: (settings) => KINDS.flatMap((kind) => [false, true].map((loaded): Contestant => measured(kind, async (lab) => {
    const count = settings.quick ? 2000 : settings.set('pings', 100_000), program = await compileReference('pinger');
    let done = false;
    const background = async (): Promise<void> => {
      while (loaded && !done) await load(lab, { rate: settings.set('halfload', 350_000), seconds: 1, size: 60 });
    };
    const traffic = background();
    try {
      const { stdout } = await lab.run(lab.a, [program, 'echo', '10.79.0.2', String(count), '100'], { seconds: 60 + count * 0.003, cpu: 0 });
      return JSON.parse(stdout) as Figures;
    } finally {
      done = true;
      await traffic;
    }
  }, { name: nameOf(kind, loaded) }))),
  rows(median) {
    const of = (kind: SwitchKind, loaded: boolean, figure: string): number | undefined => median(nameOf(kind, loaded), figure);
    const mine = of(FRAMEKEEP_KEPT, false, 'p50'), bridge = of(BRIDGE, false, 'p50');
    return [
      { what: 'p50 above the kernel bridge, idle, everything kept', value: mine === undefined || bridge === undefined ? undefined : mine - bridge, unit: 'µs', target: { atMost: 35 } },
      { what: 'p99.9 idle, everything kept', value: of(FRAMEKEEP_KEPT, false, 'p999'), unit: 'µs', target: { atMost: 2000 } },
      { what: 'p99.9 at half load, everything kept', value: of(FRAMEKEEP_KEPT, true, 'p999'), unit: 'µs', target: { atMost: 2000 } },
      ...KINDS.flatMap((kind) => [false, true].flatMap((loaded) => (['p50', 'p99', 'p999'] as const).map((p) => ({ what: `${nameOf(kind, loaded)}, ${p === 'p999' ? 'p99.9' : p}`, value: of(kind, loaded, p), unit: 'µs' })))),
    ];
  },
};
