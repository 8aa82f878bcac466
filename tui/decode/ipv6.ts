/** IPv6, RFC 8200: header, extension headers (hop-by-hop, routing, fragment, destination options, AH), fragments. */
import type { Dissection, Field } from './dissection.js';
import { bytesText } from './dissection.js';
import { quote } from './icmp.js';
import { protocolText, transport } from './internet.js';
import { hex2, hex8, hexText, ipv6Text } from './text.js';

const HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, AUTHENTICATION = 51, DESTINATION = 60, MOBILITY = 135;
const OPTIONS: Readonly<Record<number, string>> = { 0: 'Pad1', 1: 'PadN', 5: 'Router alert', 0xc2: 'Jumbo payload', 0x63: 'RPL', 0xc9: 'Home address' };
const NAMES: Readonly<Record<number, string>> = { [HOP_BY_HOP]: 'IPv6 Hop-by-hop Options', [ROUTING]: 'IPv6 Routing Header',
  [FRAGMENT]: 'IPv6 Fragment Header', [AUTHENTICATION]: 'Authentication Header', [DESTINATION]: 'IPv6 Destination Options',
  [MOBILITY]: 'IPv6 Mobility Header' };
/** Headers in a row, at most: RFC 8200 wants each once. */
const MOST_HEADERS = 12;

/** @returns where the packet ends by its payload length */
export function ipv6(d: Dissection, at: number): number {
  const layer = d.layer('ipv6', 'Internet Protocol Version 6', at, 40);
  const version = d.u8(at) >> 4;
  d.columns('IPv6', '');
  d.bits(layer, 'ipv6.version', 'Version', at, 1, 0xf0);
  if (version !== 6) {
    d.columns('IPv6', `bogus IP version ${version}`);
    d.payload(at);
    return -1;
  }
  d.note(layer, 'ipv6.tclass', 'Traffic class', at, 4, hex2(d.u16(at) >> 4 & 0xff), d.u16(at) >> 4 & 0xff);
  d.note(layer, 'ipv6.flow', 'Flow label', at + 1, 3, `0x${(d.u32(at) & 0xfffff).toString(16).padStart(5, '0')}`, d.u32(at) & 0xfffff);
  const length = d.num(layer, 'ipv6.plen', 'Payload length', at + 4, 2);
  const first = d.num(layer, 'ipv6.nxt', 'Next header', at + 6, 1, protocolText);
  d.num(layer, 'ipv6.hlim', 'Hop limit', at + 7, 1);
  const source = d.slice(at + 8, 16), destination = d.slice(at + 24, 16);
  layer.text = `${ipv6Text(source)} > ${ipv6Text(destination)}`;
  d.addresses(ipv6Text(source), ipv6Text(destination));
  d.columns('IPv6', layer.text);
  d.add(layer, 'ipv6.src', 'Source', at + 8, 16, ipv6Text(source));
  d.add(layer, 'ipv6.dst', 'Destination', at + 24, 16, ipv6Text(destination));
  const there = d.end - at - 40, jumbo = length === 0 && first === HOP_BY_HOP, end = jumbo || length > there ? d.end : at + 40 + length;
  if (length > there) d.note(layer, '', '[Length]', at + 4, 2, `says ${bytesText(length)}, of which ${there} were on the wire`);
  d.within(end, () => extensions(d, first, at + 40, { source, destination }));
  return end;
}

function extensions(d: Dissection, first: number, from: number, between: { source: Uint8Array; destination: Uint8Array }): void {
  let next = first, at = from;
  for (let n = 0; NAMES[next] !== undefined; n++) {
    if (n === MOST_HEADERS) return d.payload(at, 'More extension headers');
    const kind = next, length = kind === FRAGMENT ? 8 : kind === AUTHENTICATION ? (d.u8(at + 1) + 2) * 4 : (d.u8(at + 1) + 1) * 8;
    next = d.u8(at);
    const layer = d.layer('', NAMES[kind], at, length);
    d.columns('IPv6', `${NAMES[kind]}, next ${protocolText(next)}`);
    d.num(layer, kind === FRAGMENT ? 'ipv6.fraghdr.nxt' : kind === HOP_BY_HOP ? 'ipv6.hopopts.nxt' : kind === DESTINATION ? 'ipv6.dstopts.nxt' : '',
      'Next header', at, 1, protocolText);
    if (kind === FRAGMENT) {
      const word = d.u16(at + 2), offset = word & 0xfff8, more = (word & 1) !== 0;
      d.note(layer, '', 'Offset', at + 2, 2, `${offset} bytes`, offset >> 3);
      d.bits(layer, 'ipv6.fraghdr.more', 'More fragments', at + 2, 2, 0x0001);
      d.num(layer, 'ipv6.fraghdr.ident', 'Identification', at + 4, 4, hex8);
      layer.text = `offset ${offset}, ${more ? 'more follow' : 'the last'}`;
      if (offset !== 0 || more) {
        d.columns('IPv6', `IPv6 fragment (off=${offset} more=${more ? 'y' : 'n'} ident=${hex8(d.u32(at + 4))} nxt=${next})`);
        if (offset !== 0) return d.payload(at + 8, 'Fragment');
        return quote(d, () => extensions(d, next, at + 8, between));
      }
    } else {
      d.num(layer, '', 'Length', at + 1, 1, (x) => `${length} bytes (${x})`);
      if (kind === HOP_BY_HOP || kind === DESTINATION) options(d, layer, at + 2, at + length);
      else if (kind === ROUTING) {
        const type = d.num(layer, 'ipv6.routing.type', 'Type', at + 2, 1), left = d.num(layer, 'ipv6.routing.segleft', 'Segments left', at + 3, 1);
        layer.text = `type ${type}, ${left} segments left`;
        d.data(layer, 'Type-specific data', at + 4, Math.min(length - 4, d.left(at + 4)));
      } else d.data(layer, 'Content', at + 2, Math.min(length - 2, d.left(at + 2)));
    }
    at += length;
  }
  transport(d, next, at, between);
}

function options(d: Dissection, parent: Field, from: number, end: number): void {
  for (let at = from; at < end;) {
    const type = d.u8(at), length = type === 0 ? 1 : 2 + d.u8(at + 1), name = OPTIONS[type] ?? `Option ${hex2(type)}`;
    if (at + length > end) {
      d.note(parent, '', '[Malformed]', at, end - at, `${name}: length ${length}`);
      return;
    }
    d.add(parent, '', name, at, length, length > 2 && type > 1 ? hexText(d.slice(at + 2, length - 2)) : bytesText(length));
    at += length;
  }
}
