/** TCP between two hosts, as Linux sets veth up, and with offloads off, which is where other AF_XDP switches begin to work. */
import { over, type Case, type Contestant } from '../case.js';
import { lacking } from '../child.js';
import { measured, wait } from '../net/measured.js';
import { BRIDGE, BRIDGE_TCPDUMP, FRAMEKEEP, FRAMEKEEP_KEPT, OVS, TESTPMD, VDE, type SwitchKind } from '../net/switches.js';

const KINDS = [FRAMEKEEP_KEPT, FRAMEKEEP, OVS, TESTPMD, VDE, BRIDGE, BRIDGE_TCPDUMP];
const nameOf = (kind: SwitchKind, off: boolean): string => `${kind.name}, offloads ${off ? 'off' : 'on'}`;

export const xdpTcp: Case = {
  name: 'xdp-tcp',
  about: 'one TCP connection through the switch (iperf3), default offloads on veth, and offloads off in both hosts',
  needs: ['root', 'ip', 'ethtool', 'iperf3', 'taskset', 'ping'],
  minutes: 4,
  contestants: (settings) => KINDS.flatMap((kind) => [false, true].map((off): Contestant => measured(kind, async (lab, sw) => {
    if (off) for (const host of [lab.a, lab.b]) lab.shIn(host, 'ethtool -K eth0 tx off tso off gso off gro off >/dev/null');
    const server = lab.start(lab.b, ['iperf3', '-s', '-1', '--forceflush']);
    try {
      await server.until((out) => out.includes('listening'));
      await sw.keep?.();
      const seconds = settings.quick ? 1 : settings.set('seconds', 2);
      // Where nothing passes, iperf3 would wait for minutes: it has twice its time, and what came is what it made.
      const { stdout } = await lab.run(lab.a, ['timeout', String(2 * seconds + 3), 'iperf3', '-c', '10.79.0.2', '-J', '-t', String(seconds), '--connect-timeout', '2000'], { seconds: 2 * seconds + 10, anyCode: true });
      let bits = 0;
      try { bits = (JSON.parse(stdout) as { end?: { sum_received?: { bits_per_second?: number } } }).end?.sum_received?.bits_per_second ?? 0; } catch { /* it was ended before it could say */ }
      await sw.kept?.();
      return { mbps: bits / 1e6 };
    } finally {
      await server.stop();
      await wait(0.1);
    }
  }, { name: nameOf(kind, off), missing: kind.missing ?? lacking('iperf3') }))),
  rows(median) {
    const of = (kind: SwitchKind, off: boolean): number | undefined => median(nameOf(kind, off), 'mbps'), kept = of(FRAMEKEEP_KEPT, false);
    return [
      { what: 'framekeep, default offloads, everything kept, of OVS AF_XDP with offloads off', ratio: over(kept, of(OVS, true)), value: kept, unit: 'Mb/s', target: { atLeast: 1 } },
      { what: '… of the kernel bridge, default offloads', ratio: over(kept, of(BRIDGE, false)), value: of(BRIDGE, false), unit: 'Mb/s of the bridge' },
      { what: 'framekeep, offloads off, everything kept', value: of(FRAMEKEEP_KEPT, true), unit: 'Mb/s' },
      ...KINDS.filter((kind) => kind !== FRAMEKEEP_KEPT).flatMap((kind) => [false, true].map((off) => ({ what: nameOf(kind, off), value: of(kind, off), unit: 'Mb/s' }))),
    ];
  },
};
