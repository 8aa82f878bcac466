/** The machine's own checks: Node, kernel, processor, privileges, AF_XDP, limits, libpcap, `cap`, Wireshark. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { release, arch } from 'node:os';
import type { Check } from './doctor.js';
import { asFramekeepError, whatFailed } from './exit.js';

type Native = typeof import('../native/index.js');

export async function machineChecks(): Promise<Check[]> {
  const addon = await loadNative();
  const native = addon.native;
  const [cap, tshark, wireshark] = await Promise.all([capCheck(), programCheck('tshark'), programCheck('wireshark')]);
  return [node(), kernel(), addon.check, ...native ? [flush(native)] : [], privileges(), ...native ? [afXdp(native)] : [],
    memlock(), openFiles(), ...native ? [libpcap(native)] : [], cap, tshark, wireshark];
}

function node(): Check {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const ok = major! > 20 || (major === 20 && minor! >= 19);
  return { id: 'node', title: 'Node', ok, found: process.versions.node, remedy: ok ? '' : 'install Node 20.19 or later', data: { version: process.versions.node } };
}

function kernel(): Check {
  const version = release();
  const [major, minor] = version.split('.').map(Number);
  // BPF_LINK_CREATE for XDP came with 5.9 (commit aa8d3a716b59), and the port's program is attached by such a link.
  const ok = process.platform === 'linux' && (major! > 5 || (major === 5 && minor! >= 9));
  const name = /^PRETTY_NAME="?(.*?)"?$/m.exec(readIfThere('/etc/os-release'))?.[1] ?? process.platform;
  return {
    id: 'kernel', title: 'Kernel', ok, found: `Linux ${version}, ${name}, ${arch()}`,
    remedy: ok ? '' : 'xdp: ports need Linux 5.9 or later; the other ports work without', data: { release: version, distribution: name, arch: arch() },
  };
}

async function loadNative(): Promise<{ native: Native | undefined; check: Check }> {
  const base = { id: 'addon', title: 'Native addon' };
  try {
    const native = await import('../native/index.js');
    return { native, check: { ...base, ok: true, found: 'loads', remedy: '' } };
  } catch (thrown) {
    const error = asFramekeepError(thrown);
    return { native: undefined, check: { ...base, ok: false, found: whatFailed(error), remedy: error.remedy } };
  }
}

/** Instructions that write a cache line back; names as in /proc/cpuinfo (x86 `flags`, arm64 `Features`: dcpop is dc cvap). */
function flush(native: Native): Check {
  const info = readIfThere('/proc/cpuinfo');
  const flags = (/^(?:flags|Features)\s*:\s*(.*)$/m.exec(info)?.[1] ?? '').split(' ');
  const has = ['clwb', 'clflushopt', 'clflush', 'dcpop'].filter((flag) => flags.includes(flag)).map((flag) => flag === 'dcpop' ? 'dc cvap' : flag);
  const model = /^model name\s*:\s*(.*)$/m.exec(info)?.[1] ?? arch();
  try {
    const best = native.bestFlush();
    return { id: 'flush', title: 'Cache flush', ok: best !== 'none', found: `${best} (it has ${has.join(', ') || 'none that /proc/cpuinfo names'}), ${model}`,
      remedy: best === 'none' ? 'pools on persistent memory cannot be made durable on this processor' : '', data: { best, has, model } };
  } catch (thrown) {
    const error = asFramekeepError(thrown);
    return { id: 'flush', title: 'Cache flush', ok: false, found: `${whatFailed(error)}, ${model}`, remedy: error.remedy, data: { best: null, has, model } };
  }
}

/** Bit numbers of linux/capability.h. */
const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13, CAP_IPC_LOCK: 14, CAP_SYS_ADMIN: 21, CAP_BPF: 39 } as const;

