/** `framekeep keep show|set|freeze|resume`. */
import { FramekeepError } from '../native/error.js';
import { describeKeep, type KeepState } from '../switch/control/index.js';
import { connected } from './connected.js';
import type { Io } from './io.js';
import type { KeepCommandOptions } from './options.js';
import { keep as keepValue } from './values.js';

export async function run(options: KeepCommandOptions, io: Io): Promise<number> {
  return connected(options.name, async (control) => {
    const state = options.verb === 'set' ? await control.call('keep.set', changeOf(options))
      : await control.call(options.verb === 'freeze' ? 'keep.freeze' : options.verb === 'resume' ? 'keep.resume' : 'keep.show');
    if (options.json) io.printJson(state);
    else for (const line of stateLines(state)) io.print(line);
    return 0;
  });
}

function changeOf(options: KeepCommandOptions & { verb: 'set' }): { expression?: string | null; sample?: number; snap?: number; ports?: KeepState['ports'] } {
  const change = {
    ...(options.words.length > 0 && { expression: keepValue.read(options.words.join(' '), '') }),
    ...(options.keepPorts.length > 0 && { ports: options.keepPorts.filter((port) => port.name !== '-') }),
    ...(options.snap !== undefined && { snap: options.snap }), ...(options.sample !== undefined && { sample: options.sample }),
  };
  if (Object.keys(change).length === 0) throw new FramekeepError('E_USAGE', 'nothing is to be set', 'say a pcap-filter expression, all or none, or --snap, --sample, --keep-port');
  return change;
}

function stateLines(state: KeepState): string[] {
  const kept = describeKeep(state);
  if (state.stopped !== null) return [`nothing any more, the medium failed: ${state.stopped.replace('\n', ';')}`];
  return state.frozen ? ['frozen: nothing new is kept', `after framekeep keep resume: ${kept}`] : [kept];
}
