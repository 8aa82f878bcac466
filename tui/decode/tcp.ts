/** TCP, RFC 9293, with the options of RFC 7323, 2018 and 8684 (Multipath, by its subtype's name). */
import type { Dissection, Field } from './dissection.js';
import { bytesText } from './dissection.js';
import { checksumHolds, checksumText, type Between } from './internet.js';
import { dnsOverTcp } from './dns.js';
import { hex4, hexText, printable } from './text.js';

const FLAGS = [[0x001, 'FIN', 'fin'], [0x002, 'SYN', 'syn'], [0x004, 'RST', 'reset'], [0x008, 'PSH', 'push'], [0x010, 'ACK', 'ack'],
  [0x020, 'URG', 'urg'], [0x040, 'ECE', 'ece'], [0x080, 'CWR', 'cwr'], [0x100, 'AE', 'ae']] as const;
const MPTCP = ['MP_CAPABLE', 'MP_JOIN', 'DSS', 'ADD_ADDR', 'REMOVE_ADDR', 'MP_PRIO', 'MP_FAIL', 'MP_FASTCLOSE', 'MP_TCPRST'];

export function tcp(d: Dissection, at: number, between: Between): void {
  const from = d.u16(at), to = d.u16(at + 2), layer = d.layer('tcp', 'Transmission Control Protocol', at, 20);
  layer.text = `${from} > ${to}`;
  d.columns('TCP', layer.text);
  d.num(layer, 'tcp.srcport', 'Source port', at, 2);
  d.num(layer, 'tcp.dstport', 'Destination port', at + 2, 2);
  const sequence = d.num(layer, 'tcp.seq', 'Sequence number', at + 4, 4), ack = d.num(layer, 'tcp.ack', 'Acknowledgement', at + 8, 4);
  const head = (d.u8(at + 12) >> 4) * 4, bits = d.u16(at + 12) & 0xfff, names = FLAGS.filter(([bit]) => (bits & bit) !== 0).map(([, name]) => name);
  d.note(layer, 'tcp.hdr_len', 'Header length', at + 12, 1, `${head} bytes (${head / 4})`, head);
  const flags = d.add(layer, 'tcp.flags', 'Flags', at + 12, 2, `${hex4(bits).replace('0x0', '0x')} (${names.join(', ') || 'none'})`, bits);
  for (const [bit, name, key] of FLAGS) if (bit !== 0x100) d.bits(flags, key === 'ece' ? '' : `tcp.flags.${key}`, name, at + 13, 1, bit);
  const window = d.num(layer, 'tcp.window_size_value', 'Window', at + 14, 2);
  const length = d.end - at - head, holds = checksumHolds(d, at, d.end - at, 6, between);
  d.num(layer, 'tcp.checksum', 'Checksum', at + 16, 2, (x) => checksumText(hex4(x), holds));
  d.num(layer, 'tcp.urgent_pointer', 'Urgent pointer', at + 18, 2);
  let info = `${from} > ${to} [${names.join(', ') || '<None>'}] Seq=${sequence}${(bits & 0x10) !== 0 ? ` Ack=${ack}` : ''} Win=${window} Len=${Math.max(0, length)}`;
  if (head < 20) {
    d.columns('TCP', `${from} > ${to}, bogus TCP header length ${head}`);
    d.note(layer, '', '[Malformed]', at + 12, 1, `a header of ${head} bytes`);
    return;
  }
  layer.length = Math.min(head, d.left(at));
  layer.text += `, Seq: ${sequence}, Ack: ${ack}, Len: ${Math.max(0, length)}`;
  d.columns('TCP', info);
  if (head > 20) info += options(d, layer, at + 20, at + head);
  d.columns('TCP', info);
  const body = at + head, left = d.left(body);
  if (left <= 0) return;
  if (from === 53 || to === 53) return dnsOverTcp(d, body);
  const line = firstLine(d.bytes.subarray(body, body + left));
  if (line !== '') {
    d.columns('HTTP', line);
    d.layer('', 'Hypertext Transfer Protocol', body, left, line);
    return;
  }
  d.payload(body, 'TCP payload');
}

