/**
 * The switches that are compared, each started as its users start it, on CPU 1 where it can be told so; and what keeps the frames beside
 * it. `kept` is how many frames are safe on tmpfs, asked after the keeping has stopped.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../native/index.js';
import { Counters, type PortSnapshot } from '../../switch/counters.js';
import { lacking, type Running } from '../child.js';
import { compileReference, compilerLacks } from '../reference.js';
import { sh, type Lab } from './lab.js';

export interface RunningSwitch {
  /** For CPU time and memory; undefined: it is in the kernel. */
  readonly pid?: number;
  /** Begins to keep, where that is a program beside the switch. */
  keep?(): Promise<void>;
  /** Stops keeping. @returns frames of the measurement that were kept */
  kept?(): Promise<number>;
  /** Frames lost on the way in that the switch itself tells of, and what it cannot account for (framekeep). */
  accounts?(): Promise<{ lost: number; unaccounted: number }>;
  stop(): Promise<void>;
}

export interface SwitchKind {
  readonly name: string;
  readonly missing?: string;
  readonly keeps: boolean;
  start(lab: Lab): Promise<RunningSwitch>;
}

const CPU = 1;
const program = join(packageRoot(), 'cli', 'framekeep.mjs');

/** @param flushed  as if the pool were persistent memory: each frame and record written back, two fences a commit */
function framekeep(keep: 'all' | 'none', flushed = false): SwitchKind {
  return {
    name: keep === 'none' ? 'framekeep' : flushed ? 'framekeep, all kept and flushed' : 'framekeep, all kept', keeps: keep === 'all',
    async start(lab) {
      const pool = join(lab.directory, 'pool');
      rmSync(pool, { force: true });
      const child = lab.start(lab.middle, [process.execPath, program, 'up', ...lab.ports.map((p) => `xdp:${p}`), '--pool', pool, '--name', 'bench', '--keep', keep, ...(flushed ? ['--durability', 'power'] : []), '--json', '--stats', '0'], CPU);
      await child.until((out) => out.includes('"started"'));
      const counters = Counters.open(join(lab.directory, 'run', 'bench', 'counters'));
      const p0 = (): PortSnapshot => counters.snapshot().ports.find((p) => p.id === 0)!;
      const seen = (): number => lab.driverCount(lab.middle, 'p0', /_xdp_packets$/), fallen = (p: PortSnapshot): number => p.xdpRxDropped + p.xdpRxRingFull;
      let before = p0(), beforeSeen = seen(), keptBefore = 0;
      return {
        pid: child.pid,
        ...(keep === 'all' && {
          keep: async () => { keptBefore = p0().kept; },
          kept: async () => p0().kept - keptBefore,
        }),
        accounts: async () => {
          await new Promise((resolve) => setTimeout(resolve, 1500));  // what only its sockets know, it asks them once a second
          const p = p0(), handed = seen() - beforeSeen, lost = fallen(p) - fallen(before), took = p.received - before.received;
          beforeSeen += handed;
          before = p;
          const became = p.forwarded + p.flooded + Object.values(p.dropped).reduce((a, b) => a + b), keeping = p.kept + p.notSelected + p.lost;
          return { lost, unaccounted: Math.abs(handed - took - lost) + Math.abs(p.received - became) + Math.abs(p.received - keeping) };
        },
        async stop() { counters.close(); await child.stop(); rmSync(pool, { force: true }); },
      };
    },
  };
}

const forwarder: SwitchKind = {
  name: 'C forwarder, AF_XDP', missing: compilerLacks(), keeps: false,
  async start(lab) {
    const child = lab.start(lab.middle, [await compileReference('xdp_forward'), 'p0', 'p1'], CPU);
    await child.until((out) => out.includes('ready'));
    return { pid: child.pid, stop: () => child.stop() };
  },
};

/** A program that writes a capture of p0. */
interface Dumper { readonly name: string; readonly needs: readonly string[]; command(file: string): string[]; ready(stdout: string, stderr: string): boolean }
const TCPDUMP: Dumper = { name: 'tcpdump', needs: ['tcpdump'], command: (file) => ['tcpdump', '-i', 'p0', '-n', '-w', file], ready: (_, err) => err.includes('listening on') };
const DUMPCAP: Dumper = { name: 'dumpcap', needs: ['dumpcap'], command: (file) => ['dumpcap', '-q', '-i', 'p0', '-w', file], ready: (_, err) => err.includes('File:') };
const NETSNIFF: Dumper = { name: 'netsniff-ng', needs: ['netsniff-ng'], command: (file) => ['netsniff-ng', '--in', 'p0', '--out', file, '--silent'], ready: (out, err) => (out + err).includes('Running') };

