/**
 * How a text on the command line, or a value in a configuration file, becomes a value: sizes, seconds, moments, ports.
 * Each kind names itself in help (`placeholder`), says what TOML types it takes, and explains what it wants when it
 * refuses. Nothing here knows which option it reads.
 */
import { resolve } from 'node:path';
import { FramekeepError } from '../native/error.js';
import { parsePortSpec } from '../switch/ports/spec.js';
import { whatFailed } from './exit.js';
import type { Durability, KeepPort, Moment, PortSpec } from './options.js';
import { didYouMean } from './suggest.js';

/** What is wrong with a value; the caller adds the option, or the file and line. */
export class BadValue extends Error {}

export interface Value<T> {
  /** As help shows it: `SIZE`. */
  placeholder: string;
  /** TOML types it takes besides a string. */
  number?: true;
  /** The only values there are, for completions. */
  choices?: readonly string[];
  /** @param base directory that relative paths start from. @throws BadValue */
  read(text: string, base: string): T;
}

export const text: Value<string> = { placeholder: 'TEXT', read: (t) => t };

/** A path made absolute; `-` stays, where `dash` says so. */
export const path: Value<string> = {
  placeholder: 'PATH',
  read(t, base) {
    if (t === '') throw new BadValue('a path is empty');
    return resolve(base, t);
  },
};

export const output: Value<string> = {
  placeholder: 'OUT',
  read: (t, base) => t === '-' ? t : path.read(t, base),
};

export function integer(placeholder: string, least: number, most: number): Value<number> {
  return {
    placeholder, number: true,
    read(t) {
      const n = /^[0-9]+(_[0-9]+)*$/.test(t) ? Number(t.replaceAll('_', '')) : NaN;
      if (!(n >= least && n <= most)) throw new BadValue(`${quoted(t)} is not a whole number from ${least} to ${most}`);
      return n;
    },
  };
}

export function oneOf<const T extends string>(placeholder: string, choices: readonly T[]): Value<T> {
  return {
    placeholder, choices,
    read(t) {
      const found = choices.find((c) => c === t);
      if (found === undefined) throw new BadValue(`${quoted(t)} is none of ${choices.join(', ')}${didYouMean(t, choices)}`);
      return found;
    },
  };
}

/** A shell; the scripts themselves ask for `switches` and `ports`. */
export const shell: Value<string> = {
  placeholder: 'SHELL',
  choices: ['bash', 'zsh', 'fish'],
  read: (t, base) => t === 'switches' || t === 'ports' ? t : oneOf('SHELL', ['bash', 'zsh', 'fish']).read(t, base),
};

/** Bytes; K, M, G, T are powers of 1024, with or without `iB` or `B`. At most 2^53 - 1. */
export const size: Value<number> = {
  placeholder: 'SIZE', number: true,
  read(t) {
    const m = /^([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:iB|B)?$/i.exec(t);
    const n = m ? Number(m[1]) * 1024 ** ' KMGT'.indexOf(m[2]!.toUpperCase() || ' ') : NaN;
    if (!Number.isSafeInteger(n) || n <= 0) throw new BadValue(`${quoted(t)} is no size: write bytes, or a number with K, M, G or T, like 256M`);
    return n;
  },
};

const UNIT: Record<string, number> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9, d: 86400e9 };

/** A span of time in nanoseconds from `1.5s`, `200ms`, `2m`; a plain number is seconds. undefined: not a span. */
function span(t: string): bigint | undefined {
  const m = /^([0-9]+)(?:\.([0-9]{1,9}))?(ns|us|ms|s|m|h|d)?$/.exec(t);
  if (!m) return undefined;
  const unit = BigInt(UNIT[m[3] ?? 's']!);
  return BigInt(m[1]!) * unit + BigInt((m[2] ?? '').padEnd(9, '0')) * unit / 1_000_000_000n;
}

/** Seconds as a number, fractions allowed; also `500ms`, `2m`, `1h`. */
export const seconds: Value<number> = {
  placeholder: 'SECONDS', number: true,
  read(t) {
    const ns = span(t);
    if (ns === undefined) throw new BadValue(`${quoted(t)} is no time span: write seconds, or a number with ms, s, m, h or d`);
    return Number(ns) / 1e9;
  },
};

/** A factor of at least 0. */
export const factor: Value<number> = {
  placeholder: 'FACTOR', number: true,
  read(t) {
    if (!/^[0-9]+(\.[0-9]+)?$/.test(t)) throw new BadValue(`${quoted(t)} is no factor: write a number like 0.5 or 10; 0 is as fast as it goes`);
    return Number(t);
  },
};

