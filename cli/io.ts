/**
 * What a subcommand speaks through: data on standard output, diagnostics on standard error, colours only where a person
 * looks, and one signal for "please stop". Made once, in cli/main.ts.
 */
import type { Writable } from 'node:stream';

export interface Terminal extends Writable {
  isTTY?: boolean;
  columns?: number;
}

/** Wraps a text in an SGR sequence, or leaves it alone. */
export interface Colours {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
}

export interface Io {
  stdout: Terminal;
  stderr: Terminal;
  /** Colours for standard output and for standard error: each is plain if its stream is no terminal or NO_COLOR is set. */
  colours: Colours;
  errColours: Colours;
  /** Writes to standard output and adds a newline. */
  print(text: string): void;
  /** Writes one JSON document and a newline to standard output; bigint becomes a decimal string. */
  printJson(value: unknown): void;
  /** Writes a line to standard error: progress, warnings. */
  note(text: string): void;
  /**
   * Aborted by the first SIGINT, SIGTERM or SIGHUP, or when the reader of standard output has gone; its reason is the
   * signal's name, or `EPIPE`. A second SIGINT or SIGTERM ends the process at once, with 128 + the signal's number.
   * Until this is read for the first time, signals do what they do by default, and a closed pipe ends the process quietly.
   */
  readonly interrupted: AbortSignal;
}

const plain: Colours = {
  bold: (t) => t, dim: (t) => t, red: (t) => t, green: (t) => t, yellow: (t) => t, cyan: (t) => t,
};
// ECMA-48 SGR: each code ends with the one that undoes it alone, so that nested calls keep the outer colour.
const sgr = (on: number, off: number) => (text: string) => `\x1b[${on}m${text}\x1b[${off}m`;
const coloured: Colours = {
  bold: sgr(1, 22), dim: sgr(2, 22), red: sgr(31, 39), green: sgr(32, 39), yellow: sgr(33, 39), cyan: sgr(36, 39),
};

/** NO_COLOR (no-color.org): set and not empty means no colour, whatever the terminal can do. */
export function coloursFor(stream: Terminal, env: NodeJS.ProcessEnv): Colours {
  const wanted = stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  return wanted ? coloured : plain;
}

export function processIo(): Io {
  let abort: AbortController | undefined;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    if (abort === undefined) process.exit(0);  // as `head` leaves every program before it
    abort.abort('EPIPE');
  });
  process.stderr.on('error', () => {});        // nobody is left to tell
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    colours: coloursFor(process.stdout, process.env),
    errColours: coloursFor(process.stderr, process.env),
    print(text) { process.stdout.write(text + '\n'); },
    printJson(value) {
      process.stdout.write(JSON.stringify(value, (_, v) => typeof v === 'bigint' ? v.toString() : v, 2) + '\n');
    },
    note(text) { process.stderr.write(text + '\n'); },
    get interrupted() {
      if (abort === undefined) {
        const controller = abort = new AbortController();
        for (const [name, number] of [['SIGINT', 2], ['SIGTERM', 15], ['SIGHUP', 1]] as const) {
          process.on(name, () => {
            if (controller.signal.aborted && name !== 'SIGHUP') process.exit(128 + number);
            controller.abort(name);
          });
        }
      }
      return abort.signal;
    },
  };
}