class Dump {
  private child: Running | undefined;
  private readonly lab: Lab;
  private readonly dumper: Dumper;
  private readonly file: string;
  constructor(lab: Lab, dumper: Dumper) {
    this.lab = lab;
    this.dumper = dumper;
    this.file = join(lab.directory, 'capture');
  }
  async start(): Promise<void> {
    rmSync(this.file, { force: true });
    this.child = this.lab.start(this.lab.middle, this.dumper.command(this.file), CPU);
    await this.child.until((out, err) => this.dumper.ready(out, err) || existsSync(this.file));
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  /** @returns frames in its file */
  async stop(): Promise<number> {
    await this.child?.stop('SIGINT');
    this.child = undefined;
    if (!existsSync(this.file)) return 0;
    const n = countFrames(readFileSync(this.file));
    rmSync(this.file, { force: true });
    return n;
  }
}

/** Frames of EtherType 0x88B5 in a pcap or pcapng file, the last of which may be cut. Counted here: capinfos reads 1 GB in 20 s. */
export function countFrames(file: Buffer): number {
  if (file.length < 24) return 0;
  let n = 0, at = 24;
  if (file.readUInt32LE(0) !== 0x0a0d0d0a) {
    while (at + 16 <= file.length) {
      const length = file.readUInt32LE(at + 8);
      if (length >= 14 && at + 16 + length <= file.length && file.readUInt16BE(at + 16 + 12) === 0x88b5) n++;
      at += 16 + length;
    }
    return n;
  }
  for (at = 0; at + 12 <= file.length;) {
    const type = file.readUInt32LE(at), length = file.readUInt32LE(at + 4);
    if (length < 12) break;
    if (type === 6 && at + length <= file.length && file.readUInt16BE(at + 28 + 12) === 0x88b5) n++;  // enhanced packet block
    at += length;
  }
  return n;
}

function bridge(dumper?: Dumper): SwitchKind {
  const missing = lacking('ip', ...(dumper?.needs ?? []));
  return {
    name: dumper === undefined ? 'kernel bridge' : `bridge + ${dumper.name}`, keeps: dumper !== undefined, ...(missing !== undefined && { missing }),
    async start(lab) {
      sh(`ip -n ${lab.middle} link add br0 type bridge && ip -n ${lab.middle} link set br0 up`);
      // GRO on: veth takes frames from BPF_PROG_RUN only where it polls; it also speeds the bridge up.
      for (const port of lab.ports) sh(`ip -n ${lab.middle} link set ${port} master br0 && ip netns exec ${lab.middle} ethtool -K ${port} gro on`);
      const dump = dumper === undefined ? undefined : new Dump(lab, dumper);
      return {
        ...(dump !== undefined && { keep: () => dump.start(), kept: () => dump.stop() }),
        async stop() { await dump?.stop(); sh(`ip -n ${lab.middle} link del br0`); },
      };
    },
  };
}

function ovs(mirror: boolean): SwitchKind {
  const missing = lacking('ovs-vswitchd', 'ovsdb-server', 'ovs-vsctl', ...(mirror ? ['tcpdump'] : []));
  return {
    name: mirror ? 'OVS AF_XDP + mirror + tcpdump' : 'OVS AF_XDP', keeps: mirror, ...(missing !== undefined && { missing }),
    async start(lab) {
      const dir = join(lab.directory, 'ovs'), db = join(dir, 'conf.db'), sock = `unix:${join(dir, 'db.sock')}`;
      rmSync(dir, { recursive: true, force: true });
      mkdirSync(dir);
      const env = { ...lab.env, OVS_RUNDIR: dir, OVS_LOGDIR: dir, OVS_DBDIR: dir };
      Object.assign(lab.env, env);
      sh(`ovsdb-tool create ${db} /usr/share/openvswitch/vswitch.ovsschema`);
      const server = lab.start(lab.middle, ['ovsdb-server', db, `--remote=p${sock}`, '--no-chdir', `--unixctl=${join(dir, 'server.ctl')}`]);
      await server.until(() => existsSync(join(dir, 'db.sock')));
      const vsctl = (args: string): string => lab.shIn(lab.middle, `OVS_RUNDIR=${dir} ovs-vsctl --timeout=15 --db=${sock} ${args}`);
      vsctl('--no-wait init');
      vsctl('--no-wait set Open_vSwitch . other_config:pmd-cpu-mask=0x2');
      const daemon = lab.start(lab.middle, ['ovs-vswitchd', sock, '--disable-system', '--no-chdir', `--unixctl=${join(dir, 'switch.ctl')}`, '--log-file=' + join(dir, 'log')]);
      await daemon.until(() => existsSync(join(dir, 'switch.ctl')));
      vsctl('add-br br0 -- set bridge br0 datapath_type=netdev fail-mode=standalone');
      for (const port of lab.ports) vsctl(`add-port br0 ${port} -- set interface ${port} type=afxdp options:n_rxq=1`);
      let dump: Dump | undefined;
      if (mirror) {
        sh(`ip -n ${lab.middle} link add mir0 type veth peer name mir1 && ip -n ${lab.middle} link set mir0 up && ip -n ${lab.middle} link set mir1 up`);
        vsctl('add-port br0 mir0 -- set interface mir0 type=afxdp options:n_rxq=1 -- --id=@p get port p0 -- --id=@m get port mir0 -- --id=@x create mirror name=x select-src-port=@p output-port=@m -- set bridge br0 mirrors=@x');
        dump = new Dump(lab, { ...TCPDUMP, command: (file) => ['tcpdump', '-i', 'mir1', '-n', '-w', file] });
      }
      return {
        pid: daemon.pid,
        ...(dump !== undefined && { keep: () => dump.start(), kept: () => dump.stop() }),
        async stop() {
          await dump?.stop();
          await daemon.stop();
          await server.stop();
          if (mirror) sh(`ip -n ${lab.middle} link del mir0`);
          for (const port of lab.ports) lab.shIn(lab.middle, `ip link set ${port} xdp off || true`);  // OVS attaches by netlink, and leaves it there
          rmSync(dir, { recursive: true, force: true });
        },
      };
    },
  };
}

const testpmd: SwitchKind = {
  name: 'DPDK testpmd, AF_XDP', missing: lacking('dpdk-testpmd'), keeps: false,
  async start(lab) {
    const vdevs = lab.ports.slice(0, 2).map((port, i) => `--vdev=net_af_xdp${i},iface=${port}`);
    const child = lab.start(lab.middle, ['dpdk-testpmd', '-l', '0,1', '--main-lcore', '0', '--no-huge', '-m', '1024', '--no-pci', '--no-telemetry', `--file-prefix=${lab.middle}`, ...vdevs, '--',
      '--no-mlockall', '--total-num-mbufs=65536', '--forward-mode=io']);
    // What it says stays in its buffer while it writes to a pipe: its programs on both interfaces tell as well.
    await child.until(() => lab.ports.slice(0, 2).every((port) => sh(`ip -n ${lab.middle} link show ${port}`).includes('prog/xdp')), 30);
    return {
      pid: child.pid,
      async stop() {
        await child.stop();
        rmSync(`/var/run/dpdk/${lab.middle}`, { recursive: true, force: true });
        for (const port of lab.ports) lab.shIn(lab.middle, `ip link set ${port} xdp off || true`);
      },
    };
  },
};

const vde: SwitchKind = {
  name: 'vde_switch', missing: lacking('vde_switch', 'vde_plug2tap', 'ip'), keeps: false,
  async start(lab) {
    // It knows taps and its own plugs; a veth reaches it over a bridge with a tap, as its manual pages show.
    const sock = join(lab.directory, 'vde');
    lab.ports.slice(0, 2).forEach((port, i) => {
      sh(`ip -n ${lab.middle} tuntap add t${i} mode tap && ip -n ${lab.middle} link add vb${i} type bridge && ip -n ${lab.middle} link set t${i} master vb${i} up && ip -n ${lab.middle} link set ${port} master vb${i} && ip -n ${lab.middle} link set vb${i} up && ip netns exec ${lab.middle} ethtool -K ${port} gro on`);
    });
    const child = lab.start(lab.middle, ['vde_switch', '-s', sock, '-tap', 't0', '-tap', 't1'], CPU);
    await new Promise((resolve) => setTimeout(resolve, 300));
    return {
      pid: child.pid,
      async stop() {
        await child.stop();
        for (const i of [0, 1]) sh(`ip -n ${lab.middle} link del vb${i}; ip -n ${lab.middle} link del t${i}`);
      },
    };
  },
};

export const FRAMEKEEP = framekeep('none'), FRAMEKEEP_KEPT = framekeep('all'), FRAMEKEEP_FLUSHED = framekeep('all', true), FORWARDER = forwarder, BRIDGE = bridge(), OVS = ovs(false), TESTPMD = testpmd, VDE = vde;
export const BRIDGE_TCPDUMP = bridge(TCPDUMP), BRIDGE_DUMPCAP = bridge(DUMPCAP), BRIDGE_NETSNIFF = bridge(NETSNIFF), OVS_MIRROR = ovs(true);
