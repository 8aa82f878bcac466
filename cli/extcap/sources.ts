/**
 * What Wireshark can capture from: this user's running switches, and the pools in the usual places that this user may read.
 *
 *     framekeep-sw0         the switch sw0, wherever its pool is
 *     framekeep-demo.pool   a pool that no switch of this user's is writing
 *
 * Names have no slash and nothing that a shell or Wireshark reads otherwise: Wireshark makes file and preference names of them. What
 * cannot be read is passed over, with the reason (`framekeep wireshark` shows it): an interface that can only fail helps nobody.
 * Nothing blocks: what is no regular file is not opened, and a directory's files are looked at up to a number.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, existsSync, lstatSync, openSync, readdirSync, readSync, realpathSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { FramekeepError } from '../../native/error.js';
import { getText, MAGIC, SUPERBLOCK_BYTES } from '../../logger/format.js';
import { runningSwitches } from '../../switch/control/index.js';
import { countersPath, runBase } from '../../switch/run_directory.js';

export interface Source {
  /** The interface's name in Wireshark. */
  readonly value: string;
  readonly display: string;
  /** The running switch that writes the pool; undefined: none of this user's. */
  readonly name: string | undefined;
  readonly pool: string;
}

export interface Sources {
  readonly found: readonly Source[];
  /** Pools that were there and are not offered. */
  readonly passed: readonly { readonly path: string; readonly why: string }[];
}

const PREFIX = 'framekeep-';
/** Where `up`, `demo` and the service put pools. */
const PLACES = ['/dev/shm', '/var/lib/framekeep'];
const MOST_FILES = 4096;

/** The directories and files that are looked into: the usual ones, and those of FRAMEKEEP_POOLS (separated by colons). */
export const places = (): string[] => [...PLACES, ...(process.env['FRAMEKEEP_POOLS'] ?? '').split(':').filter((place) => place.startsWith('/'))];

export async function findSources(): Promise<Sources> {
  const running = await runningSwitches(), found: Source[] = [], passed: { path: string; why: string }[] = [], seen = new Set<string>();
  const base = runBase(), names = existsSync(base) ? readdirSync(base).filter((name) => SWITCH_NAME.test(name)).sort() : [], left: string[] = [];
  for (const name of names) {
    const pool = poolOf(name);
    if (pool === undefined) continue;
    left.push(pool);
    if (!running.includes(name)) continue;
    seen.add(identity(pool));
    found.push({ value: PREFIX + name, display: `framekeep switch ${name}`, name, pool });
  }
  const pools: string[] = [];
  for (const path of [...left, ...places().flatMap(filesOf)]) {
    const id = identity(path);
    if (seen.has(id)) continue;
    seen.add(id);
    const why = unreadable(path);
    if (why === undefined) pools.push(path);
    else if (why !== '') passed.push({ path, why });
  }
  const slugs = pools.map(slugOf);
  pools.forEach((path, i) => {
    const twice = slugs.filter((slug) => slug === slugs[i]).length > 1 || found.some((s) => s.value === slugs[i]);
    const value = twice ? slugs[i].replace(/\.pool$/, `-${createHash('sha256').update(path).digest('hex').slice(0, 6)}.pool`) : slugs[i];
    found.push({ value, display: `framekeep pool ${shown(path)}`, name: undefined, pool: path });
  });
  return { found, passed };
}

/** What an interface's name means now: also a switch that has ended since Wireshark listed it. @throws FramekeepError E_EXTCAP_INTERFACE */
export async function findSource(value: string): Promise<Source> {
  const { found, passed } = await findSources(), source = found.find((s) => s.value === value);
  if (source !== undefined) return source;
  const name = value.startsWith(PREFIX) ? value.slice(PREFIX.length) : '', pool = SWITCH_NAME.test(name) ? poolOf(name) : undefined;
  const left = pool === undefined ? undefined : found.find((s) => identity(s.pool) === identity(pool));
  if (left !== undefined) return left;
  const why = passed.find((p) => p.path === pool || slugOf(p.path) === value);
  const what = why === undefined ? `there is no interface ${JSON.stringify(value.slice(0, 80))} any more` : `${shown(why.path)}: ${why.why}`;
  throw new FramekeepError('E_EXTCAP_INTERFACE', what, found.length === 0
    ? 'no switch of yours is running, and no pool was found: framekeep wireshark says where it looked'
    : `there is ${found.map((s) => s.value).join(', ')}; Wireshark lists them anew with F5`);
}

const SWITCH_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

/** Printable, and without the braces that Wireshark's syntax ends at. */
export const shown = (text: string): string => text.replaceAll(/[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069{}]/g, '\ufffd');

function slugOf(path: string): string {
  const name = basename(path).replace(/^framekeep-/, '').replace(/\.pool$/, '').replaceAll(/[^A-Za-z0-9._-]/g, '_').slice(0, 48);
  return `${PREFIX}${name || '_'}.pool`;
}

/** What its counters say of a switch's pool; they stay when it ends. The layout is that of switch/counters.ts. */
function poolOf(name: string): string | undefined {
  const head = headOf(countersPath(join(runBase(), name)), 352);
  if (head === undefined || head.toString('latin1', 0, 8) !== 'FKCOUNT1') return undefined;
  const pool = getText(head, 96, 256);
  return pool.startsWith('/') ? pool : undefined;
}

/** The regular files of a directory, or of its directories; a file or device is itself. */
function filesOf(place: string, depth = 1): string[] {
  try {
    const stat = statSync(place);
    if (!stat.isDirectory()) return [place];
    return readdirSync(place, { withFileTypes: true }).slice(0, MOST_FILES)
      .flatMap((entry) => entry.isFile() ? [join(place, entry.name)]
        : entry.isDirectory() && depth > 0 && place !== '/dev/shm' ? filesOf(join(place, entry.name), depth - 1) : []).sort();
  } catch { return []; }
}

/** One pool has one, whatever it is called. */
function identity(path: string): string {
  try {
    return realpathSync(path);
  } catch { return path; }
}

/** undefined: a pool that can be read; '': none; else why not. */
function unreadable(path: string): string | undefined {
  try {
    const stat = lstatSync(realpathSync(path));
    if (stat.isCharacterDevice()) return undefined;  // devdax cannot be read, only mapped: the capture finds out
    if (!stat.isFile()) return '';
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), start = Buffer.alloc(SUPERBLOCK_BYTES + MAGIC.length);
    try {
      const n = readSync(fd, start, 0, start.length, 0);
      const isPool = [0, SUPERBLOCK_BYTES].some((copy) => n >= copy + MAGIC.length && start.toString('latin1', copy, copy + MAGIC.length) === MAGIC);
      return isPool ? undefined : '';
    } finally { closeSync(fd); }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'EACCES' && /\.pool$/.test(path) ? "another user's: sudo chown $USER, or run Wireshark as that user" : '';
  }
}

function headOf(path: string, length: number): Buffer | undefined {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), bytes = Buffer.alloc(length);
    try {
      return readSync(fd, bytes, 0, length, 0) === length ? bytes : undefined;
    } finally { closeSync(fd); }
  } catch { return undefined; }
}
