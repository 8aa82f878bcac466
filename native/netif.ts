/**
 * Network interfaces of the calling thread's network namespace: what they are, what a port changes on them, and word of
 * their comings and goings. Sources: rtnetlink(7), linux/if_link.h, linux/ethtool.h, packet(7). All of it cold.
 */
import { existsSync } from 'node:fs';
import { addon } from './addon.js';
import { FramekeepError, errnoName } from './error.js';
import { closeFd } from './memory.js';

const EPERM = -1, ENOENT = -2, EACCES = -13, ENODEV = -19, EOPNOTSUPP = -95, ENOBUFS = -105;

/** What grants a program the capabilities that ports need, for the second line of an error. */
export const PRIVILEGE_REMEDY =
  'run as root, or grant them once: sudo setcap cap_net_admin,cap_net_raw,cap_bpf,cap_ipc_lock+ep $(readlink -f $(command -v node))';

/** The error for a call that the kernel refused for want of a capability. */
export function missingPrivilege(what: string, capability: string): FramekeepError {
  return new FramekeepError('E_PERMISSION', `${what} needs ${capability}`, PRIVILEGE_REMEDY);
}

/** One link as the native layer reports it; what the kernel did not say is absent. */
interface LinkMessage {
  index: number; name?: string; up: boolean; running: boolean; gone: boolean; mac?: string; mtu?: number; type?: string;
  master?: number; link?: number; linkElsewhere?: boolean; rxQueues?: number; txQueues?: number; promiscuity?: number;
  parent?: string; xdp?: number;
}

export interface InterfaceInfo {
  readonly index: number;
  readonly name: string;
  /** `aa:bb:cc:dd:ee:ff`; empty where the interface has no link-layer address. */
  readonly mac: string;
  /** Bytes of payload; the longest untagged frame is 14 more. */
  readonly mtu: number;
  /** Switched on (IFF_UP). */
  readonly up: boolean;
  /** Up and with carrier (IFF_RUNNING). */
  readonly running: boolean;
  /** As `ethtool -i` names it: `veth`, `tun`, `bridge`, `virtio_net`, …; empty where the driver does not say. */
  readonly driver: string;
  /** The kernel's kind of a virtual link (`veth`, `tun`, `bridge`, `vlan`, `bond`, …); empty for hardware and `lo`. */
  readonly type: string;
  /** Whether a device of a bus (PCI, virtio, USB) stands behind it. */
  readonly kind: 'physical' | 'virtual';
  /** In use (ETHTOOL_GCHANNELS); where the driver does not tell, as many as were made. */
  readonly rxQueues: number;
  readonly txQueues: number;
  /** The bridge, bond or team it belongs to: its ifindex, or 0. */
  readonly master: number;
  /** The interface it stands on (a VLAN's parent) or, for a veth, its peer; 0: none, or in another namespace. */
  readonly lower: number;
  /** How many want it promiscuous. */
  readonly promiscuity: number;
  /** Whether an XDP program is attached, and how. */
  readonly xdp: 'none' | 'native' | 'generic' | 'offloaded' | 'several';
}

/** All interfaces. */
export function interfaces(): InterfaceInfo[] {
  const links: LinkMessage[] | number = addon['netLinks']();
  if (typeof links === 'number') throw interfaceError(links, 'the list of network interfaces', 'CAP_NET_ADMIN');
  return links.map(describe);
}

/** One interface. @throws FramekeepError `E_INTERFACE_UNKNOWN` */
export function interfaceInfo(name: string): InterfaceInfo {
  const all = interfaces();
  return all.find((one) => one.name === name) ?? (() => { throw unknownInterface(name, all); })();
}

function describe(link: LinkMessage): InterfaceInfo {
  const name = link.name ?? `#${link.index}`;
  const driver: string | number = addon['netDriver'](name);
  const channels: number[] | number = addon['netChannels'](name);
  const counted = typeof channels === 'object' ? channels : undefined;
  // IFLA_PARENT_DEV_NAME came with Linux 5.14; before, sysfs knows.
  const bus = link.parent !== undefined || (link.type === undefined && existsSync(`/sys/class/net/${name}/device`));
  return {
    index: link.index, name, mac: link.mac ?? '', mtu: link.mtu ?? 0, up: link.up, running: link.running,
    driver: typeof driver === 'string' ? driver : '', type: link.type ?? '', kind: bus ? 'physical' : 'virtual',
    rxQueues: (counted && counted[0] + counted[2]) || (link.rxQueues ?? 1),
    txQueues: (counted && counted[1] + counted[2]) || (link.txQueues ?? 1),
    master: link.master ?? 0,
    lower: link.linkElsewhere || link.link === link.index ? 0 : link.link ?? 0,
    promiscuity: link.promiscuity ?? 0,
    xdp: (['none', 'native', 'generic', 'offloaded', 'several'] as const)[link.xdp ?? 0],   // XDP_ATTACHED_*, linux/if_link.h
  };
}

