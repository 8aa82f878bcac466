/**
 * What is said on a switch's control socket: the methods, what they take and give, their errors. JSON-RPC 2.0
 * (jsonrpc.org/specification), one message a line, UTF-8. docs/control.md is the page for people; a test holds it to METHODS.
 *
 *   → {"jsonrpc":"2.0","id":1,"method":"ports.add","params":{"port":"tap:vm1"}}
 *   ← {"jsonrpc":"2.0","id":1,"result":{"id":2,"port":"tap:vm1",…}}
 *   ← {"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"…","data":{"code":"E_TAP_BUSY","remedy":"…"}}}
 *   ← {"jsonrpc":"2.0","method":"event","params":{"time":1763694245.5,"kind":"port-down",…}}          after events.subscribe
 */
import { FramekeepError } from '../../native/error.js';
import type { CountersSnapshot } from '../counters.js';
import type { FdbEntry } from '../fdb.js';
import type { Started, SwitchEvent } from '../messages.js';

/** Most bytes of a request, with its newline. */
export const LONGEST_LINE = 65536;
/** Entries that one `fdb.show` gives at most. */
export const FDB_PAGE = 4096;

export interface KeepPort { readonly name: string; readonly direction: 'in' | 'out' | 'both' }

/** What is kept, as of now. */
export interface KeepState {
  /** pcap-filter; '' keeps every frame, null none. */
  readonly expression: string | null;
  readonly sample: number;
  /** Most bytes kept of a frame; 0: all. */
  readonly snap: number;
  /** Keep only what these ports receive or send; empty: no restriction. */
  readonly ports: readonly KeepPort[];
  readonly frozen: boolean;
  /** Why keeping has stopped for good; null: it has not. */
  readonly stopped: string | null;
}

/** In a few words, for people. */
export function describeKeep({ expression, sample, snap, ports }: Pick<KeepState, 'expression' | 'sample' | 'snap' | 'ports'>): string {
  if (expression === null) return 'nothing';
  const what = expression.trim() === '' ? 'every frame' : `"${expression}"`;
  return what + (sample > 1 ? `, 1 in ${sample}` : '') + (snap > 0 ? `, ${snap} bytes of each` : '')
    + (ports.length > 0 ? `, of ${ports.map((p) => p.direction === 'both' ? p.name : `${p.name} (${p.direction})`).join(', ')}` : '');
}

/** What `ports.set` can set, in a few words, for people. */
export function describePort({ forwarding, keeping, promiscuous }: { forwarding?: boolean; keeping?: boolean; promiscuous?: boolean | null }): string {
  return [
    forwarding === undefined ? '' : forwarding ? 'forwards' : 'forwards nothing', keeping === undefined ? '' : keeping ? 'keeps what comes in' : 'keeps nothing',
    promiscuous === undefined || promiscuous === null ? '' : promiscuous ? 'promiscuous' : 'not promiscuous',
  ].filter((text) => text !== '').join(', ');
}

export interface PortInfo {
  readonly id: number;
  /** What it is called: in counters, in the pool, in exports. */
  readonly port: string;
  readonly kind: string;
  readonly name: string;
  readonly state: string;
  readonly note: string;
  /** Whether frames go in and out; whether those that come in are kept, as far as the selection says. */
  readonly forwarding: boolean;
  readonly keeping: boolean;
  /** Whether its interface is asked for frames that are for others too; null: its kind has no such mode. */
  readonly promiscuous: boolean | null;
  readonly received: number;
  readonly sent: number;
  readonly dropped: number;
  readonly kept: number;
}

