/**
 * Who sent a frame and what it is, in a word each: for tables of talkers and protocols. Every length is checked; what is cut off is
 * named by what there is.
 */

export interface Classified { talker: string; protocol: string }

// IANA's registry of ports, those that people look for.
const SERVICES: Readonly<Record<number, string>> = {
  20: 'FTP data', 21: 'FTP', 22: 'SSH', 23: 'Telnet', 25: 'SMTP', 53: 'DNS', 67: 'DHCP', 68: 'DHCP', 69: 'TFTP', 80: 'HTTP', 88: 'Kerberos', 110: 'POP3', 123: 'NTP', 137: 'NetBIOS', 138: 'NetBIOS',
  139: 'NetBIOS', 143: 'IMAP', 161: 'SNMP', 162: 'SNMP trap', 179: 'BGP', 389: 'LDAP', 443: 'HTTPS', 445: 'SMB', 465: 'SMTPS', 500: 'IKE', 514: 'syslog', 520: 'RIP', 546: 'DHCPv6', 547: 'DHCPv6',
  587: 'SMTP', 636: 'LDAPS', 853: 'DNS over TLS', 993: 'IMAPS', 995: 'POP3S', 1883: 'MQTT', 1900: 'SSDP', 2049: 'NFS', 3306: 'MySQL', 3389: 'RDP', 4500: 'IKE', 4789: 'VXLAN', 5060: 'SIP', 5201: 'iperf3',
  5353: 'mDNS', 5355: 'LLMNR', 5432: 'PostgreSQL', 6081: 'Geneve', 6379: 'Redis', 8080: 'HTTP', 8443: 'HTTPS',
};
const TRANSPORTS: Readonly<Record<number, string>> = {
  1: 'ICMP', 2: 'IGMP', 4: 'IP in IP', 6: 'TCP', 17: 'UDP', 41: 'IPv6 in IP', 47: 'GRE', 50: 'ESP', 51: 'AH', 58: 'ICMPv6', 88: 'EIGRP', 89: 'OSPF', 103: 'PIM', 112: 'VRRP', 132: 'SCTP',
};
const ETHER_TYPES: Readonly<Record<number, string>> = {
  0x0806: 'ARP', 0x0842: 'Wake on LAN', 0x22f0: 'AVTP', 0x8035: 'RARP', 0x8137: 'IPX', 0x8808: 'Pause', 0x8809: 'LACP', 0x8847: 'MPLS', 0x8848: 'MPLS', 0x8863: 'PPPoE', 0x8864: 'PPPoE', 0x888e: '802.1X',
  0x88a4: 'EtherCAT', 0x88cc: 'LLDP', 0x88e5: 'MACsec', 0x88f7: 'PTP', 0x8902: 'CFM', 0x9000: 'Loopback',
};

/** @param bytes the frame's are [offset, offset + captured), from the destination address on */
export function classify(bytes: Uint8Array, offset: number, captured: number): Classified {
  const end = offset + captured, u16 = (at: number): number => at + 2 <= end ? bytes[at] << 8 | bytes[at + 1] : 0;
  const talker = captured >= 12 ? macText(bytes, offset + 6) : 'cut short';
  let at = offset + 12, type = u16(at);
  for (let tags = 0; (type === 0x8100 || type === 0x88a8 || type === 0x9100) && tags < 4; tags++) type = u16(at += 4);
  at += 2;
  if (type === 0x0800 && at + 20 <= end) {
    const header = (bytes[at] & 15) * 4, isFirst = (u16(at + 6) & 0x1fff) === 0;
    return { talker: Array.from(bytes.subarray(at + 12, at + 16)).join('.'), protocol: transport(bytes[at + 9], isFirst ? at + header : end) };
  }
  if (type === 0x86dd && at + 40 <= end) {
    let next = bytes[at + 6], body = at + 40;
    // Hop-by-hop, routing, fragment, destination options (RFC 8200); a later fragment has no ports.
    for (let i = 0; i < 8 && (next === 0 || next === 43 || next === 44 || next === 60) && body + 8 <= end; i++) {
      const isLater = next === 44 && (u16(body + 2) & 0xfff8) !== 0, length = next === 44 ? 8 : (bytes[body + 1] + 1) * 8;
      next = bytes[body];
      body = isLater ? end : body + length;
    }
    return { talker: ipv6Text(bytes, at + 8), protocol: transport(next, body) };
  }
  if (type >= 0x0600) return { talker, protocol: ETHER_TYPES[type] ?? `0x${type.toString(16).padStart(4, '0')}` };
  // 802.2: STP is 42 42 03; SNAP is AA AA 03, then an organisation and its protocol.
  if (u16(at) === 0x4242) return { talker, protocol: 'STP' };
  if (u16(at) === 0xaaaa && u16(at + 3) === 0x0000 && bytes[at + 5] === 0x0c) {
    const cisco = u16(at + 6);
    return { talker, protocol: cisco === 0x2000 ? 'CDP' : cisco === 0x010b ? 'PVST+' : cisco === 0x2004 ? 'DTP' : cisco === 0x0111 ? 'UDLD' : 'SNAP' };
  }
  return { talker, protocol: u16(at) === 0xfefe ? 'IS-IS' : 'LLC' };

  function transport(number: number, body: number): string {
    const name = TRANSPORTS[number] ?? `IP ${number}`;
    if ((number !== 6 && number !== 17 && number !== 132) || body + 4 > end) return name;
    const from = u16(body), to = u16(body + 2);
    // The lower of the two is the service's, mostly.
    const service = SERVICES[Math.min(from, to)] ?? SERVICES[Math.max(from, to)];
    if (service === undefined) return name;
    if (number === 17 && service === 'HTTPS') return 'QUIC (UDP)';
    return `${service} (${name})`;
  }
}

export function macText(bytes: Uint8Array, at: number): string {
  let text = '';
  for (let i = 0; i < 6; i++) text += (i > 0 ? ':' : '') + bytes[at + i].toString(16).padStart(2, '0');
  return text;
}

/** RFC 5952: lower case, the longest run of two or more zero groups as `::`, the first of equals. */
export function ipv6Text(bytes: Uint8Array, at: number): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes[at + 2 * i] << 8 | bytes[at + 2 * i + 1]);
  let best = -1, length = 1;
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && groups[i + n] === 0) n++;
    if (n > length) { best = i; length = n; }
  }
  const hex = (some: readonly number[]): string => some.map((g) => g.toString(16)).join(':');
  return best < 0 ? hex(groups) : `${hex(groups.slice(0, best))}::${hex(groups.slice(best + length))}`;
}
