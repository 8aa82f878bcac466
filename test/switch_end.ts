/** A switch in a process of its own, for tests that kill it: told over the IPC channel which ports to add, it tells its counters. */
import { Switch, type CountersSnapshot, type SwitchOptions } from '../switch/index.js';

export type Told = { readonly add: string } | { readonly remove: number } | { readonly stats: true };
export type Heard = { readonly recovered: number } | { readonly added: number } | { readonly removed: number } | { readonly stats: CountersSnapshot };

if (process.send !== undefined && process.argv[2] !== undefined) {
  const say = (heard: Heard): void => { process.send!(heard); };
  const sw = await Switch.start(JSON.parse(process.argv[2]) as SwitchOptions);
  process.on('message', (told: Told) => {
    if ('add' in told) void sw.addPort(told.add).then((port) => say({ added: port.id }));
    else if ('remove' in told) void sw.removePort(told.remove).then(() => say({ removed: told.remove }));
    else say({ stats: sw.stats() });
  });
  process.on('disconnect', () => process.exit(1));
  say({ recovered: sw.started.recovered });
}
