/** Tap devices (native/src/tap.cc; Documentation/networking/tuntap.rst). */
import { addon } from './addon.js';
import { FramekeepError, errnoName } from './error.js';
import type { Mapping } from './memory.js';
import { missingPrivilege } from './netif.js';

export interface NativeTap {
  readonly handle: unknown;
  /** f64: frames too long for a buffer, refused by the kernel, lost because the device was down. */
  readonly counters: ArrayBuffer;
}

/**
 * Opens a tap, making it if there is none of that name; one that was made goes away with the descriptor.
 * @param name  up to 15 bytes; `%d` in it is numbered by the kernel
 * @throws FramekeepError E_PERMISSION, E_TAP_BUSY, E_TAP
 */
export function tapOpen(name: string): { readonly fd: number; readonly name: string } {
  const r = addon['tapOpen'](name);
  if (typeof r !== 'number') return r;
  if (r === -1 || r === -13) throw missingPrivilege(`opening the tap ${name}`, 'CAP_NET_ADMIN (a tap made for you beforehand needs none: ip tuntap add dev ' + name + ' mode tap user $USER)');
  if (r === -16) throw new FramekeepError('E_TAP_BUSY', `the tap ${name} is in use`, 'another program has it open: use another name, or end that program');
  if (r === -2) throw new FramekeepError('E_TAP', 'there is no /dev/net/tun', 'load the driver (modprobe tun), or give the container that device');
  if (r === -22) throw new FramekeepError('E_TAP', `${name} cannot be a tap: an interface of another kind has that name`, 'use another name');
  throw new FramekeepError('E_TAP', `the tap ${name} cannot be opened: ${errnoName(r)}`, r === -36 ? 'an interface name has at most 15 bytes' : 'see: ip tuntap');
}

export function tapAttach(fd: number, rings: Mapping, ringSize: number, umem: Mapping, chunkShift: number, headroom: number): NativeTap {
  const r = addon['tapAttach'](fd, rings.id, ringSize, umem.id, chunkShift, headroom);
  if (typeof r === 'number') throw new RangeError(`tapAttach: ${r}`);
  return r;
}

/** Hot: frames received, at most `most`; a negative errno when there were none and the device is gone (-77, -5). */
export const tapReceive: (handle: unknown, most: number) => number = addon['tapReceive'] as any;
/** Hot: frames taken off the tx ring. */
export const tapTransmit: (handle: unknown) => number = addon['tapTransmit'] as any;
