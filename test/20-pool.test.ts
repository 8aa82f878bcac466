/** Pools as files: made whole or not at all, opened by one writer, refused with a reason, never overwritten. */
import test from 'ava';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, statSync, symlinkSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../native/addon.js';
import { crc32c, FramekeepError } from '../native/index.js';
import { BOOT_TABLE_OFFSET, create, encodeSuperblock, Pool, recover, RECORD_BYTES, SUPERBLOCK_BYTES, type CreateOptions } from '../logger/index.js';
import { bootHeader, Forge, Keeper, portEntry, scratch, testFrame } from './pool_maker.js';
import { has } from './needs.js';

const MiB = 1 << 20;

/** The code of the error that `act` ends in; '' when it does not. */
function codeOf(act: () => unknown): string {
  try {
    const result = act();
    if (result instanceof Pool) result.close();
    return '';
  } catch (error) {
    if (!(error instanceof FramekeepError)) throw error;
    if (error.remedy === '' || !error.message.includes(error.remedy)) throw new Error(`${error.code} advises nothing: ${error.message}`);
    return error.code;
  }
}
function made(path: string, options: CreateOptions = { bytes: MiB }): string {
  create(path, options);
  return path;
}

test('create: sizes, buffers, lanes and boots are what was asked for, and the file is all there and private', (t) => {
  const dir = scratch(t);
  for (const [i, options] of [
    { bytes: MiB }, { bytes: 3 * MiB + 5000, chunk: 4096 }, { bytes: 16 * MiB, lanes: 4, boots: 7 }, { bytes: 130 * MiB, chunk: 4096, lanes: 2, reserve: 500 },
  ].entries()) {
    const path = made(join(dir, `${i}.pool`), options), pool = Pool.open(path);
    const g = pool.geometry;
    t.is(statSync(path).size, options.bytes - options.bytes % 4096);
    t.true(statSync(path).blocks * 512 >= g.fileBytes, 'not sparse: every page is reserved');
    t.is(statSync(path).mode & 0o777, 0o600);
    t.is(g.chunk, options.chunk ?? 2048);
    t.is(g.lanes.length, options.lanes ?? 1);
    if (options.boots !== undefined) t.is(g.boots, options.boots);
    if (options.reserve !== undefined) t.true(g.lanes.every((lane) => lane.buffers - lane.slots - options.reserve! <= 1));
    t.is(pool.truncatedBy, 0);
    t.deepEqual(pool.findings, []);
    t.false(pool.isLive());
    const found = recover(pool);
    t.deepEqual([found.boots.length, found.lastBoot], [0, 0]);
    for (const [n, lane] of found.lanes.entries()) t.deepEqual([lane.empty, lane.next, lane.newest], [g.lanes[n].slots, 0, -1]);
    pool.close();
  }
  t.deepEqual(readdirSync(dir).filter((name) => name.startsWith('.')), [], 'no half-made file is left');
});

test('create: what cannot be is refused before a file is made', (t) => {
  const dir = scratch(t), path = join(dir, 'x.pool');
  for (const options of [
    { bytes: 0 }, { bytes: 4096 }, { bytes: MiB - 4096 }, { bytes: MiB, lanes: 4 }, { bytes: MiB, boots: 1 }, { bytes: MiB, chunk: 1024 }, { bytes: 64 * MiB, lanes: 17 },
    { bytes: MiB, chunk: 4096, boots: 32 }, {},
  ] as CreateOptions[]) t.is(codeOf(() => create(path, options)), 'E_POOL_SIZE', JSON.stringify(options));
  t.is(codeOf(() => create(join(dir, 'missing', 'x.pool'), { bytes: MiB })), 'E_POOL_MISSING');
  t.deepEqual(readdirSync(dir), []);
});

