/** LLDP, IEEE 802.1AB; organisations' TLVs by their name and as bytes, those of 802.1 and 802.3 that switches send in words. */
import type { Dissection, Field } from './dissection.js';
import { bytesText, MALFORMED } from './dissection.js';
import { hex4, hexText, ipv4Text, ipv6Text, macText, named, printable } from './text.js';

const TLVS: Readonly<Record<number, string>> = {
  0: 'End of LLDPDU', 1: 'Chassis id', 2: 'Port id', 3: 'Time to live', 4: 'Port description', 5: 'System name', 6: 'System description',
    7: 'Capabilities', 8: 'Management address', 127: 'Organisation specific',
};
const CHASSIS: Readonly<Record<number, string>> = { 1: 'Chassis component', 2: 'Interface alias', 3: 'Port component', 4: 'MAC address',
  5: 'Network address', 6: 'Interface name', 7: 'Locally assigned' };
const PORT: Readonly<Record<number, string>> = { 1: 'Interface alias', 2: 'Port component', 3: 'MAC address', 4: 'Network address',
  5: 'Interface name', 6: 'Agent circuit id', 7: 'Locally assigned' };
const CAPABILITIES = ['other', 'repeater', 'bridge', 'WLAN access point', 'router', 'telephone', 'DOCSIS cable device', 'station only', 'C-VLAN',
  'S-VLAN', 'two-port MAC relay'];
const ORGANISATIONS: Readonly<Record<number, string>> = { 0x0080c2: 'IEEE 802.1', 0x00120f: 'IEEE 802.3', 0x0012bb: 'TIA (LLDP-MED)',
  0x00000c: 'Cisco', 0x000142: 'Cisco', 0x001b21: 'Intel (DCBX)', 0x000ecf: 'PROFIBUS' };
const OF_8021: Readonly<Record<number, string>> = { 1: 'Port VLAN id', 2: 'Port and protocol VLAN id', 3: 'VLAN name', 4: 'Protocol identity',
  7: 'Link aggregation', 8: 'Congestion notification', 9: 'ETS configuration', 10: 'ETS recommendation', 11: 'Priority flow control',
  12: 'Application priority' };
const OF_8023: Readonly<Record<number, string>> = { 1: 'MAC/PHY configuration', 2: 'Power via MDI', 3: 'Link aggregation', 4: 'Maximum frame size' };

export function lldp(d: Dissection, at: number): number {
  const layer = d.layer('lldp', 'Link Layer Discovery Protocol', at, d.left(at));
  d.columns('LLDP', 'LLDP');
  const said: Record<string, string> = {};
  let p = at;
  for (let done = false; !done && p < d.end;) {
    const head = d.u16(p), type = head >> 9, length = head & 0x1ff, data = p + 2;
    const tlv = d.note(layer, '', TLVS[type] ?? `TLV ${type}`, p, 2 + length, bytesText(length));
    d.note(tlv, 'lldp.tlv.type', 'Type', p, 2, `${TLVS[type] ?? 'reserved'} (${type})`, type);
    d.note(tlv, 'lldp.tlv.len', 'Length', p, 2, String(length), length);
    d.need(data, length);
    d.within(data + length, () => { tlv.text = content(d, tlv, type, data, length, said) || tlv.text; });
    layer.length = Math.min(data + length, d.captured) - at;
    p = data + length;
    done = type === 0;
    d.columns('LLDP', [said['chassis'], said['port'], said['ttl'], said['name'] && `SysN=${said['name']}`, said['description']
      && `SysD=${said['description']}`].filter(Boolean).join(' ') || 'LLDP');
  }
  return p;
}

