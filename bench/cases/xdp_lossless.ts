/**
 * The highest rate at which every frame is forwarded, and every frame is kept: found by halving, as RFC 2544 (26.1) has it, below what comes
 * through of too much. A switch that was not given the CPU for a moment has lost frames at any rate: so a rate that lost some is tried again.
 */
import { over, type Case, type Contestant, type Settings } from '../case.js';
import type { Lab } from '../net/lab.js';
import { load } from '../net/load.js';
import { measured } from '../net/measured.js';
import { BRIDGE, BRIDGE_TCPDUMP, FORWARDER, FRAMEKEEP, FRAMEKEEP_KEPT, OVS, OVS_MIRROR, TESTPMD, VDE, type RunningSwitch, type SwitchKind } from '../net/switches.js';

const KINDS = [FRAMEKEEP_KEPT, FRAMEKEEP, FORWARDER, BRIDGE, BRIDGE_TCPDUMP, OVS, OVS_MIRROR, TESTPMD, VDE];

interface Trial { readonly offered: number; readonly undelivered: number; readonly unkept: number; readonly rate: number }

async function trial(lab: Lab, sw: RunningSwitch, rate: number, seconds: number): Promise<Trial> {
  await sw.keep?.();
  const { offered, delivered, seconds: took } = await load(lab, { rate, seconds, size: 60 });
  const kept = await sw.kept?.() ?? offered;
  return { offered, undelivered: offered - delivered, unkept: offered - kept, rate: offered / took };
}

function highest(kind: SwitchKind, settings: Settings): Contestant {
  return measured(kind, async (lab, sw) => {
    const seconds = settings.quick ? 0.3 : settings.set('trial', 0.5), steps = settings.quick ? 4 : settings.set('steps', 7), tries = settings.set('tries', 3), tolerated = settings.set('tolerance', 0);
    const { delivered, seconds: took } = await load(lab, { rate: 0, seconds: 0.5, size: 60 });
    let low = 0, high = settings.set('highest', delivered / took), found = 0;
    for (let step = 0; step < steps; step++) {
      const rate = (low + high) / 2;
      let isWhole = false;
      for (let n = 0; n < tries && !isWhole; n++) {
        const t = await trial(lab, sw, rate, seconds);
        isWhole = Math.max(t.undelivered, t.unkept) <= t.offered * tolerated;
        if (isWhole) found = Math.max(found, t.rate);  // what was made, not what was asked for
        settings.progress(`${kind.name}: ${(t.rate / 1000).toFixed(0)} k frames/s: ${isWhole ? 'every frame' : `${t.undelivered} not delivered, ${t.unkept} not kept`}`);
      }
      if (isWhole) low = rate; else high = rate;
    }
    return { kpps: found / 1000 };
  });
}

export const xdpLossless: Case = {
  name: 'xdp-lossless',
  about: 'the highest rate of 60-byte frames at which a trial loses none, forwarded and where frames are kept, kept (--set trial=SECONDS, tries=N, steps=N, tolerance=SHARE)',
  needs: ['root', 'ip', 'ethtool', 'taskset', 'ping'],
  minutes: 6,
  contestants: (settings) => KINDS.map((kind) => highest(kind, settings)),
  rows(median) {
    const of = (kind: SwitchKind): number | undefined => median(kind.name, 'kpps'), unit = 'k frames/s';
    const pairs = [[FRAMEKEEP_KEPT, FRAMEKEEP], [BRIDGE_TCPDUMP, BRIDGE], [OVS_MIRROR, OVS]] as const;
    return [
      ...pairs.map(([kept, not]) => ({ what: `${kept.name}: every frame forwarded and kept, of keeping nothing`, ratio: over(of(kept), of(not)), value: of(kept), unit })),
      ...[FRAMEKEEP, FORWARDER, BRIDGE, OVS, TESTPMD, VDE].map((kind) => ({ what: `${kind.name}: every frame forwarded`, value: of(kind), unit })),
    ];
  },
};
