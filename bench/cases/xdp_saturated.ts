/** Saturating traffic of the smallest frames between two veth pairs: what comes out at the other end. */
import { over, type Case, type Contestant, type Settings } from '../case.js';
import { Lab } from '../net/lab.js';
import { load } from '../net/load.js';
import { BRIDGE, BRIDGE_DUMPCAP, BRIDGE_NETSNIFF, BRIDGE_TCPDUMP, FORWARDER, FRAMEKEEP, FRAMEKEEP_KEPT, OVS, OVS_MIRROR, TESTPMD, VDE, type SwitchKind } from '../net/switches.js';

/** Once a measurement: start, learn, load, count, stop. @param size  bytes of a frame, without FCS */
export function saturated(kind: SwitchKind, settings: Settings, size = 60, name = kind.name): Contestant {
  return {
    name, ...(kind.missing !== undefined && { missing: kind.missing }),
    async measure() {
      const lab = new Lab();
      try {
        const sw = await kind.start(lab);
        try {
          await lab.ping();
          await load(lab, { rate: 0, seconds: 0.3, size });
          await sw.accounts?.();
          await sw.keep?.();
          const { offered, delivered, seconds } = await load(lab, { rate: 0, seconds: settings.quick ? 0.5 : settings.set('seconds', 2), size });
          const accounts = await sw.accounts?.(), kept = await sw.kept?.();
          return {
            kpps: delivered / seconds / 1000, offeredKpps: offered / seconds / 1000, ...(kept !== undefined && { keptKpps: kept / seconds / 1000, keptShare: kept / delivered }),
            ...(accounts !== undefined && { lost: accounts.lost, unaccounted: accounts.unaccounted }),
          };
        } finally {
          await sw.stop();
        }
      } finally {
        lab.delete();
      }
    },
  };
}

const KINDS = [FRAMEKEEP, FORWARDER, FRAMEKEEP_KEPT, BRIDGE, BRIDGE_TCPDUMP, BRIDGE_DUMPCAP, BRIDGE_NETSNIFF, OVS, OVS_MIRROR, TESTPMD, VDE];

export const xdpSaturated: Case = {
  name: 'xdp-saturated',
  about: 'two veth pairs, saturating 60-byte frames of a learned address made by the kernel on CPU 0, the switch on CPU 1',
  needs: ['root', 'ip', 'ethtool', 'taskset', 'ping'],
  minutes: 4,
  contestants: (settings) => KINDS.map((kind) => saturated(kind, settings)),
  rows(median) {
    const k = (kind: SwitchKind): number | undefined => median(kind.name, 'kpps'), unit = 'k frames/s';
    const kept = k(FRAMEKEEP_KEPT), none = k(FRAMEKEEP);
    return [
      { what: 'framekeep, nothing kept, of the C forwarder', ratio: over(none, k(FORWARDER)), value: none, unit, target: { atLeast: 0.95 } },
      { what: '… of OVS AF_XDP', ratio: over(none, k(OVS)), value: k(OVS), unit: `${unit} of OVS`, target: { atLeast: 1 } },
      { what: 'framekeep, every frame kept, of keeping nothing', ratio: over(kept, none), value: kept, unit, target: { atLeast: 0.95 } },
      { what: '… of bridge + tcpdump', ratio: over(kept, k(BRIDGE_TCPDUMP)), value: k(BRIDGE_TCPDUMP), unit: `${unit} of bridge + tcpdump`, target: { atLeast: 1 } },
      { what: '… frames that nobody can account for', value: median(FRAMEKEEP_KEPT.name, 'unaccounted'), unit: 'frames', target: { atMost: 0 } },
      { what: 'bridge + tcpdump, of the bridge alone', ratio: over(k(BRIDGE_TCPDUMP), k(BRIDGE)), value: k(BRIDGE), unit: `${unit} of the bridge` },
      { what: 'OVS AF_XDP + mirror + tcpdump, of OVS alone', ratio: over(k(OVS_MIRROR), k(OVS)), value: k(OVS_MIRROR), unit },
      ...[BRIDGE_TCPDUMP, BRIDGE_DUMPCAP, BRIDGE_NETSNIFF, OVS_MIRROR, FRAMEKEEP_KEPT].map((kind) => ({ what: `kept of what was delivered: ${kind.name}`, ratio: median(kind.name, 'keptShare'), value: median(kind.name, 'keptKpps'), unit })),
      ...[TESTPMD, VDE, BRIDGE_DUMPCAP, BRIDGE_NETSNIFF].map((kind) => ({ what: kind.name, value: k(kind), unit })),
    ];
  },
};
