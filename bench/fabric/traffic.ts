/**
 * What flows through the fabric: stations spread evenly over the ports, each frame from a random station of its port to a random
 * one of another port, and what is behind the addresses. Made from a fixed seed: every run, and every contestant, sees the same.
 */
import { HEAD_BYTES, TEMPLATE_BYTES, type SourcePortTraffic } from '../../native/bench_source.js';

export interface TrafficOptions {
  readonly ports: number;
  readonly macs: number;
  /** Only port 0 gives frames, after the others have told of their stations. */
  readonly oneWay?: boolean;
}

/** xorshift32 (Marsaglia, 2003): enough for traffic. */
export function randomFrom(seed: number): (below: number) => number {
  let x = seed >>> 0 || 1;
  return (below) => {
    x ^= x << 13; x >>>= 0;
    x ^= x >>> 17;
    x ^= x << 5; x >>>= 0;
    return x % below;
  };
}

/** Station s, locally administered: 02:00:00 and its number. */
function putMac(to: Uint8Array, at: number, station: number): void {
  to[at] = 0x02;
  to[at + 3] = station >>> 16;
  to[at + 4] = station >>> 8;
  to[at + 5] = station;
}

/** Station s is behind port s mod ports. Each port's heads: one from each of its stations, then the traffic. */
export function traffic({ ports, macs, oneWay = false }: TrafficOptions): SourcePortTraffic[] {
  const random = randomFrom(7), each = Math.max(1024, Math.ceil(2 * macs / ports));
  return Array.from({ length: ports }, (_, port) => {
    const own = Math.floor((macs - port + ports - 1) / ports), gives = !oneWay || port === 0;
    const heads = new Uint8Array((own + (gives ? each : 0)) * HEAD_BYTES);
    for (let i = 0; i < heads.length / HEAD_BYTES; i++) {
      const at = i * HEAD_BYTES, teach = i < own;
      const to = (port + 1 + random(ports - 1)) % ports, others = Math.floor((macs - to + ports - 1) / ports);
      putMac(heads, at, to + random(others) * ports);
      putMac(heads, at + 6, port + (teach ? i : random(own)) * ports);
    }
    return { teach: own, heads };
  });
}

/** Frames of the given sizes (without FCS), EtherType 0x88B5, one template each. */
export function plainTemplates(sizes: readonly number[]): { templates: Uint8Array; lengths: Uint32Array } {
  const templates = new Uint8Array(sizes.length * TEMPLATE_BYTES);
  for (let i = 0; i < sizes.length; i++) {
    for (let k = 14; k < sizes[i]; k++) templates[i * TEMPLATE_BYTES + k] = k;
    templates.set([0x88, 0xb5], i * TEMPLATE_BYTES + 12);
  }
  return { templates, lengths: Uint32Array.from(sizes) };
}

/** Of these, `SELECTED_BY` takes one in a hundred. */
export const FOUR_TERMS = 'ip and udp and dst port 53 and src net 10.1.0.0/16';

/**
 * Mixed traffic, a hundred templates in random order: 40 TCP segments of 60 bytes, 25 of 1514, 15 UDP datagrams of 200, of them
 * one DNS query from 10.1/16 and four from elsewhere, 10 ARP, 10 IPv6 of 576. Checksums are left zero: no filter looks.
 */
export function mixedTemplates(): { templates: Uint8Array; lengths: Uint32Array } {
  const kinds = [
    ...Array<Uint8Array>(40).fill(ipv4(60, 6, [10, 2, 0, 1], 443)), ...Array<Uint8Array>(25).fill(ipv4(1514, 6, [10, 1, 0, 9], 80)),
    ...Array<Uint8Array>(10).fill(ipv4(200, 17, [10, 1, 0, 7], 4500)), ...Array<Uint8Array>(4).fill(ipv4(200, 17, [192, 168, 0, 7], 53)), ipv4(200, 17, [10, 1, 3, 7], 53),
    ...Array<Uint8Array>(10).fill(frame(60, 0x0806)), ...Array<Uint8Array>(10).fill(frame(576, 0x86dd)),
  ];
  const random = randomFrom(11), templates = new Uint8Array(kinds.length * TEMPLATE_BYTES), lengths = new Uint32Array(kinds.length);
  for (let i = kinds.length - 1; i >= 0; i--) {
    const [one] = kinds.splice(random(kinds.length), 1);
    templates.set(one, i * TEMPLATE_BYTES);
    lengths[i] = one.length;
  }
  return { templates, lengths };
}

function frame(bytes: number, etherType: number): Uint8Array {
  const f = new Uint8Array(bytes);
  f.set([etherType >>> 8, etherType & 0xff], 12);
  return f;
}

/** Enough of RFC 791, 768 and 9293 for a filter: version, length, protocol, addresses, ports. */
function ipv4(bytes: number, protocol: number, source: readonly number[], destinationPort: number): Uint8Array {
  const f = frame(bytes, 0x0800), total = bytes - 14;
  f.set([0x45, 0, total >>> 8, total & 0xff], 14);
  f.set([64, protocol], 22);
  f.set(source, 26);
  f.set([10, 9, 9, 9], 30);
  f.set([0x30, 0x39, destinationPort >>> 8, destinationPort & 0xff], 34);
  return f;
}