/**
 * ISO 8601 (`2025-11-21T03:04:05.123456789Z`; without a zone it is local time), seconds since 1970 with up to nine
 * decimals, or a span back from the newest frame (`-10s`).
 */
export const moment: Value<Moment> = {
  placeholder: 'TIME',
  read(t) {
    const back = t.startsWith('-') && /[a-z]$/.test(t) ? span(t.slice(1)) : undefined;
    if (back !== undefined) return { relative: true, ns: -back };
    if (/^[0-9]+(\.[0-9]{1,9})?$/.test(t)) return { relative: false, ns: span(t)! };
    const m = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(Z|[+-]\d\d:?\d\d)?$/.exec(t);
    if (m) {
      const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', zone] = m;
      // Date.parse takes 30 February for 2 March: the calendar is checked by going there and back in UTC.
      const date = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
      const real = date.getUTCMonth() === Number(month) - 1 && date.getUTCDate() === Number(day);
      const offset = zone === undefined || zone === 'Z' ? zone ?? '' : `${zone.slice(0, 3)}:${zone.slice(-2)}`;
      const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}${offset}`);
      if (real && !Number.isNaN(ms)) return { relative: false, ns: BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0')) };
    }
    throw new BadValue(`${quoted(t)} is no time: write 2025-11-21T03:04:05.123456789Z, seconds since 1970 like 1763694245.5, or -10s for ten seconds before the newest frame`);
  },
};

/** pcap-filter expression; `all` or nothing keeps every frame (''), `none` keeps none (null). Syntax is checked by libpcap. */
export const keep: Value<string | null> = {
  placeholder: 'EXPR',
  read: (t) => t === 'none' ? null : t === 'all' ? '' : t.trim(),
};

export const durability: Value<Durability> = oneOf('MODE', ['power', 'kernel', 'process']);

export const chunk: Value<number> = { ...oneOf('BYTES', ['2048', '4096', '65536']), number: true, read: (t, base) => Number(oneOf('BYTES', ['2048', '4096', '65536']).read(t, base)) };

/** A boot's number from 1, or `last`. */
export const boot: Value<number | 'last'> = {
  placeholder: 'N', number: true,
  read(t, base) {
    if (t === 'last') return t;
    if (!/^[0-9]+$/.test(t)) throw new BadValue(`${quoted(t)} is no boot: write its number as inspect shows it, or last`);
    return integer('N', 0, 0xffffffff).read(t, base);
  },
};

/** `[HOST:]PORT`; this machine alone where no host is said. An IPv6 address stands in brackets. */
export const endpoint: Value<{ host: string; port: number }> = {
  placeholder: '[HOST:]PORT', number: true,
  read(t) {
    const m = /^(?:(\[[0-9a-fA-F:.%\w]+\]|[^:[\]\s]+):)?([0-9]{1,5})$/.exec(t);
    if (!m || Number(m[2]) > 65535) throw new BadValue(`${quoted(t)} is no place to listen: write a port, or HOST:PORT, like 127.0.0.1:9719 or [::1]:9719`);
    return { host: m[1]?.replaceAll(/[[\]]/g, '') ?? '127.0.0.1', port: Number(m[2]) };
  },
};

/** A file, `-` or `journal`. */
export const logDestination: Value<string> = {
  placeholder: 'FILE',
  read: (t, base) => t === 'journal' ? t : output.read(t, base),
};

/** The switch's name is part of file names and of interface names in Wireshark. */
export const switchName: Value<string> = {
  placeholder: 'NAME',
  read(t) {
    if (!/^[a-z0-9][a-z0-9_.-]{0,31}$/.test(t)) throw new BadValue(`${quoted(t)} is no name: up to 32 lower-case letters, digits, _, . and -, a letter or digit first`);
    return t;
  },
};

/** `learning`, `hub`, or a module file. */
export const logic: Value<string> = {
  placeholder: 'LOGIC',
  choices: ['learning', 'hub'],
  read(t, base) {
    if (t === 'learning' || t === 'hub') return t;
    if (!/[./]/.test(t)) throw new BadValue(`${quoted(t)} is no switching logic: write learning, hub, or the path of a module file${didYouMean(t, ['learning', 'hub'])}`);
    return resolve(base, t);
  },
};

/** A station's address, in lower case with colons. */
export const mac: Value<string> = {
  placeholder: 'MAC',
  read(t) {
    if (!/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(t)) throw new BadValue(`${quoted(t)} is no MAC address: write it like 02:00:00:00:00:01`);
    return t.toLowerCase().replaceAll('-', ':');
  },
};

/** Frames a second: a number, with k or M. */
export const rate: Value<number> = {
  placeholder: 'RATE', number: true,
  read(t) {
    const m = /^([0-9]+(?:\.[0-9]+)?)([kM]?)$/.exec(t);
    if (!m) throw new BadValue(`${quoted(t)} is no rate: write frames a second, like 500, 10k or 1.5M; 0 is as many as go`);
    return Number(m[1]) * (m[2] === 'M' ? 1e6 : m[2] === 'k' ? 1e3 : 1);
  },
};

/** Lengths of numbered frames (switch/numbered_frames.ts): `60` or `60,590,1514`. */
export const frameSizes: Value<number[]> = {
  placeholder: 'BYTES', number: true,
  read(t) {
    const sizes = t.split(',').map((part) => /^[0-9]+$/.test(part) ? Number(part) : NaN);
    if (sizes.length > 64 || !sizes.every((n) => n >= 22 && n <= 3500)) throw new BadValue(`${quoted(t)} is no frame size: write bytes from 22 to 3500, or several like 60,590,1514`);
    return sizes;
  },
};

export interface PortKind {
  kind: string;
  /** One line for help. */
  help: string;
  /** What may follow its name, beside `as`. */
  options: readonly string[];
  /** The name is a file's path. */
  file?: true;
  /** The name may be left out, and is then the kind's. */
  nameless?: true;
  /** Two ports of this kind cannot have one name. */
  exclusive?: true;
}

export const PORT_KINDS: readonly PortKind[] = [
  { kind: 'xdp', help: 'a network interface, through AF_XDP: zero-copy, copy or generic mode', options: ['queues', 'mode', 'ring', 'csum', 'offloads'], exclusive: true },
  { kind: 'tap', help: 'a tap device, made if it does not exist', options: ['vnet-hdr'], exclusive: true },
  { kind: 'cap', help: 'a network interface, through libpcap', options: [], exclusive: true },
  { kind: 'pipe', help: 'another process, through shared memory', options: [], exclusive: true },
  { kind: 'replay', help: 'a pcap or pcapng file, sent at its recorded pace', options: ['speed', 'filter', 'loop', 'count'], file: true },
  { kind: 'gen', help: 'generated frames, for measuring', options: ['rate', 'size', 'count', 'macs', 'dst', 'src'], nameless: true },
  { kind: 'sink', help: 'counts and drops what it is sent', options: [], nameless: true },
];

/** `kind:name[,option[=value]…]`; a value with commas may be quoted, as in `filter="tcp,udp"`. */
export const port: Value<PortSpec> = {
  placeholder: 'PORT',
  read(t, base) {
    try {
      const { kind, name, options } = parsePortSpec(t);
      return portSpec(kind, name, { ...options }, base);
    } catch (error) {
      if (!(error instanceof FramekeepError)) throw error;
      throw new BadValue(`${whatFailed(error)}; kinds are ${PORT_KINDS.map((k) => k.kind).join(', ')}`);
    }
  },
};

/** @throws BadValue for a kind there is not, or a name that is missing. */
export function portSpec(kind: string, name: string, options: Record<string, string>, base: string): PortSpec {
  const known = PORT_KINDS.find((k) => k.kind === kind);
  const kinds = PORT_KINDS.map((k) => k.kind);
  if (known === undefined) throw new BadValue(`${quoted(kind)} is no kind of port${didYouMean(kind, kinds)}; there are ${kinds.join(', ')}`);
  if (name === '' && !known.nameless) throw new BadValue(`the ${kind} port has no name: ${kind}:NAME`);
  const full = name === '' ? kind : known.file ? resolve(base, name) : name;
  return { kind, name: full, options, text: [`${kind}:${full}`, ...Object.entries(options).map(([k, v]) => v === '' ? k : `${k}=${v.includes(',') ? quoted(v) : v}`)].join(',') };
}

/** `NAME`, `NAME:in`, `NAME:out`; a name may itself be `kind:name`. */
export const keepPort: Value<KeepPort> = {
  placeholder: 'NAME[:in|:out]',
  read(t) {
    const m = /^(.+?)(?::(in|out|both))?$/.exec(t);
    if (!m) throw new BadValue('a port name is empty');
    return { name: m[1]!, direction: (m[2] ?? 'both') as KeepPort['direction'] };
  },
};

function quoted(t: string): string {
  return `"${t}"`;
}
