/** What the figures were measured on. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { bestFlush, detectMedium, packageRoot } from '../native/index.js';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';

export interface Machine {
  readonly cpu: string; readonly cpus: number; readonly memoryBytes: number; readonly lastLevelCacheBytes: number; readonly virtual: string;
  readonly kernel: string; readonly node: string; readonly v8: string;
  /** Commit of the source tree; `+` when it was changed since; '' where there is no git. */
  readonly commit: string;
  /** What the pools of the bench are on, and how a line of them is flushed where flushing is asked for. */
  readonly medium: string; readonly flush: string;
  readonly loadAtStart: number; readonly startedAt: string;
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? '', cpus: availableParallelism(), memoryBytes: totalmem(), lastLevelCacheBytes: lastLevelCache(), virtual: hypervisor(),
    kernel: release(), node: process.version, v8: process.versions.v8, commit: commit(), medium: poolMedium(), flush: bestFlush(),
    loadAtStart: loadavg()[0], startedAt: new Date().toISOString(),
  };
}

/** One line for people. */
export function inWords(m: Machine): string {
  const gib = (n: number): string => `${(n / 2 ** 30).toFixed(0)} GiB`;
  return `${m.cpus} CPUs of ${m.cpu}${m.virtual === '' ? '' : ` (${m.virtual})`}, last-level cache ${m.lastLevelCacheBytes >> 20} MiB, memory ${gib(m.memoryBytes)}, Linux ${m.kernel}, `
    + `Node ${m.node.slice(1)}, commit ${m.commit || 'unknown'}, pools on ${m.medium}`;
}

function commit(): string {
  const git = (...args: string[]): string => {
    const { status, stdout } = spawnSync('git', ['-C', packageRoot(), ...args], { encoding: 'utf8' });
    return status === 0 ? stdout.trim() : '';
  };
  const head = git('rev-parse', '--short=12', 'HEAD');
  return head === '' ? '' : head + (git('status', '--porcelain', '--untracked-files=no') === '' ? '' : '+');
}

function lastLevelCache(): number {
  let most = 0;
  for (let index = 0; index < 8; index++) {
    try {
      most = Math.max(most, parseInt(readFileSync(`/sys/devices/system/cpu/cpu0/cache/index${index}/size`, 'utf8')) * 1024);
    } catch { break; }
  }
  return most;
}

function hypervisor(): string {
  const flags = /^flags.*\bhypervisor\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'));
  return flags ? 'virtual machine' : '';
}

function poolMedium(): string {
  const directory = mkdtempSync('/dev/shm/framekeep-bench-'), path = join(directory, 'pool'), fd = openSync(path, 'w+');
  try {
    return `${detectMedium(fd, path).kind} (/dev/shm)`;
  } finally {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  }
}

