/** What IPv4 and IPv6 carry: protocol numbers (IANA), and which decoder comes next. */
import type { Dissection } from './dissection.js';
import { bytesText } from './dissection.js';
import { ethernet } from './ethernet.js';
import { icmp } from './icmp.js';
import { icmpv6 } from './icmpv6.js';
import { ipv4 } from './ipv4.js';
import { ipv6 } from './ipv6.js';
import { tcp } from './tcp.js';
import { gre, igmp } from './tunnels.js';
import { udp } from './udp.js';

export const PROTOCOLS: Readonly<Record<number, string>> = {
  0: 'IPv6 hop-by-hop options', 1: 'ICMP', 2: 'IGMP', 4: 'IPv4', 6: 'TCP', 17: 'UDP', 33: 'DCCP', 41: 'IPv6', 43: 'IPv6 routing', 44: 'IPv6 fragment',
    46: 'RSVP', 47: 'GRE', 50: 'ESP',
  51: 'AH', 58: 'ICMPv6', 59: 'no next header', 60: 'IPv6 destination options', 88: 'EIGRP', 89: 'OSPF', 97: 'EtherIP', 103: 'PIM', 112: 'VRRP',
    115: 'L2TP', 132: 'SCTP', 135: 'Mobile IPv6', 136: 'UDP-Lite',
};
export const protocolText = (x: number): string => `${PROTOCOLS[x] ?? 'unknown'} (${x})`;

/** What the pseudo header of a checksum needs. */
export interface Between { readonly source: Uint8Array; readonly destination: Uint8Array }

export function transport(d: Dissection, protocol: number, at: number, between: Between): void {
  switch (protocol) {
    case 1: return icmp(d, at);
    case 2: return igmp(d, at);
    case 4: return void ipv4(d, at);
    case 6: return tcp(d, at, between);
    case 17: return udp(d, at, between);
    case 41: return void ipv6(d, at);
    case 47: return gre(d, at);
    case 58: return icmpv6(d, at, between);
    case 97: d.need(at, 2); return ethernet(d, at + 2);
    default:
      d.columns(PROTOCOLS[protocol] ?? 'IP', `${PROTOCOLS[protocol] ?? `IP protocol ${protocol}`}, ${bytesText(d.left(at))}`);
      if (protocol !== 59) d.payload(at, PROTOCOLS[protocol] ?? 'Data');
  }
}

/** Ones' complement sum of 16-bit words (RFC 1071), folded; a sum that holds is 0xffff. */
export function onesSum(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let i = 0; i + 1 < bytes.length; i += 2) sum += bytes[i] << 8 | bytes[i + 1];
  if (bytes.length % 2 === 1) sum += bytes[bytes.length - 1] << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65536);
  return sum;
}

/** Whether the checksum over [at, at + length) and the pseudo header holds; undefined where not all of it is there. */
export function checksumHolds(d: Dissection, at: number, length: number, protocol: number, { source, destination }: Between): boolean | undefined {
  if (length <= 0 || d.left(at) < length) return undefined;
  const pseudo = onesSum(destination, onesSum(source, protocol + length));
  return onesSum(d.bytes.subarray(at, at + length), pseudo) === 0xffff;
}
export const checksumText = (shown: string, holds: boolean | undefined): string => holds === undefined ? `${shown}, not checked` : holds
  ? `${shown}, correct` : `${shown}, incorrect`;