/** The request or status line of HTTP/1 (RFC 9112), if it begins with one. */
function firstLine(bytes: Uint8Array): string {
  const start = printable(bytes.subarray(0, 9));
  if (!/^(GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT|TRACE) |^HTTP\/1\.[01]/.test(start)) return '';
  let end = 0;
  while (end < bytes.length && end < 2048 && bytes[end] !== 13 && bytes[end] !== 10) end++;
  const line = printable(bytes.subarray(0, end), 400);
  return / HTTP\/1\.[01]$|^HTTP\/1\.[01] \d\d\d/.test(line) || end === bytes.length ? line : '';
}

function options(d: Dissection, parent: Field, from: number, end: number): string {
  const all = d.note(parent, 'tcp.options', 'Options', from, end - from, bytesText(end - from));
  let info = '';
  for (let at = from; at < end;) {
    const kind = d.u8(at);
    if (kind <= 1) {
      d.note(all, kind === 0 ? 'tcp.options.eol' : 'tcp.options.nop', kind === 0 ? 'End of options' : 'No operation', at, 1, '', kind);
      if (kind === 0) break;
      at++;
      continue;
    }
    const length = at + 1 < end ? d.u8(at + 1) : 0;
    if (length < 2 || at + length > end) {
      d.note(all, '', '[Malformed]', at, end - at, `option ${kind} of length ${length}`);
      break;
    }
    d.need(at, length);
    const add = (name: string, text: string, key = '', value?: string): Field => d.note(all, key, name, at, length, text, value);
    if (kind === 2 && length === 4) {
      const mss = d.u16(at + 2), option = add('Maximum segment size', `${mss} bytes`, 'tcp.options.mss');
      d.num(option, 'tcp.options.mss_val', 'Size', at + 2, 2);
      info += ` MSS=${mss}`;
    } else if (kind === 3 && length === 3) {
      const shift = d.u8(at + 2), option = add('Window scale', `${shift} (times ${2 ** Math.min(shift, 14)})`, 'tcp.options.wscale');
      d.num(option, 'tcp.options.wscale.shift', 'Shift', at + 2, 1);
      info += ` WS=${2 ** Math.min(shift, 14)}`;
    } else if (kind === 4 && length === 2) {
      add('SACK permitted', '', 'tcp.options.sack_perm', '04:02');
      info += ' SACK_PERM';
    } else if (kind === 5) {
      const blocks = Array.from({ length: (length - 2) >> 3 }, (_, i) => at + 2 + 8 * i),
        option = add('SACK', blocks.map((b) => `${d.u32(b)}-${d.u32(b + 4)}`).join(', '), 'tcp.options.sack');
      for (const b of blocks) {
        d.num(option, 'tcp.options.sack_le', 'Left edge', b, 4);
        d.num(option, 'tcp.options.sack_re', 'Right edge', b + 4, 4);
        info += ` SLE=${d.u32(b)} SRE=${d.u32(b + 4)}`;
      }
    } else if (kind === 8 && length === 10) {
      const value = d.u32(at + 2), echo = d.u32(at + 6), option = add('Timestamps', `value ${value}, echo reply ${echo}`, 'tcp.options.timestamp');
      d.num(option, 'tcp.options.timestamp.tsval', 'Value', at + 2, 4);
      d.num(option, 'tcp.options.timestamp.tsecr', 'Echo reply', at + 6, 4);
      info += ` TSval=${value} TSecr=${echo}`;
    } else if (kind === 30 && length >= 3) {
      const subtype = d.u8(at + 2) >> 4, option = add('Multipath TCP', MPTCP[subtype] ?? `subtype ${subtype}`);
      d.bits(option, 'tcp.options.mptcp.subtype', 'Subtype', at + 2, 1, 0xf0, (x) => `${MPTCP[x] ?? 'unknown'} (${x})`);
      d.data(option, 'Content', at + 3, length - 3);
    } else add(`Option ${kind}`, hexText(d.slice(at + 2, length - 2)));
    at += length;
  }
  return info;
}
