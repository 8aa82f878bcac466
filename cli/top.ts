/** `framekeep top`: finds the switch that is meant, gives the dashboard the terminal, and takes the inspector in. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { FramekeepError } from '../native/error.js';
import { packageRoot } from '../native/index.js';
import { countersPath, runBase } from '../switch/run_directory.js';
import { Screen } from '../tui/screen.js';
import { Dashboard } from '../tui/top/dashboard.js';
import { SwitchWatch } from '../tui/top/switch_watch.js';
import { EXIT } from './exit.js';
import type { TopOptions } from './options.js';

export async function run(options: TopOptions): Promise<number> {
  const dashboard = new Dashboard({ directory: findDirectory(options.name), inspect });
  const screen = new Screen(dashboard, 'framekeep stats prints the counters');
  try {
    dashboard.begin(screen);
    await screen.closed;
  } finally {
    screen.close();
    dashboard.end();
  }
  return EXIT.ok;
}

async function inspect(screen: Screen, pool: string): Promise<void> {
  await screen.lend(async () => {
    const child = spawn(process.execPath, [join(packageRoot(), 'cli', 'framekeep.mjs'), 'inspect', '--tui', pool], { stdio: 'inherit' });
    const [code] = await once(child, 'close') as [number | null];
    if (code !== 0 && code !== null) throw new FramekeepError('E_IO', `the inspector ended with ${code}`);
  });
}

/** By name; without one the switch that runs, else the one that ran last. @throws FramekeepError E_COUNTERS, E_SWITCH_AMBIGUOUS */
function findDirectory(name: string | undefined): string {
  if (name !== undefined) return join(runBase(), name);
  const names = existsSync(runBase()) ? readdirSync(runBase()).filter((n) => existsSync(countersPath(join(runBase(), n)))).sort() : [];
  const all = names.flatMap((n) => {
    try {
      const watch = new SwitchWatch(join(runBase(), n));
      watch.close();
      return [{ name: n, isAlive: watch.isAlive, start: watch.snapshot.startSeconds }];
    } catch (error) {
      // What another version left is not meant: it is in nobody's way.
      if (error instanceof FramekeepError && error.code === 'E_COUNTERS') return [];
      throw error;
    }
  });
  if (all.length === 0) throw new FramekeepError('E_COUNTERS', `no switch has left counters in ${runBase()}`, 'start one: framekeep up, or npm start');
  const alive = all.filter((s) => s.isAlive);
  if (alive.length > 1) throw new FramekeepError('E_SWITCH_AMBIGUOUS', `several switches are running: ${alive.map((s) => s.name).join(', ')}`, 'say which: framekeep top NAME');
  return join(runBase(), (alive[0] ?? all.toSorted((a, b) => b.start - a.start)[0]).name);
}
