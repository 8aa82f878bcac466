/** `framekeep ports list|add|remove|set`. */
import { FramekeepError } from '../native/error.js';
import { describePort } from '../switch/control/index.js';
import { connected } from './connected.js';
import type { Io } from './io.js';
import type { PortsOptions } from './options.js';
import { portTable } from './status.js';

export async function run(options: PortsOptions, io: Io): Promise<number> {
  return connected(options.name, async (control) => {
    const say = (result: unknown, ...lines: readonly string[]): number => {
      if (options.json) io.printJson(result);
      else for (const line of lines) io.print(line);
      return 0;
    };
    switch (options.verb) {
      case 'list': {
        const { ports } = await control.call('ports.list');
        return say(ports, ...portTable(ports));
      }
      case 'add': {
        const added = await control.call('ports.add', { port: options.port.text });
        return say(added, `${added.port}: ${added.note}`, ...added.report.map((line) => `  ${line}`));
      }
      case 'remove': {
        const removed = await control.call('ports.remove', { port: options.port });
        return say(removed, `port ${options.port} is removed`);
      }
      case 'set': {
        const change = { ...onOff('forwarding', options.forward), ...onOff('keeping', options.keep), ...onOff('promiscuous', options.promiscuous) };
        if (Object.keys(change).length === 0) throw new FramekeepError('E_USAGE', 'nothing is to be set', 'say --forward, --keep or --promiscuous, each on or off');
        const port = await control.call('ports.set', { port: options.port, ...change });
        return say(port, `${port.port}: ${describePort(port)}`);
      }
    }
  });
}

function onOff<K extends string>(key: K, word: 'on' | 'off' | undefined): { [k in K]?: boolean } {
  return (word === undefined ? {} : { [key]: word === 'on' }) as { [k in K]?: boolean };
}
