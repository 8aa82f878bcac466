/** DNS, RFC 1035 (and mDNS, LLMNR, which look the same); over TCP with its length before it. Compressed names are followed backwards only. */
import type { Dissection, Field } from './dissection.js';
import { MALFORMED } from './dissection.js';
import { hex4, hexText, ipv4Text, ipv6Text, named, printable } from './text.js';

const TYPES: Readonly<Record<number, string>> = {
  1: 'A', 2: 'NS', 5: 'CNAME', 6: 'SOA', 12: 'PTR', 13: 'HINFO', 15: 'MX', 16: 'TXT', 28: 'AAAA', 33: 'SRV', 35: 'NAPTR', 39: 'DNAME', 41: 'OPT',
    43: 'DS', 46: 'RRSIG', 47: 'NSEC', 48: 'DNSKEY', 50: 'NSEC3',
  52: 'TLSA', 64: 'SVCB', 65: 'HTTPS', 251: 'IXFR', 252: 'AXFR', 255: 'ANY', 257: 'CAA',
};
const CODES: Readonly<Record<number, string>> = { 0: 'No error', 1: 'Format error', 2: 'Server failure', 3: 'No such name', 4: 'Not implemented',
  5: 'Refused' };
const OPCODES: Readonly<Record<number, string>> = { 0: 'Standard query', 1: 'Inverse query', 2: 'Server status request',
  4: 'Zone change notification', 5: 'Dynamic update' };
const CLASSES: Readonly<Record<number, string>> = { 1: 'IN', 3: 'CH', 254: 'NONE', 255: 'ANY' };
const typeName = (x: number): string => TYPES[x] ?? `TYPE${x}`;
/** Records that are shown one by one: 65,535 counted ones can be 20 bytes each in a long frame. */
const MOST_RECORDS = 256;

export function dnsOverTcp(d: Dissection, at: number): void {
  const length = d.u16(at);
  d.layer('dns.tcp', 'Length before DNS', at, 2, String(length));
  if (d.left(at + 2) >= 12) dns(d, at + 2, 'DNS');
  else d.payload(at + 2);
}

