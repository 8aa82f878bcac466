/** What wraps other packets: MPLS (RFC 3032), PPPoE (RFC 2516), GRE (RFC 2784); and IGMP (RFC 2236), which is as short. */
import type { Dissection } from './dissection.js';
import { bytesText } from './dissection.js';
import { etherType } from './ethernet.js';
import { checksumText, onesSum } from './internet.js';
import { ipv4 } from './ipv4.js';
import { ipv6 } from './ipv6.js';
import { hex2, hex4, ipv4Text, named } from './text.js';

export function mpls(d: Dissection, at: number): number {
  const label = d.u24(at) >> 4, bottom = (d.u8(at + 2) & 1) !== 0, layer = d.layer('mpls', 'MultiProtocol Label Switching', at, 4,
    `label ${label}${bottom ? ', bottom of stack' : ''}`);
  d.note(layer, 'mpls.label', 'Label', at, 4, String(label), label);
  d.note(layer, 'mpls.exp', 'Traffic class', at, 4, String(d.u8(at + 2) >> 1 & 7), d.u8(at + 2) >> 1 & 7);
  d.note(layer, 'mpls.bottom', 'Bottom of stack', at, 4, bottom ? 'set' : 'not set', Number(bottom));
  d.note(layer, 'mpls.ttl', 'Time to live', at, 4, String(d.u8(at + 3)), d.u8(at + 3));
  d.columns('MPLS', `MPLS label ${label}`);
  if (!bottom) return mpls(d, at + 4);
  const version = d.left(at + 4) > 0 ? d.u8(at + 4) >> 4 : 0;
  if (version === 4) return ipv4(d, at + 4);
  if (version === 6) return ipv6(d, at + 4);
  d.payload(at + 4);
  return -1;
}

const CODES: Readonly<Record<number, string>> = { 0x00: 'Session data', 0x07: 'Active Discovery Offer (PADO)',
  0x09: 'Active Discovery Initiation (PADI)', 0x19: 'Active Discovery Request (PADR)', 0x65: 'Active Discovery Session-confirmation (PADS)',
  0xa7: 'Active Discovery Terminate (PADT)' };
const PPP: Readonly<Record<number, string>> = { 0x0021: 'IPv4', 0x0057: 'IPv6', 0x8021: 'PPP IPCP', 0x8057: 'PPP IPV6CP', 0xc021: 'PPP LCP',
  0xc023: 'PPP PAP', 0xc223: 'PPP CHAP' };

export function pppoe(d: Dissection, at: number, session: boolean): number {
  const code = d.u8(at + 1), id = d.u16(at + 2), length = d.u16(at + 4), end = Math.min(at + 6 + length, d.end);
  const layer = d.layer(session ? 'pppoes' : 'pppoed', 'PPP over Ethernet', at, 6, `${CODES[code] ?? hex2(code)}, session ${hex4(id)}`);
  d.bits(layer, 'pppoe.version', 'Version', at, 1, 0xf0);
  d.bits(layer, 'pppoe.type', 'Type', at, 1, 0x0f);
  d.num(layer, 'pppoe.code', 'Code', at + 1, 1, (x) => `${CODES[x] ?? 'unknown'} (${hex2(x)})`);
  d.num(layer, 'pppoe.session_id', 'Session', at + 2, 2, hex4);
  d.num(layer, 'pppoe.payload_length', 'Payload length', at + 4, 2);
  d.columns(session ? 'PPPoES' : 'PPPoED', CODES[code] ?? hex2(code));
  d.within(end, () => {
    if (!session) return d.payload(at + 6, 'Tags');
    // RFC 1661 section 2: the protocol field may be compressed to its odd second byte; on PPPoE nobody does.
    const protocol = d.u16(at + 6), ppp = d.layer('ppp', 'Point-to-Point Protocol', at + 6, 2, PPP[protocol] ?? hex4(protocol));
    d.num(ppp, 'ppp.protocol', 'Protocol', at + 6, 2, (x) => `${PPP[x] ?? 'unknown'} (${hex4(x)})`);
    if (protocol === 0x21) return void ipv4(d, at + 8);
    if (protocol === 0x57) return void ipv6(d, at + 8);
    d.columns(PPP[protocol] ?? 'PPP', `${PPP[protocol] ?? `PPP ${hex4(protocol)}`}, ${bytesText(d.left(at + 8))}`);
    d.payload(at + 8);
  });
  return end;
}

export function gre(d: Dissection, at: number): void {
  const flags = d.u16(at), type = d.u16(at + 2), length = 4 + ((flags & 0x8000) !== 0 ? 4 : 0) + ((flags & 0x2000) !== 0 ? 4
    : 0) + ((flags & 0x1000) !== 0 ? 4 : 0);
  const layer = d.layer('gre', 'Generic Routing Encapsulation', at, length, hex4(type));
  d.num(layer, 'gre.flags_and_version', 'Flags and version', at, 2, hex4);
  d.num(layer, 'gre.proto', 'Protocol', at + 2, 2, hex4);
  d.columns('GRE', `GRE, ${hex4(type)}`);
  // Version 1 is PPTP's (RFC 2637), with another header; routing (bit 1) is RFC 1701's, and deprecated.
  if ((flags & 0x4007) !== 0) return d.payload(at + 4);
  d.need(at, length);
  void etherType(d, type, at + length);
}

const IGMP: Readonly<Record<number, string>> = { 0x11: 'Membership Query', 0x12: 'Membership Report v1', 0x16: 'Membership Report v2',
  0x17: 'Leave Group', 0x22: 'Membership Report v3' };

export function igmp(d: Dissection, at: number): void {
  const type = d.u8(at), length = d.end - at, layer = d.layer('igmp', 'Internet Group Management Protocol', at, d.left(at), IGMP[type] ?? hex2(type));
  d.columns('IGMP', IGMP[type] ?? `type ${hex2(type)}`);
  d.num(layer, 'igmp.type', 'Type', at, 1, named(IGMP));
  const holds = d.left(at) >= length ? onesSum(d.bytes.subarray(at, at + length)) === 0xffff : undefined;
  d.num(layer, 'igmp.checksum', 'Checksum', at + 2, 2, (x) => checksumText(hex4(x), holds));
  if (type === 0x22) return d.data(layer, 'Group records', at + 4, d.left(at + 4));
  const group = ipv4Text(d.slice(at + 4, 4));
  d.add(layer, 'igmp.maddr', 'Group', at + 4, 4, group);
  d.columns('IGMP', `${IGMP[type] ?? hex2(type)} ${group === '0.0.0.0' ? 'general' : group}`);
  d.data(layer, 'More', at + 8, d.left(at + 8));
}
