/**
 * The program: parses, runs one subcommand, and turns what it returns or throws into an exit code. A subcommand's file
 * is imported only when it is the one, so that `--help` answers at once.
 */
import { readFileSync } from 'node:fs';
import { asFramekeepError, exitCodeOf, EXIT, whatFailed } from './exit.js';
import { processIo } from './io.js';
import type { Io } from './io.js';
import { FramekeepError } from '../native/error.js';
import { parse } from './parse.js';
import { withPools } from './pools_there.js';

/** Each of cli/up.ts, cli/inspect.ts, … */
export interface Subcommand {
  /**
   * @param again  the options as the same command line gives them now: the configuration file is read again. It throws as at the start
   * @returns the exit code
   */
  run(options: unknown, io: Io, again: () => unknown): Promise<number>;
}

/** Never throws. @param argv without node and script. @returns the exit code */
export async function main(argv: readonly string[], io: Io = processIo()): Promise<number> {
  try {
    const base = process.cwd();
    const parsed = parse(argv, version(), base);
    if ('text' in parsed) {
      if (parsed.exitCode === EXIT.ok) io.print(parsed.text);
      else io.note(parsed.text);
      return parsed.exitCode;
    }
    refuseTerminal(parsed.options, io);
    const subcommand = await import(`./${parsed.command}.js`) as Subcommand;
    return await subcommand.run(parsed.options, io, () => (parse(argv, version(), base) as typeof parsed).options);
  } catch (thrown) {
    return report(await withPools(asFramekeepError(thrown), argv), argv, io);
  }
}

/** pcapng on a terminal is noise, and may reprogram it. */
function refuseTerminal(options: Record<string, unknown>, io: Io): void {
  if (options['write'] === '-' && io.stdout.isTTY === true) {
    throw new FramekeepError('E_USAGE', 'standard output is a terminal', 'pipe it, like: framekeep export POOL -w - | wireshark -k -i -; or name a file');
  }
}

function report(error: FramekeepError, argv: readonly string[], io: Io): number {
  if (exitCodeOf(error.code) === EXIT.ok) return EXIT.ok;
  const what = whatFailed(error);
  if (argv.includes('--json')) {
    io.note(JSON.stringify({ error: { code: error.code, message: what, remedy: error.remedy } }));
  } else {
    io.note(`${io.errColours.red('framekeep:')} ${what}`);
    if (error.remedy !== '') io.note(`  ${error.remedy}`);
    io.note(io.errColours.dim(`  [${error.code}]`));
  }
  if (argv.includes('--debug')) io.note((error.cause instanceof Error ? error.cause.stack : error.stack) ?? '');
  return exitCodeOf(error.code);
}

/** This file runs as dist/cli/main.js. */
function version(): string {
  return (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;
}
