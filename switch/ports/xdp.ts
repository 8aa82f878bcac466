/**
 * `xdp:INTERFACE`: AF_XDP, the fastest way the driver allows. Options:
 *   queues=N        receive queues to take, from 0 (default: all that the interface has)
 *   mode=auto|zerocopy|native|generic
 *   ring=N          entries of each ring, a power of two (default 2048)
 *   csum=auto|on|off  complete checksums that the sender left to the NIC (auto: on veth)
 *   offloads=wire|keep  whether offloads that hide bytes from the wire are turned off (default wire)
 */
import {
  xdpClose, xdpDeliver, xdpDetach, xdpDrain, xdpOpen, xdpPassed, xdpSocket, xdpStatistics, xdpWakeRx, errnoName,
  type XdpAttachment, type XdpPort, type XdpRings, type XdpSocket, type XdpSocketOptions, type XdpWay,
} from '../../native/index.js';
import { PORT } from '../counters.js';
import { Ring, type RingPlace, type RingSet } from '../ring.js';
import type { PortContext, PortDriver } from './driver.js';
import type { XdpPortOptions } from './xdp_options.js';

/** What the control thread found out about the interface, and did to it, before the data plane opens it. */
export interface XdpInterface {
  readonly name: string;
  readonly ifindex: number;
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly rxQueues: number;
  readonly wanted: XdpPortOptions;
  readonly driver: string;
  /** A veth whose other end is in another namespace, where its offloads are out of reach. */
  readonly otherEndAway: boolean;
  /** Its program, which the control thread has attached, and closes once the port is gone. Undefined: it is to be attached here. */
  readonly attached?: XdpAttachment;
}

/** sendto(2) calls that one turn spends on draining a TX ring in copy mode. */
const MOST_KICKS = 64;

/** AF_XDP sockets of one interface, as a port of one worker. */
export class XdpQueues implements PortDriver {
  readonly queues: readonly RingSet[];
  readonly stamped = true;
  readonly partialChecksums: boolean;
  readonly fds: readonly number[];
  readonly note: string;
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly due = Infinity;
  readonly finished = false;
  protected readonly context: PortContext;
  private readonly sockets: readonly XdpSocket[];
  private readonly attachment: XdpAttachment;
  private readonly socketStatistics = new Float64Array(6);

  protected constructor(context: PortContext, about: XdpInterface, attachment: XdpAttachment, sockets: readonly XdpSocket[], partialChecksums: boolean, note: string) {
    this.context = context;
    this.attachment = attachment;
    this.sockets = sockets;
    this.mac = about.mac;
    this.mtu = about.mtu;
    this.partialChecksums = partialChecksums;
    this.note = note;
    for (const s of sockets) { context.xdpSockets.add(s.fd); isZeroCopy.set(s.fd, s.zeroCopy); }
    this.queues = sockets.map((s) => ringsOf(s.rings));
    this.fds = sockets.map((s) => s.fd);
  }

  /** Lets frames come; after the fill rings were filled. */
  deliver(): void {
    for (const s of this.sockets) xdpDeliver(this.attachment, s.queue, s.fd);
  }

  receive(): void { /* the kernel fills the rx rings */ }

  wakeReceive(): void {
    for (const fd of this.fds) xdpWakeRx(fd);
  }

  transmit(): void {
    xdpDrain(this.fds[0], MOST_KICKS);
  }

  statistics(counters: Float64Array): string | undefined {
    const s = this.socketStatistics, at = [PORT.xdpRxDropped, PORT.xdpRxInvalid, PORT.xdpTxInvalid, PORT.xdpRxRingFull, PORT.xdpFillEmpty, PORT.xdpTxEmpty];
    const sums = [0, 0, 0, 0, 0, 0];
    for (const fd of this.fds) {
      if (xdpStatistics(fd, s) === 0) for (let i = 0; i < 6; i++) sums[i] += s[i];
    }
    at.forEach((place, i) => { counters[place] = sums[i]; });
    return undefined;
  }

  /** A deleted interface raises no event on its socket (Linux 6.18): only asking tells. */
  failed(): string | undefined {
    const error = xdpWakeRx(this.fds[0]);
    return error === -6 || error === -19 ? `its interface is gone (${errnoName(error)})` : undefined;
  }

  close(): void {
    for (const fd of this.fds) { this.context.xdpSockets.delete(fd); isZeroCopy.delete(fd); xdpClose(fd); }
  }
}

/** The port as its owner has it: the program, and the queues that no other worker takes. */
export class XdpDriver extends XdpQueues {
  readonly advice: readonly string[];
  /** What the other workers open their queues by. */
  readonly share: XdpShare;
  private readonly port: XdpPort;
  private readonly passed: Float64Array;
  private readonly name: string;
  private readonly warned = new Set<string>();

