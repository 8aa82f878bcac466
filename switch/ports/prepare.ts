/**
 * What the control thread does for a port before the data plane opens it: finds the interface, refuses what would cut the
 * machine off, sets promiscuous mode, sees to offloads, attaches the program of an `xdp:` port, starts the helper of a `cap:` port.
 * All of it is undone by `release`.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  closeFd, defaultRouteInterfaces, FramekeepError, holdPromiscuous, interfaceInfo, xdpAttach, xdpDetach, type Capability, type InterfaceInfo, type XdpAttachment,
} from '../../native/index.js';
import { compileFilter } from '../../logger/filter/index.js';
import { makeDirectory, runBase } from '../run_directory.js';
import { InterfaceState } from './interface_state.js';
import { macBytes, PortOptions } from './options.js';
import type { PortRequest } from './request.js';
import { labelOf, type PortSpec } from './spec.js';
import { xdpPortOptions, type XdpPortOptions } from './xdp_options.js';

export interface PrepareOptions {
  /** The switch's run directory. */
  readonly directory: string;
  /** Take an interface that the default route needs. */
  readonly force: boolean;
}

/** Whether a port asks its interface for frames that are meant for others too. */
export interface Promiscuity {
  readonly on: boolean;
  /** @throws FramekeepError E_PORT_SETTING where it cannot be had otherwise, E_PERMISSION */
  set(on: boolean): void;
}

export interface Prepared {
  readonly request: PortRequest;
  /** What was found and done, for people. */
  readonly report: readonly string[];
  /** What `release` cannot do without. */
  readonly atEnd: readonly Capability[];
  /** Undefined where the kind of port has no such mode. */
  readonly promiscuity?: Promiscuity;
  /** Called when what the port needs outside of the data plane has gone (a helper process that died). */
  onGone(then: () => void): void;
  /** Puts everything back. */
  release(): Promise<void>;
}

/** Puts back what crashed switches left on interfaces. @returns what was done, for people */
export function restoreLeftovers(): string[] {
  return new InterfaceState(stateDirectory()).restoreLeftovers();
}

/** One place for all switches of this machine: an interface has one owner. */
const stateDirectory = (): string => makeDirectory(join(makeDirectory(runBase()), 'interfaces'));

export async function preparePort(spec: PortSpec, options: PrepareOptions): Promise<Prepared> {
  switch (spec.kind) {
    case 'xdp': return prepareInterface(spec, options);
    case 'cap': return prepareCapture(spec, options);
    case 'pipe': {
      const path = join(makeDirectory(join(makeDirectory(runBase()), 'pipes')), spec.name.replaceAll('/', '_'));
      return simple({ ...plain(spec), pipe: { path } });
    }
    case 'replay': {
      const { filter } = spec.options;
      return simple({ ...plain(spec), ...(filter !== undefined && filter !== '' && { filter: compileFilter(filter).program }) });
    }
    default: return simple(plain(spec));
  }
}

/** Ports that are prepared before there is a data plane to open them. */
export interface PreparedAhead {
  /** The next one, in order. @throws what its preparation threw */
  next(): Prepared;
  /** Puts back what was prepared and not taken. */
  release(): Promise<void>;
}

/** Never throws: what goes wrong is said when that port's turn comes. */
export async function prepareAhead(specs: readonly PortSpec[], options: PrepareOptions): Promise<PreparedAhead> {
  const ready: Prepared[] = [];
  let refused: unknown;
  try {
    for (const spec of specs) ready.push(await preparePort(spec, options));
  } catch (error) {
    refused = error;
  }
  return {
    next() {
      const prepared = ready.shift();
      if (prepared === undefined) throw refused;
      return prepared;
    },
    release: async () => { for (const prepared of ready.splice(0)) await prepared.release(); },
  };
}

function plain(spec: PortSpec): PortRequest {
  const { as: _, ...options } = spec.options;
  return { spec: spec.text, label: labelOf(spec), kind: spec.kind, name: spec.name, options, ifindex: 0 };
}

const simple = (request: PortRequest): Prepared => ({ request, report: [], atEnd: [], onGone: () => undefined, release: async () => undefined });

