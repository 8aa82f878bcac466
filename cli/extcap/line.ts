/**
 * The command line that Wireshark calls an extcap program with. Not commander's: each call is one process at Wireshark's start, and
 * what a later Wireshark says beside must not be an error.
 */
import { FramekeepError } from '../../native/error.js';
import { seconds } from '../values.js';

export interface ExtcapLine {
  readonly what: 'interfaces' | 'dlts' | 'config' | 'capture' | 'filter' | undefined;
  readonly interface: string | undefined;
  /** The option whose values are asked for again. */
  readonly reload: string | undefined;
  readonly filter: string;
  readonly fifo: string | undefined;
  readonly controlIn: string | undefined;
  readonly controlOut: string | undefined;
  /** Seconds of what is there to begin with; Infinity: all. undefined: by what the interface is. */
  readonly last: number | undefined;
  readonly ports: readonly string[];
  /** undefined: by what the interface is. */
  readonly follow: boolean | undefined;
  /** 0: no end. */
  readonly count: number;
  readonly duration: number;
  /** 0: all that was kept. */
  readonly snap: number;
}

const FLAGS = ['extcap-interfaces', 'extcap-dlts', 'extcap-config', 'capture'] as const;
const VALUES = ['extcap-version', 'extcap-interface', 'extcap-reload-option', 'extcap-capture-filter', 'fifo', 'extcap-control-in', 'extcap-control-out',
  'last', 'port', 'follow', 'count', 'duration', 'snap'] as const;

const usage = (what: string): FramekeepError => new FramekeepError('E_USAGE', what, 'see docs/wireshark.md');

/** @throws FramekeepError E_USAGE */
export function readLine(argv: readonly string[]): ExtcapLine {
  const flags = new Set<string>(), values = new Map<string, string>();
  for (let i = 0; i < argv.length; i++) {
    const m = /^--([a-z-]+)(?:=(.*))?$/s.exec(argv[i]);
    if (m === null) throw usage(`extcap: ${quoted(argv[i])} is no option`);
    const [, name, given] = m;
    if ((FLAGS as readonly string[]).includes(name)) {
      flags.add(name);
      continue;
    }
    const isOurs = (VALUES as readonly string[]).includes(name), next = argv[i + 1], hasNext = next !== undefined && !next.startsWith('--');
    if (!isOurs && !/^(extcap|log)-/.test(name)) throw usage(`extcap: there is no option --${name}`);
    let value = given;
    // A filter and a path are whatever stands next; a later Wireshark's options may have a value or not.
    if (value === undefined && (isOurs && name !== 'follow' && name !== 'extcap-version' ? next !== undefined : hasNext)) value = argv[++i];
    if (value === undefined && isOurs && name !== 'follow' && name !== 'extcap-version') throw usage(`extcap: --${name} has no value`);
    if (isOurs) values.set(name, value ?? '');
  }
  const text = (name: typeof VALUES[number]): string | undefined => values.get(name);
  const what = flags.has('capture') ? 'capture' : flags.has('extcap-interfaces') ? 'interfaces'
    : flags.has('extcap-dlts') ? 'dlts' : flags.has('extcap-config') ? 'config'
    : values.has('extcap-capture-filter') ? 'filter' : undefined;
  if (what !== undefined && what !== 'interfaces' && what !== 'filter' && !text('extcap-interface')) throw usage('extcap: --extcap-interface is missing');
  if (what === 'capture' && !text('fifo')) throw usage('extcap: --fifo is missing');
  return {
    what, interface: text('extcap-interface'), reload: text('extcap-reload-option')?.replace(/^--/, ''),
    filter: text('extcap-capture-filter') ?? '', fifo: text('fifo'),
    controlIn: text('extcap-control-in') || undefined, controlOut: text('extcap-control-out') || undefined,
    last: lastOf(text('last')), ports: (text('port') ?? '').split(',').map((p) => p.trim()).filter((p) => p !== ''), follow: followOf(text('follow')),
    count: wholeNumber('count', text('count'), Number.MAX_SAFE_INTEGER), duration: spanOf('duration', text('duration')),
    snap: wholeNumber('snap', text('snap'), 65535),
  };
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 80));

function spanOf(name: string, text: string | undefined): number {
  if (text === undefined || text.trim() === '') return 0;
  try {
    return seconds.read(text.trim(), '');
  } catch { throw usage(`extcap: --${name}: ${quoted(text)} is no time span: write seconds, or a number with ms, s, m, h or d`); }
}

function lastOf(text: string | undefined): number | undefined {
  if (text === undefined || text.trim() === '') return undefined;
  return text.trim() === 'all' ? Infinity : spanOf('last', text);
}

function wholeNumber(name: string, text: string | undefined, most: number): number {
  if (text === undefined || text.trim() === '') return 0;
  const n = /^\d+$/.test(text.trim()) ? Number(text) : NaN;
  if (!(n <= most)) throw usage(`extcap: --${name}: ${quoted(text)} is not a whole number from 0 to ${most}`);
  return n;
}

function followOf(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (text === '' || text === 'true') return true;
  if (text === 'false') return false;
  throw usage(`extcap: --follow: ${quoted(text)} is neither true nor false`);
}
