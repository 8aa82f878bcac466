/** UDP, RFC 768; what it carries is told by port. */
import type { Dissection } from './dissection.js';
import { dhcp } from './dhcp.js';
import { dns } from './dns.js';
import { ethernet } from './ethernet.js';
import { checksumHolds, checksumText, type Between } from './internet.js';
import { hex4 } from './text.js';

/** Ports (IANA) of what is named in the list and not decoded. */
const NAMES: Readonly<Record<number, string>> = { 69: 'TFTP', 123: 'NTP', 137: 'NBNS', 161: 'SNMP', 162: 'SNMP', 443: 'QUIC', 514: 'Syslog',
  520: 'RIP', 546: 'DHCPv6', 547: 'DHCPv6', 1701: 'L2TP', 1900: 'SSDP', 2123: 'GTP', 4500: 'UDPENCAP' };

export function udp(d: Dissection, at: number, between: Between): void {
  const from = d.u16(at), to = d.u16(at + 2), length = d.u16(at + 4), layer = d.layer('udp', 'User Datagram Protocol', at, 8, `${from} > ${to}`);
  d.columns('UDP', `${from} > ${to} Len=${Math.max(0, length - 8)}`);
  d.num(layer, 'udp.srcport', 'Source port', at, 2);
  d.num(layer, 'udp.dstport', 'Destination port', at + 2, 2);
  d.num(layer, 'udp.length', 'Length', at + 4, 2);
  const sum = d.u16(at + 6), there = d.end - at;
  const holds = checksumHolds(d, at, length, 17, between);
  d.num(layer, 'udp.checksum', 'Checksum', at + 6, 2, (x) => sum === 0 ? `${hex4(x)}, none` : checksumText(hex4(x), holds));
  if (length < 8 || (length > there && !d.quoted)) {
    d.note(layer, '', '[Malformed]', at + 4, 2, length < 8 ? 'shorter than its own header' : `longer than the ${there} bytes there are`);
    d.columns('UDP', `${from} > ${to}, bad length ${length}`);
    if (length < 8) return;
  }
  d.within(at + length, () => {
    const body = at + 8;
    if (d.end <= body) return;
    const is = (port: number): boolean => from === port || to === port;
    if (is(53)) return dns(d, body, 'DNS');
    if (is(5353)) return dns(d, body, 'MDNS');
    if (is(5355)) return dns(d, body, 'LLMNR');
    if (is(67) || is(68)) return dhcp(d, body);
    if (to === 4789) return vxlan(d, body);
    const name = NAMES[to] ?? NAMES[from];
    if (name !== undefined) d.columns(name, `${name}, ${from} > ${to} Len=${length - 8}`);
    d.payload(body, name ?? 'UDP payload');
  });
}

/** RFC 7348. */
function vxlan(d: Dissection, at: number): void {
  const layer = d.layer('vxlan', 'Virtual eXtensible LAN', at, 8, `VNI ${d.u24(at + 4)}`);
  d.num(layer, 'vxlan.flags', 'Flags', at, 2, hex4);
  d.num(layer, 'vxlan.vni', 'Network identifier', at + 4, 3);
  d.need(at, 8);
  ethernet(d, at + 8);
}
