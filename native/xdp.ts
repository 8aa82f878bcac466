/**
 * AF_XDP: the program on the interface, sockets and their rings, the calls that drive them. Kernel UAPI only
 * (linux/if_xdp.h, linux/bpf.h; Documentation/networking/af_xdp.rst); the program is native/src/xdp_program.h.
 *
 *     const port = xdpOpen({...});               // program attached, one socket a queue, best way that works
 *     …put free chunks on every fill ring…
 *     xdpDeliver(port.attachment, queue, fd);    // from here on frames arrive
 *
 * Every received frame lies at its descriptor's address, 256 + headroom bytes into its chunk (in zero-copy mode 4 less where
 * the program put a VLAN tag back in), and the 8 bytes before it
 * are the moment the driver had it: u64, host byte order, nanoseconds of CLOCK_MONOTONIC. A driver without metadata leaves
 * those bytes as they were: a stamp in the future or before an earlier frame's is none.
 */
import { addon } from './addon.js';
import { FramekeepError, errnoName } from './error.js';
import { closeFd } from './memory.js';
import { type XdpWhere, xdpFailure } from './xdp_error.js';

export type XdpMode = 'native' | 'generic';

/** A program on an interface. It goes with `xdpDetach`, with the thread, and with the process however it ends. */
export interface XdpAttachment {
  readonly linkFd: number;
  readonly progFd: number;
  /** The XSKMAP: queue number → socket. */
  readonly mapFd: number;
  /** Counts, by queue, the frames that no socket took. */
  readonly statsMapFd: number;
  readonly queues: number;
  readonly mode: XdpMode;
  /**
   * Whether the program puts VLAN tags that the driver holds beside a frame back into it (802.1Q or 802.1ad, the outer one).
   * In native mode on drivers that tell the tag (linux/netdev.h, NETDEV_XDP_RX_METADATA_VLAN_TAG: veth and a few NICs), Linux 6.8.
   * Where false, a tag arrives only if the driver leaves it in the frame.
   */
  readonly keepsVlanTags: boolean;
  /** Another thread's, which closes it: `xdpDetach` takes it off the interface, and leaves its descriptors open. */
  readonly lent?: boolean;
}

/** One ring of a socket; all places are byte offsets into `buffer`. Descriptors are `struct xdp_desc`, 16 bytes; addresses u64. */
export interface XdpRing {
  /** Over the kernel's own pages; detached by `xdpClose`. */
  readonly buffer: ArrayBuffer;
  readonly producer: number;
  readonly consumer: number;
  /** A u32; bit 0 is XDP_RING_NEED_WAKEUP. */
  readonly flags: number;
  readonly entries: number;
  readonly size: number;
  readonly entryBytes: number;
}

export interface XdpRings { readonly rx: XdpRing; readonly tx: XdpRing; readonly fill: XdpRing; readonly completion: XdpRing }

export interface XdpSocket {
  readonly fd: number;
  readonly queue: number;
  /** What the kernel says (XDP_OPTIONS), not what was asked for. */
  readonly zeroCopy: boolean;
  /** `own`: registered; `shared`: another socket's; `again`: the same memory registered once more, since sharing could not serve. */
  readonly umem: 'own' | 'shared' | 'again';
  /** Frames that one send call takes in copy mode: 32, or the TX ring's size from Linux 6.17. */
  readonly txBudget: number;
  /** The interface's MTU when the socket was bound, 0 for unknown. */
  readonly mtu: number;
  readonly rings: XdpRings;
}

/** Where frames lie: a part of a mapping. `offset` a multiple of the page, `bytes` of `chunkSize` (2048 or 4096). */
export interface XdpUmem { mappingId: number; offset: number; bytes: number; chunkSize: number; headroom?: number }

export interface XdpSocketOptions extends XdpWhere {
  ifindex: number;
  queue: number;
  /** Entries of each ring, powers of two. In copy mode `completion` bounds the frames that receivers have not consumed yet. */
  rings: { rx: number; tx: number; fill: number; completion: number };
  umem: XdpUmem;
  mode: 'zerocopy' | 'copy';
  /** A live socket over the same `umem`. Shared when it is of the asked mode, for the kernel gives a sharer the first one's. */
  shareWith?: { fd: number; zeroCopy: boolean };
  /** XDP_USE_NEED_WAKEUP; true by default. A sharer has what the first socket has. */
  needWakeup?: boolean;
  /** XDP_USE_SG, Linux 6.6: a frame may take several descriptors, all but the last with XDP_PKT_CONTD (1) in `options`. */
  multiBuffer?: boolean;
}

