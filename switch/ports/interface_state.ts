/**
 * What a port changes on a network interface, written down before it is changed, so that it is put back also when the
 * switch was killed: by the next start. One JSON file an interface in a directory all switches of the machine share;
 * whoever finds a file whose owner is dead undoes it.
 *
 * Changed are the offloads that hide bytes of the wire from a port. On a NIC: VLAN stripping, which takes the tag out of the
 * frame, and receive aggregation, which makes one large frame of several. On a veth, VLAN stripping has no effect, and it is the
 * other end's VLAN insertion that leaves the tag out for good (docs/decisions/2026-11-21-vlan-on-veth.md): turned off if that
 * end is in this namespace, else the port speaks of it when its XDP program cannot put the tag back in.
 *
 * Promiscuous mode needs none of this: it hangs on a descriptor (holdPromiscuous), which the kernel closes.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, readdirSync, readlinkSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { FramekeepError, getFeatures, interfaceInfo, interfaces, setFeatures, type InterfaceInfo } from '../../native/index.js';

/** Kernel names (`ethtool -k` shows some under older ones), and what each does to a frame. */
const HIDES: readonly (readonly [feature: string, effect: string])[] = [
  ['rx-vlan-hw-parse', 'takes 802.1Q tags out of frames'],
  ['rx-vlan-stag-hw-parse', 'takes 802.1ad tags out of frames'],
  ['rx-gro', 'joins received frames'],
  ['rx-lro', 'joins received frames'],
  ['rx-gro-hw', 'joins received frames'],
];
const HIDES_FROM_PEER: typeof HIDES = [
  ['tx-vlan-hw-insert', 'leaves 802.1Q tags out of the frames it sends'],
  ['tx-vlan-stag-hw-insert', 'leaves 802.1ad tags out of the frames it sends'],
];

/** One feature that is off and was on. */
interface Change { readonly name: string; readonly ifindex: number; readonly mac: string; readonly feature: string }

interface Owner {
  readonly pid: number;
  /** Clock ticks since boot (proc(5), stat field 22): tells a process from a later one of the same number. */
  readonly started: string;
  readonly pidNamespace: string;
}

interface State {
  readonly version: 1;
  readonly interface: string;
  readonly owner: Owner;
  /** Nothing outlives these: a reboot and a namespace's end undo every change by themselves. */
  readonly boot: string;
  readonly netNamespace: string;
  readonly changes: readonly Change[];
}

export class InterfaceState {
  readonly #directory: string;

  /** @param runDirectory made (0700) if it does not exist; better on a file system that a reboot empties */
  constructor(runDirectory: string) {
    mkdirSync(runDirectory, { recursive: true, mode: 0o700 });
    this.#directory = runDirectory;
  }

