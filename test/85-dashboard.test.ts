/** `framekeep top` in a real terminal, over real switches: what it shows is what the counters, the pool and the switch say. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { packageRoot } from '../native/index.js';
import { connectControl } from '../switch/control/index.js';
import { Counters, type CountersSnapshot } from '../switch/counters.js';
import { Network } from './hosts.js';
import { has } from './needs.js';
import { Terminal, type TerminalOptions } from './terminal.js';

const PROGRAM = join(packageRoot(), 'cli', 'framekeep.mjs');
const capture = (file: string, options: string): string => `replay:${join(packageRoot(), 'captures', file)},${options}`;
/** Two captures as fast as they go: after a moment the counters stand still. */
const ONCE = [capture('http.pcap', 'as=web,speed=0'), capture('dns_icmp.pcap', 'as=dns,speed=0'), 'sink:rest'];
const UNTOUCHED = { alternate: false, cursor: true, mouse: false, keypad: false };
const n = (x: number): string => x.toLocaleString('en');

class Lab {
  readonly directory = mkdtempSync('/dev/shm/framekeep-top-');
  readonly run = join(this.directory, 'run');
  readonly pool = join(this.directory, 'pool');
  child!: ChildProcess;
  private readonly terminals: Terminal[] = [];

  constructor(t: ExecutionContext) {
    t.teardown(async () => {
      for (const terminal of this.terminals) terminal.close();
      await this.end('SIGKILL');
      rmSync(this.directory, { recursive: true, force: true });
    });
  }