export interface Status extends Started {
  readonly name: string;
  readonly version: string;
  readonly pid: number;
  /** Seconds since 1970. */
  readonly startSeconds: number;
  readonly pool: string;
  /** Data-plane threads that run: as many as were asked for, and no more than the pool has lanes. */
  readonly workers: number;
  readonly logic: string;
  readonly commitBeforeForward: boolean;
  /** The file that the counters are in: it can be mapped, and read without asking. */
  readonly counters: string;
  readonly keep: KeepState;
  readonly ports: readonly PortInfo[];
  readonly fdb: { readonly entries: number; readonly capacity: number; readonly ageing: number; readonly vlanAware: boolean };
  /** Frames in the pool: recovered ones and those kept since, at most as many as it has slots. */
  readonly frames: number;
}

/** An entry as clients see it: the port's name beside its number. */
export interface FdbShownEntry extends FdbEntry { readonly portName: string }

/** Method → parameters and result. */
export interface Methods {
  'status': { params: Record<string, never>; result: Status };
  'stats': { params: Record<string, never>; result: CountersSnapshot };
  'ports.list': { params: Record<string, never>; result: { ports: readonly PortInfo[] } };
  'ports.add': { params: { port: string }; result: PortInfo & { report: readonly string[] } };
  'ports.remove': { params: { port: string | number }; result: { removed: number } };
  'ports.set': { params: { port: string | number; forwarding?: boolean; keeping?: boolean; promiscuous?: boolean }; result: PortInfo };
  'fdb.show': { params: { from?: number; limit?: number; port?: string | number }; result: { entries: readonly FdbShownEntry[]; next: number | null } };
  'fdb.add': { params: { mac: string; port: string | number; vlan?: number }; result: { added: string } };
  'fdb.delete': { params: { mac: string; vlan?: number }; result: { deleted: string } };
  'fdb.flush': { params: { port?: string | number }; result: { removed: number } };
  'keep.show': { params: Record<string, never>; result: KeepState };
  'keep.set': { params: { expression?: string | null; sample?: number; snap?: number; ports?: readonly KeepPort[] }; result: KeepState };
  'keep.freeze': { params: Record<string, never>; result: KeepState };
  'keep.resume': { params: Record<string, never>; result: KeepState };
  'events.subscribe': { params: Record<string, never>; result: { subscribed: true } };
  'events.unsubscribe': { params: Record<string, never>; result: { subscribed: false } };
  'stop': { params: Record<string, never>; result: { stopped: true; stats: CountersSnapshot } };
}
export type Method = keyof Methods;

/** A notification's parameters. `events-lost`: the client did not read as fast as it was told. */
export type ControlEvent = (SwitchEvent | { readonly kind: 'events-lost'; readonly count: number; readonly text: string }) & { readonly time: number };

export type ParamType = 'text' | 'text or null' | 'number' | 'flag' | 'port' | 'ports to keep';
export interface MethodEntry {
  readonly does: string;
  readonly params: Readonly<Record<string, { readonly type: ParamType; readonly required?: true; readonly help: string }>>;
  /** Beside those that every method can give. */
  readonly errors: readonly string[];
  /** Whether the data plane is asked: such requests are spaced out, so that no client slows it. */
  readonly asks: boolean;
}

const PORT = { type: 'port', help: 'its number, or what it is called' } as const;

