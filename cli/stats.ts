/**
 * `framekeep stats`: the counters, once or again and again. They are read from shared memory: looking costs the switch nothing. The
 * control socket says where they are, and when the switch ends.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { thousands } from '../logger/words.js';
import { Counters, type CountersSnapshot, type PortSnapshot } from '../switch/counters.js';
import { CountersView } from '../tui/counters_view.js';
import { columns } from './columns.js';
import { connected } from './connected.js';
import { EXIT } from './exit.js';
import type { Io } from './io.js';
import type { StatsOptions } from './options.js';

export async function run(options: StatsOptions, io: Io): Promise<number> {
  return connected(options.name, async (control) => {
    const counters = Counters.open((await control.call('status')).counters);
    try {
      if (!options.watch) {
        if (options.json) io.printJson(counters.snapshot());
        else for (const line of statsLines(counters.snapshot())) io.print(line);
        return EXIT.ok;
      }
      const gone = new AbortController(), end = (): void => gone.abort();
      control.once('close', end);
      io.interrupted.addEventListener('abort', end, { once: true });
      await watch(counters, options, io, gone.signal);
      return io.interrupted.aborted && io.interrupted.reason === 'SIGINT' ? EXIT.interrupted : EXIT.ok;
    } finally {
      counters.close();
    }
  });
}

/** On a terminal the table is drawn over itself; elsewhere it is written again. */
async function watch(counters: Counters, options: StatsOptions, io: Io, done: AbortSignal): Promise<void> {
  const view = new CountersView(io.colours.bold('x') !== 'x'), live = io.stdout.isTTY === true;
  for (;;) {
    const now = counters.snapshot();
    if (options.json) io.print(JSON.stringify({ time: Date.now() / 1000, ...now }));
    else if (live) io.stdout.write(view.redraw(now, io.stdout.columns ?? 80));
    else io.print(view.lines(now, 200).join('\n'));
    if (done.aborted) return;
    await sleep(Math.max(50, options.every * 1000), undefined, { signal: done }).catch(() => undefined);
  }
}

function statsLines(s: CountersSnapshot): string[] {
  const ports = s.ports.filter((p) => p.state !== 'removed');
  const rows = ports.map((p) => [p.spec, ...(['received', 'receivedBytes', 'forwarded', 'flooded', 'sent', 'sentBytes', 'kept', 'notSelected', 'lost'] as const).map((key) => thousands(p[key]))]);
  const drops = ports.flatMap((p) => reasons(p).map(([reason, n]) => [p.spec, reason, thousands(n)]));
  const g = s.global;
  return [
    ...columns(['port', 'received', 'bytes', 'forwarded', 'flooded', 'sent', 'bytes', 'kept', 'not selected', 'lost'], rows),
    ...(drops.length > 0 ? ['', ...columns(['port', 'not forwarded', 'frames'], drops)] : []),
    '',
    `  addresses: ${thousands(g.fdbEntries)} known, ${thousands(g.learned)} learned, ${thousands(g.moved)} moved, ${thousands(g.aged)} aged, ${thousands(g.fdbFull)} times no room`,
    ...s.workers.length > 1 ? s.workers.map((w, n) => `  worker ${n}: ${thousands(w.bursts)} bursts, ${thousands(w.committed)} frames in ${thousands(w.commits)} commits; `
      + `buffers: ${thousands(w.freeBuffers)} of ${thousands(w.buffers)} free`) : [],
    `  pool: ${thousands(g.committed)} frames in ${thousands(g.commits)} commits; buffers: ${thousands(g.freeBuffers)} of ${thousands(g.buffers)} free`,
  ];
}

/** What was dropped, and what a queue turned away or the kernel lost before the switch saw it. */
function reasons(p: PortSnapshot): [string, number][] {
  const more: [string, number][] = [
    ['not sent: its queue was full', p.txFull], ['not sent: the driver refused', p.txErrors],
    ['lost before the switch: no buffer', p.xdpFillEmpty], ['lost before the switch: ring full', p.xdpRxRingFull],
  ];
  return [...Object.entries(p.dropped), ...more].filter(([, n]) => n > 0);
}
