/**
 * The first five minutes of the README, walked: the demonstration, the dashboard, kill -9, the inspector, an export, Wireshark's list. Every
 * command is typed as the demonstration tells it, by an ordinary user, into shells of tmux.
 */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { packageRoot } from '../native/index.js';
import { has } from './needs.js';
import { Terminal } from './terminal.js';

const program = join(packageRoot(), 'cli', 'framekeep.mjs'), isRoot = process.getuid?.() === 0, NOBODY = 65534;
const user = isRoot ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--'] : [];
const PORTS = ['laptop', 'server', 'homebox', 'provider', 'trunk'];

/** A number of the screen, thousands with commas. */
const number = (text: string, where: RegExp): number => Number(where.exec(text)?.[1].replaceAll(',', '') ?? NaN);

if (has('the first walk', 'tmux', 'tshark', 'bash', ...isRoot ? ['setpriv'] : [])) {
  test('the first walk: each command that npm start tells does what it says, from the dashboard over kill -9 to Wireshark', async (t) => {
    const home = mkdtempSync('/dev/shm/framekeep-walk-'), pool = join(home, 'walk.pool');
    if (isRoot) chownSync(home, NOBODY, NOBODY);
    chmodSync(home, 0o755);
    t.teardown(() => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));
    const open = (...command: string[]): Terminal => {
      const terminal = new Terminal([...user, ...command], {
        width: 170, height: 44, cwd: home, env: { HOME: home, TMPDIR: home, PS1: '> ', HISTFILE: '/dev/null', FRAMEKEEP_RUN: join(home, 'run'), FRAMEKEEP_POOLS: home },
      });
      t.teardown(() => terminal.close());
      return terminal;
    };
    const shell = (): Terminal => open('bash', '--norc', '--noprofile');
    const enter = async (terminal: Terminal, line: string): Promise<void> => {
      await terminal.keys('C-l');
      terminal.type(line);
      await terminal.keys('Enter');
    };

    // What a switch of another version has left in the same place is in nobody's way.
    mkdirSync(join(home, 'run', 'old'), { recursive: true, mode: 0o700 });
    writeFileSync(join(home, 'run', 'old', 'counters'), Buffer.alloc(4096));
    if (isRoot) for (const path of ['run', 'run/old', 'run/old/counters']) chownSync(join(home, path), NOBODY, NOBODY);

    const demo = open(process.execPath, program, 'demo', '--speed', '10', '--pool', pool), second = shell(), third = shell();
    const told = await demo.shows(/kept in this run/);
    const command = (what: string): string => new RegExp(`^  ${what} +(\\S.*)$`, 'm').exec(told)?.[1] ?? t.fail(`not told: ${what}\n${told}`) as never;

    await enter(second, command('watch it'));
    const dashboard = await second.shows((text) => PORTS.every((port) => text.includes(port)) && number(text, /full: ([\d,]+) of/) >= 60);
    t.regex(dashboard, /demo-\d+ +running/);
    const seen = number(dashboard, /full: ([\d,]+) of/);

    await enter(third, command('kill it'));
    await demo.shows('ended with 137');
    t.regex(await second.shows('DIED'), /nothing is being kept: the switch died/);

    await second.keys('i');
    const report = await second.shows('What happened'), kept = number(report, /([\d,]+) frames *$/m);
    t.true(kept >= seen, `${kept} found, ${seen} were shown`);
    t.regex(report, /No record is torn, none is damaged/);
    await second.keys('Enter');
    const frames = await second.shows(/Bytes 0 to/);
    t.regex(frames, /laptop→/);
    t.regex(frames, /Internet Protocol Version 4/);
    await second.keys('q');
    await second.shows('DIED');
    await second.keys('q');
    await second.shows(/^> *$/m);

    await enter(second, command('what it kept'));
    t.is(number(await second.shows('What happened'), /([\d,]+) frames *$/m), kept);
    await second.keys('q');

    await enter(third, command('as pcapng'));
    t.is(number(await third.shows(/frames, .* to \S*kept\.pcapng/), /^([\d,]+) frames/m), kept);
    await enter(third, 'tshark -r kept.pcapng 2>&1 | wc -l');
    await third.shows(new RegExp(`^${kept}$`, 'm'));

    await enter(third, `${program} wireshark install`);
    await third.shows(/Wireshark lists: .*framekeep-walk\.pool/);
    await enter(third, 'tshark -D 2>&1 | grep framekeep');
    await third.shows(new RegExp(`framekeep-walk\\.pool \\(framekeep pool ${pool}\\)`));
    await enter(third, 'tshark -i framekeep-walk.pool 2> /dev/null | wc -l');
    await third.shows(new RegExp(`^${kept}$`, 'm'));
  });

  test('who names no pool, or a wrong one, is told which there are', async (t) => {
    const home = mkdtempSync('/dev/shm/framekeep-walk-'), pool = join(home, 'mine.pool');
    if (isRoot) chownSync(home, NOBODY, NOBODY);
    t.teardown(() => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));
    const terminal = new Terminal([...user, 'bash', '--norc', '--noprofile'], { width: 300, cwd: home, env: { HOME: home, PS1: '> ', HISTFILE: '/dev/null', FRAMEKEEP_RUN: join(home, 'run'), FRAMEKEEP_POOLS: pool } });
    t.teardown(() => terminal.close());
    for (const [line, code] of [[`create ${pool} --size 1M`, ''], ['inspect', 'E_USAGE'], ['verify /dev/shm/no-such.pool', 'E_POOL_MISSING']] as const) {
      await terminal.keys('C-l');
      terminal.type(`${program} ${line}; echo "code $?"`);
      await terminal.keys('Enter');
      const said = await terminal.shows(/^code \d/m);
      t.true(said.includes(code), said);
      if (code !== '') t.regex(said, /^ {2}there is \/.*mine\.pool/m);
    }
  });
}
