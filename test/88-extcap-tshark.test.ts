/** tshark as an ordinary user lists switches and pools, and captures them. */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import test from 'ava';
import { has } from './needs.js';
import { isRoot, User, ended, captures } from './wireshark_user.js';
import { eventually } from './patience.js';

if (has('tshark as an ordinary user', 'tshark', 'setpriv', 'mkfifo')) {
  test.serial('tshark lists the switches that run and the pools that are there; of another user, nothing', async (t) => {
    const user = new User(t);
    await user.up(t, 'lab');
    user.leave('framekeep-old.pool');
    user.leave('a pool, {of} $mine.pool');
    mkdirSync(join(user.pools, 'deeper'));
    const twin = user.leave('deeper/old.pool');
    writeFileSync(join(user.pools, 'no.pool'), 'FRAMKEE');
    spawnSync('mkfifo', [join(user.pools, 'pipe.pool')]);  // opened, it would wait for ever
    symlinkSync(join(user.home, 'lab.pool'), join(user.pools, 'the same.pool'));
    if (isRoot) {
      const theirs = user.leave('theirs.pool');
      chownSync(theirs, 0, 0);
      chmodSync(theirs, 0o600);
    }
    t.like(user.framekeep('wireshark', 'install'), { status: 0, stderr: '' });
    const { stdout, status } = user.run('tshark', '-D');
    t.is(status, 0);
    const ours = stdout.split('\n').map((line) => line.replace(/^\d+\. /, '')).filter((line) => line.includes(user.home) || line.startsWith('framekeep-lab '));
    t.is(ours.length, 4, stdout);
    t.true(ours.includes('framekeep-lab (framekeep switch lab)'));
    t.true(ours.some((line) => line.startsWith('framekeep-a_pool___of___mine.pool (framekeep pool ')));
    t.is(ours.filter((line) => /^framekeep-old-[0-9a-f]{6}\.pool /.test(line)).length, 2, 'two of one name are told apart');
    t.true(ours.some((line) => line.includes(twin)));
    if (!isRoot) return;
    const said = JSON.parse(user.framekeep('wireshark', '--json').stdout) as { passed: { path: string; why: string }[]; user: { state: string } };
    t.is(said.user.state, 'current');
    t.regex(said.passed.find((p) => p.path.endsWith('theirs.pool'))?.why ?? '', /another user's/);
  });

  test.serial('tshark captures: the filter is applied before the pipe, ports have their names, and -c ends all of it', async (t) => {
    const user = new User(t);
    await user.up(t, 'lab');
    user.framekeep('wireshark', 'install');
    const out = join(user.home, 'dns.pcapng');
    const { status, stderr } = user.run('tshark', '-q', '-i', 'framekeep-lab', '-c', '20', '-f', 'udp port 53', '-w', out);
    t.is(status, 0, stderr);
    const fields = user.run('tshark', '-r', out, '-T', 'fields', '-e', 'frame.interface_name', '-e', 'udp.port', '-e', 'frame.packet_flags_direction').stdout.trim().split('\n');
    t.is(fields.length, 20);
    for (const line of fields) t.regex(line, /^replay:dns_icmp\.pcap\t(\d+,53|53,\d+)\t(1|0x0+1)$/);
    const ports = user.run('tshark', '-q', '-i', 'framekeep-lab', '-o', 'extcap.framekeep_lab.port:gen:g', '-o', 'extcap.framekeep_lab.last:0', '-c', '20', '-T', 'fields', '-e', 'frame.interface_name');
    t.deepEqual([...new Set(ports.stdout.trim().split('\n'))], ['gen:g'], ports.stderr);
    await eventually(() => `the end of ${captures(user).join()}`, () => captures(user).length === 0);
    t.pass();
  });

  test.serial('the last N seconds, then what comes: frames from before the capture and from after it, each once, in order', async (t) => {
    const user = new User(t);
    await user.up(t, 'lab');
    user.framekeep('wireshark', 'install');
    // Frames of three seconds, and as many as all that is asked for below.
    await after(3000);
    await eventually('500 kept frames', () => user.committed('lab') >= 500);
    const capture = (...options: string[]) => {
      const begun = Date.now() / 1000, { stdout, stderr } = user.run('tshark', '-q', '-i', 'framekeep-lab', ...options.flatMap((o) => ['-o', `extcap.framekeep_lab.${o}`]), '-T', 'fields',
        '-e', 'frame.time_epoch', '-e', 'frame.packet_id');
      return { begun, stderr, frames: stdout.trim().split('\n').map((line) => line.split('\t')).map(([time, id]) => ({ time: Number(time), id: BigInt(id ?? -1) })) };
    };
    const recent = capture('last:1s', 'count:500');
    t.is(recent.frames.length, 500, recent.stderr);
    t.true(recent.frames[0].time >= recent.begun - 1, 'not older than asked for');
    t.true(recent.frames.at(-1)!.time > recent.begun, 'the last came when it had begun');
    const ids = recent.frames.map((f) => f.id);
    for (let i = 1; i < ids.length; i++) if (ids[i] !== ids[i - 1] + 1n) return t.fail(`after ${ids[i - 1]} came ${ids[i]}`);
    const all = capture('last:all', 'follow:false');
    t.true(all.frames[0].time < all.begun - 2 && all.frames.length > 400, 'all there is, and it ends by itself');
    const soon = capture('last:0', 'duration:1');
    t.true(soon.frames[0].time >= soon.begun && soon.frames.length > 0);
    return t.pass();
  });

  test.serial('what a capture cannot begin with is said by tshark, which ends', async (t) => {
    const user = new User(t);
    await user.up(t, 'lab');
    user.leave('gone.pool');
    user.framekeep('wireshark', 'install');
    const bad = user.run('tshark', '-i', 'framekeep-lab', '-c', '1', '-f', 'udp prot 53');
    t.not(bad.status, 0);
    t.regex(bad.stderr, /bad filter: .*syntax error\s+udp prot 53/);
    const port = user.run('tshark', '-i', 'framekeep-lab', '-c', '1', '-o', 'extcap.framekeep_lab.port:nosuch');
    t.regex(port.stderr, /no run of the switch had a port nosuch/);
    t.not(port.status, 0);
    const last = user.run('tshark', '-i', 'framekeep-lab', '-c', '1', '-o', 'extcap.framekeep_lab.last:soon');
    t.regex(last.stderr, /"soon" is no time span/);
  });

  test.serial('a pool that no switch writes is read to its end; a crashed switch\'s too, under the name Wireshark knows', async (t) => {
    const user = new User(t);
    user.leave('old.pool', 60);
    user.framekeep('wireshark', 'install');
    const old = user.run('tshark', '-q', '-i', 'framekeep-old.pool', '-T', 'fields', '-e', 'frame.interface_name');
    t.is(old.stdout.trim().split('\n').length, 60, old.stderr);
    const lab = await user.up(t, 'lab');
    await eventually('60 kept frames', () => user.committed('lab') >= 60);
    await ended(lab, 'SIGKILL');
    const after_ = user.run('tshark', '-q', '-i', 'framekeep-lab.pool', '-c', '30', '-T', 'fields', '-e', 'frame.number').stdout.trim().split('\n');
    t.is(after_.length, 30);
    const config = user.framekeep('extcap', '--extcap-config', '--extcap-interface', 'framekeep-lab').stdout;
    t.regex(config, /\{call=--last\}.*\{default=all\}/);
    t.regex(config, /\{call=--follow\}.*\{default=false\}/);
  });
}
