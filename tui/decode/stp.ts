/** Spanning tree, IEEE 802.1D-2004: configuration and topology change BPDUs, rapid (RST) and multiple (MST, by its regional root). */
import type { Dissection, Field } from './dissection.js';
import { hex2, hex4, macText, named } from './text.js';

const VERSIONS: Readonly<Record<number, string>> = { 0: 'Spanning Tree', 2: 'Rapid Spanning Tree', 3: 'Multiple Spanning Tree', 4: 'Shortest Path Tree' };
const TYPES: Readonly<Record<number, string>> = { 0x00: 'Configuration', 0x02: 'Rapid/Multiple Spanning Tree', 0x80: 'Topology Change Notification' };
const ROLES = ['unknown', 'alternate or backup', 'root', 'designated'];

export function stp(d: Dissection, at: number): void {
  const version = d.u8(at + 2), type = d.u8(at + 3), layer = d.layer('stp', 'Spanning Tree Protocol', at, d.left(at));
  d.columns('STP', TYPES[type] ?? `BPDU type ${hex2(type)}`);
  layer.text = `${VERSIONS[version] ?? `version ${version}`}, ${TYPES[type] ?? hex2(type)}`;
  d.num(layer, 'stp.protocol', 'Protocol', at, 2, hex4);
  d.num(layer, 'stp.version', 'Version', at + 2, 1, named(VERSIONS));
  d.num(layer, 'stp.type', 'BPDU type', at + 3, 1, (x) => `${TYPES[x] ?? 'unknown'} (${hex2(x)})`);
  if (type === 0x80) return;
  if (type !== 0 && type !== 2) return d.data(layer, 'Content', at + 4, d.left(at + 4));

  const bits = d.u8(at + 4), rapid = type === 2, set = [[0x80, 'TC ack'], [0x40, 'agreement'], [0x20, 'forwarding'], [0x10, 'learning'],
    [0x02, 'proposal'], [0x01, 'topology change']]
    .filter(([bit]) => (bits & Number(bit)) !== 0 && (rapid || bit === 0x80 || bit === 0x01)).map(([, name]) => name);
  const flags = d.note(layer, 'stp.flags', 'Flags', at + 4, 1,
    `${hex2(bits)}${set.length > 0 ? ` (${set.join(', ')})` : ''}${rapid ? `, port ${ROLES[bits >> 2 & 3]}` : ''}`, bits);
  d.bits(flags, 'stp.flags.tcack', 'Topology change acknowledged', at + 4, 1, 0x80);
  if (rapid) {
    d.bits(flags, 'stp.flags.agreement', 'Agreement', at + 4, 1, 0x40);
    d.bits(flags, 'stp.flags.forwarding', 'Forwarding', at + 4, 1, 0x20);
    d.bits(flags, 'stp.flags.learning', 'Learning', at + 4, 1, 0x10);
    d.bits(flags, 'stp.flags.port_role', 'Port role', at + 4, 1, 0x0c, (x) => ROLES[x]);
    d.bits(flags, 'stp.flags.proposal', 'Proposal', at + 4, 1, 0x02);
  }
  d.bits(flags, 'stp.flags.tc', 'Topology change', at + 4, 1, 0x01);
  const root = bridge(d, layer, 'stp.root', 'Root', at + 5), cost = d.num(layer, 'stp.root.cost', 'Root path cost', at + 13, 4);
  bridge(d, layer, 'stp.bridge', 'Bridge', at + 17);
  const port = d.num(layer, 'stp.port', 'Port', at + 25, 2, hex4);
  for (const [key, name, from] of [['stp.msg_age', 'Message age', 27], ['stp.max_age', 'Maximum age', 29], ['stp.hello', 'Hello time', 31],
    ['stp.forward', 'Forward delay', 33]] as const) {
    const time = d.u16(at + from) / 256;
    d.note(layer, key, name, at + from, 2, `${time} s`, time);
  }
  const tc = (bits & 1) !== 0 ? 'TC + ' : '';
  d.columns('STP', `${rapid ? version >= 3 ? 'MST.' : 'RST.' : 'Conf.'} ${tc}Root = ${root}  Cost = ${cost}  Port = ${hex4(port)}`);
  if (rapid && d.left(at + 35) > 0) {
    d.num(layer, 'stp.version_1_length', 'Version 1 length', at + 35, 1);
    if (version >= 3 && d.left(at + 36) > 0) d.data(layer, 'MST extension', at + 36, d.left(at + 36));
    else layer.length = Math.min(36, d.left(at));
  } else layer.length = Math.min(35, d.left(at));
  if (!rapid && d.left(at + 35) > 0 && d.end > at + 35) d.data(layer, 'More', at + 35, d.left(at + 35));
}

/** Priority in the upper four bits, an extension (the VLAN, in per-VLAN trees) in the lower twelve, then the MAC. */
function bridge(d: Dissection, layer: Field, key: string, name: string, at: number): string {
  const word = d.u16(at), mac = macText(d.slice(at + 2, 6)), priority = word & 0xf000, extension = word & 0xfff;
  const shown = `${priority}/${extension}/${mac}`, id = d.note(layer, '', `${name} identifier`, at, 8, shown);
  d.note(id, `${key}.prio`, 'Priority', at, 1, String(priority), priority);
  d.note(id, `${key}.ext`, 'Extension', at, 2, String(extension), extension);
  d.note(id, `${key}.hw`, 'MAC', at + 2, 6, mac);
  return shown;
}