// linux/if_xdp.h
const XDP_COPY = 2, XDP_ZEROCOPY = 4, XDP_USE_NEED_WAKEUP = 8, XDP_USE_SG = 16;
const XDP_PACKET_HEADROOM = 256;

/** The longest frame that one chunk takes, in bytes: what is longer is dropped and counted in `rx_dropped`. */
export function xdpFrameBytes(chunkSize: number, headroom = 0): number {
  return chunkSize - XDP_PACKET_HEADROOM - headroom;
}

/** The largest MTU whose frames, with an Ethernet header and one VLAN tag, fit a chunk: 1774 for 2048, 3822 for 4096. */
export function xdpLargestMtu(chunkSize: number, headroom = 0): number {
  return xdpFrameBytes(chunkSize, headroom) - 18;
}

/**
 * Loads the program and attaches it. Frames go on to the kernel, counted, until a socket is delivered to.
 *
 * On veth, native mode switches TCP and UDP segmentation offload off at the other end (frames arrive cut to the MTU) and
 * wants an MTU of at most 3506 there (4 KiB pages) unless `multiBuffer`. Generic mode does neither: a sender's
 * super-frames of up to 64 KiB arrive whole, fit no chunk and are dropped, counted in `rx_dropped`.
 * @param options.queues  how many queues may get a socket: the interface's receive queues
 * @param options.multiBuffer  the program takes frames in several buffers (jumbo MTU on native veth), Linux 5.18
 * @throws E_XDP_BUSY, E_XDP_MODE, E_XDP_MTU, E_XDP_QUEUE, E_XDP_PERMISSION, E_XDP_INTERFACE, E_XDP_PROGRAM, E_XDP_MISSING
 */
export function xdpAttach(options: XdpWhere & { ifindex: number; mode: XdpMode; queues: number; multiBuffer?: boolean }): XdpAttachment {
  const result = addon['xdpAttach'](options.ifindex, options.mode === 'generic', options.queues, options.multiBuffer ?? false);
  if (result.errno !== undefined) throw xdpFailure(result, options);
  return { ...result, queues: options.queues, mode: options.mode };
}

/** Takes the program off the interface. Sockets stay open, and get nothing more. */
export function xdpDetach(attachment: XdpAttachment): void {
  if (attachment.lent === true) addon['xdpUnlink'](attachment.linkFd);
  else for (const fd of [attachment.linkFd, attachment.progFd, attachment.mapFd, attachment.statsMapFd]) closeFd(fd);
}

/** From now on the frames of `queue` go to that socket; fill its fill ring first. Closing the socket undoes it. */
export function xdpDeliver(attachment: XdpAttachment, queue: number, fd: number): void {
  const result: number = addon['xdpDeliver'](attachment.mapFd, queue, fd);
  if (result < 0) {
    throw new FramekeepError('E_XDP_QUEUE', `queue ${queue} cannot be given to its socket: ${errnoName(result)}`,
      `queues 0 to ${attachment.queues - 1} were announced when the program was attached`);
  }
}

/**
 * Opens a socket, maps its rings and binds it to one queue of an interface.
 * @throws E_UMEM_MEMORY, E_UMEM_MEMLOCK, E_UMEM_GEOMETRY, E_XDP_BUSY, E_XDP_MODE, E_XDP_QUEUE, E_XDP_MTU, E_XDP_RINGS,
 *   E_XDP_PERMISSION, E_XDP_INTERFACE, E_XDP_MISSING
 */
