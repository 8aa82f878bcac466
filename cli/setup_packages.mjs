// The Debian packages that framekeep needs, by what they bring: a program or a file. As root they are installed; anybody
// else is told the line, and goes on with what there is.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const PATHS = [...(process.env.PATH ?? '').split(':').filter(Boolean), '/usr/sbin', '/sbin'];  // an ordinary user's PATH lacks them
const LIBRARIES = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib', '/lib64', '/lib', '/usr/local/lib'];
const program = (...names) => () => names.some((name) => PATHS.some((dir) => existsSync(join(dir, name))));
const library = (...names) => () => names.some((name) => LIBRARIES.some((dir) => existsSync(join(dir, name))));

/** `stops`: nothing works without it. */
const PACKAGES = [
  { name: 'g++', for: 'building the addon', stops: true, there: () => process.env.CXX !== undefined || existsSync(new URL('../build/framekeep.node', import.meta.url)) || program('c++', 'g++', 'clang++')() },
  { name: 'libpcap0.8', for: 'filters', there: library('libpcap.so.0.8', 'libpcap.so.1') },
  { name: 'netbase', for: 'names of ports in filters', there: () => existsSync('/etc/services') },
  { name: 'iproute2', for: 'tests', there: program('ip') },
  { name: 'iputils-ping', for: 'tests', there: program('ping') },
  { name: 'iperf3', for: 'tests', there: program('iperf3') },
  { name: 'tshark', for: 'tests', there: program('tshark') },
  { name: 'tcpdump', for: 'tests', there: program('tcpdump') },
  { name: 'ethtool', for: 'tests', there: program('ethtool') },
  { name: 'curl', for: 'tests', there: program('curl') },
  { name: 'netcat-openbsd', for: 'tests', there: program('nc') },
  { name: 'procps', for: 'tests', there: program('sysctl') },
  { name: 'tmux', for: 'tests', there: program('tmux') },
  { name: 'python3', for: 'tests', there: program('python3') },
  { name: 'zsh', for: 'tests', there: program('zsh') },
  { name: 'fish', for: 'tests', there: program('fish') },
  { name: 'man-db', for: 'tests', there: program('man') },
  { name: 'groff', for: 'tests', there: program('groff') },
  { name: 'mandoc', for: 'tests', there: program('mandoc') },
  { name: 'systemd', for: 'tests', there: program('systemd-analyze') },
  { name: 'libpcap-dev', for: 'tests', there: () => existsSync('/usr/include/pcap/pcap.h') || existsSync('/usr/local/include/pcap/pcap.h') },
];

/** @returns the entries whose package is missing */
export function missingPackages(forTests) {
  return PACKAGES.filter((p) => (forTests || p.for !== 'tests') && !p.there());
}

export function installPackages(missing, say, fail) {
  const names = missing.map((p) => p.name);
  const line = `apt-get install -y ${names.join(' ')}`;
  const stopping = missing.filter((p) => p.stops);
  const isRoot = process.getuid() === 0;
  if (isRoot && program('apt-get')()) {
    say(`installing Debian packages: ${names.join(' ')}`);
    const apt = (...args) => spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=300', '-qq', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8',
      // wireshark-common asks whether others may capture; noninteractive takes its default, no.
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
    const install = () => apt('install', '-y', '--no-install-recommends', ...names);
    let done = install();
    // No lists yet, or lists so old that the packages they name are gone.
    if (done.status !== 0 && (done = apt('update')).status === 0) done = install();
    if (done.status === 0) return;
    process.stderr.write(`${done.stdout}${done.stderr}`);
    if (stopping.length > 0) fail(`${stopping.map((p) => p.name).join(' ')} could not be installed`, `needed for ${stopping[0].for}: ${line}`);
    say(`could not be installed: ${names.join(' ')}; going on without`);
    return;
  }
  const how = isRoot ? `install what your distribution calls: ${names.join(' ')}` : `install it as root: ${line}`;
  if (stopping.length > 0) fail(`${stopping.map((p) => p.name).join(' ')} is missing, for ${stopping[0].for}`, how);
  say(`missing, going on without: ${names.join(' ')} (for ${[...new Set(missing.map((p) => p.for))].join(' and ')})`);
  say(how);
}
