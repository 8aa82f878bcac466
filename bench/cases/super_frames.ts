/**
 * TCP in segments that nobody cuts: two taps with headers against the kernel's bridge, and against frames as the wire has them. Beside
 * it what AF_XDP's frames in several buffers would bring on veth, where the hosts' MTU is 60,000: a loop that does nothing else.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { thousands } from '../../logger/words.js';
import { packageRoot } from '../../native/index.js';
import { over, type Case, type Contestant } from '../case.js';
import { lacking } from '../child.js';
import { sh } from '../net/lab.js';
import { measured, wait } from '../net/measured.js';
import { BRIDGE, BRIDGE_TCPDUMP, FRAMEKEEP, FRAMEKEEP_KEPT, type SwitchKind } from '../net/switches.js';

const program = join(packageRoot(), 'cli', 'framekeep.mjs');

/** A switch of two taps, which the hosts have in the place of their cables. */
function taps(name: string, keep: 'all' | 'none', superFrames: boolean): SwitchKind {
  return {
    name, keeps: keep === 'all',
    async start(lab) {
      const pool = join(lab.directory, 'pool'), ports = ['t0', 't1'].map((tap) => `tap:${tap}${superFrames ? ',vnet-hdr' : ''}`);
      const child = lab.start(lab.middle, [process.execPath, program, 'up', ...ports, '--pool', pool, '--pool-size', '512M', '--chunk', superFrames ? '65536' : '2048', '--name', 'bench',
        '--keep', keep, '--json', '--stats', '0'], 1);
      await child.until((out) => out.includes('"started"'));
      [lab.a, lab.b].forEach((host, i) => {
        sh(`ip -n ${host} link set eth0 down; ip -n ${host} addr flush dev eth0`);
        sh(`ip -n ${lab.middle} link set t${i} netns ${host} name tap0; ip -n ${host} addr add 10.79.0.${i + 1}/24 dev tap0; ip -n ${host} link set tap0 up`);
      });
      return { pid: child.pid, async stop() { await child.stop(); rmSync(pool, { force: true }); } };
    },
  };
}

/** veths of an MTU on a wire of AF_XDP sockets that take frames in several buffers. */
function fragments(mtu: number): SwitchKind {
  return {
    name: `AF_XDP loop, frames in several buffers, MTU ${thousands(mtu)}`, keeps: false,
    async start(lab) {
      for (const [namespace, device] of [[lab.middle, 'p0'], [lab.middle, 'p1'], [lab.a, 'eth0'], [lab.b, 'eth0']]) sh(`ip -n ${namespace} link set ${device} mtu ${mtu}`);
      // The checksum of a frame in several buffers is nobody's here: senders make it themselves. Native XDP takes their segmentation anyway.
      for (const host of [lab.a, lab.b]) lab.shIn(host, 'ethtool -K eth0 tx off >/dev/null');
      const child = lab.start(lab.middle, [process.execPath, fileURLToPath(new URL('../net/multi_buffer_worker.js', import.meta.url)), 'p0', 'p1', 'native'], 1);
      await child.until((out) => out.includes('ready'));
      return { pid: child.pid, stop: () => child.stop() };
    },
  };
}

const FRAGMENTS = fragments(60000), FRAGMENTS_1500 = fragments(1500);
const SUPER = taps('taps, super-frames', 'none', true), SUPER_KEPT = taps('taps, super-frames, all kept', 'all', true);
const PLAIN = taps('taps, frames of 1,514 bytes', 'none', false), PLAIN_KEPT = taps('taps, frames of 1,514 bytes, all kept', 'all', false);
const KINDS = [BRIDGE, SUPER, SUPER_KEPT, PLAIN, PLAIN_KEPT, FRAMEKEEP, FRAMEKEEP_KEPT, FRAGMENTS, FRAGMENTS_1500, BRIDGE_TCPDUMP];

export const superFrames: Case = {
  name: 'super-frames',
  about: 'one TCP connection (iperf3) between hosts on taps that pass segments of up to 64 KiB, on taps and on veth that pass frames of 1,514 bytes, and through the kernel bridge',
  needs: ['root', 'ip', 'iperf3', 'taskset', 'ping', 'ethtool'],
  minutes: 1.5,
  contestants: (settings) => KINDS.map((kind): Contestant => measured(kind, async (lab, sw) => {
    const server = lab.start(lab.b, ['iperf3', '-s', '-1', '--forceflush']);
    try {
      await server.until((out) => out.includes('listening'));
      await sw.keep?.();
      const seconds = settings.quick ? 1 : settings.set('seconds', 3);
      const { stdout } = await lab.run(lab.a, ['iperf3', '-c', '10.79.0.2', '-J', '-t', String(seconds)], { seconds: 3 * seconds + 10 });
      await sw.kept?.();
      return { mbps: (JSON.parse(stdout) as { end: { sum_received: { bits_per_second: number } } }).end.sum_received.bits_per_second / 1e6 };
    } finally {
      await server.stop();
      await wait(0.1);
    }
  }, { missing: kind.missing ?? lacking('iperf3') })),
  rows(median) {
    const of = (kind: SwitchKind): number | undefined => median(kind.name, 'mbps');
    const row = (what: string, kind: SwitchKind, against: SwitchKind) => ({ what, ratio: over(of(kind), of(against)), value: of(kind), unit: 'Mb/s' });
    return [
      row('super-frames between taps, everything kept, of the kernel bridge', SUPER_KEPT, BRIDGE),
      row('… nothing kept', SUPER, BRIDGE),
      row('… everything kept, of frames of 1,514 bytes between taps', SUPER_KEPT, PLAIN_KEPT),
      row('… everything kept, of AF_XDP on veth', SUPER_KEPT, FRAMEKEEP_KEPT),
      row('… everything kept, of the bridge with tcpdump', SUPER_KEPT, BRIDGE_TCPDUMP),
      row('frames of 60,014 bytes in several buffers, of 1,514 in one (AF_XDP loop on veth, nothing kept)', FRAGMENTS, FRAGMENTS_1500),
      ...KINDS.map((kind) => ({ what: kind.name, value: of(kind), unit: 'Mb/s' })),
    ];
  },
};