  /** A switch under the name `lab`, once it says that its ports are open. */
  async up(ports: readonly string[], ...options: readonly string[]): Promise<void> {
    this.child = spawn(process.execPath, [PROGRAM, 'up', ...ports, '--name', 'lab', '--pool', this.pool, '--pool-size', '8M', '--json', '--stats', '0', ...options],
      { env: { ...process.env, FRAMEKEEP_RUN: this.run }, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    this.child.stderr!.on('data', (text) => { said += text; });
    await new Promise<void>((resolve, reject) => {
      this.child.stdout!.on('data', (text) => { if (String(text).includes('"started"')) resolve(); });
      this.child.on('close', () => reject(new Error(`the switch ended: ${said}`)));
    });
  }

  counters(): CountersSnapshot {
    const counters = Counters.open(join(this.run, 'lab', 'counters'));
    try {
      return counters.snapshot();
    } finally { counters.close(); }
  }

  /** The counters once every capture has come to its end. */
  async settled(): Promise<CountersSnapshot> {
    for (let i = 0; i < 200; i++) {
      const now = this.counters();
      if (now.ports.length > 0 && now.ports.every((p) => p.finite === 0 || p.finished > 0)) {
        await sleep(300);
        return this.counters();
      }
      await sleep(50);
    }
    throw new Error('the captures do not end');
  }

  top(options: TerminalOptions = {}, ...args: readonly string[]): Terminal {
    const terminal = new Terminal([process.execPath, PROGRAM, 'top', ...args], { ...options, cwd: this.directory, env: { FRAMEKEEP_RUN: this.run, ...options.env } });
    this.terminals.push(terminal);
    return terminal;
  }

  framekeep(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(process.execPath, [PROGRAM, ...args], { encoding: 'utf8', env: { ...process.env, FRAMEKEEP_RUN: this.run }, timeout: 60_000 });
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, 'close');
    child.kill(signal);
    await closed;
  }
}

/** The lines that the ports pane shows of a port, as the counters have them. */
function accounts(p: CountersSnapshot['ports'][number]): RegExp[] {
  const dropped = Object.values(p.dropped).reduce((a, b) => a + b, 0);
  return [
    new RegExp(`${p.spec}: received ${n(p.received)} = forwarded ${n(p.forwarded)} \\+ flooded ${n(p.flooded)} \\+ dropped ${n(dropped)}`),
    new RegExp(`kept ${n(p.kept)}, not selected ${n(p.notSelected)}, lost ${n(p.lost)}; sent ${n(p.sent)}`),
  ];
}

test.serial('without a terminal, and without a switch, it says what to do', (t) => {
  const lab = new Lab(t);
  const none = lab.framekeep('top');
  t.is(none.status, 1);
  t.regex(none.stderr, /no switch has left counters/);
  t.regex(none.stderr, /E_COUNTERS/);
  t.regex(lab.framekeep('top', 'nobody').stderr, /there are no counters at .*nobody/);
});

if (has('the dashboard in a terminal', 'tmux', 'ps')) {
  test.serial('a switch is there and no terminal: E_TERMINAL, and what does the same', async (t) => {
    const lab = new Lab(t);
    await lab.up(ONCE);
    const { status, stderr, stdout } = lab.framekeep('top', 'lab');
    t.is(status, 1);
    t.is(stdout, '');
    t.regex(stderr, /standard output is no terminal/);
    t.regex(stderr, /framekeep stats/);
    t.regex(stderr, /E_TERMINAL/);
  });

  test.serial('80×24: ports, pool, talkers, protocols, forwarding table and events are what counters, pool and switch say', async (t) => {
    const lab = new Lab(t);
    await lab.up(ONCE);
    const counters = await lab.settled(), terminal = lab.top();
    await terminal.shows(/lab {2}running {2}for/);
    await terminal.shows(accounts(counters.ports[0])[0]);
    const text = await terminal.shows(accounts(counters.ports[0])[1]);
    for (const p of counters.ports) {
      const dropped = Object.values(p.dropped).reduce((a, b) => a + b, 0);
      t.regex(text, new RegExp(`│${p.spec} +${p.finished > 0 ? 'done' : 'up'} +0 +0 +0 +0 +${n(dropped)} +${n(p.kept)} `));
    }
    t.true(text.includes(`${n(counters.global.committed)} of ${n(counters.global.slots)} frames; oldest `), text);
    t.true(text.includes(`all ${n(counters.global.committed)} kept frames of the last minute`), text);
    await terminal.keys('j');
    for (const line of accounts(counters.ports[1])) await terminal.shows(line);

    // Protocols: as an export of the same frames has them.
    await terminal.keys('4');
    const protocols = await terminal.shows(/protocol +frames/);
    for (const [name, filter] of [['HTTP \\(TCP\\)', 'tcp port 80'], ['ICMP', 'icmp'], ['DNS \\(UDP\\)', 'udp port 53']]) {
      const { frames } = JSON.parse(lab.framekeep('export', lab.pool, '-w', '/dev/null', '--json', ...filter.split(' ')).stdout) as { frames: number };
      t.regex(protocols, new RegExp(`│${name} +${frames} `));
    }

    // The forwarding table: as the control socket has it.
    process.env['FRAMEKEEP_RUN'] = lab.run;
    const control = await connectControl('lab');
    const { entries } = await control.call('fdb.show');
    control.close();
    await terminal.keys('5', 'Enter');
    const fdb = await terminal.shows(/address +port/);
    t.is(entries.length, counters.global.fdbEntries);
    t.true(entries.length > 0);
    for (const e of entries) t.regex(fdb, new RegExp(`│${e.mac} .*${e.portName} +\\d+ s `));
    t.regex(fdb, new RegExp(`forwarding table, ${entries.length} `));

    await terminal.keys('6');
    await terminal.shows(new RegExp(`lab: run 1 of the pool, process ${lab.child.pid}`));
    await terminal.keys('Escape', 'q');
    t.is(await terminal.exitCode(), 0);
    t.deepEqual(terminal.modes(), UNTOUCHED);
    t.is(terminal.stty().after, terminal.stty().before);
  });

  test.serial('200×60 has all of it at once; smaller again it still has what 80×24 needs', async (t) => {
    const lab = new Lab(t);
    await lab.up(ONCE);
    const counters = await lab.settled(), terminal = lab.top({ width: 200, height: 60 });
    await terminal.shows(accounts(counters.ports[0])[1]);
    const text = await terminal.shows(/fe:ff:20:00:01:00 +web/);
    for (const title of ['1 ports', '2 pool', '3 talkers, the last minute', '4 protocols, the last minute', `5 forwarding table, ${counters.global.fdbEntries}`, '6 events']) t.true(text.includes(`─ ${title} ─`), title);
    for (const line of text.split('\n').slice(1, -1)) t.is([...line].length, 200, line);
    t.regex(text, /145\.254\.160\.237 +\d+/);
    t.regex(text, /HTTP \(TCP\) +\d+/);
    terminal.resize(80, 24);
    await terminal.shows(/─ 3 talkers ─ 4 protocols ─ 5 forwarding ─ 6 events ─/);
    terminal.resize(60, 20);
    await terminal.shows('80×24 is needed');
    terminal.resize(120, 36);
    await terminal.shows('─ 6 events ─');
    await terminal.keys('q');
    t.is(await terminal.exitCode(), 0);
  });

  test.serial('NO_COLOR changes no character, a plain locale shows ASCII alone', async (t) => {
    const lab = new Lab(t);
    await lab.up(ONCE);
    await lab.settled();
    const still = (text: string): string => text.replace(/\d\d:\d\d:\d\d|for [^│]*? {2,}|oldest.*? old/g, '').split('\n').slice(1).join('\n');
    const shown = async (env: Record<string, string>): Promise<Terminal> => {
      const terminal = lab.top({ env });
      await terminal.shows(/all \d+ kept frames of the last minute/);
      await terminal.shows('nothing is being kept at the moment');
      return terminal;
    };
    const [coloured, none, plain] = await Promise.all([shown({}), shown({ NO_COLOR: '1' }), shown({ LC_ALL: 'C' })]);
    t.is(still(none.text()), still(coloured.text()));
    const sgr = (terminal: Terminal): number[] => [...terminal.coloured().join('').matchAll(/\x1b\[([0-9;]*)m/g)].flatMap((m) => m[1].split(';').map(Number));
    t.true(sgr(coloured).includes(38));
    t.deepEqual(sgr(none).filter((code) => code >= 30 && code !== 39 && code !== 49), []);
    t.regex(plain.text(), /^[ -~\n]*$/);
    t.regex(plain.text(), /^\+- 1 ports -+\+$/m);
  });

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

  test.serial('a switch that is killed: it says so and shows the last state, also when it is opened afterwards', async (t) => {
    const lab = new Lab(t);
    await lab.up(ONCE);
    const counters = await lab.settled(), terminal = lab.top({}, 'lab');
    await terminal.shows(accounts(counters.ports[0])[1]);
    await lab.end('SIGKILL');
    const text = await terminal.shows(/lab {2}DIED {2}at \d{4}-/);
    for (const line of accounts(counters.ports[0])) t.regex(text, line);
    t.regex(text, /nothing is being kept: the switch died/);
    await terminal.keys('5');
    await terminal.shows('the forwarding table went with the switch');
    await terminal.keys('6');
    await terminal.shows('lab died without a word');
    await terminal.keys('f');
    await terminal.shows('cannot freeze');
    await terminal.keys('q');
    t.is(await terminal.exitCode(), 0);
    t.deepEqual(terminal.modes(), UNTOUCHED);
    t.is(terminal.stty().after, terminal.stty().before);

    const again = lab.top();
    const later = await again.shows(/lab {2}DIED/);
    for (const line of accounts(counters.ports[0])) t.regex(later, line);
    t.true((await again.shows(/kept frames of its last minute/)).includes(`all ${n(counters.global.committed)} kept frames of its last minute`));
    t.true(later.includes(`${n(counters.global.committed)} of ${n(counters.global.slots)} frames`), later);
    // Another run of that name begins: it is followed.
    await lab.up(ONCE);
    await again.shows(/lab {2}running {2}for/);
    await again.keys('6');
    await again.shows(/lab was started again: run 2, process \d+/);
    await again.keys('q');
    t.is(await again.exitCode(), 0);
  });

  test.serial('two workers: the pool pane and the sample have both lanes', async (t) => {
    const lab = new Lab(t);
    await lab.up([...ONCE, 'gen:late,rate=0,count=5000,src=02:00:00:00:11:11'], '--workers', '2');
    const { workers, global } = await lab.settled(), terminal = lab.top(), held = workers.reduce((sum, w) => sum + Math.min(w.nextSequence, w.slots), 0);
    t.is(workers.length, 2);
    t.true(workers.every((w) => w.nextSequence > 0) && held < global.committed, 'both lanes are written, and one has gone round');
    const text = await terminal.shows(`${n(held)} of ${n(global.slots)} frames in 2 lanes; oldest `);
    t.true(text.includes(`${Math.floor(held / global.slots * 100)} % full`), text);
    t.true(text.includes(`all ${n(held)} kept frames of the last minute`), text);
    t.is(text.split('▼').length - 1, 2, 'a mark for each lane');
  });

  test.serial('a switch that was stopped, and one whose pool is gone', async (t) => {
    const lab = new Lab(t);
    await lab.up(ONCE);
    const counters = await lab.settled();
    await lab.end('SIGTERM');
    rmSync(lab.pool);
    const terminal = lab.top();
    const text = await terminal.shows(/lab {2}stopped {2}at/);
    for (const line of accounts(counters.ports[0])) t.regex(text, line);
    t.regex(text, /there is no pool/);
    await terminal.keys('e');
    await terminal.shows(/there is no pool .*\n*$/);
    await terminal.keys('q');
    t.is(await terminal.exitCode(), 0);
  });

  test.serial('a data plane that does not move is told from one that runs', async (t) => {
    const lab = new Lab(t);
    await lab.up(ONCE);
    await lab.settled();
    const terminal = lab.top();
    await terminal.shows('running');
    process.kill(lab.child.pid!, 'SIGSTOP');
    t.teardown(() => { try { process.kill(lab.child.pid!, 'SIGCONT'); } catch { /* it has ended */ } });
    await terminal.shows('NOT MOVING', 20);
    await terminal.keys('6');
    await terminal.shows('the data plane does not move');
    process.kill(lab.child.pid!, 'SIGCONT');
    await terminal.shows(/lab {2}running/);
    await terminal.shows('the data plane goes on');
    await terminal.keys('q');
    t.is(await terminal.exitCode(), 0);
  });

  test.serial('addresses that move and ports that come and go are events', async (t) => {
    const lab = new Lab(t);
    // The same stations at two ports.
    await lab.up([capture('http.pcap', 'as=here,speed=20,loop=yes'), capture('http.pcap', 'as=there,speed=20,loop=yes'), 'sink:rest']);
    const terminal = lab.top();
    await terminal.keys('6', 'Enter');
    await terminal.shows(/moved (to another port|from (here|there) to (here|there))/, 20);
    process.env['FRAMEKEEP_RUN'] = lab.run;
    const control = await connectControl('lab');
    await control.call('ports.add', { port: 'sink:late' });
    await terminal.shows('sink:late');
    await control.call('ports.remove', { port: 'sink:late' });
    await terminal.shows(/sink:late.*remove/i);
    control.close();
    await terminal.keys('Escape', 'q');
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
    t.deepEqual(terminal.modes(), { alternate: true, cursor: false, mouse: true, keypad: true });
    await terminal.keys('2', 'Enter');
    await terminal.shows((text) => text.includes('2 pool') && !text.includes('1 ports'));
    await terminal.keys('q');
    t.is(await terminal.exitCode(), 0);
    t.deepEqual(terminal.modes(), UNTOUCHED);
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
    t.deepEqual(terminal.modes(), UNTOUCHED);
    t.is(terminal.stty().after, terminal.stty().before);
    t.true(existsSync(lab.pool));
  });
}

if (has('the dashboard over real links', 'tmux', 'ps', 'root', 'ip', 'ping')) {
  test.serial('over network interfaces: who pings whom, a cable that is pulled, the end', async (t) => {
    const net = new Network();
    t.teardown(() => net.delete());
    const sw = await net.up(['xdp:p0', 'xdp:p1']);
    t.teardown(() => sw.kill());
    const terminal = new Terminal([process.execPath, PROGRAM, 'top', 'test'], { width: 120, height: 40, env: { FRAMEKEEP_RUN: net.env['FRAMEKEEP_RUN'] } });
    t.teardown(() => terminal.close());
    await terminal.shows(/xdp:p0 +up/);
    t.regex(net.a.sh('ping -c 20 -i 0.05 10.79.0.2'), / 0% packet loss/);
    const text = await terminal.shows(/10\.79\.0\.2 +20 /);
    t.regex(text, /10\.79\.0\.1 +20 /);
    t.regex(text, /ICMP +40 /);
    t.regex(text, /[0-9a-f:]{17} xdp:p1 /);
    net.middle.sh('ip link set p0 down');
    await terminal.shows(/xdp:p0 +down/);
    await terminal.shows(/\d\d:\d\d:\d\d xdp:p0: .*down/);
    net.middle.sh('ip link set p0 up');
    await terminal.shows(/xdp:p0 +up/);
    const last = await sw.stop();
    await terminal.shows(/test {2}stopped/);
    for (const p of last.ports) t.true(terminal.text().includes(`${p.spec} `), p.spec);
    await terminal.keys('q');
    t.is(await terminal.exitCode(), 0);
  });
}
