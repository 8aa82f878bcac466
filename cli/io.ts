/**
 * What a subcommand speaks through: data on standard output, diagnostics on standard error, colours only where a person
 * looks, and one signal for "please stop". Made once, in cli/main.ts.
 */
import { closeSync, openSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { isatty } from 'node:tty';

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
   * Aborted by the first SIGINT, SIGTERM or (see `onHangup`) SIGHUP, or when the reader of standard output has gone; its reason is the
   * signal's name, or `EPIPE`. A second SIGINT or SIGTERM ends the process at once, with 128 + the signal's number.
   * Until this is read for the first time, signals do what they do by default, and a closed pipe ends the process quietly.
   */
  readonly interrupted: AbortSignal;
  /** Takes SIGHUP from then on, and `interrupted` does not; but a terminal that was closed is still a request to stop. */
  onHangup: (() => void) | undefined;
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

/** Whether this process has a controlling terminal, tty(4): a closed one takes itself away before or just after SIGHUP comes. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch { return false; }
}
const HANGUP_MS = 50;

/** Node restores a terminal's settings when it exits, and aborts where the terminal has gone: it is given something else to hold. */
function letTerminalGo(fds: readonly number[]): void {
  for (const fd of fds) {
    closeSync(fd);
    openSync('/dev/null', 'r+');  // gets the lowest number there is: the one that came free
  }
}

export function processIo(): Io {
  let abort: AbortController | undefined;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    const closed = error.code === 'EIO' && process.stdout.isTTY === true;  // a terminal that went away
    if (error.code !== 'EPIPE' && !closed) throw error;
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
    onHangup: undefined,
    get interrupted() {
      if (abort === undefined) {
        const controller = abort = new AbortController(), hadTerminal = hasTerminal(), terminals = [0, 1, 2].filter((fd) => isatty(fd));
        for (const [name, number] of [['SIGINT', 2], ['SIGTERM', 15]] as const) {
          process.on(name, () => {
            if (controller.signal.aborted) process.exit(128 + number);
            controller.abort(name);
          });
        }
        process.on('SIGHUP', () => {
          const decide = (closed: boolean): void => {
            if (closed) letTerminalGo(terminals.splice(0));
            if (this.onHangup === undefined || closed) controller.abort('SIGHUP');
            else this.onHangup();
          };
          if (hadTerminal) setTimeout(() => decide(!hasTerminal()), HANGUP_MS);
          else decide(false);
        });
      }
      return abort.signal;
    },
  };
}
