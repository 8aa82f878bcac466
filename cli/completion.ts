/**
 * `framekeep completion bash|zsh|fish`: a script for the shell, made from the table. The scripts ask `framekeep completion switches`
 * and `… ports` for what only a running switch knows: names, one a line, and nothing at all when there is none.
 */
import { connectControl, runningSwitches } from '../switch/control/index.js';
import { bashScript } from './completion_bash.js';
import { fishScript } from './completion_fish.js';
import { zshScript } from './completion_zsh.js';
import type { Io } from './io.js';
import type { CompletionOptions } from './options.js';
import { shapes } from './shape.js';

export async function run(options: CompletionOptions, io: Io): Promise<number> {
  const { what } = options;
  if (what === 'switches') for (const name of await runningSwitches()) io.print(name);
  else if (what === 'ports') for (const name of await portNames(options.name)) io.print(name);
  else io.stdout.write({ bash: bashScript, zsh: zshScript, fish: fishScript }[what](shapes()));
  return 0;
}

/** A shell that completes wants no error. */
async function portNames(name: string | undefined): Promise<string[]> {
  try {
    const control = await connectControl(name);
    try {
      return (await control.call('ports.list', {}, 2000)).ports.map((p) => p.port);
    } finally { control.close(); }
  } catch { return []; }
}
