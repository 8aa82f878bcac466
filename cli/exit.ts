/**
 * Exit codes, and which error gets which. docs/errors.md lists every error code with its exit code, and a test holds
 * the two together.
 */
import { FramekeepError } from '../native/error.js';

export const EXIT = {
  ok: 0,
  /** It was tried and did not work. */
  failure: 1,
  /** It could not be tried: the command line or the configuration file is wrong. */
  usage: 2,
  /** A privilege is missing (77 is EX_NOPERM of sysexits.h). */
  permission: 77,
  /** Stopped by SIGINT before it was done (128 + 2, as a shell reports it). */
  interrupted: 130,
} as const;

export const EXIT_HELP = '0 done, 1 it failed, 2 wrong usage, 77 a privilege is missing, 130 interrupted';

const USAGE: ReadonlySet<string> = new Set([
  'E_USAGE', 'E_CONFIG', 'E_FILTER_SYNTAX', 'E_FILTER_LENGTH', 'E_FILTER_UNSUPPORTED', 'E_SNAP_LENGTH', 'E_PORT_KIND', 'E_PORT_OPTION', 'E_PORT_SYNTAX',
  'E_SWITCH_AMBIGUOUS',
]);

export function exitCodeOf(code: string): number {
  if (USAGE.has(code)) return EXIT.usage;
  if (code.endsWith('_PERMISSION')) return EXIT.permission;
  // The reader of a pipe has seen enough, as `head` does.
  if (code === 'E_OUTPUT_CLOSED') return EXIT.ok;
  return code === 'E_INTERRUPTED' ? EXIT.interrupted : EXIT.failure;
}

/** What failed, without the remedy that FramekeepError appends to its message. */
export function whatFailed(error: FramekeepError): string {
  const tail = `\n  ${error.remedy}`;
  return error.remedy !== '' && error.message.endsWith(tail) ? error.message.slice(0, -tail.length) : error.message;
}

/** Gives any thrown thing a code: a file that cannot be opened is E_IO or E_PERMISSION, a fault of the program E_INTERNAL. */
export function asFramekeepError(thrown: unknown): FramekeepError {
  if (thrown instanceof FramekeepError) return thrown;
  if (!(thrown instanceof Error)) return new FramekeepError('E_INTERNAL', `internal error: ${String(thrown)}`, REPORT);
  const { code, syscall, path, name } = thrown as NodeJS.ErrnoException;
  if (name === 'AbortError') return new FramekeepError('E_INTERRUPTED', 'interrupted', '', { cause: thrown });
  if (syscall !== undefined && code !== undefined) {
    const on = path === undefined ? syscall : `${syscall} ${path}`;
    if (code === 'EACCES' || code === 'EPERM') {
      return new FramekeepError('E_PERMISSION', `${on}: permission denied (${code})`, 'run it as a user who may, or as root', { cause: thrown });
    }
    return new FramekeepError('E_IO', `${on}: ${SAID[code] ?? code}`, REMEDY[code] ?? '', { cause: thrown });
  }
  return new FramekeepError('E_INTERNAL', `internal error: ${thrown.message}`, REPORT, { cause: thrown });
}

const REPORT = 'this is a fault of framekeep: run it again with --debug, and report what that shows';
const SAID: Record<string, string> = {
  ENOENT: 'there is no such file (ENOENT)', EISDIR: 'that is a directory (EISDIR)', ENOTDIR: 'a part of the path is no directory (ENOTDIR)',
  ENOSPC: 'the file system is full (ENOSPC)', EROFS: 'the file system is read-only (EROFS)', EDQUOT: 'the disk quota is used up (EDQUOT)',
};
const REMEDY: Record<string, string> = {
  ENOENT: 'check the path', ENOSPC: 'make room, or write elsewhere', EDQUOT: 'make room, or write elsewhere', EROFS: 'write elsewhere',
};
