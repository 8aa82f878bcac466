/** The screen that the dashboard and the inspector stand on, in a real terminal: what it shows, and that it gives the terminal back. */
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { packageRoot } from '../native/index.js';
import { lookOf } from '../tui/look.js';
import { has } from './needs.js';
import { Terminal, type TerminalOptions } from './terminal.js';

const PROGRAM = [process.execPath, join(packageRoot(), 'dist', 'test', 'screen_program.js')];
const TAKEN = { alternate: true, cursor: false, mouse: true, keypad: true };
const UNTOUCHED = { alternate: false, cursor: true, mouse: false, keypad: false };

test('locale and colours are what the environment says', (t) => {
  t.deepEqual(lookOf({ LANG: 'de_DE.UTF-8', TERM: 'xterm-256color' }), { utf8: true, colours: 256 });
  t.deepEqual(lookOf({ LANG: 'de_DE.UTF-8', LC_ALL: 'C', TERM: 'xterm' }), { utf8: false, colours: 16 });
  t.deepEqual(lookOf({ LC_ALL: '', LC_CTYPE: 'C.utf8', LANG: 'C', TERM: 'linux' }), { utf8: true, colours: 16 });
  t.deepEqual(lookOf({ TERM: 'xterm-256color', NO_COLOR: '1' }), { utf8: false, colours: 0 });
  t.deepEqual(lookOf({ TERM: 'xterm', COLORTERM: 'truecolor', NO_COLOR: '' }), { utf8: false, colours: 256 });
});

test('without a terminal it says so and ends', (t) => {
  const { status, stderr } = spawnSync(PROGRAM[0], PROGRAM.slice(1), { encoding: 'utf8', input: '' });
  t.not(status, 0);
  t.regex(stderr, /standard output is no terminal/);
});

