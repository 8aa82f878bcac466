/**
 * The decoders of the inspector, held to tshark field by field (value, place and length) over all captures of this repository, and to
 * their promises on anything: no exception, no byte outside the frame, nothing but printable ASCII.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from './properties.js';
import { decodeFrame, type Decoded, type Field } from '../tui/decode/index.js';
import { PcapWriter } from '../logger/capture/index.js';
import { CAPTURES, hex, hi, lo, read, run, written, type Read } from './capture_file.js';
import { has } from './needs.js';

const all = (fields: readonly Field[]): Field[] => fields.flatMap((f) => [f, ...all(f.children)]);
const decode = (bytes: Uint8Array, wire = bytes.length): Decoded => decodeFrame(bytes, 0, bytes.length, wire);
const lines = (d: Decoded): string[] => d.layers.map((l) => `${l.name}: ${l.text}`);
const named = (d: Decoded, key: string): string[] => all(d.layers).filter((f) => f.key === key).map((f) => String(f.value ?? f.text));

const FILES = [...readdirSync(CAPTURES).filter((f) => f.endsWith('.pcap')), ...readdirSync(join(CAPTURES,
  'pcapng/le')).filter((f) => !f.includes('901')).map((f) => `pcapng/le/${f}`),
  ...['arp-too-long-tha', 'heapoverflow-ip_demux_print', 'ip6_frag_asan', 'stp-heapoverflow-1'].map((f) => `malformed/${f}.pcap`)];
const ETHERNET = 1;
/** Those with frames. */
const corpus = new Map<string, Read[]>(FILES.map((file) => [file, read(join(CAPTURES, file)).frames] as const).filter(([,
  list]) => list.some((f) => f.linkType === ETHERNET)));
const frames = [...corpus.values()].flat().filter((f) => f.linkType === ETHERNET);

/** What must hold of any frame. */
function soundness(bytes: Uint8Array, wire: number): string {
  const d = decode(bytes, wire);
  for (const f of all(d.layers)) {
    if (!(f.at >= 0 && f.length >= 0 && f.at + f.length <= bytes.length)) return `${f.name} at ${f.at}, ${f.length} bytes, of ${bytes.length}`;
    if (!/^[\x20-\x7e]*$/.test(f.name + f.text + f.key)) return `${f.name}: ${JSON.stringify(f.text)}`;
  }
  for (const text of [d.source, d.destination, d.protocol, d.info]) if (!/^[\x20-\x7e]*$/.test(text)) return JSON.stringify(text);
  return d.layers.length > 0 && d.protocol !== '' ? '' : 'nothing to show';
}

test('whatever the bytes are: no exception, no field outside the frame, nothing but printable ASCII', (t) => {
  t.true(frames.length > 900);
  // Headers that lead deep, then anything.
  const starts = ['', '0800', '86dd', '0806', '8100000108004500', '88a8000181000002', '88cc', '0026424203', '0800450000ff000000004011',
    '08004500ffff00000000402f', '86dd60000000ffff00ff',
    '8864110000010fff0021', '8847000001ff45', '0800450002000000000040110000000000000000000000350035020000000000010000010001'].map(hex);
  fc.assert(fc.property(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 400 }), fc.nat(70000), (start, rest, wire) => {
    const problem = soundness(Buffer.concat([hex('02000000000102000000000a'), start, rest]), wire);
    if (problem !== '') throw new Error(problem);
  }), { numRuns: 4000 });
});

test('a real frame cut anywhere, or with bytes changed, is still decoded as far as it goes', (t) => {
  fc.assert(fc.property(fc.nat(frames.length - 1), fc.nat(1514), fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 6 }), (n, cut, changes) => {
    const bytes = Buffer.from(frames[n].data.subarray(0, cut)), wire = Math.min(frames[n].wire, 70000);
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    const problem = soundness(bytes, wire);
    if (problem !== '') throw new Error(problem);
  }), { numRuns: 6000 });
  t.pass();
});

test('a header that ends behind what was captured, and one behind the frame, begin no layer there', (t) => {
  const packet = (length: number): Buffer => Buffer.concat([hex('33330000001608002746e88486dd6000000000600001fe800000000000000a0027fffe46e884ff0200000000000000000000000000163a'),
    Buffer.of(length), hex('0502000001008f0065250000000404000000'), Buffer.alloc(33)]);
  t.is(soundness(packet(6), 150), '');
  t.like(decode(packet(6), 150), { stopped: 'cut' });
  t.is(soundness(packet(0xff), 107), '');
  t.like(decode(packet(0xff), 107), { stopped: 'malformed' });
});

