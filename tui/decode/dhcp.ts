/** BOOTP and DHCP, RFC 951, 2131 and 2132. */
import type { Dissection, Field } from './dissection.js';
import { bytesText } from './dissection.js';
import { hex4, hex8, hexText, ipv4Text, macText, named, printable, zeroEnded } from './text.js';

const MESSAGES: Readonly<Record<number, string>> = { 1: 'Discover', 2: 'Offer', 3: 'Request', 4: 'Decline', 5: 'ACK', 6: 'NAK', 7: 'Release', 8: 'Inform' };
const COOKIE = 0x63825363;
type Kind = 'ip' | 'ips' | 'text' | 'seconds' | 'u8' | 'u16' | 'list' | 'client';
/** Name, kind, and Wireshark's name of the value. */
const OPTIONS: Readonly<Record<number, readonly [name: string, kind: Kind, key: string]>> = {
  1: ['Subnet mask', 'ip', 'dhcp.option.subnet_mask'], 3: ['Router', 'ips', 'dhcp.option.router'],
    6: ['Domain name server', 'ips', 'dhcp.option.domain_name_server'], 12: ['Host name', 'text', 'dhcp.option.hostname'],
  15: ['Domain name', 'text', 'dhcp.option.domain_name'], 26: ['Interface MTU', 'u16', 'dhcp.option.interface_mtu'],
    28: ['Broadcast address', 'ip', 'dhcp.option.broadcast_address'],
  42: ['NTP servers', 'ips', 'dhcp.option.ntp_server'], 50: ['Requested IP address', 'ip', 'dhcp.option.requested_ip_address'],
    51: ['Lease time', 'seconds', 'dhcp.option.ip_address_lease_time'],
  53: ['Message type', 'u8', 'dhcp.option.dhcp'], 54: ['Server identifier', 'ip', 'dhcp.option.dhcp_server_id'],
    55: ['Parameter request list', 'list', 'dhcp.option.request_list_item'],
  57: ['Maximum message size', 'u16', 'dhcp.option.dhcp_max_message_size'], 58: ['Renewal time', 'seconds', 'dhcp.option.renewal_time_value'],
    59: ['Rebinding time', 'seconds', 'dhcp.option.rebinding_time_value'],
  60: ['Vendor class', 'text', 'dhcp.option.vendor_class_id'], 61: ['Client identifier', 'client', ''],
    66: ['TFTP server name', 'text', 'dhcp.option.tftp_server_name'], 67: ['Boot file name', 'text', 'dhcp.option.bootfile_name'],
};
const nameOf = (x: number): string => `${OPTIONS[x]?.[0] ?? 'unknown'} (${x})`;

export function dhcp(d: Dissection, at: number): void {
  const layer = d.layer('dhcp', 'Dynamic Host Configuration Protocol', at, d.left(at)), operation = d.u8(at), what = operation === 1 ? 'Boot Request'
    : operation === 2 ? 'Boot Reply' : `Operation ${operation}`;
  layer.text = what;
  d.columns('DHCP', what);
  d.num(layer, 'dhcp.type', 'Operation', at, 1, () => what);
  d.num(layer, 'dhcp.hw.type', 'Hardware type', at + 1, 1, (x) => x === 1 ? 'Ethernet (1)' : String(x));
  const hlen = d.num(layer, 'dhcp.hw.len', 'Hardware address length', at + 2, 1);
  d.num(layer, 'dhcp.hops', 'Hops', at + 3, 1);
  const id = d.num(layer, 'dhcp.id', 'Transaction', at + 4, 4, hex8);
  d.num(layer, 'dhcp.secs', 'Seconds', at + 8, 2);
  const flags = d.u16(at + 10);
  d.note(layer, 'dhcp.flags', 'Flags', at + 10, 2, `${hex4(flags)} (${(flags & 0x8000) !== 0 ? 'broadcast' : 'unicast'})`, flags);
  for (const [key, name, from] of [['client', 'Client', 12], ['your', 'Your', 16], ['server', 'Server', 20], ['relay', 'Relay', 24]] as const) {
    d.add(layer, `dhcp.ip.${key}`, `${name} IP address`, at + from, 4, ipv4Text(d.slice(at + from, 4)));
  }
  d.add(layer, hlen === 6 ? 'dhcp.hw.mac_addr' : '', 'Client hardware address', at + 28, Math.min(hlen || 16, 16),
    macText(d.slice(at + 28, Math.min(hlen || 16, 16))));
  for (const [name, from, length] of [['Server name', 44, 64], ['Boot file', 108, 128]] as const) {
    const text = zeroEnded(d.slice(at + from, length));
    d.add(layer, '', name, at + from, length, text === '' ? 'not given' : text);
  }
  d.columns('DHCP', `${what}, transaction ${hex8(id)}`);
  if (d.left(at + 236) < 4 || d.u32(at + 236) !== COOKIE) return d.data(layer, 'Vendor area', at + 236, d.left(at + 236));
  d.note(layer, 'dhcp.cookie', 'Magic cookie', at + 236, 4, 'DHCP', '99.130.83.99');
  options(d, layer, at + 240, hex8(id));
}

