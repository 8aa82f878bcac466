/** ICMPv6, RFC 4443: errors and echoes; neighbour discovery, RFC 4861, with its options; multicast listeners, RFC 2710 and 3810. */
import type { Dissection, Field } from './dissection.js';
import { bytesText } from './dissection.js';
import { quote } from './icmp.js';
import { checksumHolds, checksumText, type Between } from './internet.js';
import { ipv6 } from './ipv6.js';
import { hex4, hexText, ipv6Text, macText, named } from './text.js';

const TYPES: Readonly<Record<number, string>> = {
  1: 'Destination Unreachable', 2: 'Packet Too Big', 3: 'Time Exceeded', 4: 'Parameter Problem', 128: 'Echo (ping) request', 129: 'Echo (ping) reply',
    130: 'Multicast Listener Query',
  131: 'Multicast Listener Report', 132: 'Multicast Listener Done', 133: 'Router Solicitation', 134: 'Router Advertisement',
    135: 'Neighbor Solicitation', 136: 'Neighbor Advertisement', 137: 'Redirect',
  143: 'Multicast Listener Report Message v2', 155: 'RPL Control',
};
const UNREACHABLE: Readonly<Record<number, string>> = { 0: 'no route to destination', 1: 'administratively prohibited',
  2: 'beyond scope of source address', 3: 'address unreachable', 4: 'port unreachable', 5: 'source address failed policy', 6: 'reject route' };
const OPTIONS: Readonly<Record<number, string>> = {
  1: 'Source link-layer address', 2: 'Target link-layer address', 3: 'Prefix information', 4: 'Redirected header', 5: 'MTU', 14: 'Nonce',
    24: 'Route information', 25: 'Recursive DNS server', 31: 'DNS search list',
};

export function icmpv6(d: Dissection, at: number, between: Between): void {
  const length = d.end - at, layer = d.layer('icmpv6', 'Internet Control Message Protocol v6', at, d.left(at)), type = d.u8(at), code = d.u8(at + 1);
  const what = TYPES[type] ?? `Type ${type}`;
  layer.text = what;
  d.columns('ICMPv6', what);
  d.num(layer, 'icmpv6.type', 'Type', at, 1, named(TYPES));
  d.num(layer, 'icmpv6.code', 'Code', at + 1, 1, type === 1 ? named(UNREACHABLE) : undefined);
  const holds = checksumHolds(d, at, length, 58, between);
  d.num(layer, 'icmpv6.checksum', 'Checksum', at + 2, 2, (x) => checksumText(hex4(x), holds));
  const body = at + 4, ip = (key: string, name: string, where: number): string => {
    const text = ipv6Text(d.slice(where, 16));
    d.add(layer, key, name, where, 16, text);
    return text;
  };
  switch (type) {
    case 1: case 2: case 3: case 4:
      if (type === 2) d.num(layer, 'icmpv6.mtu', 'MTU', body, 4);
      if (type === 4) d.num(layer, 'icmpv6.pointer', 'Pointer', body, 4);
      if (type === 1) d.columns('ICMPv6', `${what} (${UNREACHABLE[code] ?? code})`);
      layer.length = Math.min(8, d.left(at));
      return quote(d, () => ipv6(d, body + 4));
    case 128: case 129: {
      const id = d.num(layer, 'icmpv6.echo.identifier', 'Identifier', body, 2, hex4), sequence = d.num(layer, 'icmpv6.echo.sequence_number',
        'Sequence', body + 2, 2);
      d.columns('ICMPv6', `${what} id=${hex4(id)}, seq=${sequence}`);
      return d.data(layer, 'Data', body + 4, d.left(body + 4));
    }
    case 133: return options(d, layer, body + 4, '');
    case 134: {
      d.num(layer, 'icmpv6.nd.ra.cur_hop_limit', 'Hop limit', body, 1);
      const flags = d.u8(body + 1), set = d.note(layer, 'icmpv6.nd.ra.flag', 'Flags', body + 1, 1, `0x${flags.toString(16).padStart(2, '0')}`, flags);
      d.bits(set, 'icmpv6.nd.ra.flag.m', 'Managed addresses', body + 1, 1, 0x80);
      d.bits(set, 'icmpv6.nd.ra.flag.o', 'Other configuration', body + 1, 1, 0x40);
      d.num(layer, 'icmpv6.nd.ra.router_lifetime', 'Router lifetime', body + 2, 2, (x) => `${x} s`);
      d.num(layer, 'icmpv6.nd.ra.reachable_time', 'Reachable time', body + 4, 4, (x) => `${x} ms`);
      d.num(layer, 'icmpv6.nd.ra.retrans_timer', 'Retransmission timer', body + 8, 4, (x) => `${x} ms`);
      return options(d, layer, body + 12, what);
    }
    case 135: {
      const target = ip('icmpv6.nd.ns.target_address', 'Target', body + 4);
      return options(d, layer, body + 20, `${what} for ${target}`);
    }
    case 136: {
      const flags = d.u8(body), names = [[0x80, 'rtr'], [0x40, 'sol'], [0x20, 'ovr']].filter(([bit]) => (flags & Number(bit)) !== 0).map(([, name]) => name);
      d.bits(layer, 'icmpv6.nd.na.flag.r', 'Router', body, 4, 0x80000000);
      d.bits(layer, 'icmpv6.nd.na.flag.s', 'Solicited', body, 4, 0x40000000);
      d.bits(layer, 'icmpv6.nd.na.flag.o', 'Override', body, 4, 0x20000000);
      const target = ip('icmpv6.nd.na.target_address', 'Target', body + 4);
      return options(d, layer, body + 20, `${what} ${target}${names.length > 0 ? ` (${names.join(', ')})` : ''}`);
    }
    case 137: {
      const target = ip('icmpv6.rd.na.target_address', 'Target', body + 4);
      ip('icmpv6.nd.rd.destination_address', 'Destination', body + 20);
      return options(d, layer, body + 36, `${what} to ${target}`);
    }
    case 130: case 131: case 132: {
      d.num(layer, 'icmpv6.mld.maximum_response_delay', 'Maximum response delay', body, 2, (x) => `${x} ms`);
      ip('icmpv6.mld.multicast_address', 'Multicast address', body + 4);
      return d.data(layer, 'More', body + 20, d.left(body + 20));
    }
    case 143: return listeners(d, layer, body);
    default: return d.data(layer, 'Data', body, d.left(body));
  }
}

