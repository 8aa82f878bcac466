/** Exports of a pool that is being written to, and exports that are stopped. */
import test from 'ava';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { create, Pool } from '../logger/index.js';
import { blocks } from './capture_file.js';
import { busyWriter } from './busy_writer.js';
import { has } from './needs.js';
import { Keeper, portEntry, scratch } from './pool_maker.js';
import { MiB, exported, aPool, udp, comments, headers, names } from './exported_pool.js';
import { PATIENCE_MS } from './patience.js';

test('a port that is added while the pool is being exported is described in mid-stream', async (t) => {
  const path = join(scratch(t), 'a.pool'), out = `${path}.pcapng`;
  create(path, { bytes: 32 * MiB });
  const pool = Pool.open(path, { writable: true }), keeper = new Keeper(pool, { ports: [portEntry(0)] });
  for (let i = 0; i < 9000; i++) keeper.keep(udp(9, 60), { ingress: i < 8900 ? 0 : 5, verdict: i < 8900 ? 255 : 6 });
  keeper.close();
  const reader = Pool.open(path);
  let done = 0;
  const result = await exported(reader, out, {
    progress: (n) => {
      if (done === 0) for (const id of [5, 6]) pool.writePort(keeper.boot, portEntry(id, { spec: `tap:late${id}` }));
      done = n;
    },
  });
  t.is(done, 8192);
  t.is(result.frames, 9000);
  t.deepEqual(names(out), ['gen:p0', 'tap:late5']);
  t.is(comments(out)[8950], 'to tap:late6');
  t.true(blocks(out).findIndex((b, i) => b.type === 1 && i > 2) > 8000);
  t.regex(headers(out)[0], /was running when this was exported/);
  reader.close();
  pool.close();
});

test.serial('a pool that another process fills at full speed: every frame exported is exact, and the rest is counted', async (t) => {
  const path = join(scratch(t), 'a.pool'), out = `${path}.pcapng`;
  create(path, { bytes: 4 * MiB });
  const writer = busyWriter(path);
  let frames = 0, overtaken = 0, exports = 0;
  await writer.started;
  const began = performance.now(), seconds = (): number => (performance.now() - began) / 1000;
  while (seconds() < 2 || (frames <= 500 && seconds() < PATIENCE_MS / 1000)) {
    const result = await exported(path, out);
    let last = -1;
    for (const { body, options } of blocks(out).filter((b) => b.type === 6)) {
      const sequence = Number(options.find((o) => o.code === 5)!.value.readBigUInt64LE()), length = body.readUInt32LE(12);
      if (sequence <= last || length !== 64 + sequence * 28 % 1400) throw new Error(`frame ${sequence} of ${length} bytes after ${last}`);
      for (let at = 20; at < 20 + length; at += 4) if (body.readUInt32LE(at) !== sequence % 2 ** 32) throw new Error(`frame ${sequence} holds ${body.readUInt32LE(at)}`);
      last = sequence;
    }
    frames += result.frames;
    overtaken += result.overtaken;
    exports++;
    await new Promise((resolve) => setImmediate(resolve));
  }
  const written = await writer.stop();
  t.log(`${written} frames written, ${exports} exports of ${frames} frames, ${overtaken} overtaken`);
  t.true(frames > 500 && written > 50_000);
  if (has('a living pool, as tshark reads it', 'tshark')) {
    const run = spawnSync('tshark', ['-n', '-r', out, '-T', 'fields', '-e', 'frame.number'], { encoding: 'utf8', maxBuffer: 1 << 28 });
    t.is(run.status, 0);
    t.notRegex(run.stderr, /cut short|malformed|isn't/);
  }
});

test('stopping an export ends the file after a whole frame', async (t) => {
  const path = aPool(t, { frames: 9000, bytes: 128 * MiB, lanes: 1 }), out = `${path}.pcapng`, stop = new AbortController();
  const result = await exported(path, out, { signal: stop.signal, progress: (done) => { if (done >= 8192) stop.abort(); } });
  t.true(result.aborted && result.frames >= 8191 && result.frames < 10_000);
  t.is(blocks(out).filter((b) => b.type === 6).length, result.frames);
  const before = new AbortController();
  before.abort();
  t.is((await exported(path, out, { signal: before.signal })).frames, 0);
  t.is(blocks(out).length, 6);
});