test('every captured frame cut at every length says that it was cut, and never that it is malformed', (t) => {
  const some = frames.filter((f, i) => i % 29 === 0 && decode(f.data, f.wire).stopped === '' && f.data.length === f.wire);
  t.true(some.length > 20);
  let said = 0;
  for (const f of some) {
    for (let cut = 0; cut < f.data.length; cut++) {
      const d = decode(f.data.subarray(0, cut), f.wire);
      if (d.stopped === 'malformed') return t.fail(`${lines(d).join(' | ')} cut at ${cut}`);
      if (d.stopped === 'cut') said++;
    }
  }
  t.true(said > 1000);
});

test('headers that lie are called malformed, where they lie', (t) => {
  const eth = '020000000001 020000000002';
  const short = decode(hex(`${eth} 0800 45000014 00000000 40060000 0a000001 0a000002`));
  t.is(short.stopped, 'malformed');
  t.regex(short.info, /Malformed/);
  // A DNS name that points at itself.
  const loop = decode(hex(`${eth} 0800 4500002e 00000000 40110000 0a000001 0a000002 00350035 001a0000 00018000 0001000000000000 c00c 0001 0001`));
  t.is(loop.stopped, 'malformed');
  t.deepEqual(named(loop, 'dns.id'), ['1']);
  const option = decode(hex(`${eth} 0800 46000018 00000000 40ff0000 0a000001 0a000002 07ff0000`));
  t.true(all(option.layers).some((f) => f.name === '[Malformed]' && f.at === 34));
  // IP in IP in IP …: no deeper than the limit, whatever the frame's length.
  const deep = Buffer.concat([hex(`${eth} 0800`), ...Array.from({ length: 3000 }, () => hex('4500ffff 00000000 40040000 0a000001 0a000002'))]);
  t.is(decode(deep).stopped, 'malformed');
});

test('control characters in names come out as \\xNN, not as themselves', (t) => {
  const name = '071b5b324a410a7f00', dns = `0001 0100 0001 0000 0000 0000 ${name} 0001 0001`, length = hex(dns).length;
  const d = decode(hex(`020000000001 020000000002 0800 4500 ${(28 + length).toString(16).padStart(4, '0')} 00000000 40110000 0a000001 0a000002 10000035 ${(8 + length).toString(16).padStart(4, '0')} 0000 ${dns}`));
  t.deepEqual(named(d, 'dns.qry.name'), ['\\x1b[2JA\\x0a\\x7f']);
});

interface Shark { readonly key: string; readonly at: number; readonly length: number; readonly show: string }
interface SharkFrame { readonly fields: Shark[]; source: string; destination: string; protocol: string; info: string }

/** Without names, and without what other frames say of this one. */
const ALONE = ['ip.defragment:FALSE', 'ipv6.defragment:FALSE', 'tcp.desegment_tcp_streams:FALSE', 'tcp.relative_sequence_numbers:FALSE',
  'tcp.analyze_sequence_numbers:FALSE', 'tcp.calculate_timestamps:FALSE',
  'ip.check_checksum:FALSE', 'tcp.check_checksum:FALSE', 'udp.check_checksum:FALSE',
    'gui.column.format:"Source","%s","Destination","%d","Protocol","%p","Info","%i"'].flatMap((o) => ['-o', o]);

/** All frames through tshark, as one file: it takes longer to start than to decode. */
async function shark(): Promise<SharkFrame[]> {
  const file = written((sink) => {
    const w = new PcapWriter(sink);
    frames.forEach((f, i) => w.frame(hi(BigInt(i) * 1_000_000_000n), lo(BigInt(i) * 1_000_000_000n), f.data, 0, f.data.length, f.wire));
  });
  const { stdout } = await run('tshark', ['-n', '-r', file, ...ALONE, '-T', 'pdml'], { maxBuffer: 1 << 29, env: { ...process.env, LC_ALL: 'C.UTF-8' } });
  const columns = (await run('tshark', ['-n', '-r', file, ...ALONE, '-T', 'fields', '-e', '_ws.col.Source', '-e', '_ws.col.Destination', '-e',
    '_ws.col.Protocol', '-e', '_ws.col.Info'],
    { maxBuffer: 1 << 29, env: { ...process.env, LC_ALL: 'C.UTF-8' } })).stdout.split('\n');
  const text = (s: string): string => s.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&#x27;',
    "'").replaceAll('&amp;', '&');
  return stdout.split('<packet>').slice(1).map((packet, i) => {
    const fields: Shark[] = [];
    for (const [, attributes] of packet.matchAll(/<(?:field|proto) ([^>]*)>/g)) {
      const a = Object.fromEntries([...attributes.matchAll(/(\w+)="([^"]*)"/g)].map(([, k, v]) => [k, text(v)]));
      fields.push({ key: a['name'], at: Number(a['pos']), length: Number(a['size']), show: a['show'] ?? '' });
    }
    const [source, destination, protocol, info] = columns[i].split('\t');
    return { fields, source, destination, protocol, info };
  });
}