function content(d: Dissection, tlv: Field, type: number, at: number, length: number, said: Record<string, string>): string {
  const text = (key: string, name: string): string => d.add(tlv, key, name, at, length, printable(d.slice(at, length))).text;
  switch (type) {
    case 1: case 2: {
      const chassis = type === 1, subtype = d.num(tlv, chassis ? 'lldp.chassis.subtype' : 'lldp.port.subtype', 'Subtype', at, 1,
        named(chassis ? CHASSIS : PORT));
      if (length < 2) throw MALFORMED;
      const bytes = d.slice(at + 1, length - 1), isMac = subtype === (chassis ? 4 : 3) && length === 7, isIp = subtype === (chassis ? 5 : 4)
        && length === 6 && bytes[0] === 1;
      const shown = isMac ? macText(bytes) : isIp ? ipv4Text(bytes.subarray(1)) : printable(bytes);
      d.note(tlv, isMac ? (chassis ? 'lldp.chassis.id.mac' : 'lldp.port.id.mac') : isIp ? '' : chassis ? 'lldp.chassis.id' : 'lldp.port.id', 'Id',
        isIp ? at + 2 : at + 1, isIp ? 4 : length - 1, shown);
      said[chassis ? 'chassis' : 'port'] = `${isMac ? 'MA' : isIp ? 'NA' : subtype === (chassis ? 6 : 5) ? 'IN' : chassis ? (subtype === 7 ? 'LA' : 'CC') : subtype === 7 ? 'LA' : subtype === 1 ? 'IA' : 'PC'}/${shown}`;
      return shown;
    }
    case 3: {
      const seconds = d.num(tlv, 'lldp.time_to_live', 'Seconds', at, 2);
      said['ttl'] = String(seconds);
      return `${seconds} s`;
    }
    case 4: return length === 0 ? '' : text('lldp.port.desc', 'Description');
    case 5: return length === 0 ? '' : said['name'] = text('lldp.tlv.system.name', 'Name');
    case 6: return length === 0 ? '' : said['description'] = text('lldp.tlv.system.desc', 'Description');
    case 7: {
      const names = (x: number): string => CAPABILITIES.filter((_, i) => (x & 1 << i) !== 0).join(', ') || 'none';
      d.num(tlv, 'lldp.tlv.system_cap', 'Has', at, 2, (x) => `${hex4(x)} (${names(x)})`);
      const on = d.num(tlv, 'lldp.tlv.enable_system_cap', 'Uses', at + 2, 2, (x) => `${hex4(x)} (${names(x)})`);
      return names(on);
    }
    case 8: {
      const size = d.num(tlv, 'lldp.mgn.address.len', 'Address length', at, 1), subtype = d.num(tlv, 'lldp.mgn.address.subtype', 'Address kind',
        at + 1, 1, named({ 1: 'IPv4', 2: 'IPv6', 6: 'MAC' }));
      if (size < 2 || size + 1 > length) throw MALFORMED;
      const bytes = d.slice(at + 2, size - 1), shown = subtype === 1 && size === 5 ? ipv4Text(bytes) : subtype === 2 && size === 17 ? ipv6Text(bytes)
        : subtype === 6 ? macText(bytes) : hexText(bytes);
      d.note(tlv, subtype === 1 && size === 5 ? 'lldp.mgn.addr.ip4' : subtype === 2 && size === 17 ? 'lldp.mgn.addr.ip6' : '', 'Address', at + 2,
        size - 1, shown);
      const rest = at + 1 + size;
      d.num(tlv, 'lldp.mgn.interface.subtype', 'Interface numbering', rest, 1, named({ 1: 'unknown', 2: 'ifIndex', 3: 'system port number' }));
      d.num(tlv, 'lldp.mgn.interface.number', 'Interface', rest + 1, 4);
      const oid = d.num(tlv, 'lldp.mgn.obj.len', 'Object identifier length', rest + 5, 1);
      if (oid > 0) d.add(tlv, '', 'Object identifier', rest + 6, oid, hexText(d.slice(rest + 6, oid)));
      return shown;
    }
    case 127: return organisation(d, tlv, at, length);
    default: if (length > 0) d.note(tlv, '', 'Content', at, length, hexText(d.slice(at, length)));
      return '';
  }
}

function organisation(d: Dissection, tlv: Field, at: number, length: number): string {
  const oui = d.u24(at), subtype = d.u8(at + 3), body = at + 4, rest = length - 4, who = ORGANISATIONS[oui] ?? macText(d.slice(at, 3));
  d.note(tlv, 'lldp.orgtlv.oui', 'Organisation', at, 3, who, oui);
  const names = oui === 0x0080c2 ? OF_8021 : oui === 0x00120f ? OF_8023 : undefined, name = names?.[subtype] ?? `subtype ${subtype}`;
  d.note(tlv, oui === 0x0080c2 ? 'lldp.ieee.802_1.subtype' : oui === 0x00120f ? 'lldp.ieee.802_3.subtype' : '', 'Subtype', at + 3, 1, name, subtype);
  if (oui === 0x0080c2 && subtype === 1 && rest === 2) return `${who}, ${name}: ${d.num(tlv, 'lldp.ieee.802_1.port_vlan.id', 'VLAN', body, 2)}`;
  if (oui === 0x00120f && subtype === 4 && rest === 2) return `${who}, ${name}: ${d.num(tlv, 'lldp.ieee.802_3.max_frame_size', 'Bytes', body, 2)}`;
  if (oui === 0x0080c2 && subtype === 3 && rest >= 3) {
    const id = d.num(tlv, 'lldp.ieee.802_1.vlan.id', 'VLAN', body, 2), size = d.num(tlv, 'lldp.ieee.802_1.vlan.name_len', 'Name length', body + 2, 1);
    return `${who}, ${name}: ${id} ${d.add(tlv, 'lldp.ieee.802_1.vlan.name', 'Name', body + 3, size, printable(d.slice(body + 3, size))).text}`;
  }
  if (rest > 0) d.note(tlv, '', 'Content', body, rest, hexText(d.slice(body, rest)));
  return `${who}, ${name}`;
}
