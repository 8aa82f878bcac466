/** `framekeep top` in a real terminal, over real switches: what it shows is what the counters, the pool and the switch say. */
import test from 'ava';
import { connectControl } from '../switch/control/index.js';
import { Network } from './hosts.js';
import { has } from './needs.js';
import { Terminal } from './terminal.js';
import { PROGRAM, ONCE, UNTOUCHED, n, Lab, accounts } from './dashboard_lab.js';

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
    t.deepEqual(await terminal.becomes(UNTOUCHED), UNTOUCHED);
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
    t.regex(net.a.sh('ping -c 20 -i 0.05 -W 30 10.79.0.2'), / 0% packet loss/);
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
    for (const p of last.ports) await terminal.shows(`${p.spec} `);
    await terminal.keys('q');
    t.is(await terminal.exitCode(), 0);
  });
}