/** Numbers as numbers, truth values as 0 and 1, everything else as it is. */
const plain = (x: string): string => /^0x[0-9a-f]+$/i.test(x) ? String(Number(x)) : /^\d+$/.test(x) ? String(Number(x)) : x === 'True' ? '1'
  : x === 'False' ? '0'
  : x.toLowerCase().replaceAll(/[^\x20-\x7e]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);

/** Columns that must be the same, by what theirs says; of the information, by the protocol. */
const ALIKE = { source: /./, destination: /./, protocol: /^(ARP|ICMP|ICMPv6|IPv6|UDP|DNS|MDNS|LLDP|STP|DHCP|VRRP|IGMP)$/,
  info: /^(ARP|DNS|MDNS|LLDP|STP|DHCP)$/ };
/** What is not decoded here, and holds addresses that tshark shows: a vendor's tag, L2TP. */
const UNKNOWN = /^(0xd28b|L2TP)$/;

if (has('decoders beside tshark', 'tshark')) {
  test('every field is where tshark has it, as long, and says the same, over all captures', async (t) => {
    t.timeout(250_000);
    const known = new Set(frames.flatMap((f) => all(decode(f.data, f.wire).layers)).map((f) => f.key));
    const wrong = new Map<string, string[]>(), seen = new Map<string, number>(), columns = { source: 0, destination: 0, protocol: 0, info: 0 },
      protocols = new Map<string, number>();
    const theirs = await shark();
    let count = 0;
    t.is(theirs.length, frames.length);
    for (const [file, list] of corpus) {
      list.forEach((frame, i) => {
        if (frame.linkType !== ETHERNET) return;
        const ours = decode(frame.data, frame.wire), their = theirs[count++], mine = new Set(all(ours.layers).map((f) => `${f.key} ${f.at}`)),
          complain = (what: string, how: string): void => {
          wrong.set(what, [...wrong.get(what) ?? [], `${file} #${i + 1}: ${how}`]);
        };
        for (const f of all(ours.layers)) {
          if (f.key === '' || f.key.startsWith('_ws.')) continue;
          const same = their.fields.filter((s) => s.key === f.key), there = same.find((s) => s.at === f.at
            && s.length === f.length) ?? same.find((s) => s.at === f.at);
          // It adds nothing of what it finds cut.
          if (there === undefined && same.length === 0 && their.fields.some((s) => s.key === '_ws.short' || s.key === '_ws.malformed')) continue;
          if (there === undefined) { complain(f.key, `at ${f.at}, theirs at ${same.map((s) => s.at).join()}: ${f.text}`); continue; }
          seen.set(f.key, (seen.get(f.key) ?? 0) + 1);
          const isLayer = ours.layers.includes(f);
          if (isLayer) continue;
          if (there.length !== f.length) complain(f.key, `${f.length} bytes, theirs ${there.length}`);
          const value = plain(String(f.value ?? f.text));
          if (f.children.length === 0 && plain(there.show) !== value) complain(f.key, `${value}, theirs ${plain(there.show)}`);
        }
        // And the other way round: of the fields that are known here, none that tshark found is left out.
        if (!UNKNOWN.test(ours.protocol) && !file.startsWith('malformed/')) for (const s of their.fields) {
          // ip.version is hidden in IPv6, and a run of DHCP's padding one option.
          if ((s.key === 'ip.version' && s.show === '6') || (s.key === 'dhcp.option.type' && s.show === '0')) continue;
          if (s.length > 0 && s.key !== '' && known.has(s.key) && !mine.has(`${s.key} ${s.at}`)) complain(`left out: ${s.key}`, `at ${s.at}: ${s.show}`);
        }
        for (const column of ['source', 'destination', 'protocol', 'info'] as const) if (ours[column].replaceAll(' > ', ' → ').replaceAll('\\x0a',
          '\\n') === their[column].trim()) columns[column]++;
        else if (ALIKE[column].test(column === 'info' ? ours.protocol : their[column]) && !UNKNOWN.test(ours.protocol) && ours.stopped === ''
          && !file.startsWith('malformed/')) complain(column, `${ours[column]}, theirs ${their[column]}`);
        if (ours.protocol !== their.protocol) protocols.set(`${ours.protocol} for ${their.protocol}`,
          (protocols.get(`${ours.protocol} for ${their.protocol}`) ?? 0) + 1);
      });
    }
    for (const [what, list] of wrong) t.log(`${what}: ${list.length}: ${list.slice(0, 4).join('; ')}`);
    t.log(`${count} frames, ${seen.size} kinds of field, ${[...seen.values()].reduce((a, b) => a + b, 0)} fields; columns alike: ${JSON.stringify(columns)}`);
    t.log([...protocols].sort((a, b) => b[1] - a[1]).map(([what, n]) => `${n} ${what}`).join(', '));
    t.deepEqual([...wrong.keys()], []);
  });
}
