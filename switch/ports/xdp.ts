/**
 * `xdp:INTERFACE`: AF_XDP, the fastest way the driver allows. Options:
 *   queues=N        receive queues to take, from 0 (default: all that the interface has)
 *   mode=auto|zerocopy|native|generic
 *   ring=N          entries of each ring, a power of two (default 2048)
 *   csum=auto|on|off  complete checksums that the sender left to the NIC (auto: on veth)
 *   offloads=wire|keep  whether offloads that hide bytes from the wire are turned off (default wire)
 */
import {
  FramekeepError, xdpClose, xdpDeliver, xdpDetach, xdpDrain, xdpOpen, xdpPassed, xdpStatistics, xdpWakeRx, errnoName,
  type XdpPort, type XdpRings, type XdpSocket, type XdpWay,
} from '../../native/index.js';
import { PORT } from '../counters.js';
import { Ring, type RingPlace, type RingSet } from '../ring.js';
import type { PortContext, PortDriver } from './driver.js';
import type { PortOptions } from './options.js';

/** What the control thread found out about the interface, and did to it, before the data plane opens it. */
export interface XdpInterface {
  readonly name: string;
  readonly ifindex: number;
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly rxQueues: number;
  readonly driver: string;
  /** A veth whose other end is in another namespace, where its offloads are out of reach. */
  readonly otherEndAway: boolean;
}

const WAYS: Record<string, readonly XdpWay[]> = {
  auto: ['native zero-copy', 'native copy', 'generic copy'], zerocopy: ['native zero-copy'], native: ['native zero-copy', 'native copy'], generic: ['generic copy'],
};
/** sendto(2) calls that one turn spends on draining a TX ring in copy mode. */
const MOST_KICKS = 64;

export class XdpDriver implements PortDriver {
  readonly queues: readonly RingSet[];
  readonly stamped = true;
  readonly partialChecksums: boolean;
  readonly fds: readonly number[];
  readonly note: string;
  readonly advice: readonly string[];
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly due = Infinity;
  readonly finished = false;
  private readonly port: XdpPort;
  private readonly context: PortContext;
  private readonly socketStatistics = new Float64Array(6);
  private readonly passed: Float64Array;
  private readonly name: string;
  private warned = new Set<string>();

  constructor(context: PortContext, options: PortOptions, about: XdpInterface) {
    const ring = options.number('ring', 2048, 64, 1 << 16);
    const queues = options.number('queues', about.rxQueues, 1, Math.max(about.rxQueues, 1));
    const ways = WAYS[options.oneOf('mode', ['auto', 'zerocopy', 'native', 'generic'], 'auto')];
    const csum = options.oneOf('csum', ['auto', 'on', 'off'], 'auto');
    options.oneOf('offloads', ['wire', 'keep'], 'wire');
    options.done();
    const share = [...context.xdpSockets][0];
    this.context = context;
    this.name = about.name;
    this.mac = about.mac;
    this.mtu = about.mtu;
    this.partialChecksums = csum === 'on' || (csum === 'auto' && about.driver === 'veth');
    this.port = xdpOpen({
      name: about.name, ifindex: about.ifindex, queues, ways,
      rings: { rx: ring, tx: ring, fill: ring * 2, completion: ring * 2 },
      umem: { mappingId: context.umem.id, offset: 0, bytes: context.umem.bytes - (context.umem.bytes % context.chunk), chunkSize: context.chunk },
      ...(share === undefined ? {} : { shareWith: { fd: share, zeroCopy: isZeroCopy.get(share) ?? false } }),
    });
    for (const s of this.port.sockets) { context.xdpSockets.add(s.fd); isZeroCopy.set(s.fd, s.zeroCopy); }
    this.queues = this.port.sockets.map((s) => ringsOf(s.rings));
    this.fds = this.port.sockets.map((s) => s.fd);
    this.passed = new Float64Array(this.port.attachment.queues + 1);
    this.note = describe(this.port, about, this.partialChecksums);
    this.advice = about.otherEndAway && !this.port.attachment.keepsVlanTags
      ? [`${about.name}: its other end is in another namespace: if it sends VLAN tags, they are lost unless there: ethtool -K … txvlan off tx-vlan-stag-hw-insert off`] : [];
  }

  /** Lets frames come; after the fill rings were filled. */
  deliver(): void {
    for (const s of this.port.sockets) xdpDeliver(this.port.attachment, s.queue, s.fd);
  }

  receive(): void { /* the kernel fills the rx rings */ }

  wakeReceive(): void {
    for (const fd of this.fds) xdpWakeRx(fd);
  }

  transmit(): void {
    xdpDrain(this.port.sockets[0].fd, MOST_KICKS);
  }

  statistics(counters: Float64Array): string | undefined {
    const s = this.socketStatistics, at = [PORT.xdpRxDropped, PORT.xdpRxInvalid, PORT.xdpTxInvalid, PORT.xdpRxRingFull, PORT.xdpFillEmpty, PORT.xdpTxEmpty];
    const sums = [0, 0, 0, 0, 0, 0];
    for (const socket of this.port.sockets) {
      if (xdpStatistics(socket.fd, s) === 0) for (let i = 0; i < 6; i++) sums[i] += s[i];
    }
    at.forEach((place, i) => { counters[place] = sums[i]; });
    const passed = xdpPassed(this.port.attachment.statsMapFd, this.passed);
    if (passed >= 0) counters[PORT.passed] = passed;
    if (sums[3] > 0) return this.once('ring', `${this.name} dropped frames because its RX ring was full: the switch was not fast enough (ring=${4096} gives it longer)`);
    if (sums[0] > 0 && sums[4] === 0) return this.once('long', `${this.name} dropped frames that did not fit a buffer of ${this.context.chunk} bytes (${this.tooLong()})`);
    if (passed > 0) return this.once('passed', `${this.name}: ${passed} frames arrived on queues that nobody reads and went to the kernel (queues=…; ethtool -l ${this.name})`);
    return undefined;
  }

  /** A deleted interface raises no event on its socket (Linux 6.18): only asking tells. */
  failed(): string | undefined {
    const error = xdpWakeRx(this.fds[0]);
    return error === -6 || error === -19 ? `its interface is gone (${errnoName(error)})` : undefined;
  }

  close(): void {
    for (const s of this.port.sockets) { this.context.xdpSockets.delete(s.fd); isZeroCopy.delete(s.fd); xdpClose(s.fd); }
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

/** Of each live socket, by descriptor: a sharer must be of the same mode. */
const isZeroCopy = new Map<number, boolean>();

function ringsOf(rings: XdpRings): RingSet {
  const place = (r: XdpRings['rx']): RingPlace => r;
  return {
    rx: new Ring(place(rings.rx), false, 4), tx: new Ring(place(rings.tx), true, 4),
    fill: new Ring(place(rings.fill), true, 2), completion: new Ring(place(rings.completion), false, 2),
  };
}

function describe(port: XdpPort, about: XdpInterface, checksums: boolean): string {
  const first: XdpSocket = port.sockets[0];
  const queues = `${port.sockets.length} of ${about.rxQueues} queue${about.rxQueues === 1 ? '' : 's'}`;
  return `AF_XDP ${port.way}, ${queues}${first.umem === 'again' ? ', UMEM registered again' : ''}${checksums ? ', completes checksums' : ''}${port.attachment.keepsVlanTags ? ', keeps VLAN tags' : ''} (${about.driver})`;
}

export function asFramekeepError(error: unknown): FramekeepError {
  return error instanceof FramekeepError ? error : new FramekeepError('E_INTERNAL', (error as Error).message, '', { cause: error });
}
