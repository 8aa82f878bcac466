/** A switch at full speed, as far as its pool is concerned. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../native/addon.js';

/**
 * Keeps frames in a process of its own, as fast as it can: each all words its sequence number and 64 + sequence × 28 mod 1400
 * bytes long, received by the port that has its lane's number; buffers are reused last in, first out.
 * It goes on until it is told to stop, and at least until it has written 60,000 frames.
 * @returns when it has begun; and what stops it, which says how many frames it wrote
 */
export function busyWriter(path: string, durability = 'process'): { started: Promise<unknown>; stop(): Promise<number> } {
  const script = `
    import { Pool, Log, recover, unreferenced, NO_BUFFER } from ${JSON.stringify(join(packageRoot(), 'dist/logger/index.js'))};
    import { bootHeader } from ${JSON.stringify(join(packageRoot(), 'dist/test/pool_maker.js'))};
    const pool = Pool.open(${JSON.stringify(path)}, { writable: true, durability: ${JSON.stringify(durability)} }), found = recover(pool), header = bootHeader(found);
    pool.writeBoot(header);
    const logs = found.lanes.map((recovery, lane) => new Log({ pool, lane, boot: header.id, recovery, source: pool.buffers, maxBatch: 32 }));
    const free = logs.map((log, i) => [...unreferenced(log.slotBuffer, pool.geometry.lanes[i].firstBuffer, pool.geometry.lanes[i].buffers)]);
    const words = new Uint32Array(pool.buffers.segments[0]);
    const burst = () => logs.forEach((log, lane) => {
      const stamp = process.hrtime.bigint(), low = Number(stamp & 0xffffffffn), high = Number(stamp >> 32n);
      for (let i = 0; i < 32; i++) {
        const sequence = log.nextSequence + i, buffer = free[lane].pop(), length = 64 + sequence * 28 % 1400, e = i * 8;
        words.fill(sequence, buffer * 512 + 64, buffer * 512 + 64 + length / 4);
        log.entries[e] = buffer * 2048 + 256; log.entries[e + 1] = 0; log.entries[e + 2] = log.entries[e + 3] = length;
        log.entries[e + 4] = lane | 255 << 8; log.entries[e + 5] = low; log.entries[e + 6] = high;
      }
      log.pending = 32;
      log.commit();
      for (let i = 0; i < 32; i++) if (log.evicted[i] !== NO_BUFFER) free[lane].push(log.evicted[i]);
    });
    burst();
    console.log('started');
    const written = () => logs.reduce((n, log) => n + log.counters[1], 0);
    let told = false;
    process.stdin.on('close', () => { told = true; }).resume();
    for (; !told || written() < 60_000; await new Promise(setImmediate)) for (let i = 0; i < 50; i++) burst();
    console.log(written());
    process.exit(0);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  let said = '';
  const started = new Promise((resolve) => child.stdout.on('data', (text) => { said += String(text); resolve(undefined); }));
  const ended = new Promise<number>((resolve) => child.once('close', () => resolve(Number(said.split('\n')[1]))));
  return { started, async stop() { child.stdin.end(); return ended; } };
}