function unknownInterface(name: string, all: readonly InterfaceInfo[]): FramekeepError {
  return new FramekeepError('E_INTERFACE_UNKNOWN', `there is no network interface ${name} here`,
    all.length === 0 ? 'this network namespace has none' : `choose one of: ${all.map((one) => one.name).join(', ')}`);
}

function interfaceError(errno: number, what: string, capability: string): FramekeepError {
  if (errno === EPERM || errno === EACCES) return missingPrivilege(what, capability);
  if (errno === ENODEV) return new FramekeepError('E_INTERFACE_UNKNOWN', `${what}: the interface does not exist here`, 'see: ip link');
  return new FramekeepError('E_INTERFACE', `${what} failed: ${errnoName(errno)}`, errno === EOPNOTSUPP ? 'its driver does not support this' : '');
}

/**
 * Keeps an interface promiscuous for as long as the returned descriptor is open. The kernel counts who wants it, and
 * takes this one off when the descriptor closes, also by SIGKILL. Close with `closeFd`.
 * @throws FramekeepError `E_PERMISSION` (CAP_NET_RAW), `E_INTERFACE_UNKNOWN`
 */
export function holdPromiscuous(ifindex: number): number {
  const fd: number = addon['netPromiscuous'](ifindex);
  if (fd < 0) throw interfaceError(fd, `promiscuous mode on interface #${ifindex}`, 'CAP_NET_RAW');
  return fd;
}

/**
 * The longest frame with segments still to be cut that an interface is given; of longer ones the kernel cuts before (Linux 4.16).
 * @param bytes  with the Ethernet header; at most 65,536
 * @throws FramekeepError `E_PERMISSION` (CAP_NET_ADMIN), `E_INTERFACE_UNKNOWN`
 */
export function limitSegments(ifindex: number, bytes: number): void {
  const result: number = addon['netSegmentLimit'](ifindex, bytes);
  if (result < 0) throw interfaceError(result, `limiting segments of interface #${ifindex}`, 'CAP_NET_ADMIN');
}

export interface Feature { readonly on: boolean; readonly changeable: boolean }

/**
 * Offload features by the kernel's names (net/ethtool/common.c): `rx-vlan-hw-parse`, `rx-gro`, `rx-lro`, `rx-gro-hw`,
 * `tx-checksum-ip-generic`, … @throws FramekeepError `E_INTERFACE_UNKNOWN`
 */
export function getFeatures(name: string): ReadonlyMap<string, Feature> {
  const list: { name: string; on: boolean; changeable: boolean }[] | number = addon['netFeatures'](name);
  if (typeof list === 'number') throw interfaceError(list, `the offload features of ${name}`, 'CAP_NET_ADMIN');
  return new Map(list.map((one) => [one.name, { on: one.on, changeable: one.changeable }]));
}

/**
 * Switches features on or off (ETHTOOL_SFEATURES).
 * @returns the names that are not as wanted afterwards: fixed, or held by another feature
 * @throws FramekeepError `E_PERMISSION` (CAP_NET_ADMIN), `E_INTERFACE_UNKNOWN`, `E_FEATURE_UNKNOWN`
 */
export function setFeatures(name: string, wanted: Readonly<Record<string, boolean>>): string[] {
  const names = Object.keys(wanted);
  const result: number = addon['netSetFeatures'](name, names, Uint8Array.from(names, (one) => wanted[one] ? 1 : 0));
  if (result === ENOENT) {
    const known = getFeatures(name);
    throw new FramekeepError('E_FEATURE_UNKNOWN', `this kernel knows no feature ${names.filter((one) => !known.has(one)).join(', ')}`, `see: ethtool -k ${name}`);
  }
  if (result < 0) throw interfaceError(result, `changing offloads of ${name}`, 'CAP_NET_ADMIN');
  const now = getFeatures(name);
  return names.filter((one) => now.get(one)?.on !== wanted[one]);
}

