/**
 * What an extcap program answers before a capture: interfaces, link types, options. A sentence a line, as Wireshark's developer's
 * guide has it (chapter "Extcap"): `interface {value=framekeep-sw0}{display=…}`. Values cannot have braces.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../../native/index.js';
import { Pool, type Boot } from '../../logger/index.js';
import { shown, type Source } from './sources.js';

/** The toolbar's controls. */
export const FREEZE = 0, LOG = 1;

/** What is meant where the user has said nothing. A pool that nobody writes is read from its beginning, and ends. */
export const defaultsOf = (isLive: boolean): { last: number; follow: boolean } => isLive ? { last: 60, follow: true } : { last: Infinity, follow: false };

export function interfacesAnswer(sources: readonly Source[], version: string): string[] {
  const pages = [join(packageRoot(), 'docs', 'wireshark.md'), '/usr/share/doc/framekeep/wireshark.md', '/usr/share/doc/framekeep/docs/wireshark.md'];
  const page = pages.find((path) => existsSync(path));
  return [
    `extcap {version=${version}}{display=framekeep}${page === undefined ? '' : `{help=${pathToFileURL(page).href}}`}`,
    ...sources.map((s) => `interface {value=${s.value}}{display=${shown(s.display)}}`),
    `control {number=${FREEZE}}{type=button}{display=Freeze}{tooltip=Keep nothing new: what the pool holds stays. Frames are forwarded as before.}`,
    `control {number=${LOG}}{type=button}{role=logger}{display=Log}{tooltip=What the switch and the capture say}`,
  ];
}

export const dltsAnswer = (): string[] => ['dlt {number=1}{name=EN10MB}{display=Ethernet}'];

/** @param reload  only the values of this option */
export function configAnswer(source: Source, reload: string | undefined): string[] {
  const { ports, isLive } = look(source), { last, follow } = defaultsOf(isLive), span = last === Infinity ? 'all' : `${last}s`;
  // Without `enabled` Wireshark shows a box that nobody can check.
  const values = ports.map((port) => `value {arg=1}{value=${port.value}}{display=${shown(port.display)}}{enabled=true}{default=false}`);
  if (reload !== undefined) return reload === 'port' ? values : [];
  return [
    `arg {number=0}{call=--last}{display=Begin with the last}{type=string}{default=${span}}{validation=^(all|[0-9]+([.][0-9]+)?(ms|s|m|h|d)?)$}`
      + '{tooltip=Frames that were kept before the capture begins: a time like 30s, 5m or 1h, all, or 0 for none}',
    `arg {number=1}{call=--port}{display=Ports}{type=multicheck}{tooltip=Frames that these ports received; none checked: all ports}`,
    ...values,
    `arg {number=2}{call=--follow}{display=Follow}{type=boolean}{default=${follow}}`
      + '{tooltip=Go on with frames as they are kept; otherwise the capture ends with what is there}',
    'arg {number=3}{call=--count}{display=Stop after frames}{type=unsigned}{default=0}{tooltip=0: no end}{group=Limits}',
    'arg {number=4}{call=--duration}{display=Stop after seconds}{type=unsigned}{default=0}{tooltip=0: no end}{group=Limits}',
    'arg {number=5}{call=--snap}{display=Bytes of a frame}{type=unsigned}{range=0,65535}{default=0}{tooltip=0: all that was kept}{group=Limits}',
  ];
}

/** The ports that the newest run has, by what an export calls them; a pool that cannot be read has none. */
function look(source: Source): { readonly ports: readonly { readonly value: string; readonly display: string }[]; readonly isLive: boolean } {
  try {
    const pool = Pool.open(source.pool);
    try {
      return { ports: portsOf(pool.boots()), isLive: pool.isLive() };
    } finally { pool.close(); }
  } catch {
    return { ports: [], isLive: source.name !== undefined };
  }
}

function portsOf(boots: readonly Boot[]): { value: string; display: string }[] {
  return (boots.at(-1)?.ports ?? []).map(({ id, spec, note }) => {
    const plain = spec.split(/,(?=[a-z][a-z0-9-]*=)/)[0];
    // Wireshark joins what is checked with commas.
    return { value: /^[!-+\--z~]+$/.test(plain) ? plain : String(id), display: note === '' ? plain : `${plain} (${note})` };
  });
}
