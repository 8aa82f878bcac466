/** What happens to a switch while the dashboard looks: killed, stopped, stuck, ports that come and go. */
import { rmSync } from 'node:fs';
import test from 'ava';
import { connectControl } from '../switch/control/index.js';
import { has } from './needs.js';
import { capture, ONCE, UNTOUCHED, n, Lab, accounts } from './dashboard_lab.js';

if (has('the dashboard in a terminal', 'tmux', 'ps')) {
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
    t.deepEqual(await terminal.becomes(UNTOUCHED), UNTOUCHED);
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
    await terminal.shows('NOT MOVING');
    await terminal.keys('6');
    await terminal.shows('the data plane does not move');
    // Who begins to look now gets a connection and no answer; that holds nobody's end up.
    const other = lab.top();
    await other.shows('NOT MOVING');
    await other.keys('q');
    t.is(await other.exitCode(), 0);
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
    await terminal.shows(/moved (to another port|from (here|there) to (here|there))/);
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
}