  /**
   * Gets an interface ready for a port.
   * @param options.offloads  `wire`: turns off what hides bytes of the wire; `keep`: changes nothing
   * @returns what was found and done, one line each, for people
   * @throws FramekeepError `E_INTERFACE_UNKNOWN`, `E_RUN_DIRECTORY`; what refuses to be changed is reported, not thrown
   */
  prepare(name: string, options: { readonly offloads: 'wire' | 'keep' }): string[] {
    const info = interfaceInfo(name), report: string[] = [], path = this.#pathOf(name);
    const earlier = read(path);
    if (earlier !== undefined) {
      if (same(earlier.owner, ownIdentity())) return [`${name}: this process has prepared it already`];
      if (alive(earlier.owner)) return [`${name}: process ${earlier.owner.pid} has changed its offloads and will put them back; they stay as they are`];
      report.push(...this.#undo(path, earlier));
    }
    const changes: Change[] = [];
    for (const [feature, effect, where] of hiding(info)) {
      const on = `${where.name}: ${feature} is on and ${effect}`;
      if (options.offloads === 'keep') report.push(`${on}; kept as asked`);
      else if (!getFeatures(where.name).get(feature)!.changeable) report.push(`${on}; its driver does not let it be turned off`);
      else changes.push({ name: where.name, ifindex: where.index, mac: where.mac, feature });
    }
    if (changes.length === 0) return report;
    this.#write(path, { version: 1, interface: name, owner: ownIdentity(), boot: bootId(), netNamespace: netNamespace(), changes });
    let left = 0;
    for (const [device, features] of byDevice(changes)) {
      const refused = attempt(device, features, false);
      const done = features.filter((one) => !refused.names.includes(one));
      left += done.length;
      if (done.length > 0) report.push(`${device}: turned off ${done.join(', ')}`);
      if (refused.names.length > 0) report.push(`${device}: ${refused.names.join(', ')} stays on (${refused.why})`);
    }
    if (left === 0) rmSync(path, { force: true });
    return report;
  }

  /** Whether there is something of this process's to put back. */
  owes(name: string): boolean {
    const state = read(this.#pathOf(name));
    return state !== undefined && same(state.owner, ownIdentity());
  }

  /** Puts back what `prepare` changed. Harmless where it changed nothing. @returns what was done, for people */
  restore(name: string): string[] {
    const path = this.#pathOf(name), state = read(path);
    return state === undefined || !same(state.owner, ownIdentity()) ? [] : this.#undo(path, state);
  }

  /** Puts back what dead switches left in this network namespace. @returns what was done, for people */
  restoreLeftovers(): string[] {
    const report: string[] = [];
    for (const file of readdirSync(this.#directory).sort()) {
      if (!file.endsWith('.json')) continue;
      const path = join(this.#directory, file), state = read(path);
      if (state === undefined) {
        report.push(`${file}: not a record of ours, left alone`);
      } else if (state.boot !== bootId()) {
        rmSync(path, { force: true });
      } else if (state.netNamespace === netNamespace() && !alive(state.owner)) {
        report.push(...this.#undo(path, state));
      }
    }
    return report;
  }

  /** Switches on again what is still off on the very interface it was taken from, and forgets about it. */
  #undo(path: string, state: State): string[] {
    const report: string[] = [], here = interfaces(), own = same(state.owner, ownIdentity()), by = own ? '' : `, which process ${state.owner.pid} left off`;
    let failed = false;
    const wanted: Change[] = [];
    for (const change of state.changes) {
      // By index: it may have another name now, and another may have its name.
      const now = here.find((one) => one.index === change.ifindex);
      if (now === undefined) continue;
      if (now.mac !== change.mac && !own) {
        report.push(`${now.name}: is no longer what ${state.interface} was (MAC ${now.mac}, not ${change.mac}): left as it is; if it is, ethtool -K ${now.name} ${change.feature} on`);
      } else if (getFeatures(now.name).get(change.feature)?.on === false) {
        wanted.push({ ...change, name: now.name });
      }
    }
    for (const [device, features] of byDevice(wanted)) {
      const refused = attempt(device, features, true);
      const done = features.filter((one) => !refused.names.includes(one));
      if (done.length > 0) report.push(`${device}: turned on again ${done.join(', ')}${by}`);
      if (refused.names.length > 0) report.push(`${device}: ${refused.names.join(', ')} stays off${by} (${refused.why})`);
      failed ||= refused.denied;
    }
    if (!failed) rmSync(path, { force: true });   // who lacks the privilege leaves the record to who has it
    return report;
  }

  #pathOf(name: string): string {
    return join(this.#directory, `${name}.${netNamespace()}.json`);
  }

  /** On the disk before anything is changed. */
  #write(path: string, state: State): void {
    const half = `${path}.${process.pid}`;
    try {
      rmSync(half, { force: true });
      const fd = openSync(half, 'wx', 0o600);
      writeSync(fd, JSON.stringify(state, null, 2) + '\n');
      fsyncSync(fd);
      closeSync(fd);
      renameSync(half, path);
      const directory = openSync(this.#directory, 'r');
      fsyncSync(directory);
      closeSync(directory);
    } catch (cause) {
      throw new FramekeepError('E_RUN_DIRECTORY', `${basename(path)} cannot be written to ${this.#directory}, and ${state.interface} is not changed without a record: ${(cause as Error).message}`,
        'make it writable, set FRAMEKEEP_RUN to a writable directory, or leave offloads alone (offloads=keep)', { cause });
    }
  }
}

/** What is on and hides bytes from a port on this interface; the third item is where. */
function hiding(info: InterfaceInfo): [feature: string, effect: string, where: InterfaceInfo][] {
  const on = (where: InterfaceInfo, list: typeof HIDES): [string, string, InterfaceInfo][] => {
    const features = getFeatures(where.name);
    return list.filter(([feature]) => features.get(feature)?.on).map(([feature, effect]) => [feature, effect, where]);
  };
  if (info.type !== 'veth') return on(info, HIDES);
  const peer = info.lower === 0 ? undefined : interfaces().find((one) => one.index === info.lower);
  return [...on(info, HIDES.filter(([feature]) => !feature.includes('vlan'))), ...peer === undefined ? [] : on(peer, HIDES_FROM_PEER)];
}

function byDevice(changes: readonly Change[]): Map<string, string[]> {
  const devices = new Map<string, string[]>();
  for (const { name, feature } of changes) devices.set(name, [...devices.get(name) ?? [], feature]);
  return devices;
}

/** Sets features, and says which are not as wanted and why. */
function attempt(name: string, features: readonly string[], on: boolean): { names: readonly string[]; why: string; denied: boolean } {
  try {
    const names = setFeatures(name, Object.fromEntries(features.map((one) => [one, on])));
    return { names, why: 'the driver or another feature holds it', denied: false };
  } catch (error) {
    if (!(error instanceof FramekeepError)) throw error;
    return { names: features, why: error.message.split('\n')[0], denied: error.code === 'E_PERMISSION' };
  }
}

/** A record, or undefined where there is none that can be understood. */
function read(path: string): State | undefined {
  try {
    const state = JSON.parse(readFileSync(path, 'utf8')) as State;
    return state.version === 1 && Array.isArray(state.changes) && typeof state.owner?.pid === 'number' ? state : undefined;
  } catch {
    return undefined;
  }
}

const netNamespace = (): string => numberIn(readlinkSync('/proc/thread-self/ns/net'));
const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
const numberIn = (link: string): string => /\d+/.exec(link)![0];   // `net:[4026531840]`

const startOf = (pid: number): string => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];     // the command in parentheses may hold anything
};
const ownIdentity = (): Owner => ({ pid: process.pid, started: startOf(process.pid), pidNamespace: numberIn(readlinkSync('/proc/self/ns/pid')) });
const same = (a: Owner, b: Owner): boolean => a.pid === b.pid && a.started === b.started && a.pidNamespace === b.pidNamespace;

/** Whether a record's owner still runs; one that cannot be judged from here (another PID namespace) counts as running. */
function alive(owner: Owner): boolean {
  if (owner.pidNamespace !== ownIdentity().pidNamespace) return true;
  try {
    return startOf(owner.pid) === owner.started;
  } catch {
    return false;
  }
}
