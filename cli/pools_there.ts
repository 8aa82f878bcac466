/** Whoever names no pool, or one that is not there, is told which there are: a name to copy instead of one to remember. */
import { statSync } from 'node:fs';
import { FramekeepError } from '../native/error.js';
import type { Source } from './extcap/sources.js';

const READERS: ReadonlySet<string | undefined> = new Set(['inspect', 'verify', 'export']);
/** A line has room for a few. */
const SHOWN = 4;

/** @returns the error, its remedy naming this user's pools if it is for want of one; those of running switches come first, then the newest */
export async function withPools(error: FramekeepError, argv: readonly string[]): Promise<FramekeepError> {
  const isUnnamed = error.code === 'E_USAGE' && error.message.startsWith("missing required argument 'POOL'");
  if (!READERS.has(argv[0]) || (!isUnnamed && error.code !== 'E_POOL_MISSING')) return error;
  const { findSources, shown } = await import('./extcap/sources.js');
  const { found } = await findSources().catch(() => ({ found: [] }));
  if (found.length === 0) return error;
  const age = (source: Source): number => source.name !== undefined ? -Infinity : -(statSync(source.pool, { throwIfNoEntry: false })?.mtimeMs ?? 0);
  const names = found.toSorted((a, b) => age(a) - age(b) || 0).slice(0, SHOWN).map((source) => shown(source.pool)).join(', ') + (found.length > SHOWN ? ` and ${found.length - SHOWN} more` : '');
  const [what] = error.message.split('\n');
  return new FramekeepError(error.code, what!, `there is ${names}; ${isUnnamed ? error.remedy : 'framekeep wireshark shows where pools are looked for'}`, { cause: error });
}