  constructor(context: PortContext, about: XdpInterface) {
    const { ring, queues, ways, csum } = about.wanted;
    const share = [...context.xdpSockets][0], checksums = csum === 'on' || (csum === 'auto' && about.driver === 'veth');
    const port = xdpOpen({
      name: about.name, ifindex: about.ifindex, queues, ways, take: queuesOf(context, 0, queues), ...socketsOf(context, ring), ...(about.attached && { attached: about.attached }),
      ...(share === undefined ? {} : { shareWith: { fd: share, zeroCopy: isZeroCopy.get(share) ?? false } }),
    });
    super(context, about, port.attachment, port.sockets, checksums, describe(port, about, queues, checksums));
    this.port = port;
    this.name = about.name;
    this.passed = new Float64Array(port.attachment.queues + 1);
    this.advice = about.otherEndAway && !port.attachment.keepsVlanTags
      ? [`${about.name}: its other end is in another namespace: if it sends VLAN tags, they are lost unless there: ethtool -K … txvlan off tx-vlan-stag-hw-insert off`] : [];
    const [first] = port.sockets;
    this.share = { about, attachment: port.attachment, way: port.way, umem: { fd: first.fd, zeroCopy: first.zeroCopy }, ring, queues, checksums };
  }

  override statistics(counters: Float64Array): string | undefined {
    super.statistics(counters);
    const passed = xdpPassed(this.port.attachment.statsMapFd, this.passed);
    if (passed >= 0) counters[PORT.passed] = passed;
    if (counters[PORT.xdpRxRingFull] > 0) return this.once('ring', `${this.name} dropped frames because its RX ring was full: the switch was not fast enough (ring=${4096} gives it longer)`);
    if (counters[PORT.xdpRxDropped] > 0 && counters[PORT.xdpFillEmpty] === 0) return this.once('long', `${this.name} dropped frames that did not fit a buffer of ${this.context.chunk} bytes (${this.tooLong()})`);
    if (passed > 0) return this.once('passed', `${this.name}: ${passed} frames arrived on queues that nobody reads and went to the kernel (queues=…; ethtool -l ${this.name})`);
    return undefined;
  }

  override close(): void {
    super.close();
    xdpDetach(this.port.attachment);
  }

  /** Generic mode leaves a veth sender's segmentation on: its frames of up to 64 KiB fit no buffer, TCP made 0.3 Mb/s (Linux 6.18). */
  private tooLong(): string {
    if (this.port.way === 'generic copy' && this.partialChecksums) return 'use mode=native, or turn segmentation off at the other end: ethtool -K … tso off gso off';
    return this.context.chunk < 4096 ? '--chunk 4096' : 'lower the MTU at the other end';
  }

  private once(about: string, text: string): string | undefined {
    if (this.warned.has(about)) return undefined;
    this.warned.add(about);
    return text;
  }
}

/** What a worker needs to open queues of a port that another one owns. */
export interface XdpShare {
  readonly about: XdpInterface;
  readonly attachment: XdpAttachment;
  readonly way: XdpWay;
  /** A socket of the owner: its UMEM is shared. */
  readonly umem: { readonly fd: number; readonly zeroCopy: boolean };
  readonly ring: number;
  readonly queues: number;
  readonly checksums: boolean;
}

/** Queues of a port that another worker owns: sockets of this worker's own, over the same UMEM. */
export class XdpShareDriver extends XdpQueues {
  constructor(context: PortContext, share: XdpShare, worker: number) {
    const { about, attachment, way, umem, ring, queues, checksums } = share, sockets: XdpSocket[] = [];
    try {
      for (const queue of queuesOf(context, worker, queues)) {
        sockets.push(xdpSocket({ name: about.name, ifindex: about.ifindex, queue, mode: way === 'native zero-copy' ? 'zerocopy' : 'copy', shareWith: umem, ...socketsOf(context, ring) }));
      }
    } catch (error) {
      for (const s of sockets) xdpClose(s.fd);
      throw error;
    }
    super(context, about, attachment, sockets, checksums, `${sockets.length} more queues`);
  }
}

/** Of `queues` queues, those that a worker takes: every n-th. */
export const queuesOf = ({ workers = 1 }: PortContext, worker: number, queues: number): number[] =>
  Array.from({ length: queues }, (_, q) => q).filter((q) => q % workers === worker);

const socketsOf = (context: PortContext, ring: number): Pick<XdpSocketOptions, 'rings' | 'umem'> => ({
  rings: { rx: ring, tx: ring, fill: ring * 2, completion: ring * 2 },
  umem: { mappingId: context.umem.id, offset: 0, bytes: context.umem.bytes - (context.umem.bytes % context.chunk), chunkSize: context.chunk },
});

/** Of each live socket, by descriptor: a sharer must be of the same mode. */
const isZeroCopy = new Map<number, boolean>();

function ringsOf(rings: XdpRings): RingSet {
  const place = (r: XdpRings['rx']): RingPlace => r;
  return {
    rx: new Ring(place(rings.rx), false, 4), tx: new Ring(place(rings.tx), true, 4),
    fill: new Ring(place(rings.fill), true, 2), completion: new Ring(place(rings.completion), false, 2),
  };
}

function describe(port: XdpPort, about: XdpInterface, taken: number, checksums: boolean): string {
  const first: XdpSocket = port.sockets[0];
  const queues = `${taken} of ${about.rxQueues} queue${about.rxQueues === 1 ? '' : 's'}`;
  return `AF_XDP ${port.way}, ${queues}${first.umem === 'again' ? ', UMEM registered again' : ''}${checksums ? ', completes checksums' : ''}${port.attachment.keepsVlanTags ? ', keeps VLAN tags' : ''} (${about.driver})`;
}
