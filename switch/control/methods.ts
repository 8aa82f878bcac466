/** Each method of the control socket, carried out on a switch. Parameters were checked by `checkParams`. */
import { FramekeepError } from '../../native/error.js';
import { parsePortSpec } from '../ports/spec.js';
import type { Switch } from '../switch.js';
import { FDB_PAGE, type Method, type Methods } from './protocol.js';

type Carriers = { readonly [M in Exclude<Method, 'events.subscribe' | 'events.unsubscribe'>]: (sw: Switch, params: Methods[M]['params']) => Promise<Methods[M]['result']> | Methods[M]['result'] };

const CARRIERS: Carriers = {
  'status': (sw) => sw.status(),
  'stats': (sw) => sw.stats(),
  'ports.list': (sw) => ({ ports: sw.ports() }),
  'ports.add': async (sw, { port }) => {
    const { id, report } = await sw.addPort(parsePortSpec(port));
    return { ...sw.portInfo(id), report };
  },
  'ports.remove': async (sw, { port }) => {
    const { id } = sw.portInfo(port);
    await sw.removePort(id);
    return { removed: id };
  },
  'ports.set': async (sw, { port, ...change }) => {
    const { id } = sw.portInfo(port);
    await sw.setPort(id, change);
    return sw.portInfo(id);
  },
  'fdb.show': async (sw, { from = 0, limit = FDB_PAGE, port }) => {
    const only = port === undefined ? -1 : sw.portInfo(port).id;
    const page = await sw.fdbPage(from, Math.min(Math.max(limit, 1), FDB_PAGE), only);
    const names = new Map(sw.ports().map((p) => [p.id, p.port]));
    return { entries: page.entries.map((e) => ({ ...e, portName: names.get(e.port) ?? `port ${e.port}` })), next: page.next };
  },
  'fdb.add': async (sw, { mac, port, vlan }) => {
    await sw.addStatic(mac, sw.portInfo(port).id, vlan);
    return { added: mac.toLowerCase().replaceAll('-', ':') };
  },
  'fdb.delete': async (sw, { mac, vlan }) => {
    await sw.deleteFdbEntry(mac, vlan);
    return { deleted: mac.toLowerCase().replaceAll('-', ':') };
  },
  'fdb.flush': async (sw, { port }) => ({ removed: await sw.flushFdb(port === undefined ? -1 : sw.portInfo(port).id) }),
  'keep.show': (sw) => sw.keeping(),
  'keep.set': async (sw, change) => {
    if (change.sample === 0) throw new FramekeepError('E_CONTROL_PARAMS', 'keep.set: sample must be at least 1', '1 keeps each');
    await sw.changeKeep(change);
    return sw.keeping();
  },
  'keep.freeze': async (sw) => { await sw.freeze(true); return sw.keeping(); },
  'keep.resume': async (sw) => { await sw.freeze(false); return sw.keeping(); },
  'stop': async (sw) => { await sw.stop(); return { stopped: true, stats: sw.stats() }; },
};

/** @throws FramekeepError */
export async function carryOut(sw: Switch, method: Method, params: Record<string, unknown>): Promise<unknown> {
  const carrier = CARRIERS[method as keyof Carriers] as (sw: Switch, params: unknown) => unknown;
  return carrier(sw, params);
}
