/** Where a running switch leaves what others find it by: /run/framekeep as root, the user's runtime directory otherwise. */
import { existsSync, mkdirSync, openSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FramekeepError, lockFile } from '../native/index.js';

/** The base of all switches of this user. FRAMEKEEP_RUN overrides it. */
export function runBase(): string {
  const override = process.env['FRAMEKEEP_RUN'];
  if (override !== undefined && override !== '') return override;
  if (process.getuid?.() === 0) return '/run/framekeep';
  const runtime = process.env['XDG_RUNTIME_DIR'];
  return runtime !== undefined && existsSync(runtime) ? join(runtime, 'framekeep') : join(tmpdir(), `framekeep-${process.getuid?.() ?? 'user'}`);
}

/** A directory of ours, 0700. @throws FramekeepError E_RUN_DIRECTORY */
export function makeDirectory(path: string): string {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new FramekeepError('E_RUN_DIRECTORY', `the run directory ${path} cannot be made: ${(cause as Error).message}`, 'set FRAMEKEEP_RUN to a writable directory', { cause });
  }
  const { uid } = statSync(path);
  if (uid !== process.getuid?.() && process.getuid?.() !== 0) throw new FramekeepError('E_RUN_DIRECTORY', `${path} belongs to somebody else`, 'set FRAMEKEEP_RUN to a directory of yours');
  return path;
}

/** A switch's own directory, claimed for as long as the process lives. @throws FramekeepError E_NAME_TAKEN */
export function claimName(name: string): { readonly directory: string; readonly lockFd: number } {
  const directory = makeDirectory(join(makeDirectory(runBase()), name));
  const lockFd = openSync(join(directory, 'lock'), 'w', 0o600);
  if (!lockFile(lockFd)) throw new FramekeepError('E_NAME_TAKEN', `a switch named '${name}' is running`, 'give this one another name (--name)');
  for (const left of readdirSync(directory)) if (left.startsWith('cap-')) rmSync(join(directory, left), { force: true });  // of a crashed run
  return { directory, lockFd };
}

export const countersPath = (directory: string): string => join(directory, 'counters');
/** Its control socket. */
export const controlPath = (directory: string): string => join(directory, 'control');
