/** `framekeep stop`: ends a switch in order, and returns when it has. */
import { thousands } from '../logger/words.js';
import { connected } from './connected.js';
import type { Io } from './io.js';
import type { NamedOptions } from './options.js';

export async function run(options: NamedOptions, io: Io): Promise<number> {
  const { stats } = await connected(options.name, (control) => control.call('stop'));
  const kept = stats.ports.reduce((n, p) => n + p.kept, 0);
  if (options.json) io.printJson({ stopped: true, stats });
  else io.print(`${stats.name} has stopped: ${thousands(kept)} frames kept, in ${stats.pool}`);
  return 0;
}