export function dns(d: Dissection, at: number, protocol: string): void {
  const layer = d.layer('dns', protocol === 'MDNS' ? 'Multicast Domain Name System' : protocol === 'LLMNR' ? 'Link-local Multicast Name Resolution'
    : 'Domain Name System', at, d.left(at));
  d.columns(protocol, protocol);
  const id = d.num(layer, 'dns.id', 'Transaction', at, 2, hex4), word = d.u16(at + 2), answer = word >> 15, opcode = word >> 11 & 15, code = word & 15;
  const what = `${OPCODES[opcode] ?? `Operation ${opcode}`}${answer === 1 ? ' response' : ''}`;
  const flags = d.note(layer, 'dns.flags', 'Flags', at + 2, 2, `${hex4(word)} ${what}${answer === 1 ? `, ${CODES[code] ?? `code ${code}`}` : ''}`, word);
  d.bits(flags, 'dns.flags.response', 'Response', at + 2, 2, 0x8000);
  d.bits(flags, 'dns.flags.opcode', 'Opcode', at + 2, 2, 0x7800, named(OPCODES));
  if (answer === 1) d.bits(flags, protocol === 'DNS' ? 'dns.flags.authoritative' : '', 'Authoritative', at + 2, 2, 0x0400);
  d.bits(flags, 'dns.flags.truncated', 'Truncated', at + 2, 2, 0x0200);
  d.bits(flags, protocol === 'LLMNR' ? '' : 'dns.flags.recdesired', 'Recursion desired', at + 2, 2, 0x0100);
  if (answer === 1) {
    d.bits(flags, protocol === 'LLMNR' ? '' : 'dns.flags.recavail', 'Recursion available', at + 2, 2, 0x0080);
    d.bits(flags, 'dns.flags.rcode', 'Reply code', at + 2, 2, 0x000f, named(CODES));
  }
  const counts = [d.num(layer, 'dns.count.queries', 'Questions', at + 4, 2), d.num(layer, 'dns.count.answers', 'Answers', at + 6, 2),
    d.num(layer, 'dns.count.auth_rr', 'Authority records', at + 8, 2), d.num(layer, 'dns.count.add_rr', 'Additional records', at + 10, 2)];
  let info = `${what} ${hex4(id)}${answer === 1 && code !== 0 ? ` ${CODES[code] ?? `code ${code}`}` : ''}`;
  d.columns(protocol, info);
  layer.text = what;
  let place = at + 12, shown = 0;
  for (let i = 0; i < counts[0] && shown < MOST_RECORDS; i++, shown++) {
    const name = nameAt(d, at, place), type = d.u16(name.end), multicast = protocol === 'MDNS';
    const query = d.note(layer, '', 'Question', place, name.end + 4 - place, `${name.text}: type ${typeName(type)}`);
    d.note(query, 'dns.qry.name', 'Name', place, name.end - place, name.text);
    d.num(query, 'dns.qry.type', 'Type', name.end, 2, named(TYPES));
    if (multicast) d.bits(query, 'dns.qry.class', 'Class', name.end + 2, 2, 0x7fff);
    else d.num(query, 'dns.qry.class', 'Class', name.end + 2, 2, named(CLASSES));
    info += ` ${typeName(type)} ${name.text}`;
    if (!answer || info.length < 200) d.columns(protocol, info);
    place = name.end + 4;
  }
  ['Answer', 'Authority', 'Additional'].forEach((section, s) => {
    for (let i = 0; i < counts[s + 1] && shown < MOST_RECORDS; i++, shown++) {
      const record = resource(d, layer, at, place, section, protocol);
      if (s <= 1) info += ` ${record.text}`;
      d.columns(protocol, info);
      place = record.end;
    }
  });
}

function resource(d: Dissection, layer: Field, message: number, at: number, section: string, protocol: string): { end: number; text: string } {
  const name = nameAt(d, message, at), head = name.end, type = d.u16(head), length = d.u16(head + 8), data = head + 10, end = data + length;
  d.need(data, length);
  const record = d.note(layer, '', section, at, end - at, ''), isOption = type === 41;
  d.note(record, 'dns.resp.name', 'Name', at, head - at, name.text);
  d.num(record, 'dns.resp.type', 'Type', head, 2, named(TYPES));
  if (isOption) {
    // EDNS (RFC 6891) has other things in the class and the time to live.
    d.num(record, 'dns.rr.udp_payload_size', 'UDP payload size', head + 2, 2);
    d.num(record, 'dns.resp.ext_rcode', 'Higher bits of the reply code', head + 4, 1);
    d.num(record, 'dns.resp.edns0_version', 'EDNS version', head + 5, 1);
  } else {
    if (protocol === 'MDNS') d.bits(record, 'dns.resp.class', 'Class', head + 2, 2, 0x7fff);
    else d.num(record, 'dns.resp.class', 'Class', head + 2, 2, named(CLASSES));
    d.num(record, 'dns.resp.ttl', 'Time to live', head + 4, 4, (x) => `${x} s`);
  }
  d.num(record, 'dns.resp.len', 'Data length', head + 8, 2);
  const value = d.end < end ? '' : content(d, record, type, message, data, length);
  const text = isOption ? 'OPT' : `${typeName(type)}${value === '' ? '' : ` ${value}`}`;
  record.text = `${name.text}: type ${text}`;
  return { end, text };
}

