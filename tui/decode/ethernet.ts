/**
 * Ethernet II and IEEE 802.3, 802.1Q and 802.1ad tags, LLC and SNAP (IEEE 802.2): which protocol comes next, by EtherType, length,
 * SAP or organisation.
 */
import { arp } from './arp.js';
import type { Dissection, Field } from './dissection.js';
import { bytesText } from './dissection.js';
import { ipv4 } from './ipv4.js';
import { ipv6 } from './ipv6.js';
import { lldp } from './lldp.js';
import { stp } from './stp.js';
import { mpls, pppoe } from './tunnels.js';
import { hex2, hex4, hexText, macText } from './text.js';

/** IEEE 802 numbers (IANA), of what a switch sees. */
export const ETHERTYPES: Readonly<Record<number, string>> = {
  0x0800: 'IPv4', 0x0806: 'ARP', 0x0842: 'Wake-on-LAN', 0x22f3: 'TRILL', 0x8035: 'RARP', 0x809b: 'AppleTalk', 0x8100: '802.1Q VLAN', 0x8137: 'IPX',
    0x86dd: 'IPv6',
  0x8808: 'MAC control', 0x8809: 'Slow protocols', 0x8847: 'MPLS', 0x8848: 'MPLS multicast', 0x8863: 'PPPoE discovery', 0x8864: 'PPPoE session',
    0x888e: '802.1X authentication',
  0x88a8: '802.1ad service VLAN', 0x88b5: 'Local experimental 1', 0x88b6: 'Local experimental 2', 0x88cc: 'LLDP', 0x88e5: 'MACsec',
    0x88e7: 'Provider backbone bridge', 0x88f7: 'PTP',
  0x8902: 'Connectivity fault management', 0x8906: 'FCoE', 0x9000: 'Loopback', 0x9100: 'VLAN, double tagged', 0x9200: 'VLAN, triple tagged',
};
/** For the list's column, as Wireshark has them; others by number. */
const SHORT: Readonly<Record<number, string>> = { 0x0842: 'WOL', 0x809b: 'ATALK', 0x8137: 'IPX', 0x8808: 'MAC CTRL', 0x8809: 'LACP', 0x888e: 'EAPOL',
  0x88e5: 'MACSEC', 0x88f7: 'PTPv2', 0x8902: 'CFM', 0x8906: 'FCoE', 0x9000: 'LOOP' };
const isVlan = (type: number): boolean => type === 0x8100 || type === 0x88a8 || type === 0x9100 || type === 0x9200;
/** Below this, the field is a length (IEEE 802.3); 0x0600 and above are EtherTypes. */
const FIRST_TYPE = 0x0600;

export function ethernet(d: Dissection, at: number): void {
  const layer = d.layer('eth', 'Ethernet', at, 14);
  const to = macText(d.slice(at, 6)), from = macText(d.slice(at + 6, 6));
  layer.text = `${from} > ${to}`;
  address(d, layer, 'eth.dst', 'Destination', at);
  address(d, layer, 'eth.src', 'Source', at + 6);
  d.addresses(from, to);
  d.columns('Ethernet', bytesText(d.end - at));
  // Undefined between 0x05dd and 0x05ff; taken for a length, as everybody does.
  const type = d.u16(at + 12);
  if (type >= FIRST_TYPE) d.num(layer, 'eth.type', 'Type', at + 12, 2, typeText);
  else d.num(layer, 'eth.len', 'Length', at + 12, 2);
  const end = next(d, type, at + 12);
  if (d.quoted || end < 0 || end >= d.end) return;
  const rest = d.left(end);
  if (rest > 0) d.note(layer, '', 'Padding or trailer', end, rest, bytesText(rest));
}

const typeText = (type: number): string => `${ETHERTYPES[type] ?? 'unknown'} (${hex4(type)})`;

function address(d: Dissection, parent: Field, key: string, name: string, at: number): void {
  const first = d.u8(at), field = d.add(parent, key, name, at, 6, macText(d.slice(at, 6)));
  const lg = (first & 2) !== 0 ? 'locally administered' : 'globally unique', ig = (first & 1) !== 0 ? 'group' : 'individual';
  d.note(field, '', 'Kind', at, 1, `${ig}, ${lg}`);
}

/** What follows the type or length at `at`. @returns where its bytes end by its own word; -1: it has none */
function next(d: Dissection, type: number, at: number): number {
  return type >= FIRST_TYPE ? etherType(d, type, at + 2) : length8023(d, type, at + 2);
}

