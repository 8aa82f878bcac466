/**
 * One look at a pool, in a process of its own: what is measured begins after Node did, and ends with the answer.
 *
 *   worker.js fill POOL FRAMES       makes it
 *   worker.js recover POOL           opens it and recovers: {ms}, and again with the pages mapped: {againMs}
 *   worker.js filter POOL FILTER     reads and matches every frame: {ms, againMs, matched}
 *   worker.js export POOL OUT        pcapng: {ms, bytes, anonMb: private memory at its highest, above what it was}
 */
import { openSync, readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { ByteSink, sinkBytes } from '../../logger/capture/index.js';
import { exportPool } from '../../logger/export.js';
import { compileFilter } from '../../logger/filter/index.js';
import { Pool, PoolReader, recover } from '../../logger/index.js';
import { fillPool } from './fill.js';

const [what, path, third] = process.argv.slice(2);
const anonymous = (): number => Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1000;

function timed<T>(work: () => T): [ms: number, result: T] {
  const from = performance.now(), result = work();
  return [performance.now() - from, result];
}

function filter(): Record<string, number> {
  const pool = Pool.open(path), { match, reach } = compileFilter(third);
  const pass = (): number => {
    const reader = new PoolReader(pool, recover(pool), undefined, reach);
    let matched = 0;
    while (reader.next()) if (match(reader.bytes, reader.offset, reader.captured, reader.wire) !== 0) matched++;
    return matched;
  };
  const [ms, matched] = timed(pass), [againMs] = timed(pass);
  return { ms, againMs, matched };
}

async function exported(): Promise<Record<string, number>> {
  const from = performance.now(), pool = Pool.open(path), before = anonymous();
  let most = before;
  const result = await exportPool(pool, (beside) => { const fd = openSync(third, 'w'); return new ByteSink(fd, third, sinkBytes(fd), beside); }, { progress: () => { most = Math.max(most, anonymous()); } });
  return { ms: performance.now() - from, bytes: result.bytes, anonMb: Math.max(most, anonymous()) - before };
}

function recovered(): Record<string, number> {
  const [ms, pool] = timed(() => { const p = Pool.open(path); recover(p); return p; });
  const [againMs, { lanes }] = timed(() => recover(pool));
  return { ms, againMs, records: lanes.reduce((n, lane) => n + lane.valid, 0) };
}

console.log(JSON.stringify(what === 'fill' ? { bytes: fillPool(path, Number(third)) } : what === 'recover' ? recovered() : what === 'filter' ? filter() : await exported()));
