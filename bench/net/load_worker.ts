/**
 * In host a's namespace: makes frames for so long, and says how many. Options as JSON in argv[2]. At a rate, no pause of its own becomes
 * a burst: 10 ms at 500,000 frames a second, made up for at once, were more than any ring holds.
 */
import { performance } from 'node:perf_hooks';
import { interfaceInfo } from '../../native/index.js';
import { PROG_RUN, progRun } from '../../native/prog_run.js';

const { rate, seconds, size, source, destination } = JSON.parse(process.argv[2]) as { rate: number; seconds: number; size: number; source: string; destination: string };
const MOST_AT_ONCE = 1024;  // half of a default AF_XDP ring
const frame = new Uint8Array(size);
frame.set(destination.split(':').map((x) => parseInt(x, 16)), 0);
frame.set(source.split(':').map((x) => parseInt(x, 16)), 6);
frame.set([0x88, 0xb5], 12);
const run = progRun({
  ifindex: interfaceInfo('eth0')!.index, frames: [frame], rate, count: rate > 0 ? Math.round(rate * seconds) : 2 ** 50, most: rate > 0 ? MOST_AT_ONCE : 1 << 18, behind: MOST_AT_ONCE, cpu: 0, destinations: 1, sources: 1,
});
const from = performance.now();
const timer = setInterval(() => {
  const isOver = performance.now() - from >= seconds * 1000;
  if (!isOver && run.counters[PROG_RUN.ended] === 0) return;
  clearInterval(timer);
  run.stop();
  if (run.counters[PROG_RUN.error] !== 0) throw new Error(`the kernel stopped making frames: errno ${run.counters[PROG_RUN.error]}`);
  console.log(JSON.stringify({ offered: run.counters[PROG_RUN.frames], took: (performance.now() - from) / 1000 }));
}, 5);
