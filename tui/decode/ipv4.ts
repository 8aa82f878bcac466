/** IPv4, RFC 791: header, options, fragments. */
import type { Dissection, Field } from './dissection.js';
import { bytesText } from './dissection.js';
import { quote } from './icmp.js';
import { checksumText, onesSum, PROTOCOLS, protocolText, transport } from './internet.js';
import { hex2, hex4, ipv4Text, pair } from './text.js';

const OPTIONS: Readonly<Record<number, string>> = { 0: 'End of options', 1: 'No operation', 7: 'Record route', 68: 'Timestamp', 130: 'Security',
  131: 'Loose source route', 137: 'Strict source route', 148: 'Router alert' };
const ECN = ['not ECN-capable', 'ECN-capable (1)', 'ECN-capable (0)', 'congestion experienced'];

/** @returns where the datagram ends by its total length */
export function ipv4(d: Dissection, at: number): number {
  const version = d.u8(at) >> 4, head = (d.u8(at) & 15) * 4, total = d.u16(at + 2);
  const layer = d.layer('ip', 'Internet Protocol Version 4', at, Math.max(20, head));
  d.columns('IPv4', '');
  d.bits(layer, 'ip.version', 'Version', at, 1, 0xf0);
  d.note(layer, 'ip.hdr_len', 'Header length', at, 1, `${head} bytes (${head / 4})`, head);
  if (version !== 4 || head < 20) {
    d.columns('IPv4', version !== 4 ? `bogus IP version ${version}` : `bogus IP header length ${head}`);
    d.payload(at);
    return -1;
  }
  const service = d.note(layer, 'ip.dsfield', 'Differentiated services', at + 1, 1, hex2(d.u8(at + 1)), d.u8(at + 1));
  d.bits(service, 'ip.dsfield.dscp', 'DSCP', at + 1, 1, 0xfc);
  d.bits(service, 'ip.dsfield.ecn', 'ECN', at + 1, 1, 0x03, (x) => ECN[x]);
  d.num(layer, 'ip.len', 'Total length', at + 2, 2);
  d.num(layer, 'ip.id', 'Identification', at + 4, 2, (x) => `${hex4(x)} (${x})`);
  const word = d.u16(at + 6), more = (word & 0x2000) !== 0, offset = (word & 0x1fff) * 8;
  const flags = d.note(layer, 'ip.flags', 'Flags', at + 6, 1, [[0x8000, 'reserved'], [0x4000, "don't fragment"],
    [0x2000, 'more fragments']].filter(([bit]) => (word & Number(bit)) !== 0).map(([, what]) => what).join(', ') || 'none', word >> 13);
  d.bits(flags, 'ip.flags.rb', 'Reserved', at + 6, 1, 0x80);
  d.bits(flags, 'ip.flags.df', "Don't fragment", at + 6, 1, 0x40);
  d.bits(flags, 'ip.flags.mf', 'More fragments', at + 6, 1, 0x20);
  d.note(layer, 'ip.frag_offset', 'Fragment offset', at + 6, 2, `${offset} bytes`, offset / 8);
  d.num(layer, 'ip.ttl', 'Time to live', at + 8, 1);
  const protocol = d.num(layer, 'ip.proto', 'Protocol', at + 9, 1, protocolText);
  const holds = d.left(at) >= head ? onesSum(d.bytes.subarray(at, at + head)) === 0xffff : undefined;
  d.num(layer, 'ip.checksum', 'Header checksum', at + 10, 2, (x) => checksumText(hex4(x), holds));
  const source = d.slice(at + 12, 4), destination = d.slice(at + 16, 4);
  layer.text = `${ipv4Text(source)} > ${ipv4Text(destination)}`;
  d.addresses(ipv4Text(source), ipv4Text(destination));
  d.columns('IPv4', layer.text);
  d.add(layer, 'ip.src', 'Source', at + 12, 4, ipv4Text(source));
  d.add(layer, 'ip.dst', 'Destination', at + 16, 4, ipv4Text(destination));
  if (head > 20) options(d, layer, at + 20, at + head);

  // A total length of 0 is a segmentation offload's: what there is, is the datagram.
  const isShort = total < head && total !== 0, there = d.end - at, end = total === 0 || total > there ? at + there : at + total;
  if (isShort) {
    d.columns('IPv4', `bogus IP length ${total}, less than its header of ${head}`);
    d.note(layer, '', '[Malformed]', at + 2, 2, 'total length is less than the header');
    return -1;
  }
  if (total > there) d.note(layer, '', '[Length]', at + 2, 2, `says ${bytesText(total)}, of which ${there} were on the wire`);
  d.within(end, () => {
    if (offset === 0 && !more) return transport(d, protocol, at + head, { source, destination });
    d.columns('IPv4', `Fragmented IP protocol (proto=${PROTOCOLS[protocol] ?? protocol}, off=${offset}, ID=${pair(d.u8(at + 4))}${pair(d.u8(at + 5))})`);
    // A first fragment has the ports; that the rest is missing is no fault of it.
    if (offset === 0) quote(d, () => transport(d, protocol, at + head, { source, destination }));
    else d.payload(at + head, 'Fragment');
  });
  return end;
}

function options(d: Dissection, parent: Field, from: number, end: number): void {
  d.need(from, end - from);
  const all = d.note(parent, '', 'Options', from, end - from, bytesText(end - from));
  for (let at = from; at < end;) {
    const type = d.u8(at), single = type <= 1, length = single ? 1 : at + 1 < end ? d.u8(at + 1) : 0, name = OPTIONS[type] ?? `Option ${type}`;
    if (length < (single ? 1 : 2) || at + length > end) {
      d.note(all, '', '[Malformed]', at, end - at, `${name}: length ${length}`);
      return;
    }
    d.note(all, '', name, at, length, bytesText(length));
    if (type === 0) return;
    at += length;
  }
}
