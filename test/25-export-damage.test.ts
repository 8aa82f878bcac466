/** What an export says of a pool that something has happened to: gaps, runs whose blocks are gone, a kernel that went down. */
import test from 'ava';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { compileFilter } from '../logger/filter/index.js';
import { create, inspectPool, Pool } from '../logger/index.js';
import { blocks } from './capture_file.js';
import { Forge, Keeper, portEntry, scratch } from './pool_maker.js';
import { MiB, exported, aPool, udp, comments, headers, names } from './exported_pool.js';

test('gaps: told in the header, and on the first frame behind each', async (t) => {
  const path = join(scratch(t), 'a.pool'), out = `${path}.pcapng`;
  create(path, { bytes: MiB });
  const pool = Pool.open(path, { writable: true }), keeper = new Keeper(pool, { ports: [portEntry(0)] });
  for (let i = 0; i < 60; i++) keeper.keep(udp(i === 35 ? 5353 : 9, 80));
  keeper.close();
  const { geometry } = pool;
  pool.close();
  const forge = new Forge(path, geometry);
  for (const slot of [10, 11, 12, 30, 57]) forge.write(geometry.lanes[0].indexOffset + slot * 32 + 28, Buffer.from('torn'));
  forge.close();
  await exported(path, out);
  t.deepEqual(comments(out).map((c, i) => [i, c]).filter(([, c]) => c !== 'flooded'), [
    [10, '3 frames missing (sequence 10 to 12) before this one: lost in a crash; flooded'], [27, '1 frame missing (sequence 30) before this one: lost in a crash; flooded'],
    [53, '1 frame missing (sequence 57) before this one: lost in a crash; flooded'],
  ]);
  t.regex(headers(out)[0], /5 frames missing \(sequence 10 to 12, 30 and 57\), 5 torn by a crash/);
  // Behind a selection, on the first frame that is selected.
  await exported(path, out, { match: compileFilter('udp port 5353').match });
  t.deepEqual(comments(out), ['4 frames missing (sequence 10 to 12 and 30) before this one: lost in a crash; flooded']);
  await exported(path, out, { last: 20 });
  t.deepEqual(comments(out).filter((c) => c !== 'flooded'), ['1 frame missing (sequence 57) before this one: lost in a crash; flooded']);
});

test('ports that are known by number only: their run\'s block is gone', async (t) => {
  const path = join(scratch(t), 'a.pool'), out = `${path}.pcapng`;
  create(path, { bytes: MiB, boots: 2 });
  const pool = Pool.open(path, { writable: true });
  for (let run = 1; run <= 4; run++) {
    const keeper = new Keeper(pool, { ports: [portEntry(3), portEntry(run)] });
    for (let i = 0; i < 5; i++) keeper.keep(udp(9, 60), { ingress: 3, verdict: run });
    keeper.close();
  }
  pool.close();
  const result = await exported(path, out);
  t.deepEqual([result.frames, result.sections], [20, 4]);
  t.deepEqual(names(out), Array.from({ length: 4 }, () => ['port 3 of boot 1', 'port 3 of boot 2', 'gen:p3', 'gen:p4']).flat());
  t.deepEqual([0, 5, 10, 15].map((i) => comments(out)[i]), ['to port 1', 'to port 2', 'to gen:p3', 'to gen:p4']);
  t.regex(headers(out)[0], /its ports are known by number only/);
});

test('a page-cache file and a kernel that went down since: the header says how far it can be trusted', async (t) => {
  const path = join(scratch(t), 'a.pool'), out = `${path}.pcapng`;
  create(path, { bytes: MiB });
  const pool = Pool.open(path, { writable: true });
  const here = Uint8Array.from(Buffer.from(readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').replaceAll('-', '').trim(), 'hex'));
  for (const header of [{ medium: 'file' }, { medium: 'file', kernelBootId: here }, { medium: 'file', durability: 'power' }]) {
    const keeper = new Keeper(pool, { ports: [portEntry(0)], header });
    keeper.keep(udp(9, 60));
    keeper.close();
  }
  pool.close();
  await exported(path, out);
  for (const header of headers(out)) t.regex(header, /the machine has booted since boot 1, whose frames were in a page-cache file: what is here is as far as the kernel had written it back/);
  const report = inspectPool(Pool.open(path));
  t.deepEqual(report.boots.map((b) => b.kernelRestarted), [true, false, true]);
});

test('an empty pool, and a selection of nothing, are captures of no frame that say of which pool', async (t) => {
  const path = join(scratch(t), 'a.pool'), out = `${path}.pcapng`;
  create(path, { bytes: MiB });
  t.is((await exported(path, out)).frames, 0);
  t.regex(headers(out)[0], /framekeep pool [0-9a-f]{32}: nothing kept/);
  await exported(path, out, { format: 'pcap' });
  t.is(statSync(out).size, 24);
  const full = aPool(t, { frames: 20 });
  t.is((await exported(full, out, { match: compileFilter('tcp').match })).frames, 0);
  t.deepEqual(blocks(out).map((b) => b.type), [0x0a0d0d0a, 1, 1, 1, 1, 1]);
});

test('hundreds of runs that are known by their records only: each a section, and the file stays in proportion', async (t) => {
  const path = join(scratch(t), 'a.pool'), out = `${path}.pcapng`;
  create(path, { bytes: 4 * MiB });
  const pool = Pool.open(path), { geometry } = pool, forge = new Forge(path, geometry);
  for (let i = 0; i < 1500; i++) forge.record(0, i, { buffer: i, boot: i + 1, ingress: i % 64 });
  forge.close();
  const result = await exported(pool, out);
  pool.close();
  t.deepEqual([result.frames, result.sections], [1500, 1500]);
  t.true(result.bytes < 1500 * 2000);
  t.is(names(out)[700], 'port 60 of boot 701');
});
