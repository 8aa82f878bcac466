/** What a forwarding table of so many addresses takes, in a process of its own: argv[2] the number; prints {mb}. */
import { randomFillSync } from 'node:crypto';
import { ForwardingTable } from '../../switch/fdb.js';

const macs = Number(process.argv[2]), keys = new Uint32Array(2 * macs);
randomFillSync(keys);
const before = process.memoryUsage.rss(), table = new ForwardingTable(macs, 300);
for (let i = 0; i < macs; i++) {
  const low = (keys[2 * i] & ~1) >>> 0, high = keys[2 * i + 1] & 0xffff;
  table.learn(low, high, table.hash(low, high), i & 63, 1);
}
console.log(JSON.stringify({ mb: (process.memoryUsage.rss() - before) / 1e6, entries: table.size }));
