/** The dashboard's keys and mouse: filter, freeze, export, inspector; and the terminal as it was, at the end. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { read } from './capture_file.js';
import { has } from './needs.js';
import { ONCE, UNTOUCHED, Lab, accounts } from './dashboard_lab.js';

if (has('the dashboard in a terminal', 'tmux', 'ps')) {
  test.serial('/ counts what a pcap-filter selects, and says what is wrong with one', async (t) => {
    const lab = new Lab(t);
    await lab.up(ONCE);
    await lab.settled();
    const terminal = lab.top();
    await terminal.shows(/all \d+ kept frames/);
    await terminal.keys('/');
    terminal.type('udp prt 53');
    await terminal.keys('Enter');
    await terminal.shows(/filter: .*(syntax error|unknown|aid|illegal|parse)/);
    await terminal.keys('C-u');
    terminal.type('udp port 53');
    await terminal.keys('Enter', '4');
    const { frames } = JSON.parse(lab.framekeep('export', lab.pool, '-w', '/dev/null', '--json', 'udp port 53').stdout) as { frames: number };
    const text = await terminal.shows(new RegExp(`kept frames of the last minute; ${frames} match`));
    t.regex(text, new RegExp(`│DNS \\(UDP\\) +${frames} `));
    t.notRegex(text, /│HTTP/);
    t.regex(text, /^filter: udp port 53/m);
    await terminal.keys('/', 'C-u', 'Enter');
    await terminal.shows(/│HTTP/);
  });

  test.serial('f freezes and goes on; e exports what is shown, never over a file', async (t) => {
    const lab = new Lab(t);
    await lab.up(ONCE);
    await lab.settled();
    const terminal = lab.top();
    await terminal.shows(/all \d+ kept frames/);
    await terminal.keys('f');
    await terminal.shows('FROZEN');
    t.is(lab.counters().global.frozen, 1);
    await terminal.keys('f');
    await terminal.shows((text) => !text.includes('FROZEN') && text.includes('kept again'));
    t.is(lab.counters().global.frozen, 0);
    await terminal.keys('6');
    await terminal.shows(/nothing new is kept/);

    await terminal.keys('/');
    terminal.type('icmp');
    await terminal.keys('Enter', 'e');
    await terminal.shows(/export the last minute to: lab-\d{8}-\d{6}\.pcapng/);
    await terminal.keys('C-u');
    terminal.type('icmp.pcapng');
    await terminal.keys('Enter');
    const { frames } = JSON.parse(lab.framekeep('export', lab.pool, '-w', join(lab.directory, 'other.pcapng'), '--json', 'icmp').stdout) as { frames: number };
    await terminal.shows(new RegExp(`exported ${frames} frames in `));
    // The same frames; the sections' comments name the export's own moment.
    t.true(readFileSync(join(lab.directory, 'icmp.pcapng')).length > 100 * frames);
    if (spawnSync('tshark', ['-v']).status === 0) {
      const list = (file: string): string => spawnSync('tshark', ['-r', join(lab.directory, file)], { encoding: 'utf8' }).stdout;
      t.is(list('icmp.pcapng').trim().split('\n').length, frames);
      t.is(list('icmp.pcapng'), list('other.pcapng'));
    }
    await terminal.keys('E', 'C-u');
    terminal.type('icmp.pcapng');
    await terminal.keys('Enter');
    await terminal.shows('icmp.pcapng is there already');
    await terminal.keys('Escape', 'q');
    t.is(await terminal.exitCode(), 0);
  });

  test.serial('an export\'s progress is on the screen from its beginning to its end, and Escape ends it where it is', async (t) => {
    const lab = new Lab(t);
    await lab.up(['gen:bulk,rate=0,count=120000', 'sink:rest'], '--pool-size', '256M');
    const { global } = await lab.settled(), terminal = lab.top(), pid = await terminal.pid();
    t.teardown(() => { try { process.kill(pid, 'SIGCONT'); } catch { /* it has ended */ } });
    await terminal.shows(/frames; oldest/);
    /** Lets the dashboard run for a moment at a time, and looks at its screen in between, until `wanted` is there; then it stands still. */
    const step = async (wanted: RegExp, look: (text: string) => void): Promise<void> => {
      for (let i = 0; i < 500; i++) {
        process.kill(pid, 'SIGCONT');
        await sleep(5);
        process.kill(pid, 'SIGSTOP');
        await sleep(30);
        const text = terminal.text();
        look(text);
        if (wanted.test(text)) return;
      }
      throw new Error(`not shown: ${wanted.toString()}; this was:\n${terminal.text()}`);
    };
    const begin = async (file: string): Promise<void> => {
      await terminal.keys('E', 'C-u');
      terminal.type(file);
      await terminal.shows(`to: ${file}`);
      process.kill(pid, 'SIGSTOP');
      await terminal.keys('Enter');
    };

    const seen: { readonly percent: number; readonly megabytes: number; readonly full: number; readonly cells: number }[] = [];
    await begin('all.pcapng');
    await step(/exported [\d,]+ frames in /, (text) => {
      const bar = /^(█*)(░*) (\d+) % exporting to all\.pcapng, (\d+\.\d) MB; Esc ends it/m.exec(text);
      if (bar !== null) seen.push({ percent: Number(bar[3]), megabytes: Number(bar[4]), full: bar[1].length, cells: bar[1].length + bar[2].length });
    });
    process.kill(pid, 'SIGCONT');
    t.log(seen.map((s) => `${s.percent} %`).join(', '));
    t.true(new Set(seen.map((s) => s.percent).filter((percent) => percent < 100)).size >= 2, 'it was seen to move');
    seen.forEach((s, i) => {
      t.true(Math.abs(s.full - s.percent / 100 * s.cells) <= 1, `${s.full} of ${s.cells} cells at ${s.percent} %`);
      if (i > 0) t.true(s.percent >= seen[i - 1].percent && s.megabytes >= seen[i - 1].megabytes);
    });
    await terminal.shows(`exported ${Math.min(global.slots, global.committed).toLocaleString('en')} frames in `);

    await begin('part.pcapng');
    await step(/ % exporting to part\.pcapng/, () => undefined);
    await terminal.keys('Escape');
    process.kill(pid, 'SIGCONT');
    const [, frames] = /exported ([\d,]+) frames?, as far as it came, in /.exec(await terminal.shows(/as far as it came/))!;
    const part = read(join(lab.directory, 'part.pcapng'));
    t.is(part.error, undefined);
    t.is(part.frames.length, Number(frames.replaceAll(',', '')));
    t.true(part.frames.length < Math.min(global.slots, global.committed));
    await terminal.keys('q');
    t.is(await terminal.exitCode(), 0);
  });

  test.serial('every key of the help does something, and the mouse chooses panes, tabs and rows', async (t) => {
    const lab = new Lab(t);
    await lab.up(ONCE);
    const counters = await lab.settled(), terminal = lab.top();
    await terminal.shows(accounts(counters.ports[0])[1]);
    await terminal.keys('?');
    const help = await terminal.shows('Shift-Tab');
    for (const key of ['Tab', 'Enter', 'Esc', '/', 'f ', 'e ', 'E ', 'i ', 'q ']) t.true(help.includes(key), key);
    await terminal.keys('x', 'Tab', 'Tab', 'Tab');
    await terminal.shows(/protocol +frames/);
    await terminal.keys('BTab');
    await terminal.shows(/talker +frames/);
    await terminal.keys('z');
    await terminal.shows((text) => !text.includes('1 ports'));
    await terminal.keys('Escape');
    await terminal.shows('1 ports');
    const row = terminal.screen().findIndex((line) => line.startsWith('│dns'));
    await terminal.click(5, row);
    await terminal.shows(accounts(counters.ports[1])[0]);
    const tabs = terminal.screen().findIndex((line) => line.includes('5 forwarding'));
    await terminal.click(terminal.screen()[tabs].indexOf('5 forwarding') + 2, tabs);
    await terminal.shows(/address +port/);
    await terminal.click(5, row);
    await terminal.keys('g', 'Enter');
    await terminal.shows(/same-port +\d+/);
    await terminal.keys('q');
    t.is(await terminal.exitCode(), 0);
  });

  test.serial('i opens the inspector on the pool, and its end brings the dashboard back', async (t) => {
    const lab = new Lab(t);
    await lab.up(ONCE);
    const counters = await lab.settled(), terminal = lab.top();
    await terminal.shows(accounts(counters.ports[0])[1]);
    await terminal.keys('i');
    await terminal.shows((text) => text.includes(lab.pool) && !text.includes('1 ports'));
    await terminal.keys('q');
    await terminal.shows(accounts(counters.ports[0])[1]);
    const taken = { alternate: true, cursor: false, mouse: true, keypad: true };
    t.deepEqual(await terminal.becomes(taken), taken);
    await terminal.keys('2', 'Enter');
    await terminal.shows((text) => text.includes('2 pool') && !text.includes('1 ports'));
    await terminal.keys('q');
    t.is(await terminal.exitCode(), 0);
    t.deepEqual(await terminal.becomes(UNTOUCHED), UNTOUCHED);
    t.is(terminal.stty().after, terminal.stty().before);
  });

  test.serial('it maps the switch\'s memory read-only, and SIGTERM leaves the terminal as it was', async (t) => {
    const lab = new Lab(t);
    await lab.up(ONCE);
    await lab.settled();
    const terminal = lab.top();
    await terminal.shows(/all \d+ kept frames/);
    const pid = await terminal.pid(), maps = readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n').filter((line) => line.includes(lab.directory));
    t.true(maps.length >= 2, maps.join('\n'));
    for (const line of maps) t.regex(line, / r--s /);
    process.kill(pid, 'SIGTERM');
    t.is(await terminal.exitCode(), 0);
    t.deepEqual(await terminal.becomes(UNTOUCHED), UNTOUCHED);
    t.is(terminal.stty().after, terminal.stty().before);
    t.true(existsSync(lab.pool));
  });
}
