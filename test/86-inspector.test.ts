/** `framekeep inspect --tui` in a real terminal, as a person uses it. */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import { compileFilter } from '../logger/filter/index.js';
import { create, Pool } from '../logger/index.js';
import { CAPTURES, read } from './capture_file.js';
import { has } from './needs.js';
import { Keeper, portEntry, scratch, testFrame } from './pool_maker.js';
import { Terminal } from './terminal.js';
import { PROGRAM, UNTOUCHED, lab, inspect, compare } from './inspected_pool.js';
import { eventually } from './patience.js';
import { difference } from './alike.js';

if (has('the inspector in a terminal', 'tmux')) {
  test('80×24: report, frames, layers, bytes, filter, as they are written down', async (t) => {
    const directory = scratch(t), terminal = inspect(t, lab(directory));
    await terminal.shows('What happened');
    await compare(t, terminal, '80x24-report', directory);
    await terminal.keys('G');
    await compare(t, terminal, '80x24-report-end', directory);
    await terminal.keys('Enter');
    await compare(t, terminal, '80x24-frames', directory);
    await terminal.keys('Down', 'j', 'Tab', 'End', 'Enter', 'Down', 'l', 'j');
    await compare(t, terminal, '80x24-layers', directory);
    await terminal.keys('Tab', 'g', 'Down', 'Right');
    await compare(t, terminal, '80x24-bytes', directory);
    await terminal.keys('/');
    terminal.type('udp port 53');
    await terminal.keys('Enter');
    await compare(t, terminal, '80x24-filter', directory);
    await terminal.keys('?');
    await compare(t, terminal, '80x24-help', directory);
    await terminal.keys('Escape', 'q');
    t.is(await terminal.exitCode(), 0);
  });

  test('200×60: report and frames, as they are written down', async (t) => {
    const directory = scratch(t), terminal = inspect(t, lab(directory), { width: 200, height: 60 });
    await terminal.shows('What happened');
    await compare(t, terminal, '200x60-report', directory);
    await terminal.keys('r', 'PPage', 'NPage', 'Tab', 'O');
    await compare(t, terminal, '200x60-frames', directory);
  });

  test('a plain locale: nothing but ASCII; NO_COLOR: no colour', async (t) => {
    const directory = scratch(t), path = lab(directory), terminal = inspect(t, path, { env: { LANG: undefined, LC_ALL: 'C', NO_COLOR: '1' } });
    await terminal.shows('What happened');
    await compare(t, terminal, '80x24-plain-report', directory);
    await terminal.keys('Enter', 'm', 'Tab', 'Down', 'Enter');
    await compare(t, terminal, '80x24-plain-frames', directory);
    t.regex(terminal.text(), /^[\n\x20-\x7e]*$/);
    t.notRegex(terminal.coloured().join(''), /\x1b\[[\d;]*\b(3[0-8]|4[0-8]|9\d|10\d)\b/);
    const colourful = inspect(t, path);
    await colourful.shows('What happened');
    await colourful.keys('Enter', 'Tab', 'Down');
    await eventually('colours', () => /\x1b\[[\d;]*38;5;/.test(colourful.coloured().join('')));
  });

  test('the chosen field\'s bytes are marked, and a byte chooses its field', async (t) => {
    const terminal = inspect(t, lab(scratch(t)));
    await terminal.shows('What happened');
    await terminal.keys('Enter', 'Tab', 'Down', 'Enter', 'Down');
    // Ethernet's destination: six bytes.
    await terminal.shows('Bytes 0 to 5: Destination (eth.dst)');
    await eventually('the marked bytes', () => /\x1b\[[\d;]*48;5;221[\d;]*m00 17 33 61 00 00\x1b/.test(terminal.coloured().join('\n')));
    t.pass();
    await terminal.keys('Down');
    await terminal.shows('Bytes 6 to 11: Source (eth.src)');
    await terminal.keys('Tab', 'g', 'Down', ...Array<string>(15).fill('Right'));
    await terminal.shows('Byte 31: Protocol (ip.proto)');
    await terminal.click(10, 19);
    await terminal.shows('Bytes 0 to 5: Destination (eth.dst)');
  });

  test('marks, export of the marked and of what is shown, times, vi keys', async (t) => {
    const directory = scratch(t), terminal = inspect(t, lab(directory), { cwd: directory });
    await terminal.shows('What happened');
    await terminal.keys('Enter', 'm', 'Space', 'G', 'm');
    await terminal.shows('253 frames, 3 marked');
    await terminal.keys('e');
    await terminal.shows('3 marked frames to: lab-marked.pcapng');
    await terminal.keys('Enter');
    await terminal.shows('3 frames in lab-marked.pcapng');
    const written = read(join(directory, 'lab-marked.pcapng')), homebox = read(join(CAPTURES, 'nb6-http.pcap')).frames;
    t.is(written.error, undefined);
    t.is(difference(written.frames.map((f) => f.data), [homebox[0].data, homebox[1].data, read(join(CAPTURES, 'dns_icmp.pcap')).frames[39 % 32].data]), '');
    await terminal.keys('e', 'Enter');
    await terminal.shows('lab-marked.pcapng is there already');
    await terminal.keys('Escape', 'N');
    await terminal.shows('Frame 2: ');
    await terminal.keys('/');
    terminal.type('icmp');
    await terminal.keys('Enter');
    await terminal.shows(/icmp: 2\d of 253/);
    await terminal.keys('E');
    await terminal.shows(/2\d shown frames to: lab.pcapng/);
    await terminal.keys('Enter');
    await terminal.shows(/2\d frames in lab.pcapng/);
    const { match } = compileFilter('icmp'), shown = read(join(directory, 'lab.pcapng')).frames;
    t.true(shown.length > 20 && shown.every((f) => match(f.data, 0, f.data.length, f.wire) !== 0));
    await terminal.keys('Escape', 't');
    terminal.type('41');
    await terminal.keys('Enter');
    await terminal.shows(/Frame 8\d: /);
    await terminal.keys('t');
    terminal.type('#250');
    await terminal.keys('Enter');
    await terminal.shows('Frame 250: ');
    await terminal.keys('t');
    terminal.type('soon');
    await terminal.keys('Enter');
    await terminal.shows('like 12.5');
    await terminal.keys('Escape', 'k', 'k', 'T');
    await terminal.shows('Frame 248: ');
    await terminal.keys('/');
    terminal.type('tcp porrt 80');
    await terminal.keys('Enter');
    await terminal.shows(/filter: tcp porrt 80 +.*syntax error/);
  });

  test('the mouse chooses, scrolls, opens; the window may change its size at any time', async (t) => {
    const terminal = inspect(t, lab(scratch(t)));
    await terminal.shows('What happened');
    await terminal.wheel('down', 10, 10);
    await terminal.keys('Enter');
    await terminal.click(20, 6);
    await terminal.shows('Frame 5: ');
    await terminal.wheel('down', 20, 6);
    await terminal.shows('Frame 8: ');
    await terminal.click(3, 13);
    await terminal.click(3, 13);
    await terminal.shows('▾ Ethernet');
    terminal.resize(200, 60);
    await terminal.shows((text) => text.split('\n').some((line) => line.includes('▾ Ethernet') && / [0-9a-f]{2} [0-9a-f]{2} /.test(line)));
    terminal.resize(60, 16);
    await terminal.shows((text) => text.includes('Frame 8: ') && Math.max(...text.split('\n').map((l) => l.length)) <= 60);
    terminal.resize(40, 10);
    await terminal.shows('60×16 is needed');
    terminal.resize(80, 24);
    await terminal.shows('▾ Ethernet');
    await terminal.keys('q');
    t.is(await terminal.exitCode(), 0);
    t.deepEqual(await terminal.becomes(UNTOUCHED), UNTOUCHED);
  });

  test('a pool that is being written to: follow, and what was replaced is said', async (t) => {
    const path = join(scratch(t), 'pool');
    create(path, { bytes: 1 << 20, chunk: 2048, boots: 4 });
    const writer = Pool.open(path, { writable: true }), keeper = new Keeper(writer, { maxBatch: 16, ports: [portEntry(0), portEntry(1)] }),
      { slots } = writer.geometry.lanes[0];
    t.teardown(() => { keeper.close(); writer.close(); });
    const keep = (from: number, to: number): void => { for (let i = from; i < to; i++) keeper.keep(testFrame(i), { verdict: 1 }); keeper.commit(); };
    keep(0, 50);
    const terminal = inspect(t, path);
    await terminal.shows('What happened');
    await terminal.keys('F');
    await terminal.shows('50 frames, following');
    await terminal.shows('Frame 50: ');
    keep(50, 60);
    await terminal.shows('Frame 60: ');
    await terminal.keys('k');
    await terminal.shows('Frame 59: ');
    keep(60, 70);
    await terminal.shows('70 frames');
    await terminal.shows('Frame 59: ');
    // Two laps at once: the reader of the list is overtaken.
    keep(70, 2 * slots + 100);
    await terminal.shows(new RegExp(`${slots} frames \\([\\d,]+ replaced since\\)`));
    await terminal.keys('G');
    await terminal.shows(/Frame [\d,]+: 0x88b5/);
    t.is(terminal.text().split('\n').filter((line) => /0x88b5|Local experimental 1/.test(line)).length > 5, true);
  });

  test('a switch that is killed: the inspector sees it live, then what it left; the dashboard opens the inspector, and comes back', async (t) => {
    const directory = scratch(t), pool = join(directory, 'pool'), env = { FRAMEKEEP_RUN: join(directory, 'run') };
    const replay = (file: string, name: string): string => `replay:${join(CAPTURES, file)},as=${name},speed=0,loop=no`;
    const child = spawn(process.execPath, [PROGRAM, 'up', replay('mptcp-v0.pcap', 'laptop'), replay('http.pcap', 'web'), 'sink:rest', '--name', 'lab', '--pool', pool, '--pool-size', '8M', '--stats', '0', '--json'],
      { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'ignore'] });
    t.teardown(() => { child.kill('SIGKILL'); });
    await new Promise<void>((resolve) => { child.stdout.on('data', (text) => { if (String(text).includes('"started"')) resolve(); }); });
    const terminal = new Terminal([process.execPath, PROGRAM, 'top', 'lab'], { env: { TZ: 'UTC', ...env } });
    t.teardown(() => terminal.close());
    await terminal.shows('running');
    await terminal.shows(/307 of [\d,]+ frames/);
    await terminal.keys('i');
    await terminal.shows('A switch is keeping frames in it.');
    await terminal.shows(/pool living +307 frames/);
    child.kill('SIGKILL');
    await terminal.shows(/pool +307 frames/);
    await terminal.keys('R');
    await terminal.shows(/1 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +killed or crashed/);
    await terminal.keys('Enter', 'G');
    await terminal.shows('Frame 307: ');
    await terminal.keys('q');
    await terminal.shows('DIED');
    await terminal.keys('q');
    t.is(await terminal.exitCode(), 0);
    t.deepEqual(await terminal.becomes(UNTOUCHED), UNTOUCHED);
    t.is(terminal.stty().after, terminal.stty().before);
  });

  test('however it ends, the terminal is as it was', async (t) => {
    const directory = scratch(t), path = lab(directory);
    for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGKILL'] as const) {
      const terminal = inspect(t, path);
      await terminal.shows('What happened');
      await terminal.keys('Enter');
      process.kill(await terminal.pid(), signal);
      await terminal.exitCode();
      t.deepEqual(await terminal.becomes(UNTOUCHED), UNTOUCHED, signal);
      if (signal !== 'SIGKILL') t.is(terminal.stty().after, terminal.stty().before, signal);
    }
  });
}

test('without a terminal it says so, and what to do instead', (t) => {
  const path = lab(scratch(t)), run = (...args: string[]): { status: number | null; stderr: string } => spawnSync(process.execPath,
    [PROGRAM, 'inspect', ...args], { encoding: 'utf8', timeout: 110_000 });
  const plain = run('--tui', path);
  t.is(plain.status, 1);
  t.regex(plain.stderr, /standard output is no terminal\n.*framekeep inspect .* prints the report\n.*E_TERMINAL/);
  t.is(run('--tui', '--json', path).status, 2);
  t.regex(run('--tui', `${path}.not`).stderr, /E_POOL_MISSING/);
});
