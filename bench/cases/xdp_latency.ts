/**
 * Round trips through the switch, idle and under load: ICMP echo, answered by the other host's kernel. The host that asks is on CPU 0. Idle, the
 * switch runs where the scheduler puts it, as its users start it. How far that is matters more than what it does: on CPU 1 it has to be woken from
 * CPU 0, and to wake the host again. So framekeep and the C forwarder, which sleeps in poll(2) as framekeep does, are measured pinned to each CPU, too.
 *
 * What loads the switch is made on CPU 0, and yields it to the host (SCHED_IDLE, sched(7)): the host's waiting for the load's time slice is nothing
 * that a switch could change.
 */
import { spawnSync } from 'node:child_process';
import type { Case, Contestant, Figures } from '../case.js';
import { background } from '../net/load.js';
import { measured } from '../net/measured.js';
import { BRIDGE, FORWARDER, FRAMEKEEP_KEPT, OVS, TESTPMD, type SwitchKind } from '../net/switches.js';
import { compileReference } from '../reference.js';

const KINDS = [FRAMEKEEP_KEPT, BRIDGE, FORWARDER, OVS, TESTPMD], PINNED = [FRAMEKEEP_KEPT, FORWARDER];
const WAYS = ['idle', 'half load', 'idle, across CPUs', 'idle, on the host\'s CPU'] as const, [IDLE, LOADED, ACROSS, SAME_CPU] = WAYS;
type Way = (typeof WAYS)[number];
const nameOf = (kind: SwitchKind, way: Way): string => `${kind.name}, ${way}`;
const waysOf = (kind: SwitchKind): Way[] => WAYS.filter((way) => way === IDLE || way === LOADED || PINNED.includes(kind));

export const xdpLatency: Case = {
  name: 'xdp-latency',
  about: 'round trips of ICMP echo through the switch, 100 µs between them; half load: 60-byte frames at half of what framekeep takes (--set halfload=, pings=1000000 for the full count)',
  needs: ['root', 'ip', 'ethtool', 'taskset', 'chrt', 'ping'],
  minutes: 5,
  contestants: (settings) => KINDS.flatMap((kind) => waysOf(kind).map((way): Contestant => measured(kind, async (lab, sw) => {
    const count = settings.quick ? 2000 : settings.set('pings', 20_000), program = await compileReference('pinger');
    if (way === SAME_CPU && spawnSync('taskset', ['-a', '-p', '-c', '0', String(sw.pid)]).status !== 0) throw new Error('the switch could not be moved to CPU 0');
    const traffic = way === LOADED ? await background(lab, settings.set('halfload', 350_000), 60) : undefined;
    try {
      // The first thousands come before the switch's code is compiled.
      if (!settings.quick) await lab.run(lab.a, [program, 'echo', '10.79.0.2', '5000', '100'], { seconds: 60, cpu: 0 });
      const { stdout } = await lab.run(lab.a, [program, 'echo', '10.79.0.2', String(count), '100'], { seconds: 60 + count * 0.003, cpu: 0 });
      return JSON.parse(stdout) as Figures;
    } finally {
      await traffic?.stop();
    }
  }, { name: nameOf(kind, way), pinned: way !== IDLE }))),
  rows(median) {
    const of = (kind: SwitchKind, way: Way, figure: string): number | undefined => median(nameOf(kind, way), figure);
    const above = (a: number | undefined, b: number | undefined): number | undefined => a === undefined || b === undefined ? undefined : a - b;
    const bridge = of(BRIDGE, IDLE, 'p50'), p50 = (way: Way): number | undefined => of(FRAMEKEEP_KEPT, way, 'p50');
    return [
      { what: 'p50 above the kernel bridge, idle, everything kept', value: above(p50(IDLE), bridge), unit: 'µs', target: { atMost: 35 } },
      { what: '… pinned to the CPU of the host, where the bridge switches', value: above(p50(SAME_CPU), bridge), unit: 'µs', target: { atMost: 35 } },
      { what: '… pinned to the other CPU', value: above(p50(ACROSS), bridge), unit: 'µs', target: { atMost: 35 } },
      { what: '… of that, the C forwarder, which sleeps in poll, too', value: above(of(FORWARDER, ACROSS, 'p50'), bridge), unit: 'µs' },
      { what: 'p99.9 idle, everything kept', value: of(FRAMEKEEP_KEPT, IDLE, 'p999'), unit: 'µs', target: { atMost: 2000 } },
      { what: 'p99.9 at half load, everything kept', value: of(FRAMEKEEP_KEPT, LOADED, 'p999'), unit: 'µs', target: { atMost: 2000 } },
      ...KINDS.flatMap((kind) => waysOf(kind).flatMap((way) => (['p50', 'p99', 'p999'] as const).map((p) => ({ what: `${nameOf(kind, way)}, ${p === 'p999' ? 'p99.9' : p}`, value: of(kind, way, p), unit: 'µs' })))),
    ];
  },
};