function prepareInterface(spec: PortSpec, options: PrepareOptions): Prepared {
  const info = interfaceInfo(spec.name);
  refuseDefaultRoute(info, options);
  const request = plain(spec), wanted = xdpPortOptions(new PortOptions(spec.text, request.options), info.rxQueues);
  const state = new InterfaceState(stateDirectory());
  const promiscuity = new HeldPromiscuity(info.index);
  let report: string[];
  try {
    report = state.prepare(info.name, wanted);
  } catch (error) {
    promiscuity.set(false);
    throw error;
  }
  if (!info.up) report.push(`${info.name} is down: no frames until it is up (ip link set dev ${info.name} up)`);
  const attached = attachProgram(info, wanted);
  return {
    request: {
      ...request, ifindex: info.index,
      xdp: {
        name: info.name, ifindex: info.index, mac: macBytes(info.mac), mtu: info.mtu, rxQueues: info.rxQueues, wanted, driver: info.driver || info.type || 'unknown driver',
        otherEndAway: info.type === 'veth' && info.lower === 0, ...(attached && { attached: { ...attached, lent: true } }),
      },
    },
    report,
    atEnd: state.owes(info.name) ? ['NET_ADMIN'] : [],
    promiscuity,
    onGone: () => undefined,
    release: async () => {
      if (attached !== undefined) xdpDetach(attached);
      promiscuity.set(false);
      state.restore(info.name);
    },
  };
}

/**
 * Here, since the kernel lets ten milliseconds and more go by for each interface (an RCU grace period, while it holds its network lock):
 * meanwhile the data plane creates the pool. After the offloads, for a veth shows GRO as on from then on. What fails fails again in the
 * data plane, which knows what else to try and what to say.
 */
function attachProgram(info: InterfaceInfo, { ways, queues }: XdpPortOptions): XdpAttachment | undefined {
  if (!ways.some((way) => way !== 'generic copy')) return undefined;
  try {
    return xdpAttach({ name: info.name, ifindex: info.index, mode: 'native', queues });
  } catch (error) {
    if (error instanceof FramekeepError) return undefined;
    throw error;
  }
}

/** On as long as a descriptor is open: the kernel takes it back however the process ends. */
class HeldPromiscuity implements Promiscuity {
  private readonly ifindex: number;
  private fd: number;

  constructor(ifindex: number) {
    this.ifindex = ifindex;
    this.fd = holdPromiscuous(ifindex);
  }

  get on(): boolean { return this.fd >= 0; }

  set(on: boolean): void {
    if (on === this.on) return;
    if (on) this.fd = holdPromiscuous(this.ifindex);
    else {
      closeFd(this.fd);
      this.fd = -1;
    }
  }
}

async function prepareCapture(spec: PortSpec, options: PrepareOptions): Promise<Prepared> {
  new PortOptions(spec.text, plain(spec).options).done();  // it has none: what is given is a mistake
  const info = interfaceInfo(spec.name);
  refuseDefaultRoute(info, options);
  const path = join(options.directory, `cap-${info.index}`);
  const helper = fork(new URL('./cap_helper.js', import.meta.url), [info.name, path], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: [] });
  let onGone = (): void => undefined, ending = false;
  helper.on('exit', () => { if (!ending) onGone(); });
  const release = async (): Promise<void> => {
    ending = true;
    await endProcess(helper);
    for (const end of ['', '.a', '.b']) rmSync(path + end, { force: true });
  };
  try {
    await ready(helper, spec.text);
  } catch (error) {
    await release();
    throw error;
  }
  const promiscuity: Promiscuity = {
    on: true,
    set: (on) => {
      if (!on) throw new FramekeepError('E_PORT_SETTING', `${spec.text} stays promiscuous: libpcap has it so from its opening to its end`, `use xdp:${spec.name}, or remove the port`);
    },
  };
  return {
    request: { ...plain(spec), options: {}, ifindex: info.index, pipe: { path } }, report: [], atEnd: [], promiscuity, onGone: (then) => { onGone = then; }, release,
  };
}

function ready(helper: ChildProcess, spec: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = '';
    helper.stderr!.on('data', (text) => { said += text; });
    const refuse = (why: string): void => {
      const permission = /permission|not permitted|socket:|EPERM/i.test(why);
      reject(new FramekeepError(permission ? 'E_PERMISSION' : 'E_CAP', `${spec} cannot be opened: ${why}`,
        permission ? 'libpcap needs CAP_NET_RAW: run as root, or sudo setcap cap_net_raw+ep $(readlink -f $(command -v node))'
          : /does not load/.test(why) ? 'apt-get install libpcap-dev make python3 && npm run setup' : 'see: framekeep doctor'));
    };
    helper.once('message', (m: { ready?: boolean; error?: string }) => m.ready ? resolve() : refuse(m.error ?? 'no reason given'));
    helper.once('exit', (code, signal) => refuse(said.trim().split('\n').at(-1) || `its helper ended (${signal ?? code})`));
    helper.once('error', (error) => refuse(error.message));
  });
}

function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.disconnect?.();
    setTimeout(() => child.kill('SIGKILL'), 500).unref();
  });
}

function refuseDefaultRoute(info: InterfaceInfo, options: PrepareOptions): void {
  if (options.force) return;
  const found = defaultRouteInterfaces().find((one) => one.name === info.name);
  if (found === undefined) return;
  throw new FramekeepError('E_DEFAULT_ROUTE', `${info.name} ${found.how}: switching on it would cut this machine off`, 'use another interface, or say --force');
}
