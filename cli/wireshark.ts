/**
 * `framekeep wireshark`: puts the extcap program where this machine's Wireshark looks, and takes it away again. What is put there is a
 * small shell script that calls this framekeep; a file of somebody else's under that name is never touched.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, lstatSync, mkdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { FramekeepError } from '../native/error.js';
import { packageRoot } from '../native/index.js';
import { EXIT } from './exit.js';
import { findSources, places, shown } from './extcap/sources.js';
import type { Io } from './io.js';
import type { WiresharkOptions } from './options.js';

const NAME = 'framekeep';
/** The second line of what is installed: what has it is ours to replace and to remove. */
const MARK = '# framekeep for Wireshark: made by "framekeep wireshark install", removed by "framekeep wireshark uninstall".';

export interface Folders { readonly program: string; readonly version: string; readonly user: string; readonly system: string }

export async function run(options: WiresharkOptions, io: Io): Promise<number> {
  if (options.verb === 'show') return await show(options, io);
  const dir = directoryOf(options), path = join(dir, NAME), there = stateOf(path);
  if (there === 'foreign') {
    throw new FramekeepError('E_WIRESHARK_FOREIGN', `${path} is there, and not from framekeep`, `see what it is; to ${options.verb === 'install' ? 'install' : 'uninstall'} anyway, move it away first`);
  }
  const done = options.verb === 'install' ? install(dir, path, there) : uninstall(path, there);
  if (options.json) {
    io.printJson({ path, done, ...options.verb === 'install' && { interfaces: (await findSources()).found } });
    return EXIT.ok;
  }
  io.print({ installed: `installed ${path}`, replaced: `${path}: now calls this framekeep (${program()})`, unchanged: `${path} is there already, and calls this framekeep`,
    removed: `removed ${path}`, absent: `${path} is not there: nothing to remove` }[done]);
  if (options.verb === 'install') {
    const { found } = await findSources();
    io.print(found.length === 0 ? 'Wireshark will list each running switch and each pool; now there is none.' : `Wireshark lists: ${found.map((s) => s.value).join(', ')}`);
    io.print('If Wireshark is running: F5 (Capture, Refresh Interfaces). The Freeze button: View, Interface Toolbars, framekeep.');
  }
  return EXIT.ok;
}

type Done = 'installed' | 'replaced' | 'unchanged' | 'removed' | 'absent';

function install(dir: string, path: string, there: State): Done {
  if (there === 'current') return 'unchanged';
  mkdirSync(dir, { recursive: true });
  // Whole or not at all, and no program before it has its name: Wireshark runs what it finds there.
  const half = join(dir, `.${NAME}.${process.pid}.new`);
  writeFileSync(half, wrapper(), { mode: 0o600, flag: 'wx' });
  try {
    renameSync(half, path);
  } catch (error) {
    unlinkSync(half);
    throw error;
  }
  chmodSync(path, 0o755);
  return there === 'absent' ? 'installed' : 'replaced';
}

function uninstall(path: string, there: State): Done {
  if (there === 'absent') return 'absent';
  unlinkSync(path);
  return 'removed';
}

type State = 'absent' | 'current' | 'stale' | 'foreign';

/** What is under the name: this framekeep's, another framekeep's, or nobody's business. */
function stateOf(path: string): State {
  let stat;
  try {
    stat = lstatSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'absent';
    throw error;
  }
  if (!stat.isFile() || stat.size > 65536) return 'foreign';
  const text = readFileSync(path, 'utf8');
  if (text.split('\n')[1] !== MARK) return 'foreign';
  return text === wrapper() && (stat.mode & 0o777) === 0o755 ? 'current' : 'stale';
}

const program = (): string => join(packageRoot(), 'cli', 'framekeep.mjs');

/** In a checkout, an npm install and the Debian package alike: the package's root is found from this file, symbolic links followed. */
function wrapper(): string {
  const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
  return `#!/bin/sh
${MARK}
node=${quote(process.execPath)} program=${quote(program())}
if [ -f "$program" ]; then
  [ -x "$node" ] || node=node
  exec "$node" "$program" extcap "$@"
fi
# It has moved since. One that is installed for everybody does as well.
for other in /usr/bin/framekeep /usr/local/bin/framekeep; do
  [ -x "$other" ] && exec "$other" extcap "$@"
done
case " $* " in *' --capture '*)
  echo "framekeep is no longer at $program: say framekeep wireshark install again" >&2
  exit 1;;
esac
exit 0
`;
}

function directoryOf(options: WiresharkOptions): string {
  if (options.dir !== undefined) return options.dir;
  const { user, system } = folders();
  return options.system || (!options.user && process.getuid?.() === 0) ? system : user;
}

/**
 * Where Wireshark looks, as it says itself (`-G folders`). Up to 4.0 it names the system's place alone; the user's is below its
 * configuration there.
 * @throws FramekeepError E_WIRESHARK_MISSING
 */
export function folders(): Folders {
  for (const program of ['tshark', 'wireshark']) {
    const { status, stdout } = spawnSync(program, ['-G', 'folders'], { encoding: 'utf8', timeout: 20_000 });
    const line = (what: string): string | undefined => new RegExp(`^${what}:\\s*(/.*)$`, 'mi').exec(stdout ?? '')?.[1].trim();
    const system = line('Global Extcap path') ?? line('Extcap path'), configuration = line('Personal configuration');
    if (status !== 0 || system === undefined) continue;
    const version = /(\d+\.\d+(\.\d+)?)/.exec(spawnSync(program, ['--version'], { encoding: 'utf8', timeout: 20_000 }).stdout ?? '')?.[1] ?? '?';
    return { program, version, system, user: line('Personal Extcap path') ?? join(configuration ?? join(homedir(), '.config', 'wireshark'), 'extcap') };
  }
  throw new FramekeepError('E_WIRESHARK_MISSING', 'neither tshark nor wireshark can be asked where it looks for capture programs',
    'install one (apt-get install wireshark), or name the directory: framekeep wireshark install --dir DIR');
}

const SAYS: Record<State, string> = { absent: 'not installed', current: 'installed', stale: 'installed, and calls another framekeep', foreign: 'something else has the name' };

async function show(options: WiresharkOptions, io: Io): Promise<number> {
  const { program, version, user, system } = folders(), { found, passed } = await findSources();
  const at = (dir: string): State => stateOf(join(dir, NAME));
  if (options.json) {
    io.printJson({ program, version, user: { directory: user, state: at(user) }, system: { directory: system, state: at(system) }, interfaces: found, passed, places: places() });
    return EXIT.ok;
  }
  io.print(`${program} ${version} looks for capture programs in`);
  for (const [who, dir] of [['user', user], ['system', system]] as const) io.print(`  ${who.padEnd(8)}${dir}    ${SAYS[at(dir)]}`);
  io.print(found.length === 0 ? '\nThere is nothing to list: no switch of yours is running, and no pool was found.' : '\nIt would list');
  for (const source of found) io.print(`  ${source.value.padEnd(28)}${shown(source.pool)}`);
  if (passed.length > 0) io.print('\nNot offered');
  for (const { path, why } of passed) io.print(`  ${shown(path)}: ${why}`);
  io.print(`\nPools are looked for where switches left word of them, and in ${places().map(shown).join(', ')} (more: FRAMEKEEP_POOLS).`);
  return EXIT.ok;
}
