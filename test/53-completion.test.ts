/** Completion in the shells themselves, with a switch running, and the manual page in the programs that show it. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { packageRoot } from '../native/index.js';
import { COMMANDS } from '../cli/table.js';
import { manualPage } from '../cli/man.js';
import { shapes } from '../cli/shape.js';
import { has } from './needs.js';
import { eventually } from './patience.js';
import { Terminal } from './terminal.js';

const directory = mkdtempSync('/dev/shm/framekeep-shells-'), files = join(directory, 'files');
const env: NodeJS.ProcessEnv = { PATH: `${directory}:${process.env['PATH']}`, HOME: directory, LANG: 'C.UTF-8', FRAMEKEEP_RUN: join(directory, 'run') };
const program = join(packageRoot(), 'cli', 'framekeep.mjs');

function framekeep(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { env, encoding: 'utf8', timeout: 100_000 });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

let child: ReturnType<typeof spawn>;
test.before(async () => {
  mkdirSync(files);
  for (const name of ['one.pcap', 'two.pool']) writeFileSync(join(files, name), '');
  writeFileSync(join(directory, 'framekeep'), `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`);
  chmodSync(join(directory, 'framekeep'), 0o755);
  for (const shell of ['bash', 'zsh', 'fish']) writeFileSync(join(directory, `c.${shell}`), framekeep('completion', shell));
  child = spawn(process.execPath, [program, 'up', 'sink:b', 'gen:a,rate=10', '--name', 'lab', '--pool', join(directory, 'pool'), '--pool-size', '32M', '--quiet'], { env, stdio: 'ignore' });
  await eventually('the switch\'s control socket', () => existsSync(join(directory, 'run', 'lab', 'control')), 20);
});
test.after.always(async () => {
  if (child !== undefined && child.exitCode === null) {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
  rmSync(directory, { recursive: true, force: true });
});

/** A line, what must be offered, what must not. */
const LINES: readonly (readonly [line: string, offered: readonly string[], not: readonly string[]])[] = [
  ['framekeep ', ['up', 'status', 'ports', 'export', 'completion'], ['list', '--json']],
  ['framekeep po', ['ports'], ['up', 'stop']],
  ['framekeep ports ', ['list', 'add', 'remove', 'set'], ['show', 'sink:b']],
  ['framekeep ports remove ', ['sink:b', 'gen:a'], ['list']],
  ['framekeep ports set sink:b --fo', ['--forward'], ['--json']],
  ['framekeep ports set sink:b --forward ', ['on', 'off'], ['sink:b']],
  ['framekeep ports -n lab re', ['remove'], ['list']],
  ['framekeep ports --name ', ['lab'], ['list']],
  ['framekeep status ', ['lab'], ['sink:b']],
  ['framekeep fdb show --port ', ['sink:b', 'gen:a'], ['show']],
  ['framekeep fdb --po', ['--port'], ['--vlan']],
  ['framekeep export --format ', ['pcapng', 'pcap'], ['one.pcap']],
  ['framekeep up --durability ', ['power', 'kernel', 'process'], []],
  ['framekeep up --comm', ['--commit-before-forward'], ['--chunk']],
  ['framekeep up x', ['xdp:'], ['tap:']],
  ['framekeep completion ', ['bash', 'zsh', 'fish'], ['switches']],
];

test('every command, verb and option of the table is in the completions\' shape', (t) => {
  const all = shapes();
  for (const command of COMMANDS) {
    t.true(all[0].words.some((w) => w.name === command.name));
    for (const verb of command.verbs ?? []) {
      const shape = all.find((s) => s.path === `${command.name} ${verb.name}`)!;
      for (const o of [...command.options, ...verb.options]) t.true(shape.options.some((s) => s.flags.includes(`--${o.long}`)), `${shape.path} --${o.long}`);
    }
  }
});