test('create: what is there is never overwritten, unless forced, and never while somebody has it', (t) => {
  const dir = scratch(t);
  for (const [name, content] of Object.entries({
    text: 'dear diary', zip: Buffer.from('504b0304', 'hex'), page: Buffer.alloc(8192, 1),
    // An ISO 9660 image begins with 32 KiB of zeros, a btrfs with 64.
    iso: Buffer.concat([Buffer.alloc(32768), Buffer.from('\x01CD001'), Buffer.alloc(2 * MiB)]), last: Buffer.concat([Buffer.alloc(3 * MiB), Buffer.from([1])]),
  })) {
    const path = join(dir, name);
    writeFileSync(path, content);
    t.is(codeOf(() => create(path, { bytes: MiB })), 'E_POOL_EXISTS', name);
    t.is(codeOf(() => Pool.open(path, { writable: true, create: { bytes: MiB } })), 'E_POOL_FOREIGN', name);
    t.true(readFileSync(path).equals(Buffer.from(content)), name);
  }
  const path = made(join(dir, 'a.pool')), before = readFileSync(path);
  t.is(codeOf(() => create(path, { bytes: MiB })), 'E_POOL_EXISTS');
  t.true(readFileSync(path).equals(before));
  const holder = Pool.open(path, { writable: true });
  t.is(codeOf(() => create(path, { bytes: MiB, force: true })), 'E_POOL_LOCKED');
  holder.close();
  t.true(readFileSync(path).equals(before));
  create(path, { bytes: 2 * MiB, force: true });
  const again = Pool.open(path);
  t.is(again.geometry.fileBytes, 2 * MiB);
  t.not(Buffer.compare(again.geometry.uuid, before.subarray(16, 32)), 0, 'a new uuid: nothing of the old one is valid');
  again.close();
});

test('create --force: nothing of the earlier pool comes back', (t) => {
  const path = made(join(scratch(t), 'a.pool')), pool = Pool.open(path, { writable: true });
  const keeper = new Keeper(pool, { ports: [portEntry(0)] });
  for (let i = 0; i < 300; i++) keeper.keep(testFrame(i));
  keeper.close();
  pool.close();
  create(path, { bytes: MiB, force: true });
  const fresh = Pool.open(path), found = recover(fresh);
  t.deepEqual([found.boots.length, found.lanes[0].valid, found.lanes[0].torn, found.lanes[0].empty], [0, 0, 0, fresh.geometry.lanes[0].slots]);
  fresh.close();
});

test('an empty file or one of zeros becomes a pool when the switch is to make one, and stays as it is otherwise', (t) => {
  const dir = scratch(t);
  for (const size of [0, MiB, 3 * MiB]) {
    const path = join(dir, `${size}`);
    writeFileSync(path, Buffer.alloc(size));
    t.is(codeOf(() => Pool.open(path)), 'E_POOL_EMPTY');
    t.is(codeOf(() => Pool.open(path, { writable: true })), 'E_POOL_EMPTY');
    t.is(statSync(path).size, size);
    const pool = Pool.open(path, { writable: true, create: { bytes: 2 * MiB } });
    t.is(pool.geometry.fileBytes, 2 * MiB);
    t.is(statSync(path).size, 2 * MiB);
    pool.close();
  }
});

test('reopening: contents, uuid and boots stay, each run gets the next number, and the log goes on', (t) => {
  const path = made(join(scratch(t), 'a.pool'));
  let uuid: Uint8Array | undefined;
  for (let run = 1; run <= 6; run++) {
    const pool = Pool.open(path, { writable: true, create: { bytes: 64 * MiB } });
    uuid ??= pool.geometry.uuid;
    t.deepEqual(pool.geometry.uuid, uuid);
    t.is(pool.geometry.fileBytes, MiB, 'an existing pool keeps its size');
    const keeper = new Keeper(pool, { ports: [portEntry(0), portEntry(run)] });
    t.is(keeper.boot, run);
    t.is(keeper.recovery.lanes[0].next, (run - 1) * 10);
    for (let i = 0; i < 10; i++) t.is(keeper.keep(testFrame(i), { ingress: run }), (run - 1) * 10 + i);
    keeper.close();
    pool.close();
  }
  const pool = Pool.open(path), found = recover(pool);
  t.is(found.lastBoot, 6);
  t.deepEqual(found.boots.map((b) => b.id), [3, 4, 5, 6], 'a table of four boots remembers the newest four');
  t.deepEqual(found.boots.map((b) => b.ports.map((p) => p.id)), [[0, 3], [0, 4], [0, 5], [0, 6]]);
  t.deepEqual([found.lanes[0].valid, found.lanes[0].ghosts, found.lanes[0].gaps.length], [60, 0, 0]);
  pool.close();
});

