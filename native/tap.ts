/** Taps: an interface of the kernel whose wire is a descriptor. Measurements and choices: native/src/tap.cc. */
import { addon } from './addon.js';
import { FramekeepError, errnoName } from './error.js';
import { closeFd, type Mapping } from './memory.js';
import { interfaceInfo, interfaces, missingPrivilege, PRIVILEGE_REMEDY } from './netif.js';

const EPERM = -1, ENOENT = -2, ENXIO = -6, EACCES = -13, EBUSY = -16, ENODEV = -19, EINVAL = -22, ENFILE = -23, EMFILE = -24;

export interface Tap {
  /** Nonblocking, close-on-exec; POLLIN: frames wait; POLLERR: the interface is gone. Close with `closeFd`. */
  readonly fd: number;
  /** The kernel's choice where `%d` was asked for. */
  readonly name: string;
  readonly ifindex: number;
  /** Of the kernel's end. */
  readonly mac: string;
  readonly mtu: number;
  /** Made just now, and gone with the descriptor; false: it was there (ip tuntap add …), and stays. */
  readonly created: boolean;
}

/**
 * Opens the tap of this name, or makes one (`vm%d`: the kernel chooses the number). It is left as it is found, a new one
 * down. What a stack leaves to its NIC (checksums, segmentation) the kernel does before the frames are read.
 *
 * Making one needs CAP_NET_ADMIN; one that was made for this user (`ip tuntap add NAME mode tap user USER`) needs nothing.
 * @param vnetHeader  with what the sender left to its NIC before each frame (native/src/vnet_header.h); nothing, until `tapOffer`
 * @throws FramekeepError `E_TAP_BUSY`, `E_TAP_NAME`, `E_TAP_KIND`, `E_TAP_MISSING`, `E_PERMISSION`, `E_LIMIT`
 */
export function tapOpen(name: string, vnetHeader = false): Tap {
  if (!/^[^/\s:]{1,15}$/.test(name) || name === '.' || name === '..') {
    throw new FramekeepError('E_TAP_NAME', `'${name}' cannot be the name of a network interface`, 'use 1 to 15 bytes without blanks, slashes and colons');
  }
  const before = interfaces().find((one) => one.name === name);
  const result: { fd: number; name: string } | { errno: number; step: string } = addon['tapOpen'](name, vnetHeader ? 1 : 0);
  if ('errno' in result) throw tapFailure(result, name, before !== undefined);
  try {
    const { index, mac, mtu } = interfaceInfo(result.name);
    return { fd: result.fd, name: result.name, ifindex: index, mac, mtu, created: before === undefined };
  } catch (error) {
    closeFd(result.fd);
    throw error;
  }
}

function tapFailure({ errno, step }: { errno: number; step: string }, name: string, exists: boolean): FramekeepError {
  if (step === 'open') {
    if (errno === EACCES || errno === EPERM) return new FramekeepError('E_PERMISSION', '/dev/net/tun may not be opened by this user', 'run as root, or: sudo chmod 0666 /dev/net/tun');
    if (errno === ENOENT || errno === ENODEV || errno === ENXIO) return new FramekeepError('E_TAP_MISSING', 'this kernel offers no taps (/dev/net/tun)', 'load the module: sudo modprobe tun');
    if (errno === EMFILE || errno === ENFILE) return new FramekeepError('E_LIMIT', `no descriptor for the tap ${name}: ${errnoName(errno)}`, 'raise the limit of open files (ulimit -n)');
  }
  if (errno === EBUSY) return new FramekeepError('E_TAP_BUSY', `the tap ${name} is in use by another program`, `see which: grep -l "iff:.*${name}" /proc/*/fdinfo/*; or choose another name`);
  if (errno === EINVAL && exists) return new FramekeepError('E_TAP_KIND', `${name} exists and is not a tap`, `choose another name, or take it as xdp:${name}`);
  if (errno === EPERM) {
    return exists ? new FramekeepError('E_PERMISSION', `the tap ${name} belongs to another user`, `make it yours: sudo ip tuntap del ${name} mode tap && sudo ip tuntap add ${name} mode tap user $USER; or ${PRIVILEGE_REMEDY}`)
      : new FramekeepError('E_PERMISSION', missingPrivilege(`making the tap ${name}`, 'CAP_NET_ADMIN').message.split('\n')[0], `have it made for you once: sudo ip tuntap add ${name} mode tap user $USER; or ${PRIVILEGE_REMEDY}`);
  }
  return new FramekeepError('E_TAP', `the tap ${name} cannot be opened (${step}): ${errnoName(errno)}`, 'see: ip tuntap');
}