if (has('completion in bash', 'bash')) {
  test('bash offers what the table says', (t) => {
    const offers = (line: string): string[] => {
      const words = line.split(/ +/);
      const script = `source ${directory}/c.bash; complete -p framekeep >&2; COMP_LINE=$1 COMP_POINT=\${#1} COMP_CWORD=${words.length - 1}; COMP_WORDS=(${words.map((w) => `'${w}'`).join(' ')}); _framekeep; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const { status, stdout, stderr } = spawnSync('bash', ['--norc', '-c', script, 'bash', line], { env, encoding: 'utf8', timeout: 100_000 });
      t.is(status, 0, stderr);
      t.is(stderr, 'complete -F _framekeep framekeep\n');
      return stdout.trim().split('\n');
    };
    for (const [line, offered, not] of LINES) {
      const got = offers(line);
      for (const word of offered) t.true(got.includes(word), `${line}: ${word} in ${got.join(' ')}`);
      for (const word of not) t.false(got.includes(word), `${line}: ${word}`);
    }
    t.deepEqual(offers(`framekeep inspect ${files}/`).sort(), [`${files}/one.pcap`, `${files}/two.pool`]);
    t.deepEqual(offers('framekeep ports remove gen:'), ['a'], 'after a colon readline replaces the rest only');
    t.deepEqual(offers(`framekeep up replay:${files}/o`), [`${files}/one.pcap`]);
    t.deepEqual(offers('framekeep up --durability=k'), ['kernel']);
    t.true(offers('framekeep up xdp:').includes('lo'));
  });
}

/** A shell in a terminal, where Tab is pressed. @returns the line afterwards */
async function pressed(t: import('ava').ExecutionContext, shell: string, command: string[], setUp: string, typed: string, expected: string): Promise<void> {
  const terminal = new Terminal(command, { env: { ...env, PS1: '$ ', TERM: 'tmux-256color' }, cwd: files, width: 120 });
  try {
    await terminal.shows(/[$%#>] ?$/m);
    terminal.type(`${setUp}; echo re''ady`);
    await terminal.keys('Enter');
    await terminal.shows(/^ready$/m);
    terminal.type(typed);
    await terminal.keys('Tab');
    await terminal.shows((text) => text.trimEnd().endsWith(`$ ${expected}`));
    t.pass(shell);
  } finally { terminal.close(); }
}

if (has('Tab in bash', 'bash', 'tmux')) {
  test('Tab completes a verb, and a port with its colon, in bash', async (t) => {
    const setUp = `source ${directory}/c.bash`;
    await pressed(t, 'bash', ['bash', '--norc', '-i'], setUp, 'framekeep ports rem', 'framekeep ports remove');
    await pressed(t, 'bash', ['bash', '--norc', '-i'], setUp, 'framekeep ports remove gen', 'framekeep ports remove gen:a');
    await pressed(t, 'bash', ['bash', '--norc', '-i'], setUp, 'framekeep ports remove gen:', 'framekeep ports remove gen:a');
  });
}

if (has('completion in zsh', 'zsh', 'tmux')) {
  test('Tab completes commands, verbs, values, ports and files in zsh', async (t) => {
    const setUp = `autoload -U compinit && compinit -u -D; source ${directory}/c.zsh`;
    for (const [typed, expected] of [
      ['framekeep sto', 'framekeep stop'], ['framekeep ports rem', 'framekeep ports remove'], ['framekeep ports remove ge', 'framekeep ports remove gen:a'],
      ['framekeep export --format pcapn', 'framekeep export --format pcapng'], ['framekeep status ', 'framekeep status lab'], ['framekeep inspect tw', 'framekeep inspect two.pool'],
      ['framekeep up --durab', 'framekeep up --durability'], ['framekeep por', 'framekeep ports'],
    ]) await pressed(t, 'zsh', ['zsh', '-f', '-i'], setUp, typed, expected);
  });
}

if (has('completion in fish', 'fish')) {
  test('fish offers what the table says', (t) => {
    for (const [line, offered, not] of LINES) {
      const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', `source ${directory}/c.fish; complete -C '${line}'`], { env, encoding: 'utf8', timeout: 100_000, cwd: files });
      t.is(stderr, '');
      const got = stdout.split('\n').map((row) => row.split('\t')[0]);
      for (const word of offered) t.true(got.includes(word), `${line}: ${word} in ${got.join(' ')}`);
      for (const word of not) t.false(got.includes(word), `${line}: ${word}`);
    }
    const { stdout } = spawnSync('fish', ['--no-config', '-c', `source ${directory}/c.fish; complete -C 'framekeep inspect t'`], { env, encoding: 'utf8', cwd: files });
    t.regex(stdout, /^two\.pool/m);
  });
}

test('the manual page names every command, verb and option', (t) => {
  const page = manualPage('0', '2026-01-02').replaceAll('\\-', '-');
  for (const command of COMMANDS) {
    t.true(page.includes(`.SS framekeep ${command.name}`));
    for (const verb of command.verbs ?? []) t.true(page.includes(`\\fBframekeep ${command.name} ${verb.name}\\fR`));
    for (const o of command.options) t.true(page.includes(`\\fB--${o.long}\\fR`), o.long);
  }
});

if (has('the manual page in man', 'man', 'groff')) {
  test('groff and man take the manual page without a warning', (t) => {
    const file = join(directory, 'framekeep.1');
    writeFileSync(file, framekeep('man'));
    const groff = spawnSync('groff', ['-man', '-ww', '-Tutf8', '-z', file], { encoding: 'utf8' });
    t.is(groff.stderr, '');
    const man = spawnSync('man', ['-l', file], { encoding: 'utf8', env: { ...env, MANWIDTH: '100', MAN_KEEP_FORMATTING: '' } });
    t.is(man.status, 0, man.stderr);
    t.regex(man.stdout, /framekeep ports \[list\|add\|remove\|set\] \[options\]/);
  });
}

if (has('the manual page in mandoc', 'mandoc')) {
  test('mandoc finds nothing to warn of in the manual page', (t) => {
    const lint = spawnSync('mandoc', ['-Tlint', '-Wwarning'], { encoding: 'utf8', input: framekeep('man') });
    t.is(lint.stdout, '');
    t.is(lint.status, 0);
  });
}
