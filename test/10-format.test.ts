/**
 * The on-media format: C++, TypeScript and docs/format.md held to each other, and what each structure makes of damage.
 */
import test from 'ava';
import fc from './properties.js';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../native/addon.js';
import { crc32c, crc32cTable, doorStore, indexScan, layoutOf, logClose, logCommit, logOpen, mapMemory, SLOT_EMPTY, SLOT_TORN, SLOT_VALID, unmap } from '../native/index.js';
import * as format from '../logger/index.js';
import {
  chooseGeometry, decodeBoot, decodeSuperblock, encodeBootHeader, encodeCheckpoint, encodePort, encodeSuperblock, RECORD, RECORD_BYTES, recordSeed,
  BOOT_BLOCK_BYTES, checkpointOffset, portEntryOffset, SUPERBLOCK_BYTES, type Geometry,
} from '../logger/index.js';
import { forgeRecord, portEntry } from './pool_maker.js';

const spec = readFileSync(join(packageRoot(), 'docs', 'format.md'), 'utf8');

/** Rows of the table under a heading or a sentence, as cells. */
function tableAfter(mark: string): string[][] {
  const at = spec.indexOf(mark);
  if (at < 0) throw new Error(`docs/format.md does not say "${mark}"`);
  const lines = spec.slice(at).split('\n');
  const first = lines.findIndex((line) => line.startsWith('|'));
  const rows = lines.slice(first, first + lines.slice(first).findIndex((line) => !line.startsWith('|')));
  return rows.slice(2).map((row) => row.split('|').slice(1, -1).map((cell) => cell.trim()));
}
const number = (cell: string): number => Number(cell.replaceAll(/[,`]/g, ''));

test('a record lies the same in C++, in TypeScript and in the specification', (t) => {
  const { size, flagFrameCrc, ...native } = layoutOf();
  const here = { ...RECORD } as Record<string, number>;
  t.is(size, RECORD_BYTES);
  t.is(flagFrameCrc, format.FLAG_FRAME_CRC);
  const camel = Object.fromEntries(Object.entries(native).map(([name, at]) => [name.replaceAll(/_([a-z])/g, (_, c: string) => c.toUpperCase()), at]));
  t.deepEqual(camel, here);
  const words: Record<string, string> = { '`wire`, low': 'wireLow', '`wire`, high': 'wireHigh' };
  const documented = tableAfter('## Index records').map(([at, bytes, name]) => [words[name] ?? name.replaceAll('`', ''), number(at), number(bytes)] as const);
  t.deepEqual(Object.fromEntries(documented.map(([name, at]) => [name, at])), here);
  let end = 0;
  for (const [name, at, bytes] of documented) { t.is(at, end, name); end += bytes; }
  t.is(end, RECORD_BYTES);
});

test('the specification lists the flags and the drop reasons that the code has', (t) => {
  const flags = Object.entries(format).filter(([name]) => name.startsWith('FLAG_')).map(([name, bit]) => [Number(bit), name.slice(5).toLowerCase().replaceAll('_', ' ')] as const)
    .sort((a, b) => a[0] - b[0]);
  t.deepEqual(tableAfter('**Flags**').map(([bit, name]) => [number(bit), name.toLowerCase()] as const), flags);
  const verdicts = tableAfter('**Verdict**');
  format.DROP_REASONS.forEach((reason, i) => {
    const row = verdicts.find(([value]) => value === String(format.VERDICT_DROPPED + i));
    t.regex(row?.[1] ?? 'missing', new RegExp(`^dropped: ${reason}`));
  });
  t.truthy(verdicts.find(([value]) => value === `0–${format.MAX_PORTS - 1}`));
  t.is(verdicts.find(([, what]) => what === 'flooded')?.[0], String(format.VERDICT_FLOODED));
  t.is(verdicts.find(([, what]) => what.startsWith('forwarded to several'))?.[0], String(format.VERDICT_SEVERAL));
});

test('the superblock lies where the specification says', (t) => {
  const g: Geometry = { ...chooseGeometry({ bytes: 8 << 20, lanes: 2 }), createdNs: 0x1122334455667788n };
  const bytes = encodeSuperblock(g, 1), v = new DataView(bytes.buffer);
  const rows = new Map(tableAfter('## Superblock').map(([at, size, name]) => [name.replaceAll('`', ''), { at: number(at), size }] as const));
  const read = (name: string): number | bigint => {
    const { at, size } = rows.get(name)!;
    return size === '8' ? v.getBigUint64(at, true) : v.getUint32(at, true);
  };
  t.is(new TextDecoder().decode(bytes.subarray(rows.get('magic')!.at, 8)), 'FRAMKEEP');
  t.deepEqual(bytes.slice(rows.get('uuid')!.at, rows.get('uuid')!.at + 16), g.uuid);
  t.is(read('version'), 1);
  t.is(read('created'), g.createdNs);
  t.is(read('file bytes'), BigInt(g.fileBytes));
  t.is(read('chunk'), g.chunk);
  t.is(read('lanes'), 2);
  t.is(read('boots'), g.boots);
  t.is(read('buffers offset'), BigInt(g.buffersOffset));
  t.is(read('buffers'), BigInt(g.buffers));
  t.is(read('copy'), 1);
  const lane = new Map(tableAfter('An entry of the lane table').map(([at, , name]) => [name.replaceAll('`', ''), number(at)] as const));
  const second = rows.get('lane table')!.at + 32;
  t.is(Number(v.getBigUint64(second + lane.get('index offset')!, true)), g.lanes[1].indexOffset);
  t.is(v.getUint32(second + lane.get('slots')!, true), g.lanes[1].slots);
  t.is(v.getUint32(second + lane.get('first buffer')!, true), g.lanes[1].firstBuffer);
  t.is(v.getUint32(second + lane.get('buffers')!, true), g.lanes[1].buffers);
  const crcAt = rows.get('crc')!.at;
  t.is(v.getUint32(crcAt, true), crc32cTable(Buffer.concat([g.uuid, Uint8Array.of(1, 0, 0, 0), bytes.subarray(0, crcAt)])));
});

test('the worked example of the specification is a record', (t) => {
  const section = spec.slice(spec.indexOf('## A worked example'));
  const uuid = Buffer.from(/uuid is `([0-9a-f]{32})`/.exec(section)![1], 'hex');
  const dump = [...section.matchAll(/^000120[01]0 ((?: {1,2}[0-9a-f]{2}){16})$/gm)].map((m) => m[1].replaceAll(' ', '')).join('');
  const bytes = Buffer.from(dump, 'hex');
  t.is(bytes.length, RECORD_BYTES);

  // Decoded by the tables: the cells of the example, put together, are the dump.
  const cells = tableAfter('## A worked example');
  t.is(cells.map(([hex]) => hex.replaceAll(/[` ]/g, '')).join(''), dump);
  const value = (name: string): number => number(/^[0-9a-fx,]+/.exec(cells.find(([, field]) => field === name)![2].replaceAll('`', ''))![0]);
  t.is(bytes.readUInt32LE(RECORD.buffer), value('buffer'));
  t.is(bytes.readUInt16LE(RECORD.offset), value('offset'));
  t.is(bytes.readUInt16LE(RECORD.kept), value('kept'));
  t.is(bytes.readUInt16LE(RECORD.boot), value('boot'));
  t.is(bytes.readUInt32LE(RECORD.crc), value('crc'));
  const ns = bytes.readBigUInt64LE(RECORD.timestamp), cell = cells.find(([, field]) => field === 'timestamp')![2];
  t.is(cell, `${ns.toLocaleString('en')}: ${new Date(Number(ns / 1_000_000n)).toISOString().slice(0, -5)}.${String(ns % 1_000_000_000n).padStart(9, '0')}Z`);

  // And both sums, and the production scan, find it sound: in its own place alone.
  const sum = Buffer.concat([uuid, Buffer.alloc(4), Buffer.alloc(4), bytes.subarray(0, RECORD.crc)]);
  t.is(crc32c(sum), value('crc'));
  t.is(crc32cTable(sum), value('crc'));
  const index = mapMemory('format-test', 1 << 20), state = new Uint8Array(404);
  t.teardown(() => unmap(index));
  const scan = (lane: number): number => indexScan(index, 0, index, 0, 404, 11, 468, recordSeed(uuid, lane), state);
  doorStore(index, 0, bytes);
  t.is(scan(0), 1);
  t.is(state[0], SLOT_VALID);
  t.is(scan(1), 0, 'not in another lane');
  doorStore(index, 32, bytes);
  t.is(scan(0), 1);
  t.deepEqual([...state.subarray(0, 3)], [SLOT_VALID, SLOT_TORN, SLOT_EMPTY], 'not in another slot');
});

test('CRC-32C: known values, and hardware and table agree', (t) => {
  t.is(crc32c(Buffer.from('123456789')), 0xe3069283);                    // the check value of CRC-32C
  t.is(crc32c(new Uint8Array(32)), 0x8a9136aa);                          // RFC 3720 appendix B.4
  t.is(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  t.is(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => crc32c(bytes) === crc32cTable(bytes)));
});

test('what C++ writes is what the specification computes, with and without the frame in the sum', (t) => {
  for (const frameCrc of [false, true]) {
    const g = chooseGeometry({ bytes: 1 << 20 }), [lane] = g.lanes;
    const file = mapMemory('format-test', g.fileBytes);
    const buffers = mapMemory('format-test', g.buffers * g.chunk);
    const log = logOpen({
      index: file, indexOffset: lane.indexOffset, buffers, source: buffers, chunkShift: 11, slots: lane.slots, maxBatch: 4, copies: false, frameCrc, method: 'none',
      boot: 0x1234, nextSequence: 5 * lane.slots + 7, seed: recordSeed(g.uuid, 0),
    });
    const frame = Uint8Array.from({ length: 61 }, (_, i) => i * 3);
    doorStore(buffers, 9 * 2048 + 300, frame);
    new Uint32Array(log.entries).set([9 * 2048 + 300, 0, 61, 0x012345, 17 | 224 << 8 | 0x10 << 16, 1, 2, 0]);
    t.is(logCommit(log.id, 1), 0);
    const bytes = new Uint8Array(file.segments[0], lane.indexOffset + 7 * RECORD_BYTES, RECORD_BYTES), v = new DataView(bytes.buffer, bytes.byteOffset);
    const expected = forgeRecord(g, 0, 7, {
      generation: 6, buffer: 9, timestamp: v.getBigUint64(RECORD.timestamp, true), offset: 300, kept: 61, wire: 0x012345, ingress: 17, verdict: 224, boot: 0x1234,
      flags: 0x10 | (frameCrc ? 0x08 : 0),
    }, frameCrc ? frame : undefined);
    t.deepEqual(bytes.slice(), expected);
    logClose(log);
    unmap(file);
    unmap(buffers);
  }
});

const aGeometry = fc.record({
  bytes: fc.integer({ min: 256, max: 65536 }).map((pages) => pages * 4096), chunk: fc.constantFrom(2048, 4096), lanes: fc.integer({ min: 1, max: 16 }),
  boots: fc.option(fc.integer({ min: 2, max: 200 }), { nil: undefined }), reserve: fc.option(fc.integer({ min: 0, max: 5000 }), { nil: undefined }),
});

test('every geometry that is chosen can be read back, and its parts lie apart within the file', (t) => {
  let made = 0;
  fc.assert(fc.property(aGeometry, fc.constantFrom(0 as const, 1 as const), (options, copy) => {
    let g: Geometry;
    try {
      g = chooseGeometry(options);
    } catch (error) {
      return (error as { code?: string }).code === 'E_POOL_SIZE';
    }
    made++;
    const found = decodeSuperblock(encodeSuperblock(g, copy));
    t.deepEqual(found, { state: 'valid', geometry: g });
    let at = 8192 + g.boots * BOOT_BLOCK_BYTES;
    for (const lane of g.lanes) {
      t.true(lane.indexOffset >= at && lane.slots >= 64 && lane.slots % 2 === 0 && lane.buffers >= lane.slots);
      at = lane.indexOffset + lane.slots * RECORD_BYTES;
    }
    t.true(g.buffersOffset >= at && g.buffersOffset % g.chunk === 0 && g.buffersOffset + g.buffers * g.chunk <= options.bytes);
    // Little is wasted: less than alignments and a 50th.
    t.true(g.buffersOffset + g.buffers * g.chunk >= options.bytes - options.bytes / 50 - (2 << 20) - options.lanes * (g.chunk + 4096));
    return true;
  }), { numRuns: 400 });
  t.true(made > 100, `${made} were made`);
});

test('a superblock with any one bit flipped is not valid', (t) => {
  const bytes = encodeSuperblock(chooseGeometry({ bytes: 1 << 20 }), 0);
  for (let bit = 0; bit < SUPERBLOCK_BYTES * 8; bit += bit < 8 * 200 ? 1 : 37) {
    bytes[bit >> 3] ^= 1 << (bit & 7);
    t.not(decodeSuperblock(bytes).state, 'valid', `bit ${bit}`);
    bytes[bit >> 3] ^= 1 << (bit & 7);
  }
  t.is(decodeSuperblock(bytes).state, 'valid');
});

test('what is no superblock is named: blank, foreign, newer, damaged', (t) => {
  const g = chooseGeometry({ bytes: 1 << 20 });
  const changed = (change: (v: DataView) => void): Uint8Array => {
    const bytes = encodeSuperblock(g, 0), v = new DataView(bytes.buffer);
    change(v);
    v.setUint32(4092, crc32c(Buffer.concat([g.uuid, bytes.subarray(8, 12), bytes.subarray(0, 4092)])), true);
    return bytes;
  };
  t.is(decodeSuperblock(new Uint8Array(4096)).state, 'blank');
  t.is(decodeSuperblock(new Uint8Array(4096).fill(7)).state, 'foreign');
  t.is(decodeSuperblock(new Uint8Array(100)).state, 'blank');
  t.is(decodeSuperblock(encodeSuperblock(g, 0).subarray(0, 4000)).state, 'damaged');
  t.deepEqual(decodeSuperblock(changed((v) => v.setUint32(8, 2, true))), { state: 'newer', version: 2 });
  t.is(decodeSuperblock(changed((v) => v.setUint32(8, 0, true))).state, 'damaged', 'version 0 was never');
  // Sound by checksum, and impossible.
  for (const [what, change] of Object.entries<(v: DataView) => void>({
    'no lane': (v) => v.setUint32(52, 0, true),
    'chunk 3000': (v) => v.setUint32(48, 3000, true),
    'chunk 1024': (v) => v.setUint32(48, 1024, true),
    'one boot': (v) => v.setUint32(56, 1, true),
    'boots over the index': (v) => v.setUint32(56, 60000, true),
    'other boot blocks': (v) => v.setUint32(60, 8192, true),
    'another boot table': (v) => v.setBigUint64(64, 4096n, true),
    'buffers past the end': (v) => v.setBigUint64(80, 1n << 40n, true),
    'buffers in the index': (v) => v.setBigUint64(72, 8192n, true),
    'index in the boot table': (v) => v.setBigUint64(128, 8192n, true),
    'index off its page': (v) => v.setBigUint64(128, BigInt(g.lanes[0].indexOffset + 32), true),
    'index past all bounds': (v) => v.setBigUint64(128, 1n << 62n, true),
    'no slots': (v) => v.setUint32(136, 0, true),
    'more slots than buffers': (v) => v.setUint32(136, g.buffers + 2, true),
    'first buffer 1': (v) => v.setUint32(140, 1, true),
  })) t.is(decodeSuperblock(changed(change)).state, 'damaged', what);
});

test('a boot block gives back what was written, cut at a character where it does not fit', (t) => {
  const g = chooseGeometry({ bytes: 1 << 20 }), block = new Uint8Array(BOOT_BLOCK_BYTES);
  const header = {
    id: 70000, startNs: 1_700_000_000_123_456_789n, kernelBootId: Uint8Array.from({ length: 16 }, (_, i) => i), medium: 'tmpfs', durability: 'process' as const, pid: 4711,
    firstSequence: [0, 2 ** 40, 3], host: 'höst', name: 'sw0', keep: 'tcp port 80 '.repeat(20), software: 'framekeep 0.1.0',
  };
  block.set(encodeBootHeader(g, header), 0);
  const ports = [portEntry(0), portEntry(63, { spec: `replay:/${'ä'.repeat(60)}.pcap`, note: 'x'.repeat(40) })];
  for (const port of ports) block.set(encodePort(g, header.id, port), portEntryOffset(port.id));
  const totals = Array.from({ length: 64 }, (_, i) => ({ received: 2 ** 52 + i, dropped: i, kept: 2 ** 33, notSelected: 1, lost: 0 }));
  const checkpoint = (generation: number): format.Checkpoint => ({ generation, timeNs: BigInt(generation), clean: generation === 8, ports: totals });
  block.set(encodeCheckpoint(g, header.id, checkpoint(7)), checkpointOffset(7));
  block.set(encodeCheckpoint(g, header.id, checkpoint(8)), checkpointOffset(8));

  const boot = decodeBoot(g, block)!;
  t.is(boot.id, 70000);
  t.is(boot.startNs, header.startNs);
  t.deepEqual(boot.kernelBootId, header.kernelBootId);
  t.deepEqual(boot.firstSequence, header.firstSequence);
  t.deepEqual([boot.medium, boot.durability, boot.pid, boot.host, boot.name, boot.software], ['tmpfs', 'process', 4711, 'höst', 'sw0', 'framekeep 0.1.0']);
  t.is(boot.keep, header.keep.slice(0, 128));
  t.deepEqual(boot.ports[0], ports[0]);
  t.is(boot.ports[1].spec, `replay:/${'ä'.repeat(28)}`, '64 bytes, no half character');
  t.is(boot.ports[1].note, 'x'.repeat(28));
  t.deepEqual(boot.checkpoint, checkpoint(8));

  // A torn checkpoint leaves the one before; a torn port leaves the others; a torn header leaves nothing.
  block[checkpointOffset(8) + 100] ^= 1;
  block[portEntryOffset(0) + 40] ^= 1;
  t.deepEqual(decodeBoot(g, block)!.checkpoint, checkpoint(7));
  t.deepEqual(decodeBoot(g, block)!.ports.map((p) => p.id), [63]);
  t.is(decodeBoot({ ...g, uuid: new Uint8Array(16) }, block), undefined, "another pool's");
  block[300] ^= 1;
  t.is(decodeBoot(g, block), undefined);
});

test("an earlier boot's ports and checkpoint are not a later one's in the same block", (t) => {
  const g = chooseGeometry({ bytes: 1 << 20 }), block = new Uint8Array(BOOT_BLOCK_BYTES);
  const header = { id: 1, startNs: 1n, kernelBootId: new Uint8Array(16), medium: '', durability: '', pid: 1, firstSequence: [0], host: '', name: '', keep: '', software: '' };
  block.set(encodeBootHeader(g, header), 0);
  block.set(encodePort(g, 1, portEntry(2)), portEntryOffset(2));
  block.set(encodeCheckpoint(g, 1, { generation: 4, timeNs: 1n, clean: true, ports: [] }), checkpointOffset(4));
  t.is(decodeBoot(g, block)!.ports.length, 1);
  block.set(encodeBootHeader(g, { ...header, id: 1 + g.boots }), 0);
  const later = decodeBoot(g, block)!;
  t.deepEqual([later.id, later.ports, later.checkpoint], [1 + g.boots, [], undefined]);
});