/** A tap between its descriptor and four soft rings (native/src/soft_rings.h). */
export interface TapRings {
  readonly handle: number;
  /** By TAP; native memory, live, detached by `tapDetach`. */
  readonly counters: Float64Array;
}

/** Places in `counters`. Whatever is counted as not sent is completed all the same: its buffer comes back. */
export const TAP = {
  /** Received frames too long for a buffer: dropped. */
  oversize: 0,
  /** Times that receiving stopped for want of free buffers or of room in the rx ring, whether or not more frames waited. */
  starved: 1,
  /** Not sent: shorter than an Ethernet header. */
  short: 2,
  /** Not sent: the interface is down. */
  down: 3,
  /** Addresses outside the UMEM, on either way. */
  invalid: 4,
  /** Not sent for another reason; the last one's errno is at `lastErrno`. */
  refused: 5,
  lastErrno: 6,
} as const;

/**
 * Joins a tap to rings.
 * @param rings       from `softRings(size)`
 * @param umem        what ring addresses are relative to
 * @param chunkShift  log2 of a buffer's bytes; of a fill address, the bits below are ignored
 * @param headroom    bytes before a frame in its buffer; the longest frame is 2^chunkShift - headroom - 1
 * @param vnetHeader  as the tap was opened; its headers are in the last 16 bytes of the headroom
 */
export function tapAttach(fd: number, rings: Mapping, size: number, umem: Mapping, chunkShift: number, headroom: number, vnetHeader = false): TapRings {
  const result: { handle: number; counters: ArrayBuffer } | number = addon['tapAttach'](fd, rings.id, size, umem.id, chunkShift, headroom, vnetHeader ? 1 : 0);
  if (typeof result === 'number') throw new FramekeepError('E_TAP', `a tap cannot use these rings: ${errnoName(result)}`, 'sizes are powers of two, and within their memory');
  return { handle: result.handle, counters: new Float64Array(result.counters) };
}

/** Frees what `tapAttach` made; the descriptor stays open. */
export function tapDetach(rings: TapRings): void {
  addon['tapDetach'](rings.handle, rings.counters.buffer);
}

/**
 * Of a tap with headers: whether the sending stack may leave checksums and the cutting of TCP and UDP into segments to who
 * receives. While it may, frames have up to 64 KiB, and every frame on the tx ring must be one that such a tap received: its
 * header is in the buffer. What waits there when this changes is completed unsent (`refused`).
 * @returns 0 or a negative errno
 */
export const tapOffer: (handle: number, on: 0 | 1) => number = addon['tapOffer'] as any;

/**
 * Hot: reads up to `most` frames into buffers from the fill ring and puts them into the rx ring.
 * @returns how many, or a negative errno when there was none: -77 (EBADFD) the interface is gone. One that is down merely
 *   has no frames; LinkMonitor tells.
 */
export const tapReceive: (handle: number, most: number) => number = addon['tapReceive'] as any;

/**
 * Hot: sends what is on the tx ring and completes it, until the completion ring is full or the kernel takes no more.
 * @returns how many were completed, or a negative errno when none was: -77 (EBADFD) the interface is gone, and what is on
 *   the ring stays on it
 */
export const tapTransmit: (handle: number) => number = addon['tapTransmit'] as any;