/** A record's data in words, and its fields. */
function content(d: Dissection, record: Field, type: number, message: number, at: number, length: number): string {
  const one = (key: string, name: string, text: string, from = at, bytes = length): string => {
    d.add(record, key, name, from, bytes, text);
    return text;
  };
  const domain = (from: number): { text: string; end: number } => {
    const name = nameAt(d, message, from);
    if (name.end > at + length) throw MALFORMED;
    return name;
  };
  if (length === 0) return '';
  switch (type) {
    case 1: return length === 4 ? one('dns.a', 'Address', ipv4Text(d.slice(at, 4))) : '';
    case 28: return length === 16 ? one('dns.aaaa', 'Address', ipv6Text(d.slice(at, 16))) : '';
    case 2: return one('dns.ns', 'Name server', domain(at).text);
    case 5: return one('dns.cname', 'Canonical name', domain(at).text);
    case 12: return one('dns.ptr.domain_name', 'Domain name', domain(at).text);
    case 6: {
      const primary = domain(at), mailbox = domain(primary.end), numbers = mailbox.end;
      one('dns.soa.mname', 'Primary name server', primary.text, at, primary.end - at);
      one('dns.soa.rname', 'Mailbox', mailbox.text, primary.end, mailbox.end - primary.end);
      d.need(numbers, 20);
      d.num(record, 'dns.soa.serial_number', 'Serial number', numbers, 4);
      d.num(record, 'dns.soa.refresh_interval', 'Refresh interval', numbers + 4, 4, (x) => `${x} s`);
      d.num(record, 'dns.soa.retry_interval', 'Retry interval', numbers + 8, 4, (x) => `${x} s`);
      d.num(record, 'dns.soa.expire_limit', 'Expire limit', numbers + 12, 4, (x) => `${x} s`);
      d.num(record, '', 'Minimum TTL', numbers + 16, 4, (x) => `${x} s`);
      return primary.text;
    }
    case 15: {
      const preference = d.num(record, 'dns.mx.preference', 'Preference', at, 2), exchange = domain(at + 2);
      return `${preference} ${one('dns.mx.mail_exchange', 'Mail exchange', exchange.text, at + 2, length - 2)}`;
    }
    case 16: {
      let text = '';
      for (let p = at; p < at + length;) {
        const n = d.u8(p);
        if (p + 1 + n > at + length) throw MALFORMED;
        d.note(record, 'dns.txt', 'Text', p + 1, n, printable(d.slice(p + 1, n)));
        if (text === '') text = printable(d.slice(p + 1, n), 80);
        p += 1 + n;
      }
      return text === '' ? '' : `"${text}"`;
    }
    case 33: {
      d.need(at, 7);
      d.num(record, 'dns.srv.priority', 'Priority', at, 2);
      d.num(record, 'dns.srv.weight', 'Weight', at + 2, 2);
      const port = d.num(record, 'dns.srv.port', 'Port', at + 4, 2);
      return `${one('dns.srv.target', 'Target', domain(at + 6).text, at + 6, length - 6)}:${port}`;
    }
    default: one('', 'Data', hexText(d.slice(at, length)));
      return '';
  }
}

/**
 * A name, and where it ends in place. A pointer must lead to before where the part of the name began that it ends: that is what
 * RFC 1035 section 4.1.4 calls a prior occurrence, and it makes loops impossible.
 */
function nameAt(d: Dissection, message: number, at: number): { text: string; end: number } {
  let p = at, end = -1, text = '', lowest = at, length = 0;
  for (;;) {
    const n = d.u8(p);
    if (n === 0) return { text: text === '' ? '<Root>' : text, end: end < 0 ? p + 1 : end };
    if ((n & 0xc0) === 0xc0) {
      const to = message + (d.u16(p) & 0x3fff);
      if (end < 0) end = p + 2;
      if (to >= lowest) throw MALFORMED;
      p = lowest = to;
      continue;
    }
    if ((n & 0xc0) !== 0) throw MALFORMED;
    length += n + 1;
    if (length > 255) throw MALFORMED;
    text += `${text === '' ? '' : '.'}${printable(d.slice(p + 1, n))}`;
    p += 1 + n;
  }
}