function options(d: Dissection, layer: Field, from: number, id: string): void {
  for (let at = from; at < d.end;) {
    const type = d.u8(at);
    if (type === 0 || type === 255) {
      if (type === 255) {
        d.note(layer, '', 'Option 255', at, 1, 'End');
        return d.data(layer, 'Padding', at + 1, d.left(at + 1));
      }
      at++;
      continue;
    }
    const length = d.u8(at + 1), data = at + 2, [name, kind, key] = OPTIONS[type] ?? [`Option ${type}`, undefined, ''];
    const option = d.note(layer, 'dhcp.option.type', `Option ${type}`, at, 2 + length, name, type);
    d.num(option, 'dhcp.option.length', 'Length', at + 1, 1);
    d.need(data, length);
    const one = (text: string, place = data, bytes = length, value?: number): string => {
      d.note(option, key, name, place, bytes, text, value);
      return text;
    };
    let text = '';
    if (kind === 'ip' && length === 4) text = one(ipv4Text(d.slice(data, 4)));
    else if (kind === 'ips') for (let p = data; p + 4 <= data + length; p += 4) text += `${text === '' ? '' : ', '}${one(ipv4Text(d.slice(p, 4)), p, 4)}`;
    else if (kind === 'text') text = one(printable(d.slice(data, length)));
    else if (kind === 'seconds' && length === 4) text = one(`${d.u32(data)} s`, data, 4, d.u32(data));
    else if (kind === 'u16' && length === 2) text = one(String(d.u16(data)), data, 2, d.u16(data));
    else if (type === 53 && length === 1) {
      text = one(named(MESSAGES)(d.u8(data)), data, 1, d.u8(data));
      layer.text = MESSAGES[d.u8(data)] ?? layer.text;
      d.columns('DHCP', `DHCP ${(MESSAGES[d.u8(data)] ?? `message ${d.u8(data)}`).padEnd(8)} - Transaction ID 0x${id.slice(2).replace(/^0+(?=.)/, '')}`);
    } else if (kind === 'list') {
      for (let p = data; p < data + length; p++) one(nameOf(d.u8(p)), p, 1, d.u8(p));
      text = bytesText(length);
    } else if (kind === 'client' && length === 7 && d.u8(data) === 1) {
      d.num(option, 'dhcp.hw.type', 'Hardware type', data, 1);
      text = d.note(option, 'dhcp.hw.mac_addr', 'MAC address', data + 1, 6, macText(d.slice(data + 1, 6))).text;
    } else if (length > 0) text = one(hexText(d.slice(data, length)));
    option.text = `${name}${text === '' ? '' : `: ${text}`}`;
    at = data + length;
  }
}
