/**
 * The whole terminal, for a program that draws on all of it: blessed's screen for its cell buffer, keys and mouse, and around it a
 * life cycle that gives the terminal back however the program ends. `draw` is called whenever something changed, and draws everything;
 * blessed sends what is different.
 *
 * blessed's traps, met here: its line-drawing goes through the alternate character set unless NCURSES_NO_UTF8_ACS says no; it looks at
 * TERM for sequences that every terminal of this century knows as xterm's; its own signal handlers do nothing where others listen too;
 * its mouse asks for every motion; `destroy` turns off a mouse only if its own widgets turned it on.
 */
import blessed from 'blessed';
import { lookOf, requireTerminal, type Look } from './look.js';
import { Painter, type Cell } from './painter.js';
import { TerminalGuard } from './terminal_guard.js';

process.env['NCURSES_NO_UTF8_ACS'] = '1';  // read when a screen is made

/** Why the screen was closed. */
export type Closed = 'asked' | 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGQUIT' | 'gone';

export interface Mouse { readonly action: 'down' | 'up' | 'move' | 'wheelup' | 'wheeldown'; readonly x: number; readonly y: number }

export interface Program {
  readonly title: string;
  /** Below this the screen says so and shows nothing else. */
  readonly least: { readonly width: number; readonly height: number };
  draw(painter: Painter): void;
  /** `q`, `G`, `?`, `space`, `enter`, `escape`, `tab`, `S-tab`, `up`, `pagedown`, `home`, `backspace`, `C-d`, …; Ctrl-C and Ctrl-Z never come here. */
  key(key: string): void;
  mouse?(mouse: Mouse): void;
}

/** What is used of blessed's screen; its published types leave half of it out. */
interface BlessedScreen {
  readonly lines: (Cell[] & { dirty: boolean })[];
  readonly dattr: number;
  readonly program: {
    readonly cols: number; readonly rows: number;
    on(event: string, hear: (...args: never[]) => void): void;
    setMouse(modes: Record<string, boolean>, on: boolean): void;
    bindMouse(): void;
    disableMouse(): void;
    flush(): void;
  };
  draw(start: number, end: number): void;
  alloc(dirty?: boolean): void;
  enter(): void;
  leave(): void;
  destroy(): void;
}

export class Screen {
  readonly look: Look;
  /** Resolves when the screen is closed and the terminal is as it was; rejects with what was thrown while it was open. */
  readonly closed: Promise<Closed>;
  private readonly program: Program;
  private readonly blessed: BlessedScreen;
  private readonly guard: TerminalGuard;
  private resolve!: (why: Closed) => void;
  private reject!: (thrown: unknown) => void;
  private isOpen = true;
  /** The terminal is somebody else's for the moment: the program is stopped, or runs another one. */
  private isAway = false;
  /** … and it is another program that has it, so that a continued process does not take it back. */
  private isLent = false;
  private isDrawPending = false;
  private readonly undo: (() => void)[] = [];

  /**
   * Takes the terminal.
   * @param instead  what does the same without a terminal, for the error
   * @throws FramekeepError E_TERMINAL
   */
  constructor(program: Program, instead: string) {
    requireTerminal(process.stdin, process.stdout, process.env, instead);
    this.look = lookOf(process.env);
    this.program = program;
    this.closed = new Promise((resolve, reject) => { this.resolve = resolve; this.reject = reject; });
    this.closed.catch(() => undefined);
    this.guard = new TerminalGuard();
    this.hearSignals();
    this.blessed = blessed.screen({
      terminal: 'xterm-256color', forceUnicode: this.look.utf8, title: program.title, resizeTimeout: 0, warnings: false,
    } as never) as unknown as BlessedScreen;
    const { program: p } = this.blessed;
    p.on('keypress', (ch: string | undefined, key: { full?: string; name?: string; ctrl?: boolean; meta?: boolean }) => this.hearKey(ch, key));
    p.bindMouse();
    p.on('mouse', (m: { action: string; x: number; y: number }) => this.hearMouse(m));
    p.on('resize', () => this.drawNow());
    this.enableMouse();
    this.redraw();
  }

  get width(): number { return this.blessed.program.cols; }
  get height(): number { return this.blessed.program.rows; }

  /** Draws soon; any number of calls are one. */
  redraw(): void {
    if (this.isDrawPending) return;
    this.isDrawPending = true;
    setImmediate(() => {
      this.isDrawPending = false;
      this.drawNow();
    });
  }

  /** Gives the terminal back. */
  close(why: Closed = 'asked'): void {
    if (this.restore()) this.resolve(why);
  }

  /** Gives the terminal to another program for as long as `run` takes. */
  async lend<T>(run: () => Promise<T>): Promise<T> {
    this.leave();
    this.isLent = true;
    try {
      return await run();
    } finally {
      this.isLent = false;
      this.comeBack();
    }
  }