test('one writer: the second is refused, readers are not, and the lock goes with its process', async (t) => {
  const path = made(join(scratch(t), 'a.pool'));
  const first = Pool.open(path, { writable: true }), reader = Pool.open(path);
  t.is(codeOf(() => Pool.open(path, { writable: true })), 'E_POOL_LOCKED');
  t.true(reader.isLive());
  // Closing another descriptor of the file in this process must not undo the lock, as a POSIX one would be undone.
  closeSync(openSync(path, 'r+'));
  t.is(codeOf(() => Pool.open(path, { writable: true })), 'E_POOL_LOCKED');
  first.close();
  t.false(reader.isLive());
  reader.close();

  const child = spawn(process.execPath, ['--input-type=module', '-e', `
    import { Pool } from ${JSON.stringify(join(packageRoot(), 'dist/logger/index.js'))};
    globalThis.pool = Pool.open(${JSON.stringify(path)}, { writable: true });
    console.log('open');
    setInterval(() => {}, 1000);`], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  t.is(codeOf(() => Pool.open(path, { writable: true })), 'E_POOL_LOCKED');
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  t.is(codeOf(() => Pool.open(path, { writable: true })), '');
});

test('a truncated pool: read as far as it is there, never continued, never a bus error', (t) => {
  const dir = scratch(t), path = made(join(dir, 'a.pool')), pool = Pool.open(path, { writable: true }), g = pool.geometry;
  const keeper = new Keeper(pool);
  for (let i = 0; i < 500; i++) keeper.keep(testFrame(i));
  keeper.close();
  pool.close();
  const whole = readFileSync(path), [lane] = g.lanes;
  const cuts: [number, string][] = [
    [0, 'E_POOL_EMPTY'], [1, 'E_POOL_FOREIGN'], [8, 'E_POOL_TRUNCATED'], [4096, 'E_POOL_TRUNCATED'], [8191, 'E_POOL_TRUNCATED'], [8192, 'E_POOL_TRUNCATED'],
    [BOOT_TABLE_OFFSET + 20000, 'E_POOL_TRUNCATED'], [lane.indexOffset + 33, 'E_POOL_TRUNCATED'], [g.buffersOffset - 1, 'E_POOL_TRUNCATED'],
    [g.buffersOffset, ''], [g.buffersOffset + 1, ''], [g.buffersOffset + 100 * 2048 + 300, ''], [g.fileBytes - 4096, ''], [g.fileBytes - 1, ''],
  ];
  for (const [bytes, code] of cuts) {
    const cut = join(dir, `cut${bytes}`);
    writeFileSync(cut, whole.subarray(0, bytes));
    t.is(codeOf(() => Pool.open(cut)), code, `cut at ${bytes}`);
    t.is(codeOf(() => Pool.open(cut, { writable: true, create: { bytes: MiB } })), bytes === 0 ? '' : code || 'E_POOL_TRUNCATED', `cut at ${bytes}, writing`);
    if (bytes > 0) t.true(readFileSync(cut).equals(whole.subarray(0, bytes)), 'nothing was changed');
    if (code !== '' || bytes === 0) continue;
    const part = Pool.open(cut), found = recover(part).lanes[0];
    const there = Math.floor((bytes - g.buffersOffset) / 4096) * 4096;
    t.is(part.truncatedBy, g.buffers * g.chunk - there);
    t.is(found.valid + found.beyond, lane.slots);
    t.is(found.next, 500, 'what is cut off still counts for the numbers');
    // Frames of 60 bytes lie 256 into their buffers: as many are there as buffers of which that much is.
    t.true(found.valid <= Math.ceil(there / g.chunk));
    part.close();
  }
});

test('superblocks: one damaged copy is lived with, said, and repaired by the next writer; two are refused', (t) => {
  const dir = scratch(t), path = made(join(dir, 'a.pool'));
  const spoil = (copy: number, at = 40): void => {
    const fd = openSync(path, 'r+'), byte = Buffer.alloc(1);
    readSync(fd, byte, 0, 1, copy * SUPERBLOCK_BYTES + at);
    writeSync(fd, Buffer.of(byte[0] ^ 0x10), 0, 1, copy * SUPERBLOCK_BYTES + at);
    closeSync(fd);
  };
  for (const copy of [0, 1]) {
    spoil(copy);
    const reader = Pool.open(path);
    t.regex(reader.findings.join(), new RegExp(`copy ${'AB'[copy]} is damaged`));
    reader.close();
    const writer = Pool.open(path, { writable: true });
    t.regex(writer.findings.join(), /the other one was used/);
    writer.close();
    const after = Pool.open(path);
    t.deepEqual(after.findings, [], 'repaired');
    after.close();
  }
  spoil(0, 0);
  spoil(1, 0);
  const before = readFileSync(path);
  t.is(codeOf(() => Pool.open(path)), 'E_POOL_FOREIGN', 'without its magic nobody can tell');
  spoil(0, 0);
  spoil(0, 100);
  t.is(codeOf(() => Pool.open(path)), 'E_POOL_DAMAGED');
  t.is(codeOf(() => Pool.open(path, { writable: true, create: { bytes: MiB } })), 'E_POOL_DAMAGED');
  t.is(codeOf(() => create(path, { bytes: MiB })), 'E_POOL_EXISTS');
  t.is(readFileSync(path).length, before.length);
});

test('a pool of a newer version is refused and left alone', (t) => {
  const path = made(join(scratch(t), 'a.pool')), pool = Pool.open(path), { geometry } = pool;
  pool.close();
  const forge = new Forge(path, geometry);
  for (const copy of [0, 1] as const) forge.write(copy * SUPERBLOCK_BYTES, newerVersion(encodeSuperblock(geometry, copy)));
  forge.close();
  const before = readFileSync(path);
  t.is(codeOf(() => Pool.open(path)), 'E_POOL_VERSION');
  t.is(codeOf(() => Pool.open(path, { writable: true, create: { bytes: MiB } })), 'E_POOL_VERSION');
  t.is(codeOf(() => create(path, { bytes: MiB })), 'E_POOL_EXISTS');
  t.true(readFileSync(path).equals(before));
});

test('boot blocks with flipped bits are not believed, and cost no frame', (t) => {
  const path = made(join(scratch(t), 'a.pool')), pool = Pool.open(path, { writable: true });
  for (let run = 0; run < 3; run++) {
    const keeper = new Keeper(pool, { ports: [portEntry(1)] });
    for (let i = 0; i < 20; i++) keeper.keep(testFrame(i));
    keeper.close();
  }
  const { geometry } = pool;
  pool.close();
  const forge = new Forge(path, geometry);
  forge.write(BOOT_TABLE_OFFSET + 2 * 16384 + 100, Buffer.of(0xff));
  forge.close();
  const reader = Pool.open(path), found = recover(reader);
  t.deepEqual(found.boots.map((b) => b.id), [1, 3]);
  t.deepEqual([found.lanes[0].valid, found.lanes[0].ghosts, found.lastBoot], [60, 0, 3]);
  reader.close();
});

test('records with flipped bits are torn, one by one', (t) => {
  const path = made(join(scratch(t), 'a.pool')), pool = Pool.open(path, { writable: true }), keeper = new Keeper(pool);
  for (let i = 0; i < 100; i++) keeper.keep(testFrame(i));
  keeper.close();
  const { geometry } = pool, [lane] = geometry.lanes;
  pool.close();
  const forge = new Forge(path, geometry), whole = readFileSync(path);
  for (let bit = 0; bit < RECORD_BYTES * 8; bit++) {
    const slot = 10 + bit % 80, at = lane.indexOffset + slot * RECORD_BYTES + (bit >> 3);
    forge.write(at, Buffer.of(whole[at] ^ 1 << (bit & 7)));
    const reader = Pool.open(path), [found] = recover(reader).lanes;
    t.deepEqual([found.valid, found.torn, found.gaps], [99, 1, [{ from: slot, to: slot }]], `bit ${bit}`);
    reader.close();
    forge.write(at, whole.subarray(at, at + 1));
  }
  forge.close();
});

test('what is no file is refused: a directory, a FIFO, devices, a dangling link; a good link is followed', (t) => {
  const dir = scratch(t), path = made(join(dir, 'a.pool'));
  mkdirSync(join(dir, 'directory'));
  execFileSync('mkfifo', [join(dir, 'fifo')]);
  for (const writable of [false, true]) {
    const options = writable ? { writable, create: { bytes: MiB } } : {};
    for (const name of ['directory', 'fifo']) t.is(codeOf(() => Pool.open(join(dir, name), options)), 'E_POOL_FOREIGN', `${name} ${writable}`);
    for (const device of ['/dev/null', '/dev/zero', '/dev/full']) t.is(codeOf(() => Pool.open(device, options)), 'E_POOL_FOREIGN', `${device} ${writable}`);
  }
  symlinkSync('a.pool', join(dir, 'link'));
  symlinkSync('nowhere/at/all', join(dir, 'dangling'));
  t.is(codeOf(() => Pool.open(join(dir, 'link'), { writable: true })), '');
  t.is(codeOf(() => Pool.open(join(dir, 'dangling'))), 'E_POOL_MISSING');
  t.is(codeOf(() => Pool.open(join(dir, 'nothing'))), 'E_POOL_MISSING');
  t.is(codeOf(() => Pool.open(join(path, 'below'))), 'E_POOL_OPEN');
  t.is(codeOf(() => Pool.open(join(dir, 'dangling'), { writable: true, create: { bytes: MiB } })), 'E_POOL_EXISTS');
  t.false(existsSync(join(dir, 'nowhere')));
});

test('a file that may not be read says whose it is', (t) => {
  const dir = scratch(t), path = made(join(dir, 'a.pool'));
  chmodSync(dir, 0o755);
  chmodSync(path, 0);
  const script = `import { Pool } from ${JSON.stringify(join(packageRoot(), 'dist/logger/index.js'))};
    if (process.getuid() === 0) process.setuid(65534);
    try { Pool.open(${JSON.stringify(path)}); console.log('opened'); } catch (e) { console.log(e.code); }`;
  t.is(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }).trim(), 'E_PERMISSION');
});