if (has('programs in a terminal', 'tmux', 'ps', 'bash')) {
  const run = async (t: ExecutionContext, options: TerminalOptions = {}): Promise<Terminal> => {
    const terminal = new Terminal(PROGRAM, options);
    t.teardown(() => terminal.close());
    await terminal.shows((text) => text.includes('row 3') && text.includes('filter:'));
    return terminal;
  };
  const ended = async (t: ExecutionContext, terminal: Terminal, code: number): Promise<void> => {
    t.is(await terminal.exitCode(), code);
    t.deepEqual(await terminal.becomes(UNTOUCHED), UNTOUCHED);
    t.is(terminal.stty().after, terminal.stty().before);
  };

  test.serial('a list of a million rows by arrows, vi keys, pages, ends, click and wheel', async (t) => {
    const terminal = await run(t);
    t.deepEqual(await terminal.becomes(TAKEN), TAKEN);
    await terminal.keys('j', 'j', 'Down', 'k');
    await terminal.shows('▶ row 2');
    await terminal.keys('G');
    await terminal.shows('▶ row 999999');
    await terminal.keys('PPage');
    await terminal.shows('▶ row 999981');
    await terminal.keys('g');
    await terminal.shows('▶ row 0');
    await terminal.click(10, 7);
    await terminal.shows('▶ row 5');
    await terminal.wheel('down', 10, 7);
    await terminal.shows('▶ row 8');
    await terminal.keys('q');
    await ended(t, terminal, 0);
  });

  test.serial('help, and a line to type into', async (t) => {
    const terminal = await run(t);
    await terminal.keys('?');
    await terminal.shows('j, k  down, up');
    await terminal.keys('?');
    await terminal.shows((text) => !text.includes('j, k'));
    await terminal.keys('/');
    terminal.type('tcp port 8x');
    await terminal.keys('BSpace', '0', 'Home', 'a', 'C-d', 'End', 'Enter');
    await terminal.shows('filter: acp port 80');
    await terminal.keys('/');
    terminal.type('zzz');
    await terminal.keys('Escape');
    await terminal.shows((text) => !text.includes('zzz'));
    t.true(terminal.text().includes('filter: acp port 80'));
    // Escape and a key that come together are not Alt and that key.
    await terminal.keys('/');
    terminal.type('\x1bj');
    await terminal.shows('▶ row 1');
    await terminal.keys('q');
    await ended(t, terminal, 0);
  });

  test.serial('it follows the terminal\'s size, and says when that is too small', async (t) => {
    const terminal = await run(t);
    terminal.resize(200, 60);
    await terminal.shows(/^┌─ list ─{180,}.*┐$/m);
    await terminal.shows('row 53');
    terminal.resize(30, 8);
    await terminal.shows('It has 30×8; 40×10 is needed.');
    terminal.resize(80, 24);
    await terminal.shows('▶ row 0');
    await terminal.keys('q');
    await ended(t, terminal, 0);
  });

  test.serial('what a frame or a name says never reaches the terminal as a command', async (t) => {
    const terminal = await run(t);
    await terminal.shows('filter:  ??[31m? ?⣿é');
    t.pass();
    await terminal.keys('q');
    await ended(t, terminal, 0);
  });

  test.serial('in a plain locale it is ASCII alone; with NO_COLOR, 16 and 256 colours it sends such', async (t) => {
    const plain = await run(t, { env: { LC_ALL: 'C' } });
    t.regex(plain.text(), /^\+- list -+ 0 -\+$/m);
    t.regex(plain.text(), /^[ -~\n]*$/);
    const sgr = (terminal: Terminal): string[] => [...new Set(terminal.coloured().join('').match(/\x1b\[[0-9;]*m/g))].map((s) => s.slice(2, -1));
    t.true(sgr(plain).some((s) => s.includes('38;5;203')), sgr(plain).join(' '));
    const none = await run(t, { env: { NO_COLOR: '1' } });
    t.deepEqual(sgr(none).flatMap((s) => s.split(';')).filter((n) => Number(n) >= 30 && n !== '39' && n !== '49'), []);  // those are the terminal's own
    const sixteen = await run(t, { env: { TERM: 'xterm' } });
    t.true(sgr(sixteen).some((s) => s.includes('31')), sgr(sixteen).join(' '));
    t.false(sgr(sixteen).some((s) => s.includes('38;5')));
  });

  for (const [how, end, code] of [
    ['Ctrl-C', (terminal) => terminal.keys('C-c'), 0],
    ['SIGTERM', (_, pid) => process.kill(pid, 'SIGTERM'), 0],
    ['SIGHUP', (_, pid) => process.kill(pid, 'SIGHUP'), 0],
    ['SIGQUIT', (_, pid) => process.kill(pid, 'SIGQUIT'), 0],
    ['an exception', (terminal) => terminal.keys('x'), 1],
  ] as readonly (readonly [string, (terminal: Terminal, pid: number) => unknown, number])[]) {
    test.serial(`the terminal is as it was after ${how}`, async (t) => {
      const terminal = await run(t);
      await end(terminal, await terminal.pid());
      await ended(t, terminal, code);
      await terminal.shows(how === 'an exception' ? /failed: thrown in the middle/ : /closed: SIG/);
    });
  }

  for (const [how, end] of [
    ['SIGKILL', (_, pid) => process.kill(pid, 'SIGKILL')],
    ['a crash in native code', (terminal) => terminal.keys('a')],
  ] as readonly (readonly [string, (terminal: Terminal, pid: number) => unknown])[]) {
    test.serial(`screen, cursor and mouse are as they were after ${how}`, async (t) => {
      const terminal = await run(t);
      await end(terminal, await terminal.pid());
      t.true(await terminal.exitCode() > 128);
      t.deepEqual(await terminal.becomes(UNTOUCHED), UNTOUCHED);
    });
  }

  test.serial('stopped it lends the terminal, continued it draws all of it again', async (t) => {
    // Below a shell with job control: the kernel stops nobody whom nobody could continue.
    const terminal = new Terminal(['bash', '--norc', '--noprofile', '-i'], { env: { PS1: '> ', HISTFILE: '/dev/null' } });
    t.teardown(() => terminal.close());
    await terminal.shows(/^> ?$/m);
    const enter = async (line: string): Promise<void> => { terminal.type(line); await terminal.keys('Enter'); };
    await enter(PROGRAM.join(' '));
    await terminal.shows('▶ row 0');
    const pid = Number(spawnSync('ps', ['-o', 'pid=', '--ppid', String(await terminal.pid())], { encoding: 'utf8' }).stdout.trim().split('\n')[0]);
    const stops: readonly (() => unknown)[] = [() => terminal.keys('C-z'), () => process.kill(pid, 'SIGTSTP')];
    for (const [i, stop] of stops.entries()) {
      await terminal.keys('C-l');
      await stop();
      await terminal.shows('Stopped');
      t.deepEqual(await terminal.becomes(UNTOUCHED), UNTOUCHED);
      await enter('clear; fg');
      await terminal.shows(`▶ row ${i}`);
      await terminal.keys('j');
      await terminal.shows(`▶ row ${i + 1}`);
    }
    // Without a word, as a debugger does: what is on the screen stays there, and is drawn again.
    process.kill(pid, 'SIGSTOP');
    await terminal.shows('Stopped');
    await enter('fg');
    await terminal.shows('▶ row 2');
    await terminal.keys('j');
    await terminal.shows('▶ row 3');
    await terminal.keys('q');
    await terminal.shows('closed: asked');
    await enter('exit');
    await ended(t, terminal, 0);
  });

  test.serial('where nobody could continue it, it is not stopped, and goes on', async (t) => {
    const terminal = await run(t), pid = await terminal.pid();
    process.kill(pid, 'SIGTSTP');
    process.kill(pid, 'SIGCONT');
    await sleep(200);
    await terminal.shows('▶ row 0');
    t.deepEqual(await terminal.becomes(TAKEN), TAKEN);
    await terminal.keys('j');
    await terminal.shows('▶ row 1');
    await terminal.keys('q');
    await ended(t, terminal, 0);
  });

  test.serial('another program gets the terminal and gives it back', async (t) => {
    const terminal = await run(t);
    await terminal.keys('s');
    await terminal.shows('borrowed');
    t.deepEqual(await terminal.becomes(UNTOUCHED), UNTOUCHED);
    // What a shell sends to all of a job, and Ctrl-C, do not take the terminal from who has it.
    const pid = await terminal.pid();
    process.kill(pid, 'SIGCONT');
    process.kill(pid, 'SIGINT');
    await sleep(300);
    t.deepEqual(terminal.modes(), UNTOUCHED);
    terminal.type('hello');
    await terminal.keys('Enter');
    await terminal.shows('read hello');
    await terminal.keys('Enter');
    await terminal.shows('▶ row 0');
    t.deepEqual(await terminal.becomes(TAKEN), TAKEN);
    await terminal.keys('j');
    await terminal.shows('▶ row 1');
    await terminal.keys('q');
    await ended(t, terminal, 0);
  });
}