export function xdpSocket(options: XdpSocketOptions): XdpSocket {
  const { umem, rings, shareWith } = options;
  const headroom = umem.headroom ?? 0;
  const share = shareWith !== undefined && shareWith.zeroCopy === (options.mode === 'zerocopy');
  const flags = (options.mode === 'zerocopy' ? XDP_ZEROCOPY : XDP_COPY) | (options.needWakeup === false ? 0 : XDP_USE_NEED_WAKEUP)
    | (options.multiBuffer ? XDP_USE_SG : 0);
  const sizes = Uint32Array.of(rings.rx, rings.tx, rings.fill, rings.completion);
  const result = addon['xdpSocket'](options.ifindex, options.queue, flags, share ? shareWith.fd : -1, sizes,
    umem.mappingId, umem.offset, umem.bytes, umem.chunkSize, headroom);
  if (result.errno !== undefined) throw xdpFailure(result, options);
  const { fd, mtu } = result;
  const most = xdpLargestMtu(umem.chunkSize, headroom);
  if (!options.multiBuffer && mtu > most) {
    addon['xdpClose'](fd);
    throw new FramekeepError('E_XDP_MTU', `${options.name ?? 'the interface'} has an MTU of ${mtu}, and buffers of ${umem.chunkSize} bytes take frames for an MTU of ${most} at most`,
      `${umem.chunkSize < 4096 ? 'use buffers of 4096 bytes, or ' : ''}lower it at both ends: ip link set dev ${options.name ?? '…'} mtu ${most}`);
  }
  // Frames that their receiver has not consumed yet hold the send buffer; its default (208 KiB) is used up by some 270 of them.
  // With the receiver on another CPU (RPS) 13 % of bursts of 256 stalled with the default, and none with this.
  addon['xdpSendBuffer'](fd, Math.min(rings.completion * (umem.chunkSize + 1024), 0x3fffffff));
  const txBudget = rings.tx > 32 && addon['xdpTxBudget'](fd, rings.tx) === 0 ? rings.tx : 32;
  return { fd, queue: options.queue, zeroCopy: result.zeroCopy, umem: share ? 'shared' : shareWith ? 'again' : 'own', txBudget, mtu, rings: result.rings };
}

/** Closes the socket: its queue's frames go to the kernel again, its ArrayBuffers are detached. */
export function xdpClose(fd: number): void {
  addon['xdpClose'](fd);
}

/** The type id of a function in BTF (Documentation/bpf/btf.rst, host byte order), 0: not there, or not BTF. For tests. */
export function btfFunction(btf: Uint8Array, name: string): number {
  return addon['btfFunction'](btf, name);
}

export type XdpWay = 'native zero-copy' | 'native copy' | 'generic copy';

export interface XdpPort {
  readonly way: XdpWay;
  readonly attachment: XdpAttachment;
  /** One a queue, in order. */
  readonly sockets: readonly XdpSocket[];
  /** The ways tried before, and what each failed with. */
  readonly refused: readonly { way: XdpWay; error: FramekeepError }[];
}

export interface XdpOpenOptions extends Omit<XdpSocketOptions, 'queue' | 'mode'> {
  /** How many queues may get a socket, from 0. */
  queues: number;
  /** Which of them get one here; by default all. */
  take?: readonly number[];
  /** In this order; by default all three, fastest first. */
  ways?: readonly XdpWay[];
  /** A program that is on the interface already, and lent: used where the way is of its mode. */
  attached?: XdpAttachment;
}

// What no other way would cure.
const FINAL = new Set(['E_XDP_BUSY', 'E_XDP_PERMISSION', 'E_XDP_INTERFACE', 'E_XDP_MISSING', 'E_XDP_RINGS', 'E_XDP_PROGRAM',
  'E_UMEM_MEMORY', 'E_UMEM_MEMLOCK', 'E_UMEM_GEOMETRY']);

/**
 * Opens an interface the fastest way it allows: the program, and a socket a queue. Nothing is delivered yet (`xdpDeliver`).
 * @throws the last way's error, with the others' in its message
 */