function effectiveCapabilities(): bigint {
  return BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(readIfThere('/proc/self/status'))?.[1] ?? '0'}`);
}

function privileges(): Check {
  const effective = effectiveCapabilities();
  const has = Object.fromEntries(Object.entries(CAPABILITIES).map(([name, bit]) => [name, ((effective >> BigInt(bit)) & 1n) === 1n]));
  // CAP_SYS_ADMIN contains CAP_BPF (capabilities(7)).
  const missing = ['CAP_NET_ADMIN', 'CAP_NET_RAW', 'CAP_BPF'].filter((name) => !has[name] && !(name === 'CAP_BPF' && has['CAP_SYS_ADMIN']));
  const held = Object.keys(has).filter((name) => has[name]);
  const unprivileged = readIfThere('/proc/sys/kernel/unprivileged_bpf_disabled').trim();
  return {
    id: 'privileges', title: 'Privileges', ok: missing.length === 0,
    found: `uid ${process.getuid?.()}, ${held.length === 0 ? 'no capability that counts here' : held.join(' ')}${missing.length > 0 ? `; missing ${missing.join(' ')}` : ''}`,
    remedy: missing.length === 0 ? '' : `xdp: and tap: ports need them. Run it as root, or: sudo setcap ${missing.map((m) => m.toLowerCase()).join(',')}+ep ${process.execPath}`,
    data: { uid: process.getuid?.(), capabilities: has, unprivilegedBpfDisabled: unprivileged === '' ? null : Number(unprivileged) },
  };
}

/** Opens a socket with a small UMEM on the loopback interface and closes it again: no program is attached, no frame taken. */
function afXdp(native: Native): Check {
  const base = { id: 'af-xdp', title: 'AF_XDP' };
  const bytes = 64 * 2048;
  const memory = native.mapMemory('doctor', bytes);
  try {
    const rings = { rx: 32, tx: 32, fill: 32, completion: 32 };
    const socket = native.xdpSocket({ ifindex: 1, queue: 0, name: 'lo', rings, umem: { mappingId: memory.id, offset: 0, bytes, chunkSize: 2048 }, mode: 'copy', multiBuffer: true });
    native.xdpClose(socket.fd);
    return { ...base, ok: true, found: 'a socket with its memory can be opened', remedy: '' };
  } catch (thrown) {
    const error = asFramekeepError(thrown);
    return { ...base, ok: false, found: whatFailed(error), remedy: error.remedy || 'the ports tap:, cap:, pipe: and replay: work without', data: { code: error.code } };
  } finally {
    native.unmap(memory);
  }
}

/** The soft limit of a resource as /proc/self/limits names it; Infinity for `unlimited`. */
function limit(name: string): number {
  const soft = new RegExp(`^${name}\\s+(\\S+)`, 'm').exec(readIfThere('/proc/self/limits'))?.[1] ?? 'unlimited';
  return soft === 'unlimited' ? Infinity : Number(soft);
}

/** What a default pool takes: the kernel counts a UMEM against RLIMIT_MEMLOCK unless the process has CAP_IPC_LOCK (net/xdp/xdp_umem.c). */
const DEFAULT_POOL = 256 * 1024 ** 2;

function memlock(): Check {
  const soft = limit('Max locked memory');
  const exempt = ((effectiveCapabilities() >> BigInt(CAPABILITIES.CAP_IPC_LOCK)) & 1n) === 1n;
  const ok = exempt || soft >= DEFAULT_POOL;
  const shown = soft === Infinity ? 'unlimited' : `${Math.floor(soft / 1024)} KiB`;
  return {
    id: 'memlock', title: 'Locked memory', ok, found: shown + (exempt ? ', and CAP_IPC_LOCK, which is exempt' : ''),
    remedy: ok ? '' : 'xdp: ports lock the whole pool. Raise it: ulimit -l unlimited, LimitMEMLOCK=infinity in a systemd unit, or grant CAP_IPC_LOCK',
    data: { bytes: soft === Infinity ? null : soft, exempt },
  };
}

function openFiles(): Check {
  const soft = limit('Max open files');
  const ok = soft >= 256;                               // a port takes about six descriptors
  return { id: 'open-files', title: 'Open files', ok, found: soft === Infinity ? 'unlimited' : String(soft), remedy: ok ? '' : 'raise it: ulimit -n 1024', data: { count: soft === Infinity ? null : soft } };
}

function libpcap(native: Native): Check {
  const version = native.libpcapVersion();
  return {
    id: 'libpcap', title: 'Filters (libpcap)', ok: version !== undefined, found: version ?? 'it does not load',
    remedy: version !== undefined ? '' : 'filter expressions need it: apt-get install libpcap0.8', data: { version: version ?? null },
  };
}

/** Loads the npm package `cap` in a process of its own: two loads in one process, or a wrong build, end that process. */
async function capCheck(): Promise<Check> {
  const { status, output } = await outputOf(process.execPath, ['-e', 'require("cap")'], new URL('../..', import.meta.url).pathname);
  const why = output.split('\n').find((line) => line.startsWith('Error: ')) ?? output.split('\n')[0]!;
  return {
    id: 'cap', title: 'cap: ports', ok: status === 0, found: status === 0 ? 'the npm package cap loads' : why.replace(/^Error: /, '').trim() || 'the npm package cap does not load',
    remedy: status === 0 ? '' : 'apt-get install libpcap-dev, then: npm run setup -- --test',
  };
}

async function programCheck(name: 'tshark' | 'wireshark'): Promise<Check> {
  const { status, output } = await outputOf(name, ['--version']);
  const title = name === 'tshark' ? 'tshark' : 'Wireshark';
  return {
    id: name, title, ok: status === 0, found: status === 0 ? output.split('\n').find((line) => /shark/i.test(line))?.replace(/\.$/, '').trim() ?? 'found' : 'not found',
    remedy: status === 0 ? '' : `to look at an export: apt-get install ${name}`,
  };
}

function outputOf(program: string, args: string[], cwd?: string): Promise<{ status: number; output: string }> {
  return new Promise((resolve) => {
    execFile(program, args, { cwd, timeout: 10_000, env: { ...process.env, QT_QPA_PLATFORM: 'offscreen' } }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : 1, output: stdout + stderr });
    });
  });
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