test('a file system without room, by a limit on file size: said at once, and nothing is left', (t) => {
  const dir = scratch(t);
  const script = `import { create } from ${JSON.stringify(join(packageRoot(), 'dist/logger/index.js'))};
    try { create(${JSON.stringify(join(dir, 'a.pool'))}, { bytes: ${8 * MiB} }); console.log('made'); } catch (e) { console.log(e.code); }`;
  const run = spawnSync('sh', ['-c', 'ulimit -f 2048; exec "$0" "$@"', process.execPath, '--input-type=module', '-e', script], { encoding: 'utf8' });
  t.is(run.stdout.trim(), 'E_POOL_CREATE', run.stderr);
  t.deepEqual(readdirSync(dir), []);
});

test('on a file in the page cache: one-copy mode, and the same refusals', (t) => {
  const where = tmpdir();
  const dir = scratch(t, where), path = made(join(dir, 'a.pool'), { bytes: 2 * MiB });
  const pool = Pool.open(path, { writable: true });
  if (pool.medium.kind !== 'file') t.log(`${where} is ${pool.medium.kind}`);
  else t.deepEqual([pool.medium.zeroCopy, pool.medium.flush, pool.medium.durability], [false, 'none', 'process']);
  t.is(codeOf(() => Pool.open(path, { writable: true })), 'E_POOL_LOCKED');
  pool.close();
  truncateSync(path, MiB);
  t.is(codeOf(() => Pool.open(path, { writable: true })), 'E_POOL_TRUNCATED');
  const forced = made(join(dir, 'b.pool')), kernel = Pool.open(forced, { writable: true, durability: 'kernel' });
  if (kernel.medium.kind === 'file') t.deepEqual([kernel.medium.flush, kernel.medium.durability], ['msync', 'kernel']);
  kernel.close();
});

