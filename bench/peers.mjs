#!/usr/bin/env node
// `npm run bench:peers`: what the bench compares framekeep with, from Debian's packages. Says what is there, installs what is not.
import { spawnSync } from 'node:child_process';

const WANTED = [
  ['tcpdump', 'tcpdump'], ['dumpcap', 'wireshark-common'], ['editcap', 'wireshark-common'], ['netsniff-ng', 'netsniff-ng'], ['ovs-vswitchd', 'openvswitch-switch'],
  ['dpdk-testpmd', 'dpdk-dev'], ['vde_switch', 'vde2'], ['iperf3', 'iperf3'], ['ethtool', 'ethtool'], ['ip', 'iproute2'], ['ping', 'iputils-ping'], ['g++', 'g++'], ['gcc', 'gcc'],
];
// Drivers that testpmd loads by itself when they are there.
const WITH = { 'dpdk-dev': ['librte-net-af-xdp23', 'librte-mempool-ring23'] };

const has = (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
const missing = WANTED.filter(([program]) => !has(program));
for (const [program, from] of WANTED) console.log(`${has(program) ? 'there  ' : 'missing'}  ${program.padEnd(14)} ${from}`);
if (missing.length === 0) process.exit(0);
const packages = [...new Set(missing.flatMap(([, from]) => [from, ...(WITH[from] ?? [])]))];
const line = ['apt-get', 'install', '-y', '--no-install-recommends', ...packages];
if (process.getuid() !== 0 || !has('apt-get')) {
  console.log(`run as root, on Debian: ${line.join(' ')}`);
  process.exit(process.getuid() !== 0 ? 77 : 1);
}
spawnSync('apt-get', ['update', '-qq'], { stdio: 'inherit' });
const { status } = spawnSync(line[0], line.slice(1), { stdio: 'inherit', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
// The bench starts its own ovs-vswitchd, in a namespace: the machine's needs not run.
if (packages.includes('openvswitch-switch')) spawnSync('systemctl', ['disable', '--now', 'openvswitch-switch'], { stdio: 'ignore' });
const still = WANTED.filter(([program]) => !has(program)).map(([program]) => program);
if (still.length > 0) console.log(`still missing: ${still.join(', ')}; the bench leaves out what needs them`);
process.exit(status ?? 1);