export const METHODS: { readonly [M in Method]: MethodEntry } = {
  'status': { does: 'what runs here: switch, pool, ports, what is kept', params: {}, errors: [], asks: false },
  'stats': { does: 'all counters, by name', params: {}, errors: [], asks: false },
  'ports.list': { does: 'the ports there are', params: {}, errors: [], asks: false },
  'ports.add': {
    does: 'opens a port', asks: true, errors: ['E_PORT_SYNTAX', 'E_PORT_KIND', 'E_PORT_OPTION', 'E_PORT_LIMIT', 'E_SEALED', 'and what the kind of port has, as on the command line'],
    params: { port: { type: 'text', required: true, help: '`kind:name[,option=value…]`; a path is relative to where the switch was started' } },
  },
  'ports.remove': { does: 'closes a port, and lets its interface go as it was found', params: { port: { ...PORT, required: true } }, errors: ['E_PORT_UNKNOWN', 'E_SEALED'], asks: true },
  'ports.set': {
    does: 'changes what a port does; what is not named stays', asks: true, errors: ['E_PORT_UNKNOWN', 'E_PORT_SETTING', 'E_PERMISSION', 'E_SEALED'],
    params: {
      port: { ...PORT, required: true },
      forwarding: { type: 'flag', help: '`false`: what comes in is dropped (`disabled`) and nothing is sent; it may still be kept' },
      keeping: { type: 'flag', help: '`false`: nothing that comes in here is kept, whatever the filter or the switching logic says' },
      promiscuous: { type: 'flag', help: '`false`: its interface leaves out frames that are for others; of an `xdp:` port, others have no choice' },
    },
  },
  'fdb.show': {
    does: 'the forwarding table, a page at a time', asks: true, errors: ['E_PORT_UNKNOWN'],
    params: {
      from: { type: 'number', help: 'where to go on: the last answer\'s `next`' },
      limit: { type: 'number', help: `about how many entries, ${FDB_PAGE} at most, which is the default` },
      port: { ...PORT, help: 'only what was learned there' },
    },
  },
  'fdb.add': {
    does: 'makes a static entry: it neither ages nor moves, and goes with its port', asks: true, errors: ['E_FDB', 'E_PORT_UNKNOWN'],
    params: {
      mac: { type: 'text', required: true, help: '`aa:bb:cc:dd:ee:ff`' }, port: { ...PORT, required: true },
      vlan: { type: 'number', help: '1 to 4094, of a switch that is VLAN-aware; 0 or nothing: untagged' },
    },
  },
  'fdb.delete': {
    does: 'deletes an entry, static or learned', asks: true, errors: ['E_FDB'],
    params: { mac: { type: 'text', required: true, help: '`aa:bb:cc:dd:ee:ff`' }, vlan: { type: 'number', help: 'as for `fdb.add`' } },
  },
  'fdb.flush': { does: 'forgets what was learned; static entries stay', params: { port: { ...PORT, help: 'only what was learned there' } }, errors: ['E_PORT_UNKNOWN'], asks: true },
  'keep.show': { does: 'what is kept', params: {}, errors: [], asks: false },
  'keep.set': {
    does: 'changes what is kept, from the next burst on; what is not named stays', asks: true, errors: ['E_FILTER_SYNTAX', 'E_FILTER_LENGTH', 'E_FILTER_UNSUPPORTED'],
    params: {
      expression: { type: 'text or null', help: 'pcap-filter(7); `""` keeps every frame, `null` none' },
      sample: { type: 'number', help: 'keep one in so many of the selected frames' },
      snap: { type: 'number', help: 'keep at most so many bytes of a frame; 0: all' },
      ports: { type: 'ports to keep', help: 'keep only what these receive or send: `[{"name":"tap:vm1","direction":"in"}]`, direction `in`, `out` or `both`; `[]`: no restriction' },
    },
  },
  'keep.freeze': { does: 'keeps nothing new: what the pool holds stays. Frames are forwarded as before', params: {}, errors: [], asks: true },
  'keep.resume': { does: 'keeps again', params: {}, errors: ['E_COMMIT'], asks: true },
  'events.subscribe': { does: 'from now on, `event` notifications on this connection', params: {}, errors: [], asks: false },
  'events.unsubscribe': { does: 'no more of them', params: {}, errors: [], asks: false },
  'stop': { does: 'sends what is in flight, commits, lets interfaces go; answers when that is done', params: {}, errors: [], asks: true },
};

// JSON-RPC 2.0, section 5.1.
export const PARSE_ERROR = -32700, INVALID_REQUEST = -32600, METHOD_NOT_FOUND = -32601, INVALID_PARAMS = -32602, INTERNAL_ERROR = -32603;
/** Refused by the switch; `data` says why. */
export const REFUSED = -32000;

