/** What a test file needs of the machine; what is missing is printed by name, and `npm test` repeats it at the end. */
import { spawnSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';

const isRoot = process.getuid?.() === 0;

/**
 * True when everything is there. Otherwise prints (and notes for the summary) what is left out and why; the caller
 * then registers its tests no further.
 * @param what   the file's subject, for the note: "network namespaces"
 * @param needs  `root`, or the names of programs that must be on the PATH
 */
export function has(what: string, ...needs: string[]): boolean {
  const missing = needs.filter((need) => need === 'root' ? !isRoot : spawnSync('sh', ['-c', `command -v ${need}`]).status !== 0);
  if (missing.length === 0) return true;
  const line = `left out: ${what}: needs ${missing.join(', ')}`;
  console.log(line);
  const notes = process.env['FRAMEKEEP_LEFT_OUT'];
  if (notes !== undefined) appendFileSync(notes, line + '\n');
  return false;
}