function options(d: Dissection, parent: Field, from: number, info: string): void {
  let link = '';
  for (let at = from; at < d.end;) {
    const type = d.u8(at), length = d.u8(at + 1) * 8;
    const option = d.note(parent, 'icmpv6.opt', OPTIONS[type] ?? `Option ${type}`, at, length, bytesText(length));
    d.num(option, 'icmpv6.opt.type', 'Type', at, 1, named(OPTIONS));
    d.num(option, 'icmpv6.opt.length', 'Length', at + 1, 1, (x) => `${x} (${bytesText(x * 8)})`);
    if (length === 0) {
      d.note(option, '', '[Malformed]', at, 2, 'an option of length 0');
      break;
    }
    d.need(at, length);
    if ((type === 1 || type === 2) && length === 8) {
      option.text = macText(d.slice(at + 2, 6));
      d.note(option, type === 1 ? 'icmpv6.opt.src_linkaddr' : 'icmpv6.opt.target_linkaddr', 'Address', at + 2, 6, option.text);
      link = `${type === 1 ? ' from' : ' is at'} ${option.text}`;
    } else if (type === 3 && length === 32) {
      d.num(option, 'icmpv6.opt.prefix.length', 'Prefix length', at + 2, 1);
      d.num(option, 'icmpv6.opt.prefix.valid_lifetime', 'Valid lifetime', at + 4, 4, (x) => `${x} s`);
      d.num(option, 'icmpv6.opt.prefix.preferred_lifetime', 'Preferred lifetime', at + 8, 4, (x) => `${x} s`);
      option.text = `${ipv6Text(d.slice(at + 16, 16))}/${d.u8(at + 2)}`;
      d.note(option, 'icmpv6.opt.prefix', 'Prefix', at + 16, 16, ipv6Text(d.slice(at + 16, 16)));
    } else if (type === 5 && length === 8) option.text = String(d.num(option, 'icmpv6.opt.mtu', 'MTU', at + 4, 4));
    else d.note(option, '', 'Content', at + 2, length - 2, hexText(d.slice(at + 2, length - 2)));
    at += length;
  }
  if (info !== '' || link !== '') d.columns('ICMPv6', `${info === '' ? TYPES[133] : info}${link}`);
}

function listeners(d: Dissection, layer: Field, body: number): void {
  const count = d.num(layer, 'icmpv6.mldr.nb_mcast_records', 'Records', body + 2, 2);
  let at = body + 4;
  for (let i = 0; i < count && at < d.end; i++) {
    const type = d.u8(at), auxiliary = d.u8(at + 1) * 4, sources = d.u16(at + 2), length = 20 + sources * 16 + auxiliary;
    const address = ipv6Text(d.slice(at + 4, 16)), record = d.note(layer, 'icmpv6.mldr.mar', 'Record', at, length,
      `${['', 'include', 'exclude', 'to include', 'to exclude', 'allow', 'block'][type] ?? `type ${type}`} ${address}`);
    d.num(record, 'icmpv6.mldr.mar.record_type', 'Type', at, 1);
    d.num(record, 'icmpv6.mldr.mar.nb_sources', 'Sources', at + 2, 2);
    d.add(record, 'icmpv6.mldr.mar.multicast_address', 'Multicast address', at + 4, 16, address);
    d.need(at, length);
    at += length;
  }
}
