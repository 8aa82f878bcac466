/**
 * Wireshark's toolbar for an interface, over two named pipes (developer's guide, "Toolbar controls"). A message is
 *
 *     'T'  | length, 24 bits, big-endian: payload + 2 | control | command | payload
 *
 * Neither pipe can hold the capture up: both are non-blocking, and what Wireshark does not read is dropped.
 */
import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { FramekeepError } from '../../native/error.js';
import { FREEZE, LOG } from './answers.js';

/** Commands. */
export const INITIALIZED = 0, SET = 1, ADD = 2, ENABLE = 4, DISABLE = 5, STATUS = 6, WARNING = 8;
const SYNC = 0x54, HEAD = 6, LONGEST = 65535;
/** The control that messages of no control have. */
const NONE = 255;

export function message(control: number, command: number, payload = ''): Buffer {
  const text = Buffer.from(payload).subarray(0, LONGEST), out = Buffer.alloc(HEAD + text.length);
  out[0] = SYNC;
  out.writeUIntBE(text.length + 2, 1, 3);
  out[4] = control;
  out[5] = command;
  text.copy(out, HEAD);
  return out;
}

/** Takes a stream of messages apart. */
export class Messages {
  private rest: Buffer = Buffer.alloc(0);

  /** @returns what is complete; undefined: that was no message, and nothing after it can be trusted */
  take(bytes: Buffer): { control: number; command: number; payload: Buffer }[] | undefined {
    const all = Buffer.concat([this.rest, bytes]), found: { control: number; command: number; payload: Buffer }[] = [];
    let at = 0;
    while (all.length - at >= HEAD) {
      const length = all.readUIntBE(at + 1, 3);
      if (all[at] !== SYNC || length < 2 || length > LONGEST + 2) return undefined;
      if (all.length - at < 4 + length) break;
      found.push({ control: all[at + 4], command: all[at + 5], payload: all.subarray(at + HEAD, at + 4 + length) });
      at += 4 + length;
    }
    this.rest = all.subarray(at);
    return found;
  }
}

export class Toolbar {
  private readonly out: number | undefined;
  private readonly incoming: Socket | undefined;
  private label = 'Freeze';

  /**
   * @param press  the Freeze button was pressed, by what it says
   * @throws FramekeepError E_EXTCAP_PIPE
   */
  constructor(controlIn: string | undefined, controlOut: string | undefined, press: (label: string) => void) {
    // For reading and writing: neither waits for the other end, nor sees it go, which the capture's pipe tells anyway.
    this.out = controlOut === undefined ? undefined : openPipe(controlOut, constants.O_RDWR);
    if (controlIn === undefined) return;
    const messages = new Messages();
    this.incoming = new Socket({ fd: openPipe(controlIn, constants.O_RDWR), readable: true, writable: false });
    this.incoming.on('error', () => this.incoming?.destroy());
    this.incoming.on('data', (bytes: Buffer) => {
      const found = messages.take(bytes);
      if (found === undefined) this.incoming?.destroy();
      for (const { control, command } of found ?? []) if (control === FREEZE && command === SET) press(this.label);
    });
  }

  /** A line in the log. */
  log(line: string): void { this.send(LOG, ADD, `${new Date().toISOString().slice(0, 19)}Z ${line}\n`); }
  /** And in the status bar. */
  say(line: string): void {
    this.log(line);
    this.send(NONE, STATUS, line);
  }
  /** And in a window, for what the user asked for and did not get. */
  warn(line: string): void {
    this.log(line);
    this.send(NONE, WARNING, line);
  }

  /** What the button does next; undefined: there is no switch to freeze. */
  setButton(label: 'Freeze' | 'Resume' | undefined): void {
    this.label = label ?? this.label;
    this.send(FREEZE, label === undefined ? DISABLE : ENABLE);
    this.send(FREEZE, SET, this.label);
  }

  close(): void {
    this.incoming?.destroy();
    if (this.out !== undefined) closeSync(this.out);
  }

  private send(control: number, command: number, payload = ''): void {
    if (this.out === undefined) return;
    const bytes = message(control, command, payload.slice(0, 1000));
    try {
      writeSync(this.out, bytes);  // up to PIPE_BUF whole or not at all, pipe(7)
    } catch { /* full: nobody looks */ }
  }
}

/** A named pipe, non-blocking. @throws FramekeepError E_EXTCAP_PIPE; ENXIO as the kernel says it */
export function openPipe(path: string, how: number): number {
  let fd: number;
  try {
    fd = openSync(path, how | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENXIO') throw cause;
    const why = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new FramekeepError('E_EXTCAP_PIPE', `the pipe ${path} cannot be opened: ${why}`, 'Wireshark makes it: start the capture there', { cause });
  }
  if (fstatSync(fd).isFIFO()) return fd;
  closeSync(fd);
  throw new FramekeepError('E_EXTCAP_PIPE', `${path} is no named pipe, and was not touched`, 'to write a file, use framekeep export');
}