export function xdpOpen(options: XdpOpenOptions): XdpPort {
  const refused: { way: XdpWay; error: FramekeepError }[] = [];
  const ways = options.ways ?? ['native zero-copy', 'native copy', 'generic copy'] as const;
  for (const way of ways) {
    // Asked before it is tried: trying pins all of the UMEM for nothing, 50-110 ms of a start with 256 MiB.
    if (way === 'native zero-copy' && ways.length > 1 && addon['xdpZeroCopy'](options.ifindex) === 0) {
      refused.push({ way, error: new FramekeepError('E_XDP_MODE', 'its driver says that it does not do zero-copy', 'use mode=native') });
      continue;
    }
    try {
      return { way, ...openWay(options, way), refused };
    } catch (error) {
      if (!(error instanceof FramekeepError) || FINAL.has(error.code)) throw error;
      refused.push({ way, error });
    }
  }
  const last = refused.at(-1)!.error;
  const reasons = refused.map(({ way, error }) => `${way}: ${error.message.split('\n')[0]}`).join('; ');
  throw new FramekeepError(last.code, `${options.name ?? 'the interface'} cannot be opened by AF_XDP (${reasons})`, last.remedy, { cause: last });
}

function openWay(options: XdpOpenOptions, way: XdpWay): { attachment: XdpAttachment; sockets: XdpSocket[] } {
  const mode: XdpMode = way === 'generic copy' ? 'generic' : 'native', lent = options.attached?.mode === mode ? options.attached : undefined;
  if (options.attached !== undefined && lent === undefined) xdpDetach(options.attached);  // an interface has one program
  const attachment = lent ?? xdpAttach({ ...options, mode });
  const sockets: XdpSocket[] = [];
  try {
    for (const queue of options.take ?? Array.from({ length: options.queues }, (_, q) => q)) {
      const shareWith = sockets[0] ?? options.shareWith;
      sockets.push(xdpSocket({ ...options, queue, mode: way === 'native zero-copy' ? 'zerocopy' : 'copy', ...(shareWith && { shareWith }) }));
    }
    return { attachment, sockets };
  } catch (error) {
    for (const socket of sockets) xdpClose(socket.fd);
    if (lent === undefined) xdpDetach(attachment);
    throw error;
  }
}

/**
 * Hot: one sendto, which makes the kernel look at the TX ring. Copy mode sends at most `txBudget` frames in it.
 * @returns 0, or a negative errno: -11 more to send, or no room for completions; -16 the device refused a frame (it is
 *   gone, and completed); -6 the interface has disappeared; -100 it is down
 */
export const xdpKick: (fd: number) => number = addon['xdpKick'] as any;

/**
 * Hot: kicks until the TX ring is empty, at most `most` times; in zero-copy mode once.
 * @returns calls made, or a negative errno when nothing moved (-11: take completions back and come again)
 */
export const xdpDrain: (fd: number, most: number) => number = addon['xdpDrain'] as any;

/** Hot: one recvfrom, for a fill ring whose flags ask for it. @returns 0 or a negative errno, as `xdpKick` */
export const xdpWakeRx: (fd: number) => number = addon['xdpWakeRx'] as any;

/**
 * XDP_STATISTICS into `out`: rx_dropped (frame too long, or fill ring empty), rx_invalid_descs, tx_invalid_descs,
 * rx_ring_full, rx_fill_ring_empty_descs, tx_ring_empty_descs. @returns 0 or a negative errno
 */
export const xdpStatistics: (fd: number, out: Float64Array) => number = addon['xdpStatistics'] as any;

/** The socket's pending error as a negative errno, cleared by asking; -100 when its interface has disappeared. */
export const xdpError: (fd: number) => number = addon['xdpError'] as any;

/**
 * Frames that arrived on queues without a socket and went to the kernel.
 * @param perQueue  queues + 1 counts to be written: the last is for queues beyond those announced
 * @returns their sum, or a negative errno
 */
export function xdpPassed(statsMapFd: number, perQueue: Float64Array): number {
  const result: number = addon['xdpPassed'](statsMapFd, perQueue);
  return result < 0 ? result : perQueue.reduce((sum, n) => sum + n, 0);
}

/**
 * Preferred busy polling (Documentation/networking/napi.rst): the driver's NAPI runs inside this socket's calls.
 * @param frames  NAPI budget of one call, 0: the kernel's (8)
 * @returns 0 or a negative errno (-1: needs CAP_NET_ADMIN; -92: before Linux 5.11)
 */
export function xdpBusyPoll(fd: number, microseconds: number, frames = 0): number {
  return addon['xdpBusyPoll'](fd, microseconds, frames);
}
