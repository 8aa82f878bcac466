/** ICMP, RFC 792 and its followers; the packet that an error quotes is decoded too, as far as it is there. */
import type { Dissection } from './dissection.js';
import { CUT, MALFORMED } from './dissection.js';
import { checksumText, onesSum } from './internet.js';
import { ipv4 } from './ipv4.js';
import { hex4, ipv4Text, named } from './text.js';

export const ECHO_REPLY = 0, UNREACHABLE = 3, REDIRECT = 5, ECHO = 8, EXCEEDED = 11, PARAMETER = 12;
const TYPES: Readonly<Record<number, string>> = {
  0: 'Echo (ping) reply', 3: 'Destination unreachable', 4: 'Source quench', 5: 'Redirect', 8: 'Echo (ping) request', 9: 'Router advertisement',
    10: 'Router solicitation',
  11: 'Time-to-live exceeded', 12: 'Parameter problem', 13: 'Timestamp request', 14: 'Timestamp reply', 17: 'Address mask request', 18: 'Address mask reply',
};
const CODES: Readonly<Record<number, Readonly<Record<number, string>>>> = {
  3: {
    0: 'Network unreachable', 1: 'Host unreachable', 2: 'Protocol unreachable', 3: 'Port unreachable', 4: 'Fragmentation needed',
      5: 'Source route failed', 6: 'Network unknown', 7: 'Host unknown',
    9: 'Network administratively prohibited', 10: 'Host administratively prohibited', 13: 'Communication administratively filtered',
  },
  5: { 0: 'Redirect for network', 1: 'Redirect for host', 2: 'Redirect for service and network', 3: 'Redirect for service and host' },
  11: { 0: 'Time to live exceeded in transit', 1: 'Fragment reassembly time exceeded' },
};

export function icmp(d: Dissection, at: number): void {
  const length = d.end - at, layer = d.layer('icmp', 'Internet Control Message Protocol', at, d.left(at)), type = d.u8(at), code = d.u8(at + 1);
  const what = TYPES[type] ?? `Type ${type}`, why = CODES[type]?.[code];
  layer.text = why ?? what;
  d.columns('ICMP', why === undefined ? what : `${what} (${why})`);
  d.num(layer, 'icmp.type', 'Type', at, 1, named(TYPES));
  d.num(layer, 'icmp.code', 'Code', at + 1, 1, (x) => why === undefined ? String(x) : `${why} (${x})`);
  const holds = d.left(at) >= length ? onesSum(d.bytes.subarray(at, at + length)) === 0xffff : undefined;
  d.num(layer, 'icmp.checksum', 'Checksum', at + 2, 2, (x) => checksumText(hex4(x), holds));
  if (type === ECHO || type === ECHO_REPLY || type === 13 || type === 14 || type === 17 || type === 18) {
    const id = d.num(layer, 'icmp.ident', 'Identifier', at + 4, 2, (x) => `${x} (${hex4(x)})`),
      sequence = d.num(layer, 'icmp.seq', 'Sequence number', at + 6, 2, (x) => `${x} (${hex4(x)})`);
    d.columns('ICMP', `${what}  id=${hex4(id)}, seq=${sequence}`);
    d.data(layer, 'Data', at + 8, d.left(at + 8));
    return;
  }
  if (type === REDIRECT) d.add(layer, 'icmp.redir_gw', 'Gateway', at + 4, 4, ipv4Text(d.slice(at + 4, 4)));
  else if (type === UNREACHABLE && code === 4) d.num(layer, 'icmp.mtu', 'MTU of next hop', at + 6, 2);
  else if (type === PARAMETER) d.num(layer, 'icmp.pointer', 'Pointer', at + 4, 1);
  if (type === UNREACHABLE || type === EXCEEDED || type === PARAMETER || type === REDIRECT || type === 4) {
    layer.length = Math.min(8, d.left(at));
    quote(d, () => ipv4(d, at + 8));
  } else d.data(layer, 'Data', at + 4, d.left(at + 4));
}

/** Decodes the beginning of a packet in an error about it: that it ends early is how it must be. */
export function quote(d: Dissection, decode: () => void): void {
  const { end, quoted } = d;
  d.quoted = true;
  try { decode(); }
  catch (stop) { if (stop !== CUT && stop !== MALFORMED) throw stop; }
  d.quoted = quoted;
  d.end = end;
}
