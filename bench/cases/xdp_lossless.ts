/** The highest rate at which every frame is forwarded, and every frame is kept: found by halving, as RFC 2544 (26.1) has it. */
import { over, type Case, type Contestant, type Settings } from '../case.js';
import { load } from '../net/load.js';
import { measured } from '../net/measured.js';
import {
  BRIDGE, BRIDGE_DUMPCAP, BRIDGE_NETSNIFF, BRIDGE_TCPDUMP, FORWARDER, FRAMEKEEP, FRAMEKEEP_KEPT, OVS, OVS_MIRROR, TESTPMD, VDE, type SwitchKind,
} from '../net/switches.js';

const KINDS = [FRAMEKEEP_KEPT, FRAMEKEEP, FORWARDER, BRIDGE, BRIDGE_TCPDUMP, BRIDGE_DUMPCAP, BRIDGE_NETSNIFF, OVS, OVS_MIRROR, TESTPMD, VDE];

function highest(kind: SwitchKind, settings: Settings): Contestant {
  return measured(kind, async (lab, sw) => {
    const seconds = settings.quick ? 0.3 : settings.set('trial', 2), steps = settings.quick ? 3 : settings.set('steps', 8), tolerated = settings.set('tolerance', 0);
    let low = 0, high = settings.set('highest', 2_000_000);
    for (let step = 0; step < steps; step++) {
      const rate = (low + high) / 2;
      await sw.keep?.();
      const { offered, delivered, seconds: took } = await load(lab, { rate, seconds, size: 60 });
      const kept = await sw.kept?.() ?? offered, reached = offered / took > rate * 0.9;  // the generator itself kept up
      const whole = offered - Math.min(delivered, kept) <= offered * tolerated;
      settings.progress(`${kind.name}: ${(rate / 1000).toFixed(0)} k frames/s: ${whole ? 'every frame' : `${offered - delivered} not delivered, ${offered - kept} not kept`}`);
      if (whole && reached) low = rate; else high = rate;
    }
    return { kpps: low / 1000 };
  });
}

export const xdpLossless: Case = {
  name: 'xdp-lossless',
  about: 'the highest rate of 60-byte frames at which every frame is forwarded, and where frames are kept every frame is kept (--set trial=SECONDS, steps=N, tolerance=SHARE)',
  needs: ['root', 'ip', 'ethtool', 'taskset', 'ping'],
  rounds: 1,
  contestants: (settings) => KINDS.map((kind) => highest(kind, settings)),
  rows(median) {
    const of = (kind: SwitchKind): number | undefined => median(kind.name, 'kpps'), unit = 'k frames/s';
    const pairs = [[FRAMEKEEP_KEPT, FRAMEKEEP], [BRIDGE_TCPDUMP, BRIDGE], [BRIDGE_DUMPCAP, BRIDGE], [BRIDGE_NETSNIFF, BRIDGE], [OVS_MIRROR, OVS]] as const;
    return [
      ...pairs.map(([kept, not]) => ({ what: `${kept.name}: every frame forwarded and kept, of keeping nothing`, ratio: over(of(kept), of(not)), value: of(kept), unit })),
      ...[FRAMEKEEP, FORWARDER, BRIDGE, OVS, TESTPMD, VDE].map((kind) => ({ what: `${kind.name}: every frame forwarded`, value: of(kind), unit })),
    ];
  },
};
