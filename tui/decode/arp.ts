/** ARP and RARP, RFC 826 and 903: for Ethernet and IPv4 in words, for others as bytes. */
import type { Dissection } from './dissection.js';
import { hex4, hexText, ipv4Text, macText, named } from './text.js';

const OPERATIONS: Readonly<Record<number, string>> = { 1: 'request', 2: 'reply', 3: 'reverse request', 4: 'reverse reply', 8: 'inverse request',
  9: 'inverse reply' };

export function arp(d: Dissection, at: number): number {
  const hardware = d.u16(at), protocol = d.u16(at + 2), hlen = d.u8(at + 4), plen = d.u8(at + 5), op = d.u16(at + 6);
  const end = at + 8 + 2 * (hlen + plen), name = op === 3 || op === 4 ? 'RARP' : 'ARP';
  const layer = d.layer('arp', 'Address Resolution Protocol', at, end - at, OPERATIONS[op] ?? `operation ${op}`);
  d.columns(name, layer.text);
  d.num(layer, 'arp.hw.type', 'Hardware type', at, 2, named({ 1: 'Ethernet', 6: 'IEEE 802' }));
  d.num(layer, 'arp.proto.type', 'Protocol type', at + 2, 2, (x) => x === 0x800 ? `IPv4 (${hex4(x)})` : hex4(x));
  d.num(layer, 'arp.hw.size', 'Hardware size', at + 4, 1);
  d.num(layer, 'arp.proto.size', 'Protocol size', at + 5, 1);
  d.num(layer, 'arp.opcode', 'Operation', at + 6, 2, named(OPERATIONS));
  const known = hardware === 1 && protocol === 0x800 && hlen === 6 && plen === 4;
  if (!known) {
    for (const [what, from, length] of [['Sender hardware', at + 8, hlen], ['Sender protocol', at + 8 + hlen, plen],
      ['Target hardware', at + 8 + hlen + plen, hlen], ['Target protocol', at + 8 + 2 * hlen + plen, plen]] as const) {
      if (length > 0) d.add(layer, '', `${what} address`, from, length, hexText(d.slice(from, length)));
    }
    return end;
  }
  const sender = ipv4Text(d.slice(at + 14, 4)), target = ipv4Text(d.slice(at + 24, 4)), mac = macText(d.slice(at + 8, 6));
  d.add(layer, 'arp.src.hw_mac', 'Sender MAC address', at + 8, 6, mac);
  d.add(layer, 'arp.src.proto_ipv4', 'Sender IP address', at + 14, 4, sender);
  d.add(layer, 'arp.dst.hw_mac', 'Target MAC address', at + 18, 6, macText(d.slice(at + 18, 6)));
  d.add(layer, 'arp.dst.proto_ipv4', 'Target IP address', at + 24, 4, target);
  const about = sender === target && (op === 1 || op === 2);
  d.columns(name, about ? `${op === 1 ? 'ARP Announcement' : 'Gratuitous ARP'} for ${sender}${op === 1 ? '' : ' (Reply)'}`
    : op === 1 ? sender === '0.0.0.0' ? `Who has ${target}? (ARP Probe)` : `Who has ${target}? Tell ${sender}`
    : op === 2 ? `${sender} is at ${mac}` : `${OPERATIONS[op] ?? `operation ${op}`}: ${sender} (${mac}) for ${target}`);
  return end;
}
