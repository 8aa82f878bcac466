/** Capabilities of the process (capabilities(7)): which it has, and giving them up in every thread (native/src/privileges.cc). */
import { readdirSync, readFileSync } from 'node:fs';
import { addon } from './addon.js';
import { FramekeepError, errnoName } from './error.js';

/** Bit numbers, linux/capability.h. */
export const CAPABILITY = { DAC_OVERRIDE: 1, NET_ADMIN: 12, NET_RAW: 13, IPC_LOCK: 14, BPF: 39 } as const;
export type Capability = keyof typeof CAPABILITY;

export interface ThreadPrivileges {
  readonly tid: number;
  /** Bits of capabilities, as /proc/PID/status has them. */
  readonly effective: bigint;
  readonly permitted: bigint;
  readonly bounding: bigint;
  readonly noNewPrivileges: boolean;
}

/** What each thread of a process may do. */
export function threadPrivileges(pid: number | 'self' = 'self'): ThreadPrivileges[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((tid) => {
    let status: string;
    try { status = readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8'); } catch { return []; }  // it has just ended
    const bits = (name: string): bigint => BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)![1]}`);
    return [{ tid: Number(tid), effective: bits('CapEff'), permitted: bits('CapPrm'), bounding: bits('CapBnd'), noNewPrivileges: /^NoNewPrivs:\s*1$/m.test(status) }];
  });
}

export const capabilityBits = (which: Iterable<Capability>): bigint => [...which].reduce((bits, name) => bits | 1n << BigInt(CAPABILITY[name]), 0n);

/**
 * Gives up every capability but these, in every thread of the process and for good: from the effective, permitted, inheritable and
 * ambient sets, with CAP_SETPCAP from the bounding set; and no program that is started gets more (PR_SET_NO_NEW_PRIVS).
 * @returns what is left, that was wanted and there
 * @throws FramekeepError `E_PRIVILEGES` when a thread still has more
 */
export function dropPrivileges(keep: Iterable<Capability>): Capability[] {
  const names = [...keep], bits = capabilityBits(names);
  const r: number = addon['privilegesDrop'](Number(bits & 0xffffffffn), Number(bits >> 32n));
  const threads = threadPrivileges(), more = threads.filter((t) => ((t.permitted | t.effective) & ~bits) !== 0n || !t.noNewPrivileges);
  if (r < 0 || more.length > 0) {
    throw new FramekeepError('E_PRIVILEGES', `privileges cannot be given up: ${r < 0 ? errnoName(r) : `${more.length} of ${threads.length} threads still have more`}`,
      'this kernel or sandbox does not allow it: start without privileges, or say --keep-privileges');
  }
  return names.filter((name) => (threads[0].permitted & capabilityBits([name])) !== 0n);
}