/** @returns where the payload ends by its own word; -1: it has none */
export function etherType(d: Dissection, type: number, at: number): number {
  if (isVlan(type)) return vlan(d, type, at);
  switch (type) {
    case 0x0800: return ipv4(d, at);
    case 0x0806: case 0x8035: return arp(d, at);
    case 0x86dd: return ipv6(d, at);
    case 0x8847: case 0x8848: return mpls(d, at);
    case 0x8863: case 0x8864: return pppoe(d, at, type === 0x8864);
    case 0x88cc: return lldp(d, at);
    default:
      d.columns(SHORT[type] ?? hex4(type), `${ETHERTYPES[type] ?? `EtherType ${hex4(type)}`}, ${bytesText(d.left(at))}`);
      d.payload(at);
      return -1;
  }
}

function vlan(d: Dissection, type: number, at: number): number {
  const service = type === 0x88a8, key = service ? 'ieee8021ad' : 'vlan', id = d.u16(at) & 0xfff;
  const layer = d.layer(key, service ? '802.1ad Service VLAN' : '802.1Q Virtual LAN', at, 4, `PRI: ${d.u16(at) >> 13}, DEI: ${d.u16(at) >> 12 & 1}, ID: ${id}`);
  const size = service ? 1 : 2, shift = service ? 1 : 256;
  d.bits(layer, `${key}.priority`, 'Priority', at, size, 0xe0 * shift,
    (x) => `${['best effort', 'background', 'excellent effort', 'critical applications', 'video', 'voice', 'internetwork control', 'network control'][x]} (${x})`);
  d.bits(layer, `${key}.dei`, 'Drop eligible', at, size, 0x10 * shift);
  d.bits(layer, `${key}.id`, 'VLAN', at, 2, 0x0fff);
  d.columns('VLAN', `VLAN ${id}`);
  const inner = d.u16(at + 2);
  if (inner >= FIRST_TYPE) d.num(layer, service ? '' : 'vlan.etype', 'Type', at + 2, 2, typeText);
  else d.num(layer, service ? '' : 'vlan.len', 'Length', at + 2, 2);
  return next(d, inner, at + 2);
}

function length8023(d: Dissection, length: number, at: number): number {
  const end = at + length;
  // Novell's raw 802.3 has no LLC.
  if (length >= 2 && d.left(at) >= 2 && d.u16(at) === 0xffff) {
    d.columns('IPX', 'Novell raw 802.3');
    d.within(end, () => d.payload(at));
    return end;
  }
  d.within(end, () => llc(d, at));
  return end;
}

const SAPS: Readonly<Record<number, string>> = { 0x00: 'null', 0x06: 'IP', 0x42: 'Spanning tree', 0xaa: 'SNAP', 0xe0: 'NetWare', 0xf0: 'NetBIOS',
  0xfe: 'ISO network layer', 0xff: 'global' };
const CISCO: Readonly<Record<number, string>> = { 0x010b: 'PVSTP+', 0x2000: 'CDP', 0x2003: 'VTP', 0x2004: 'DTP', 0x0111: 'UDLD' };

function llc(d: Dissection, at: number): void {
  const dsap = d.u8(at), ssap = d.u8(at + 1), unnumbered = (d.u8(at + 2) & 3) === 3;
  const head = unnumbered ? 3 : 4;
  const layer = d.layer('llc', 'Logical Link Control', at, head);
  const sap = (x: number): string => `${SAPS[x & 0xfe] ?? 'unknown'} (${hex2(x)})`;
  d.num(layer, 'llc.dsap', 'DSAP', at, 1, sap);
  d.num(layer, 'llc.ssap', 'SSAP', at + 1, 1, sap);
  d.num(layer, unnumbered ? 'llc.control' : '', 'Control', at + 2, head - 2, (x) => unnumbered ? `unnumbered (${hex2(x)})` : hex4(x));
  layer.text = `DSAP ${sap(dsap)}, SSAP ${sap(ssap)}`;
  d.columns('LLC', layer.text);
  const body = at + head;
  if (dsap === 0x42 && ssap === 0x42) return stp(d, body);
  if (dsap !== 0xaa || ssap !== 0xaa) return d.payload(body);

  const oui = d.u24(body), pid = d.u16(body + 3);
  d.add(layer, 'llc.oui', 'Organisation', body, 3, macText(d.slice(body, 3)), oui);
  layer.length = Math.min(head + 5, d.captured - at);
  if (oui === 0) {
    d.num(layer, 'llc.type', 'Type', body + 3, 2, typeText);
    layer.text += `, ${typeText(pid)}`;
    void etherType(d, pid, body + 5);
    return;
  }
  const isCisco = oui === 0x00000c, name = isCisco ? CISCO[pid] : undefined;
  d.num(layer, isCisco ? 'llc.cisco_pid' : '', 'Protocol', body + 3, 2, (x) => `${name ?? 'unknown'} (${hex4(x)})`);
  layer.text += `, ${name ?? hexText(d.slice(body, 5))}`;
  if (name === 'PVSTP+') return stp(d, body + 5);
  d.columns(name ?? 'LLC', name === undefined ? layer.text : `${name}, ${bytesText(d.left(body + 5))}`);
  d.payload(body + 5, name ?? 'Data');
}