export interface RpcError { readonly code: number; readonly message: string; readonly data: { readonly code: string; readonly remedy: string } }

const CODES: Readonly<Record<number, string>> = {
  [PARSE_ERROR]: 'E_CONTROL_PROTOCOL', [INVALID_REQUEST]: 'E_CONTROL_PROTOCOL', [METHOD_NOT_FOUND]: 'E_CONTROL_METHOD', [INVALID_PARAMS]: 'E_CONTROL_PARAMS', [INTERNAL_ERROR]: 'E_INTERNAL',
};

/** An error of the protocol itself. */
export function rpcError(code: number, message: string, remedy = 'see docs/control.md'): RpcError {
  return { code, message, data: { code: CODES[code] ?? 'E_CONTROL_PROTOCOL', remedy } };
}

/** What a method threw, on the wire. A fault of the program keeps its message, and not its stack. */
export function toRpcError(thrown: unknown): RpcError {
  if (thrown instanceof FramekeepError) {
    const tail = `\n  ${thrown.remedy}`;
    const message = thrown.remedy !== '' && thrown.message.endsWith(tail) ? thrown.message.slice(0, -tail.length) : thrown.message;
    return { code: thrown.code === 'E_CONTROL_PARAMS' ? INVALID_PARAMS : REFUSED, message, data: { code: thrown.code, remedy: thrown.remedy } };
  }
  return { code: INTERNAL_ERROR, message: `internal error: ${(thrown as Error)?.message ?? String(thrown)}`, data: { code: 'E_INTERNAL', remedy: 'please report this' } };
}

/** The same error again, at the client's end. */
export function fromRpcError(error: Partial<RpcError>): FramekeepError {
  return new FramekeepError(error.data?.code ?? 'E_CONTROL_PROTOCOL', error.message ?? 'refused without a word', error.data?.remedy ?? '');
}

/** @throws FramekeepError E_CONTROL_PARAMS: a parameter is missing, unknown, or of another type */
export function checkParams(method: Method, params: Record<string, unknown>): void {
  const known = METHODS[method].params, bad = (what: string): FramekeepError => new FramekeepError('E_CONTROL_PARAMS', `${method}: ${what}`, 'see docs/control.md');
  for (const key of Object.keys(params)) if (!Object.hasOwn(known, key)) throw bad(`there is no parameter ${JSON.stringify(key.slice(0, 40))}`);
  for (const [key, { type, required }] of Object.entries(known)) {
    if (!Object.hasOwn(params, key)) {
      if (required) throw bad(`the parameter ${key} is missing`);
      continue;
    }
    if (!FITS[type](params[key])) throw bad(`${key} must be ${WANTED[type]}`);
  }
}

const isCount = (v: unknown): boolean => Number.isSafeInteger(v) && (v as number) >= 0;
const isText = (v: unknown): boolean => typeof v === 'string' && !v.includes('\0');
const isKeepPort = (v: unknown): boolean => typeof v === 'object' && v !== null && Object.keys(v).every((k) => k === 'name' || k === 'direction')
  && isText((v as KeepPort).name) && ['in', 'out', 'both'].includes((v as KeepPort).direction);
const FITS: Readonly<Record<ParamType, (v: unknown) => boolean>> = {
  'text': isText, 'text or null': (v) => v === null || isText(v), 'number': isCount, 'flag': (v) => typeof v === 'boolean', 'port': (v) => isText(v) || isCount(v),
  'ports to keep': (v) => Array.isArray(v) && v.length <= 64 && v.every(isKeepPort),
};
const WANTED: Readonly<Record<ParamType, string>> = {
  'text': 'a string', 'text or null': 'a string or null', 'number': 'a whole number from 0', 'flag': 'true or false', 'port': 'a port\'s number or name',
  'ports to keep': 'a list of {"name", "direction"}',
};
