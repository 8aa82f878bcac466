/**
 * For the ends that no program hears of: SIGKILL, the kernel out of memory, a crash in native code. A shell waits on a pipe; when the
 * pipe closes without a word it writes the sequences that make a terminal usable again. It leaves the line discipline alone: shells
 * put that back themselves after a job that a signal ended, and two of them doing it would be a race.
 */
import { spawn, type ChildProcess } from 'node:child_process';

// DECRST of the mouse modes, application keys off, cursor shown, attributes off, alternate screen left (xterm ctlseqs).
const USABLE = '\\033[?1000l\\033[?1002l\\033[?1003l\\033[?1006l\\033[?1l\\033>\\033[r\\033[?25h\\033[m\\033[?1049l';

export class TerminalGuard {
  private readonly child: ChildProcess;

  constructor() {
    // A session of its own would lose the terminal; ignoring the signals is enough to outlive the program.
    this.child = spawn('/bin/sh', ['-c', `trap '' INT TERM HUP QUIT TSTP TTOU; read -r word; [ "$word" = done ] || printf '${USABLE}'`], {
      stdio: ['pipe', 'inherit', 'ignore'],
    });
    this.child.on('error', () => undefined);          // without a shell there is no guard
    this.child.stdin!.on('error', () => undefined);
    this.child.unref();
    (this.child.stdin as unknown as { unref(): void }).unref();
  }

  /** The program has put the terminal back itself. */
  end(): void { this.child.stdin!.end('done\n'); }
}