if (has('a full file system', 'root', 'mount')) {
  test('a full file system is found before the first frame', (t) => {
    const dir = scratch(t), mounted = join(dir, 'full');
    mkdirSync(mounted);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4M', 'framekeep-test', mounted]);
    try {
      const error = t.throws(() => create(join(mounted, 'a.pool'), { bytes: 8 * MiB }), { instanceOf: FramekeepError });
      t.is((error as FramekeepError).code, 'E_POOL_SPACE');
      t.deepEqual(readdirSync(mounted), []);
      writeFileSync(join(mounted, 'empty'), '');
      t.is(codeOf(() => Pool.open(join(mounted, 'empty'), { writable: true, create: { bytes: 8 * MiB } })), 'E_POOL_SPACE');
      t.is(statSync(join(mounted, 'empty')).size, 0);
      create(join(mounted, 'a.pool'), { bytes: 3 * MiB });
      const pool = Pool.open(join(mounted, 'a.pool'), { writable: true }), keeper = new Keeper(pool);
      for (let i = 0; i < 2000; i++) keeper.keep(testFrame(i, 1500));
      keeper.close();
      pool.close();
    } finally { execFileSync('umount', [mounted]); }
  });
}

test('boots whose number passed 16 bits are told apart', (t) => {
  const path = made(join(scratch(t), 'a.pool')), pool = Pool.open(path, { writable: true });
  pool.writeBoot(bootHeader(recover(pool), { id: 65535 }));
  for (const id of [65535, 65536, 65537]) {
    const keeper = new Keeper(pool, { header: { id } });
    keeper.keep(testFrame(id));
    keeper.close();
  }
  const found = recover(pool);
  t.deepEqual(found.boots.map((b) => b.id), [65535, 65536, 65537]);
  t.deepEqual([found.lastBoot, found.lanes[0].valid, found.lanes[0].ghosts], [65537, 3, 0]);
  pool.close();
});

function newerVersion(bytes: Uint8Array): Uint8Array {
  new DataView(bytes.buffer).setUint32(8, 7, true);
  return withCrc(bytes);
}
function withCrc(bytes: Uint8Array): Uint8Array {
  new DataView(bytes.buffer).setUint32(SUPERBLOCK_BYTES - 4, crc32c(Buffer.concat([bytes.subarray(16, 32), bytes.subarray(8, 12), bytes.subarray(0, SUPERBLOCK_BYTES - 4)])), true);
  return bytes;
}