export interface DefaultRouteInterface {
  readonly name: string;
  /** For a message: `carries the IPv4 default route`, `is a member of br0, which carries the IPv4 default route`. */
  readonly how: string;
}

/**
 * The interfaces that this namespace's way out depends on: those that a default route of any table leaves by, and,
 * all the way down, the members of such a bridge, bond or team and the parent of such a VLAN or macvlan. A veth's peer
 * is not counted: switching on it is how a switch serves as the way out.
 */
export function defaultRouteInterfaces(): DefaultRouteInterface[] {
  const routes: number[] | number = addon['netDefaultRoutes']();
  if (typeof routes === 'number') throw interfaceError(routes, 'the list of routes', 'CAP_NET_ADMIN');
  const all = interfaces();
  const found = new Map<number, string>();
  for (let i = 0; i < routes.length; i += 2) {
    const family = routes[i] === 2 ? 'IPv4' : 'IPv6', before = found.get(routes[i + 1]);
    if (before === undefined) found.set(routes[i + 1], `carries the ${family} default route`);
    else if (!before.includes(family)) found.set(routes[i + 1], 'carries the IPv4 and IPv6 default routes');
  }
  // A Map is walked in order of insertion, so that what is found underneath is looked at in its turn.
  for (const [index, how] of found) {
    const upper = all.find((one) => one.index === index);
    if (upper === undefined) continue;
    for (const one of all) {
      if (found.has(one.index)) continue;
      if (one.master === index) found.set(one.index, `is a member of ${upper.name}, which ${how}`);
      else if (upper.lower === one.index && upper.type !== 'veth') found.set(one.index, `is what ${upper.name} stands on, which ${how}`);
    }
  }
  return [...found].map(([index, how]) => ({ name: all.find((one) => one.index === index)?.name ?? `#${index}`, how }));
}

export interface LinkEvent {
  readonly ifindex: number;
  readonly name: string;
  readonly up: boolean;
  readonly running: boolean;
  /** Deleted, or moved to another network namespace. */
  readonly gone: boolean;
}

/** Hears of every change of every link. Put `fd` into the poll set (POLLIN) and `read()` when it is ready. */
export class LinkMonitor {
  readonly fd: number;
  #names: Map<number, string>;

  constructor() {
    this.fd = addon['netMonitorOpen']();
    if (this.fd < 0) throw interfaceError(this.fd, 'listening for changes of network interfaces', 'CAP_NET_ADMIN');
    this.#names = new Map(interfaces().map((one) => [one.index, one.name]));
  }

  /** What happened since the last call, oldest first; empty when nothing did. Does not wait. */
  read(): LinkEvent[] {
    const heard: LinkMessage[] | number = addon['netMonitorRead'](this.fd);
    if (heard === ENOBUFS) return this.#compare();
    if (typeof heard === 'number') throw interfaceError(heard, 'listening for changes of network interfaces', 'CAP_NET_ADMIN');
    return heard.map((link) => {
      const name = link.name ?? this.#names.get(link.index) ?? `#${link.index}`;
      if (link.gone) this.#names.delete(link.index);
      else this.#names.set(link.index, name);
      return { ifindex: link.index, name, up: link.up && !link.gone, running: link.running && !link.gone, gone: link.gone };
    });
  }

  /** The kernel had more to tell than the socket holds: tells every interface's present state, and which are gone. */
  #compare(): LinkEvent[] {
    // What the socket still holds is older than what was lost, and must not be told as news after the present state.
    for (let left = addon['netMonitorRead'](this.fd); left === ENOBUFS || left.length > 0;) left = addon['netMonitorRead'](this.fd);
    const now = interfaces(), alive = new Set(now.map((one) => one.index));
    const gone = [...this.#names].filter(([index]) => !alive.has(index));
    this.#names = new Map(now.map((one) => [one.index, one.name]));
    return [
      ...gone.map(([ifindex, name]) => ({ ifindex, name, up: false, running: false, gone: true })),
      ...now.map((one) => ({ ifindex: one.index, name: one.name, up: one.up, running: one.running, gone: false })),
    ];
  }

  close(): void { closeFd(this.fd); }
}
