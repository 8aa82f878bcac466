/** `framekeep verify`: checks every record and reads every kept frame. Exit code 0: nothing is damaged; 1: something is. */
import { Pool } from '../logger/pool.js';
import { verifyPool } from '../logger/verify.js';
import { thousands } from '../logger/words.js';
import { EXIT } from './exit.js';
import type { Io } from './io.js';
import type { VerifyOptions } from './options.js';
import { Progress } from './progress.js';

export async function run(options: VerifyOptions, io: Io): Promise<number> {
  const pool = Pool.open(options.pool), progress = new Progress(io, options.quiet || options.json ? false : undefined);
  try {
    const result = await verifyPool(pool, { signal: io.interrupted, progress: (done, total) => progress.update(done, total, `${thousands(done)} frames`) });
    progress.end();
    if (options.json) io.printJson({
      sound: result.sound, frames: result.frames, bytes: result.bytes, seconds: result.seconds,
      complete: !result.aborted, findings: result.findings, notes: result.notes,
    });
    else if (!options.quiet) {
      const { colours: c } = io;
      const read = `${thousands(result.frames)} frames, ${thousands(result.bytes)} bytes read in ${result.seconds.toFixed(1)} s`;
      io.print(`${options.pool}: ${result.findings.length > 0 ? c.red('damaged') : result.aborted ? 'not read to the end' : c.green('sound')}; ${read}`);
      for (const finding of result.findings) io.print(`  ${c.red(finding)}`);
      for (const note of result.notes) io.print(`  ${note}`);
    }
    return result.aborted ? EXIT.interrupted : result.sound ? EXIT.ok : EXIT.failure;
  } finally { pool.close(); }
}
