/**
 * Exports as tshark, tcpdump, capinfos, editcap and pcap-parser read them, and by the draft alone. Of pools that hold anything at all:
 * 27-mutants.
 */
import test from 'ava';
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { blocks } from './capture_file.js';
import { has } from './needs.js';
import { exported, framesOf, aPool, ended, specOf, commentOf } from './exported_pool.js';

if (has('exports as Wireshark\'s tools read them', 'tshark', 'capinfos', 'editcap', 'tcpdump')) {
  const tool = (name: string, ...args: string[]): string => {
    const run = spawnSync(name, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
    const said = run.stderr.split('\n').filter((line) => line !== '' && !/^Running as user "root"|^reading from file/.test(line));
    if (run.status !== 0 || said.length > 0) throw new Error(`${name} ${args.join(' ')}: ${run.status} ${said.join('\n')}`);
    return run.stdout;
  };

  test('pcapng: every field that tshark shows is what was kept', async (t) => {
    const pool = aPool(t), out = `${pool}.pcapng`, all = framesOf(pool);
    const result = await exported(pool, out);
    t.is(result.frames, all.length);
    t.is(result.sections, 3);
    t.is(result.bytes, statSync(out).size);
    const fields = ['frame.time_epoch', 'frame.interface_name', 'frame.packet_id', 'frame.len', 'frame.cap_len', 'frame.packet_flags_direction', 'frame.comment', 'frame.section_number'];
    const rows = tool('tshark', '-n', '-r', out, '-T', 'fields', '-E', 'separator=|', ...fields.flatMap((f) => ['-e', f])).trim().split('\n').map((row) => row.split('|'));
    t.is(rows.length, all.length);
    rows.forEach(([time, name, id, wire, captured, direction, comment, section], i) => {
      const f = all[i];
      t.is(time, ended(f.ns));
      t.is(name, specOf(f));
      t.is(Number(id), f.lane * 2 ** 48 + f.sequence);
      t.deepEqual([Number(wire), Number(captured)], [f.wire, f.data.length]);
      t.is(Number(direction), 1);
      t.is(comment, commentOf(f));
      t.is(Number(section), f.boot);
    });
    t.is(new Set(rows.map((r) => r[2])).size, all.length, 'packet ids are different over lanes');
    const malformed = tool('tshark', '-n', '-r', out, '-Y', '_ws.malformed && frame.len == frame.cap_len');
    t.is(malformed, '');
  });

  test('capinfos, editcap and tcpdump take pcapng and pcap without a complaint, and count the same', async (t) => {
    const pool = aPool(t), all = framesOf(pool);
    for (const format of ['pcapng', 'pcap'] as const) {
      const out = `${pool}.${format}`;
      await exported(pool, out, { format });
      const info = tool('capinfos', '-T', '-r', '-c', '-t', '-E', '-S', '-a', '-e', out).trim().split('\t');
      t.regex(info.join(' '), new RegExp(`\\b${all.length}\\b`));
      t.regex(tool('capinfos', '-t', out), format === 'pcap' ? /nanosecond pcap/ : /pcapng/);
      t.is(tool('tcpdump', '-n', '-q', '-t', '-r', out).split('\n').filter((line) => line.startsWith('IP 192.0.2.1')).length, all.length);
      // Converted by editcap, tshark sees the same frames.
      const copy = `${out}.copy`;
      tool('editcap', '-F', 'pcapng', out, copy);
      const show = (file: string): string => tool('tshark', '-n', '-r', file, '-T', 'fields', '-e', 'frame.time_epoch', '-e', 'frame.len', '-e', 'frame.cap_len', '-e', 'frame.comment', '-e', 'udp.dstport');
      t.is(show(copy), show(out));
    }
    // Each section describes the five ports that the three runs had between them.
    const capinfos = tool('capinfos', `${pool}.pcapng`);
    t.is(new Set(capinfos.match(/Name = .*/g)).size, 5);
    const perInterface = (id: string): number => all.filter((f) => specOf(f) === id).length;
    const shown = capinfos.match(/Name = .*|Number of packets = \d+/g)!.slice(0, 10);
    t.deepEqual(shown.filter((_, i) => i % 2 === 0).map((name, i) => [name, shown[2 * i + 1]]),
      ['gen:p0', 'tap:vm1', 'xdp:eth1,queue=1', 'xdp:eth2,queue=1', 'xdp:eth3,queue=1'].map((name) => [`Name = ${name}`, `Number of packets = ${perInterface(name)}`]));
  });

  test('the section header carries the recovery report, the interfaces what is known of ports', async (t) => {
    const pool = aPool(t), out = `${pool}.pcapng`;
    await exported(pool, out, { application: 'framekeep 9.9.9' });
    const info = tool('capinfos', out);
    t.is(info.match(/Capture application: framekeep 9\.9\.9/g)?.length, 3);
    for (const expected of [/framekeep boot 1 of pool [0-9a-f]{32}, switch sw0 on testhost/, /ended without a word/, /boot 2 of .*ended in order/s, /to be kept: tcp/, /300 frames of this boot/,
      /on tmpfs, durability process/, /memory \(tmpfs\): what is kept survives/, /no gap/]) t.regex(info, expected);
    t.regex(info, /Name = tap:vm1\s+Description = tap/);
  });
}

test('the blocks of an export, by the draft alone: sections, interfaces, statistics, nothing behind', async (t) => {
  const path = aPool(t), out = `${path}.pcapng`;
  await exported(path, out);
  const all = blocks(out), text = (b: { options: { code: number; value: Buffer }[] }, code: number): string => b.options.find((o) => o.code === code)?.value.toString() ?? '';
  const order = all.map((b) => b.type).filter((type, i, list) => type !== 6 || list[i - 1] !== 6);
  const five = [1, 1, 1, 1, 1];
  t.deepEqual(order, [0x0a0d0d0a, ...five, 6, 0x0a0d0d0a, ...five, 6, 5, 5, 5, 0x0a0d0d0a, ...five, 6]);
  for (const idb of all.filter((b) => b.type === 1)) {
    t.deepEqual([idb.body.readUInt16LE(0), idb.body.readUInt32LE(4)], [1, 0], 'Ethernet, one snap length');
    t.deepEqual(idb.options.find((o) => o.code === 9)?.value, Buffer.of(9));
    t.is(idb.options.find((o) => o.code === 6)?.value.length, 6);
  }
  t.deepEqual(all.filter((b) => b.type === 1).slice(5, 10).map((b) => text(b, 2)), ['gen:p0', 'tap:vm1', 'xdp:eth1,queue=1', 'xdp:eth2,queue=1', 'xdp:eth3,queue=1']);
  t.is(text(all.filter((b) => b.type === 1)[6], 11), '\0tcp');
  const count = (b: { options: { code: number; value: Buffer }[] }, code: number): number | undefined => { const o = b.options.find((x) => x.code === code); return o && Number(o.value.readBigUInt64LE()); };
  t.deepEqual(all.filter((b) => b.type === 5).map((b) => [4, 6, 7, 8].map((code) => count(b, code))), [0, 1, 2].map((i) => [1000 + i, 102, 2, 100]));
  for (const epb of all.filter((b) => b.type === 6)) t.deepEqual(epb.options.find((o) => o.code === 2)?.value, Buffer.of(1, 0, 0, 0), 'inbound, and nothing of a frame check sequence');
});

test('pcap: nanoseconds by the format, and microseconds as pcap-parser reads them', async (t) => {
  const path = aPool(t), all = framesOf(path);
  await exported(path, `${path}.pcap`, { format: 'pcap' });
  const file = readFileSync(`${path}.pcap`);
  t.is(file.readUInt32LE(0), 0xa1b23c4d);
  let at = 24;
  for (const f of all) {
    t.is(BigInt(file.readUInt32LE(at)) * 1_000_000_000n + BigInt(file.readUInt32LE(at + 4)), f.ns);
    t.deepEqual([file.readUInt32LE(at + 8), file.readUInt32LE(at + 12)], [f.data.length, f.wire]);
    t.true(file.subarray(at + 16, at + 16 + f.data.length).equals(f.data));
    at += 16 + f.data.length;
  }
  t.is(at, file.length);

  await exported(path, `${path}.us.pcap`, { format: 'pcap', microseconds: true });
  const parser = createRequire(import.meta.url)('pcap-parser') as { parse(file: string): NodeJS.EventEmitter };
  const packets: { header: { timestampSeconds: number; timestampMicroseconds: number; capturedLength: number; originalLength: number }; data: Buffer }[] = [];
  await new Promise<void>((resolve, reject) => {
    parser.parse(`${path}.us.pcap`).on('packet', (p) => packets.push(p)).on('end', () => resolve()).on('error', reject);
  });
  t.is(packets.length, all.length);
  packets.forEach(({ header, data }, i) => {
    t.is(BigInt(header.timestampSeconds) * 1_000_000n + BigInt(header.timestampMicroseconds), all[i].ns / 1000n);
    t.deepEqual([header.capturedLength, header.originalLength], [all[i].data.length, all[i].wire]);
    t.true(data.equals(all[i].data));
  });
});