  private drawNow(): void {
    if (!this.isOpen || this.isAway) return;
    const { lines, dattr } = this.blessed, { width, height } = this, { least } = this.program;
    for (const line of lines) {
      line.dirty = true;
      for (const cell of line) {
        cell[0] = dattr;
        cell[1] = ' ';
      }
    }
    const painter = new Painter(lines, this.look, { x: 0, y: 0, width, height });
    if (width < least.width || height < least.height) {
      painter.text(0, 0, 'The terminal is too small.', 'bold');
      painter.text(0, 1, `It has ${width}×${height}; ${least.width}×${least.height} is needed.`);
      painter.text(0, 2, 'q ends.');
    } else this.program.draw(painter);
    this.blessed.draw(0, lines.length - 1);
  }

  private hearKey(ch: string | undefined, key: { full?: string; name?: string; ctrl?: boolean; meta?: boolean }): void {
    if (!this.isOpen || this.isAway || key.name === 'return') return;  // blessed sends `enter` before it
    if (key.full === 'C-c') { this.close('SIGINT'); return; }
    if (key.full === 'C-z') { this.stop(true); return; }
    if (key.full === 'C-l') { this.blessed.alloc(true); this.drawNow(); return; }
    let name = key.full ?? '';
    if (ch !== undefined && ch.length === 1 && ch > ' ' && ch !== '\x7f' && !key.ctrl && !key.meta) name = ch;
    else if (name === ' ') name = 'space';
    else if (name === 'linefeed' || name === 'C-j') name = 'enter';
    const { least } = this.program;
    if (this.width < least.width || this.height < least.height) {
      if (name === 'q') this.close();
      return;
    }
    // Escape and another key in one go look like Alt and that key, to which nothing is bound here.
    if (key.meta === true && /^M-.$/.test(name)) {
      this.program.key('escape');
      if (this.isOpen) this.program.key(name.slice(2));
    } else this.program.key(name);
  }

  private hearMouse(m: { action: string; x: number; y: number }): void {
    if (!this.isOpen || this.isAway) return;
    const action = m.action.replace(/^mouse/, '') as Mouse['action'];
    this.program.mouse?.({ action, x: m.x, y: m.y });
  }

  private hearSignals(): void {
    const on = (event: string, hear: (thrown: unknown) => void): void => {
      process.on(event, hear);
      this.undo.push(() => { process.removeListener(event, hear); });
    };
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) on(signal, () => this.close(signal));
    // Of a terminal that is lent these are meant for who has it, as with system(3).
    for (const signal of ['SIGINT', 'SIGQUIT'] as const) on(signal, () => { if (!this.isLent) this.close(signal); });
    on('uncaughtException', (thrown) => {
      // EIO: the terminal went away in the middle of a write.
      if ((thrown as NodeJS.ErrnoException)?.code === 'EIO') this.close('gone');
      else if (this.restore()) this.reject(thrown);
    });
    on('SIGTSTP', () => this.stop(false));
    on('SIGCONT', () => this.comeBack());
    const gone = (): void => this.close('gone');
    process.stdin.on('end', gone);
    process.stdin.on('error', gone);
    this.undo.push(() => { process.stdin.off('end', gone); });
  }

  /** Stops the process, as the terminal's own Ctrl-Z would have, its group included. */
  private stop(group: boolean): void {
    this.leave();
    const again = process.listeners('SIGTSTP') as NodeJS.SignalsListener[];
    process.removeAllListeners('SIGTSTP');  // so that the signal does what it does by default
    process.kill(group ? 0 : process.pid, 'SIGTSTP');
    // Runs after SIGCONT; and where nobody could continue us the kernel did not stop us.
    setTimeout(() => {
      for (const hear of again) if (!process.listeners('SIGTSTP').includes(hear)) process.on('SIGTSTP', hear);
      this.comeBack();
    }, 50);
  }

  private leave(): void {
    if (this.isAway || !this.isOpen) return;
    this.isAway = true;
    this.blessed.program.disableMouse();
    this.blessed.leave();
    this.blessed.program.flush();
    process.stdin.setRawMode(false);
    process.stdin.pause();
  }

  private comeBack(): void {
    if (!this.isOpen || this.isLent) return;
    // A shell may have changed the terminal's modes meanwhile, and Node sets only what it thinks is different.
    process.stdin.setRawMode(false);
    process.stdin.setRawMode(true);
    process.stdin.resume();
    if (this.isAway) this.blessed.enter();
    this.isAway = false;
    this.enableMouse();
    this.blessed.alloc(true);
    this.redraw();
  }

  private enableMouse(): void {
    // Buttons, the wheel, dragging; coordinates as decimals (SGR), so beyond column 223 too.
    this.blessed.program.setMouse({ vt200Mouse: true, cellMotion: true, sgrMouse: true }, true);
  }

  /** @returns false when that was done before */
  private restore(): boolean {
    if (!this.isOpen) return false;
    this.isOpen = false;
    for (const undo of this.undo.splice(0)) undo();
    try {
      if (!this.isAway) this.blessed.program.disableMouse();
      this.blessed.destroy();
      if (process.stdin.isRaw) process.stdin.setRawMode(false);
    } catch { /* the terminal is gone */ }
    process.stdin.pause();
    this.guard.end();
    return true;
  }
}
