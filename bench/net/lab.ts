/**
 * Where switches are compared: host a and host b in namespaces of their own, one veth pair each to the switch's namespace (`p0`, `p1`).
 * Everything as Linux sets it up: default offloads, one queue. IPv6 is off, so that no frame is there but those of the measurement.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Running, run } from '../child.js';

let made = 0;

export function sh(command: string): string {
  const { status, stdout, stderr } = spawnSync('sh', ['-ec', command], { encoding: 'utf8', timeout: 30_000 });
  if (status !== 0) throw new Error(`${command}: ${stderr}${stdout}`);
  return stdout;
}

export interface LinkCounts { readonly rxPackets: number; readonly rxDropped: number; readonly txPackets: number; readonly txDropped: number }

export class Lab {
  readonly a: string;
  readonly b: string;
  readonly middle: string;
  /** Pools, captures and run directories: tmpfs. */
  readonly directory = mkdtempSync('/dev/shm/framekeep-bench-');
  readonly env: NodeJS.ProcessEnv = {
    ...process.env, FRAMEKEEP_RUN: join(this.directory, 'run'), NO_COLOR: '1',
    NODE_EXTRA_CA_CERTS: undefined,  // Node parses them as it starts: 50 ms that no service has
  };
  /** Whether programs stay on the CPU that is named for them: not while a start is timed, or round trips as users have them. */
  pinned = true;
  /** Names of the switch's ends. */
  readonly ports: readonly string[];

  /** @param ports  2: hosts a and b; more: as many cables whose other ends, `e2` …, lie idle in b's namespace */
  constructor(ports = 2) {
    const tag = `fkb${process.pid.toString(36)}x${made++}`;
    this.a = `${tag}a`;
    this.b = `${tag}b`;
    this.middle = `${tag}m`;
    for (const name of [this.a, this.b, this.middle]) {
      sh(`ip netns add ${name} && ip -n ${name} link set lo up && ip netns exec ${name} sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1`);
    }
    this.ports = Array.from({ length: ports }, (_, i) => `p${i}`);
    this.ports.forEach((port, i) => {
      const [host, end] = i === 0 ? [this.a, 'eth0'] : [this.b, i === 1 ? 'eth0' : `e${i}`];
      sh(`ip link add ${port} netns ${this.middle} type veth peer name ${end} netns ${host}`);
      if (i < 2) sh(`ip -n ${host} addr add 10.79.0.${i + 1}/24 dev ${end}`);
      sh(`ip -n ${this.middle} link set ${port} up && ip -n ${host} link set ${end} up`);
    });
  }

  in(namespace: string, command: readonly string[], cpu?: number): string[] {
    return ['ip', 'netns', 'exec', namespace, ...(cpu === undefined || !this.pinned ? [] : ['taskset', '-c', String(cpu)]), ...command];
  }
  start(namespace: string, command: readonly string[], cpu?: number): Running {
    return new Running(this.in(namespace, command, cpu), this.env);
  }
  run(namespace: string, command: readonly string[], options: { seconds?: number; cpu?: number; anyCode?: boolean } = {}): ReturnType<typeof run> {
    return run(this.in(namespace, command, options.cpu), { env: this.env, ...options });
  }
  shIn(namespace: string, command: string): string {
    return sh(`ip netns exec ${namespace} sh -ec '${command}'`);
  }

  /** Both hosts have heard of each other, and the switch of both. @throws after some seconds */
  async ping(seconds = 15): Promise<void> {
    const until = Date.now() + seconds * 1000;
    for (;;) {
      const { code } = await this.run(this.a, ['ping', '-c', '1', '-W', '1', '10.79.0.2'], { anyCode: true });
      if (code === 0) return;
      if (Date.now() > until) throw new Error('no ping comes through the switch');
    }
  }

  mac(host: 'a' | 'b'): string {
    return (JSON.parse(sh(`ip -n ${host === 'a' ? this.a : this.b} -j link show eth0`)) as { address: string }[])[0].address;
  }

  counts(namespace: string, device: string): LinkCounts {
    const [{ stats64: s }] = JSON.parse(sh(`ip -n ${namespace} -j -s link show ${device}`)) as { stats64: { rx: { packets: number; dropped: number }; tx: { packets: number; dropped: number } } }[];
    return { rxPackets: s.rx.packets, rxDropped: s.rx.dropped, txPackets: s.tx.packets, txDropped: s.tx.dropped };
  }

  /** One of a driver's own counters (ethtool -S), summed over queues. */
  driverCount(namespace: string, device: string, name: RegExp): number {
    const text = this.shIn(namespace, `ethtool -S ${device}`);
    return [...text.matchAll(/^ *(\S+): (\d+)$/gm)].filter(([, key]) => name.test(key)).reduce((sum, [, , value]) => sum + Number(value), 0);
  }

  delete(): void {
    for (const name of [this.a, this.b, this.middle]) spawnSync('ip', ['netns', 'del', name]);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** utime and stime of a process with its threads, seconds. */
export function cpuSeconds(pid: number, read: (path: string) => string): number {
  const fields = read(`/proc/${pid}/stat`).replace(/^.*\) /s, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;  // USER_HZ
}

/** Pids of a process and what it started. */
export function family(pid: number, read: (path: string) => string): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) => {
    try { return read(`/proc/${pid}/task/${task}/children`).trim().split(' ').filter((x) => x !== '').map(Number); } catch { return []; }
  });
  return [pid, ...children.flatMap((child) => family(child, read))];
}
