/**
 * `framekeep extcap`: the program that Wireshark and tshark call (docs/wireshark.md). Called with one of their options it comes here past
 * the command's parser (cli/framekeep.mjs), and loads what that call needs: a list of interfaces takes the native addon and no pool.
 * Answers are sentences on standard output; a reason on standard error and exit code 1 is what Wireshark shows when a capture cannot begin.
 */
import { closeSync, constants, readFileSync } from 'node:fs';
import { setTimeout as after } from 'node:timers/promises';
import { asFramekeepError, EXIT, whatFailed } from './exit.js';
import { readLine, type ExtcapLine } from './extcap/line.js';
import { processIo, type Io } from './io.js';

/** Never throws. @param argv  what Wireshark says. @returns the exit code */
export async function extcap(argv: readonly string[], io: Io = processIo()): Promise<number> {
  try {
    const line = readLine(argv);
    for (const sentence of await answer(line, io)) io.print(sentence);
    return EXIT.ok;
  } catch (thrown) {
    const error = asFramekeepError(thrown);
    if (error.code === 'E_OUTPUT_CLOSED') return EXIT.ok;
    io.note(`framekeep: ${whatFailed(error)}${error.remedy === '' ? '' : `\n${error.remedy}`} [${error.code}]`);
    const fifo = argv.indexOf('--fifo') + 1;
    if (argv.includes('--capture') && fifo > 0 && fifo < argv.length) await endPipe(argv[fifo]);
    return EXIT.failure;
  }
}

/**
 * tshark 4.0 waits for a first byte as long as nobody has opened the pipe, whatever became of the program: it is opened and closed
 * behind the reason, as soon as somebody reads it.
 */
async function endPipe(fifo: string): Promise<void> {
  const { openPipe } = await import('./extcap/toolbar.js');
  for (const end = Date.now() + 5000; Date.now() < end; await after(20)) {
    try {
      closeSync(openPipe(fifo, constants.O_WRONLY));
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENXIO') return;
    }
  }
}

async function answer(line: ExtcapLine, io: Io): Promise<string[]> {
  switch (line.what) {
    case 'interfaces': {
      const [{ findSources }, { interfacesAnswer }] = await Promise.all([import('./extcap/sources.js'), import('./extcap/answers.js')]);
      return interfacesAnswer((await findSources()).found, version());
    }
    case 'dlts': return (await import('./extcap/answers.js')).dltsAnswer();
    case 'config': {
      const [{ findSource }, { configAnswer }] = await Promise.all([import('./extcap/sources.js'), import('./extcap/answers.js')]);
      return configAnswer(await findSource(line.interface!), line.reload);
    }
    case 'filter': return [...await filterAnswer(line.filter)];
    case 'capture': {
      const [{ findSource }, { capture }] = await Promise.all([import('./extcap/sources.js'), import('./extcap/capture.js')]);
      await capture(line, await findSource(line.interface!), io.interrupted, `framekeep ${version()}`);
      return [];
    }
    default: return [];
  }
}

/** Nothing: it is valid. Otherwise why not, on one line, which Wireshark shows beside the filter. */
async function filterAnswer(filter: string): Promise<string[]> {
  const { compileFilter } = await import('../logger/filter/index.js');
  try {
    if (filter.trim() !== '') compileFilter(filter);
    return [];
  } catch (thrown) {
    return [whatFailed(asFramekeepError(thrown)).split('\n').map((l) => l.trim()).join(' ')];
  }
}

const version = (): string => (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;

/** `framekeep extcap` by a person: what Wireshark would list. */
export async function run(options: { json: boolean }, io: Io): Promise<number> {
  const { found, passed } = await (await import('./extcap/sources.js')).findSources();
  if (options.json) io.printJson({ interfaces: found, passed });
  else {
    for (const { value, pool } of found) io.print(`${value.padEnd(28)} ${pool}`);
    for (const { path, why } of passed) io.note(`not offered: ${path}: ${why}`);
    if (found.length === 0) io.note('no switch of yours is running, and no pool was found');
    io.note('Wireshark calls this program itself, once it is there: framekeep wireshark install');
  }
  return EXIT.ok;
}
