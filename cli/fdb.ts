/** `framekeep fdb show|add|delete|flush`. */
import { thousands } from '../logger/words.js';
import type { ControlClient, FdbShownEntry } from '../switch/control/index.js';
import { columns } from './columns.js';
import { connected } from './connected.js';
import type { Io } from './io.js';
import type { FdbOptions } from './options.js';

export async function run(options: FdbOptions, io: Io): Promise<number> {
  return connected(options.name, async (control) => {
    const say = (result: unknown, line: string): number => {
      if (options.json) io.printJson(result);
      else io.print(line);
      return 0;
    };
    const vlan = 'vlan' in options && options.vlan > 0 ? { vlan: options.vlan } : {}, inVlan = 'vlan' in options && options.vlan > 0 ? ` in VLAN ${options.vlan}` : '';
    switch (options.verb) {
      case 'show': {
        const entries = await wholeTable(control, options.port);
        if (options.json) io.printJson(entries);
        else for (const line of tableLines(entries)) io.print(line);
        return 0;
      }
      case 'add': return say(await control.call('fdb.add', { mac: options.mac, port: options.port, ...vlan }), `${options.mac}${inVlan} is behind ${options.port}, for good`);
      case 'delete': return say(await control.call('fdb.delete', { mac: options.mac, ...vlan }), `${options.mac}${inVlan} is forgotten`);
      case 'flush': {
        const { removed } = await control.call('fdb.flush', options.port === undefined ? {} : { port: options.port });
        return say({ removed }, `${thousands(removed)} learned address${removed === 1 ? ' is' : 'es are'} forgotten`);
      }
    }
  });
}

/** Page by page; an entry that moved between two pages comes once. */
async function wholeTable(control: ControlClient, port: string | undefined): Promise<FdbShownEntry[]> {
  const all = new Map<string, FdbShownEntry>();
  for (let from: number | null = 0; from !== null;) {
    const page: { entries: readonly FdbShownEntry[]; next: number | null } = await control.call('fdb.show', { from, ...(port !== undefined && { port }) });
    for (const entry of page.entries) all.set(`${entry.mac} ${entry.vlan}`, entry);
    from = page.next;
  }
  return [...all].sort(([a], [b]) => a < b ? -1 : 1).map(([, entry]) => entry);
}

function tableLines(entries: readonly FdbShownEntry[]): string[] {
  if (entries.length === 0) return ['  no address is known'];
  const vlans = entries.some((e) => e.vlan > 0);
  return columns(['address', ...(vlans ? ['VLAN'] : []), 'port', 'seen'], entries.map((e) => [
    e.mac, ...(vlans ? [e.vlan > 0 ? String(e.vlan) : '-'] : []), e.portName, e.isStatic ? 'static' : e.ageSeconds === 0 ? 'now' : `${e.ageSeconds} s ago`,
  ]));
}
