/**
 * A program in a real terminal: tmux, on a server socket of its own. Keys go in as a person's would, the screen comes out as a
 * person sees it. Everything is gone after `close`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, PATIENCE_MS } from './patience.js';

export interface TerminalOptions {
  readonly width?: number;
  readonly height?: number;
  /** On top of a clean environment: PATH, HOME, C.UTF-8. `undefined` removes. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
}

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

export class Terminal {
  /** What the session runs is a shell: what is left on the terminal when the program ends can be seen. */
  private readonly directory = mkdtempSync(join(tmpdir(), 'framekeep-tmux-'));
  private readonly socket = join(this.directory, 'socket');
  private readonly env: NodeJS.ProcessEnv;

  /** @param command  program and arguments, run in a shell; its exit code is in `exitCode()` once it ended */
  constructor(command: readonly string[], options: TerminalOptions = {}) {
    const { width = 80, height = 24, cwd = process.cwd() } = options;
    const inside: Record<string, string | undefined> = { PATH: process.env['PATH'], HOME: process.env['HOME'], LANG: 'C.UTF-8', FRAMEKEEP_RUN: process.env['FRAMEKEEP_RUN'], ...options.env };
    const assignments = Object.entries(inside).filter(([, v]) => v !== undefined).map(([k, v]) => `${k}=${quote(v!)}`);
    // tmux decides by its own locale what it can hold; what the program believes is up to `inside`.
    this.env = { PATH: process.env['PATH'], HOME: process.env['HOME'], LANG: 'C.UTF-8', LC_ALL: 'C.UTF-8', TERM: 'xterm-256color' };
    const line = `env -i TERM="$TERM" TMUX="$TMUX" ${assignments.join(' ')} ${command.map(quote).join(' ')}`;
    // The status line below is the shell's prompt, so to say: it shows that the program ended and how.
    const script = `stty -a > ${quote(join(this.directory, 'stty-before'))}; ${line}; code=$?; stty -a > ${quote(join(this.directory, 'stty-after'))}; `
      + `echo $code > ${quote(join(this.directory, 'exit'))}; echo; echo "ended with $code"; exec sleep 1000`;
    // No status bar, so that the pane has all rows; escape sequences are not waited for.
    this.tmux('-f', '/dev/null', 'new-session', '-d', '-x', String(width), '-y', String(height), '-c', cwd, 'cat');
    this.tmux('set-option', '-g', 'status', 'off', ';', 'set-option', '-g', 'escape-time', '0', ';', 'set-option', '-g', 'default-terminal', 'tmux-256color',
      ';', 'set-option', '-g', 'mouse', 'on', ';', 'set-option', '-g', 'history-limit', '0');
    this.resize(width, height);
    this.tmux('respawn-pane', '-k', '-c', cwd, 'sh', '-c', script);
  }

  /** tmux's names: `a`, `Enter`, `Escape`, `Up`, `PPage`, `C-c`, `BTab`. One after the other, as if typed. */
  async keys(...keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      this.tmux('send-keys', key);
      await sleep(30);
    }
  }

  /** Types text as it is. */
  type(text: string): void { this.tmux('send-keys', '-l', text); }

  /** A click at a column and row, from 0, as an xterm reports it (SGR). */
  async click(x: number, y: number): Promise<void> { await this.mouse(0, x, y, 'M'); await this.mouse(0, x, y, 'm'); }
  async wheel(direction: 'up' | 'down', x: number, y: number): Promise<void> { await this.mouse(direction === 'up' ? 64 : 65, x, y, 'M'); }

  private async mouse(button: number, x: number, y: number, final: 'M' | 'm'): Promise<void> {
    const bytes = [...Buffer.from(`\x1b[<${button};${x + 1};${y + 1}${final}`)].map((b) => b.toString(16).padStart(2, '0'));
    this.tmux('send-keys', '-H', ...bytes);
    await sleep(30);
  }

  /** The screen as lines of text, blanks at their ends cut. */
  screen(): string[] { return this.tmux('capture-pane', '-p').split('\n').slice(0, -1).map((l) => l.trimEnd()); }
  text(): string { return this.screen().join('\n'); }

  /** The screen with its SGR sequences. */
  coloured(): string[] { return this.tmux('capture-pane', '-p', '-e', '-N').split('\n').slice(0, -1); }

  /** The screen once `wanted` is on it. @throws when it never is, with what was there instead */
  shows(wanted: string | RegExp | ((text: string) => boolean)): Promise<string> {
    let text = '';
    return eventually(() => `${wanted.toString()} on the screen; this was:\n${text}`, () => {
      text = this.text();
      return (typeof wanted === 'string' ? text.includes(wanted) : wanted instanceof RegExp ? wanted.test(text) : wanted(text)) && text;
    }, 60);
  }

  resize(width: number, height: number): void { this.tmux('resize-window', '-x', String(width), '-y', String(height)); }

  /** What programs set of the terminal, as tmux knows it: all of it is off and the cursor shown where a program left cleanly. */
  modes(): { readonly alternate: boolean; readonly cursor: boolean; readonly mouse: boolean; readonly keypad: boolean } {
    const [alternate, cursor, any, standard, button, sgr, keypad, cursorKeys] = this.tmux('display-message', '-p',
      '#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{mouse_standard_flag} #{mouse_button_flag} #{mouse_sgr_flag} #{keypad_flag} #{keypad_cursor_flag}').trim().split(' ');
    return { alternate: alternate === '1', cursor: cursor === '1', mouse: [any, standard, button, sgr].includes('1'), keypad: keypad === '1' || cursorKeys === '1' };
  }

  /** The line discipline's modes (stty -a) before and after the program: equal when it restored them. */
  stty(): { readonly before: string; readonly after: string } {
    const read = (name: string): string => readFileSync(join(this.directory, name), 'utf8');
    return { before: read('stty-before'), after: read('stty-after') };
  }

  /**
   * The program's exit code, once it ended and what it wrote is on the screen. From the file: after a kill, what the program's
   * guard restores may wipe the shell's line away.
   */
  async exitCode(): Promise<number> {
    const file = join(this.directory, 'exit');
    await eventually(() => `the program's end; this was shown:\n${this.text()}`, () => existsSync(file) && readFileSync(file, 'utf8').endsWith('\n'), 30);
    const code = Number(readFileSync(file, 'utf8')), isKilled = code > 128;
    for (const end = performance.now() + (isKilled ? 1000 : PATIENCE_MS); performance.now() < end && !/^ended with \d+$/m.test(this.text());) await sleep(50);
    return code;
  }

  /** The modes once they are these, or at last what they are: tmux follows a program with a delay. */
  async becomes(wanted: ReturnType<Terminal['modes']>): Promise<ReturnType<Terminal['modes']>> {
    for (const end = performance.now() + PATIENCE_MS / 3; performance.now() < end && JSON.stringify(this.modes()) !== JSON.stringify(wanted);) await sleep(50);
    return this.modes();
  }

  /** The number of the program's process: the shell's child. */
  pid(): Promise<number> {
    const shell = this.tmux('display-message', '-p', '#{pane_pid}').trim();
    return eventually('a program of the terminal', () => {
      const found = spawnSync('ps', ['-o', 'pid=,comm=', '--ppid', shell], { encoding: 'utf8' }).stdout.trim().split('\n').find((l) => !/ (stty|sh)$/.test(l));
      return found !== undefined && found !== '' && Number(found.trim().split(' ')[0]);
    }, 50);
  }

  close(): void {
    spawnSync('tmux', ['-S', this.socket, 'kill-server'], { env: this.env });
    rmSync(this.directory, { recursive: true, force: true });
  }

  private tmux(...args: string[]): string {
    return execFileSync('tmux', ['-S', this.socket, ...args], { env: this.env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }
}
