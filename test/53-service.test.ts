/**
 * A switch as a service: what it says to its manager, to a log, to the journal; SIGHUP, SIGTERM and a second SIGTERM. The manager is
 * the test's own socket: no systemd runs here, but its own program reads the unit.
 */
import test from 'ava';
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Limiter } from '../cli/service/limiter.js';
import { ServiceManager } from '../cli/service/manager.js';
import { Watch } from '../cli/service/watch.js';
import { openCapture } from '../logger/capture/index.js';
import { datagramSend, packageRoot } from '../native/index.js';
import type { CountersSnapshot } from '../switch/index.js';
import { Datagrams } from './datagrams.js';
import { background, Capture, Network } from './hosts.js';
import { has } from './needs.js';
import { eventually } from './patience.js';
import { place, program, ServiceProcess } from './service_process.js';

const UNIT = readFileSync(join(packageRoot(), 'packaging', 'systemd', 'framekeep@.service'), 'utf8');
const setting = (name: string): string => UNIT.match(new RegExp(`^${name}=(.*)$`, 'm'))![1];

test.serial('of what repeats so many lines are said, then how many more there were', (t) => {
  const limiter = new Limiter(2, 60);
  t.deepEqual([0, 1, 2, 3, 59].map((now) => limiter.allows('link', now)), [true, true, false, false, false]);
  t.true(limiter.allows('other', 3));
  t.deepEqual(limiter.ended(59), []);
  t.deepEqual(limiter.ended(60), [['link', 3]]);
  t.deepEqual(limiter.ended(60), []);
  t.true(limiter.allows('link', 61));
  t.deepEqual(limiter.ended(Infinity), [], 'nothing was held back');
});

test.serial('drops and loss are told from the counters, once in ten seconds, with the sum since', (t) => {
  const at = (xdpRxRingFull: number, lost: number, samePort: number): CountersSnapshot => ({
    ports: [{ id: 0, spec: 'xdp:a', lost, xdpRxRingFull, xdpFillEmpty: 0, xdpRxDropped: 0, txErrors: 0, dropped: { oversize: 0, runt: 0, malformed: 0, 'same-port': samePort } }],
  }) as unknown as CountersSnapshot;
  const watch = new Watch(), told = (s: CountersSnapshot, now: number): unknown[] => watch.look(s, now).map((h) => [h.event, h.fields['reasons'] ?? h.fields['frames']]);
  t.deepEqual(told(at(0, 0, 0), 0), []);
  t.deepEqual(told(at(5, 0, 3), 1), [['drops', { 'rx-ring-full': 5 }]]);
  t.deepEqual(told(at(9, 2, 4), 2), [['lost', 2]]);
  t.deepEqual(told(at(20, 2, 7), 10), []);
  t.deepEqual(told(at(21, 2, 7), 11), [['drops', { 'rx-ring-full': 16 }]]);
  t.deepEqual(told(at(21, 2, 7), 30), []);
});

test.serial('no child of the switch inherits the manager\'s socket; a watchdog of another process is not ours', (t) => {
  const env: NodeJS.ProcessEnv = { NOTIFY_SOCKET: '/nonexistent/notify', WATCHDOG_USEC: '3000000', WATCHDOG_PID: String(process.pid + 1) };
  const manager = new ServiceManager(env);
  t.deepEqual(env, {});
  t.true(manager.listens);
  t.is(manager.watchdogSeconds, 0);
  t.notThrows(() => manager.ready('nobody is there'));
  t.is(new ServiceManager({ NOTIFY_SOCKET: '@x', WATCHDOG_USEC: '3000000', WATCHDOG_PID: String(process.pid) }).watchdogSeconds, 3);
  t.is(new ServiceManager({ WATCHDOG_USEC: '3000000' }).watchdogSeconds, 0);
});

test.serial('an address that cannot be is an error number, not a crash', (t) => {
  t.is(datagramSend('/nonexistent/socket', Buffer.from('x')), -2);
  t.is(datagramSend(`@framekeep-nobody-${process.pid}`, Buffer.from('x')), -111);
  t.is(datagramSend('vsock:2:1234', Buffer.from('x')), -97);
  t.is(datagramSend(`/${'x'.repeat(200)}`, Buffer.from('x')), -36);
  t.is(datagramSend('', Buffer.from('x')), -97);
});

const CONFIG = 'name = "svc"\nport = ["gen:a,rate=200,size=80", "sink:b"]\n';

if (has('service manager, log and reload', 'python3')) {
  test.serial('ready, alive, reloading, stopping: the manager hears each in its order, and the log has it with fields', async (t) => {
    const directory = place(t), config = join(directory, 'lab.toml'), address = `@framekeep-test-${process.pid}`;
    writeFileSync(config, CONFIG);
    const manager = await Datagrams.at(t, address);
    const sw = new ServiceProcess(t, directory, ['--config', config, '--stats', '0'], { NOTIFY_SOCKET: address, WATCHDOG_USEC: '600000' });
    t.regex(await manager.with('READY=1'), /^READY=1\nSTATUS=2 of 2 ports up, \d+ frames kept, pool \d+ % full\n$/);
    t.is(manager.texts()[0].split('\n')[0], 'READY=1', 'nothing before it is ready');
    await manager.with('WATCHDOG=1');
    await manager.with('WATCHDOG=1', manager.heard.length);
    const before = Number(process.hrtime.bigint() / 1000n), heard = manager.heard.length;
    sw.child.kill('SIGHUP');
    const [, at] = /^RELOADING=1\nMONOTONIC_USEC=(\d+)\n$/.exec(await manager.with('RELOADING=1'))!;
    t.true(Number(at) >= before && Number(at) <= Number(process.hrtime.bigint() / 1000n), 'its clock is the manager\'s');
    await manager.with('READY=1', heard);
    t.is(await sw.ended('SIGTERM'), 0);
    await manager.with('STOPPING=1');
    const order = manager.texts().filter((d) => !/^(WATCHDOG|STATUS)/.test(d)).map((d) => d.split('\n')[0]);
    t.deepEqual(order, ['READY=1', 'RELOADING=1', 'READY=1', 'STOPPING=1']);

    const lines = sw.lines();
    t.deepEqual(lines.map((l) => l.event).filter((e) => e !== 'moves'), ['started', 'port-added', 'port-added', 'reloaded', 'stopping', 'stopped']);
    for (const line of lines) t.like(line, { pid: sw.child.pid, switch: 'svc' });
    t.like(lines[0], { level: 'info', boot: 1, medium: 'tmpfs', durability: 'process', zeroCopy: true, recovered: 0 });
    t.true(Math.abs(Date.parse(String(lines[0]['time'])) - Date.now()) < 600_000);
    t.like(lines[1], { port: 'gen:a', id: 0, level: 'info' });
    t.is(lines.find((l) => l.event === 'reloaded')!.msg, 'reloaded; nothing is different');
    const last = lines.at(-1)!;
    t.true(Number(last['received']) > 0);
    t.is(last['received'], last['kept']);
  });

  test.serial('a data plane that hangs gives no sign of life; the first SIGTERM waits for it, the second does not', async (t) => {
    const directory = place(t), address = join(directory, 'notify'), logic = join(directory, 'hangs.mjs');
    const hung = join(directory, 'hung');
    writeFileSync(logic, `import { writeFileSync } from 'node:fs';
      let n = 0; export default () => ({ name: 'hangs', decide() { if (++n === 100) writeFileSync(${JSON.stringify(hung)}, ''); while (n >= 100); } });`);
    const manager = await Datagrams.at(t, address);
    const sw = new ServiceProcess(t, directory, ['gen:a,rate=200', '--logic', logic, '--stats', '0', '-q'], { NOTIFY_SOCKET: address, WATCHDOG_USEC: '300000' });
    await manager.with('READY=1');
    await manager.with('WATCHDOG=1');
    await eventually('the data plane hanging', () => existsSync(hung));
    await sleep(3000);  // what was said until then has been heard
    const signs = (): number => manager.texts().filter((d) => d === 'WATCHDOG=1\n').length, then = signs();
    await sleep(700);
    t.is(signs(), then, 'the control thread is well, and says nothing');
    sw.child.kill('SIGTERM');
    await manager.with('STOPPING=1');
    await sleep(200);
    t.true(sw.lives());
    t.is(await sw.ended('SIGTERM'), 143);
  });

  test.serial('SIGHUP: what can change does, the rest is named, and a file that cannot be used changes nothing', async (t) => {
    const directory = place(t), config = join(directory, 'lab.toml');
    copyFileSync(join(packageRoot(), 'captures', 'mptcp-v0.pcap'), join(directory, 'gone.pcap'));
    const write = (...lines: string[]): void => writeFileSync(config, lines.join('\n'));
    const ports = 'port = ["gen:a,rate=200,size=80", "sink:b"]';
    write('name = "svc"', ports);
    const sw = new ServiceProcess(t, directory, ['--config', config, '--json', '--stats', '0.05']);
    await sw.logged('port-added');
    const reload = async (event = 'reloaded'): Promise<Record<string, unknown>> => {
      const from = sw.lines().length;
      sw.child.kill('SIGHUP');
      return await sw.logged(event, from);
    };
    const looks = (): CountersSnapshot[] => sw.printed().filter((m) => m['type'] === 'stats') as unknown as CountersSnapshot[];
    // The second from now on was taken after what happened until now.
    const stats = async (): Promise<CountersSnapshot> => {
      const from = looks().length;
      return eventually('statistics', () => looks()[from + 1]);
    };
    const living = async (): Promise<string[]> => (await stats()).ports.filter((p) => p.state === 'up').map((p) => p.spec);

    // Mistakes of each kind: in the syntax, a key, a value, a filter, and a port that cannot be had, beside changes that could be made.
    for (const [bad, code] of [['keep = = 1', 'E_CONFIG'], ['keeep = "arp"', 'E_CONFIG'], ['ageing = "long"', 'E_CONFIG'], ['keep = "arp or prot 7"', 'E_FILTER_SYNTAX'], ['keep-port = 5', 'E_CONFIG']]) {
      write('name = "svc"', 'port = ["sink:new"]', 'snap = 40', bad);
      t.is((await reload('reload-failed'))['code'], code, bad);
    }
    write('name = "svc"', 'port = ["sink:new", "gen:a,rate=200,size=90", "xdp:no-such-if"]', 'snap = 40');
    t.is((await reload('reload-failed'))['code'], 'E_INTERFACE_UNKNOWN');
    t.deepEqual((await living()).sort(), ['gen:a', 'sink:b'], 'the ports are those of before');
    t.is((await stats()).ports.findLast((p) => p.spec === 'gen:a')!.note, 'generator, 200 frames/s of 80 bytes');

    write('name = "svc"', 'port = ["gen:a,rate=200,size=90", "sink:c", "replay:gone.pcap,speed=0"]', 'keep = "ether[14:4] >= 0"', 'snap = 40', 'ageing = 7', 'log-level = "debug"',
      'pool-size = "1G"', 'logic = "hub"', 'vlan-aware = true');
    const done = await reload();
    t.deepEqual({ ...done, time: 0, pid: 0, msg: '' }, {
      level: 'warn', time: 0, pid: 0, msg: '', switch: 'svc', event: 'reloaded', changed: ['keep', 'snap', 'ageing', 'log-level'],
      closed: ['gen:a', 'sink:b'], opened: ['gen:a', 'sink:c', 'replay:gone.pcap'], waiting: ['logic', 'vlan-aware'], failed: [],
    });
    t.true((await living()).includes('sink:c'));
    // What waits is said again; what was done is not.
    t.like(await reload(), { changed: [], opened: [], closed: [], waiting: ['logic', 'vlan-aware'] });
    t.is(await sw.ended('SIGTERM'), 0);
    const s = JSON.parse(sw.stdout.split('\n').findLast((line) => line.includes('"type":"stopped"'))!) as CountersSnapshot;
    for (const p of s.ports) t.is(p.received, p.kept + p.notSelected + p.lost, p.spec);
    const short = spawnSync(process.execPath, [program, 'export', join(directory, 'pool'), '-w', join(directory, 'out.pcapng')], { encoding: 'utf8' });
    t.is(short.status, 0, short.stderr);
    const out = openCapture(join(directory, 'out.pcapng')), sizes = new Set<string>();
    while (out.next()) sizes.add(`${out.captured} of ${out.wire}`);
    out.close();
    t.true(sizes.has('80 of 80') && sizes.has('40 of 90'), [...sizes].join(', '));
  });

  test.serial('a log file that was moved away is begun anew at SIGHUP; without a configuration file nothing else happens', async (t) => {
    const directory = place(t), sw = new ServiceProcess(t, directory, ['sink:a', '-q', '--name', 'rot']);
    await sw.logged('port-added');
    renameSync(sw.log, `${sw.log}.1`);
    sw.child.kill('SIGHUP');
    t.is((await sw.logged('reloaded')).msg, 'reloaded; nothing is different');
    t.is(await sw.ended('SIGTERM'), 0);
    t.false(readFileSync(sw.log, 'utf8').includes('"event":"started"'));
    t.true(readFileSync(`${sw.log}.1`, 'utf8').includes('"event":"started"'));
  });

  test.serial('the journal gets fields, and text of several lines whole', async (t) => {
    const directory = place(t), address = join(directory, 'journal'), journal = await Datagrams.at(t, address);
    const config = join(directory, 'lab.toml');
    writeFileSync(config, CONFIG);
    const sw = new ServiceProcess(t, directory, ['--log', 'journal', '--config', config, '--name', 'jour'], { FRAMEKEEP_JOURNAL: address });
    const added = await journal.with('MESSAGE=added: sink');
    for (const field of ['SYSLOG_IDENTIFIER=framekeep', 'PRIORITY=6', `SYSLOG_PID=${sw.child.pid}`, 'FRAMEKEEP_SWITCH=jour', 'FRAMEKEEP_EVENT=port-added', 'FRAMEKEEP_PORT=sink:b', 'FRAMEKEEP_ID=1']) {
      t.true(added.split('\n').includes(field), `${field} in ${added}`);
    }
    writeFileSync(config, 'keep = "prot 7"\nport = ["sink:b"]');
    sw.child.kill('SIGHUP');
    const failed = Buffer.from(await journal.with('FRAMEKEEP_EVENT=reload-failed')), start = failed.indexOf('\nMESSAGE\n') + 9;
    const message = failed.subarray(start + 8, start + 8 + Number(failed.readBigUInt64LE(start))).toString();
    t.regex(message, /^not reloaded, nothing was changed: bad filter: .*\n.*prot 7\n\s+\^/);
    t.is(failed[start + 8 + Buffer.byteLength(message)], 10);
    t.true(failed.includes('PRIORITY=3\n'));
    t.is(sw.stderr, '', 'the journal is the one place');
    t.is(await sw.ended('SIGTERM'), 0);
  });

  test.serial('a terminal that is closed ends a switch that reloads on SIGHUP', (t) => {
    const directory = place(t), config = join(directory, 'lab.toml');
    writeFileSync(config, CONFIG);
    // A session of its own with a pseudo-terminal; closing its master hangs it up.
    const { status, stdout, stderr } = spawnSync('python3', ['-c', `
import os, pty, sys, time
pid, fd = pty.fork()
if pid == 0: os.execvp(sys.argv[1], sys.argv[1:])
text = b''
while b'received' not in text: text += os.read(fd, 4096)
os.kill(pid, 1)
while b'reloaded' not in text: text += os.read(fd, 4096)
os.close(fd)
for i in range(1600):
    done, how = os.waitpid(pid, os.WNOHANG)
    if done: print(os.waitstatus_to_exitcode(how)); sys.exit(0)
    time.sleep(0.05)
os.kill(pid, 9); sys.exit('it still runs')`, process.execPath, program, 'up', '--config', config, '--pool', join(directory, 'pool'), '--pool-size', '32M'],
    { encoding: 'utf8', timeout: 100_000, env: { ...process.env, FRAMEKEEP_RUN: join(directory, 'run') } });
    t.is(status, 0, stderr);
    t.is(stdout.trim(), '0');
  });
}

test.serial('standard output as the log is JSON lines and nothing else; an error at the start is in it', (t) => {
  const directory = place(t), run = (...args: string[]) => spawnSync(process.execPath, [program, 'up', '--pool', join(directory, 'pool'), '--pool-size', '32M', '--log', '-', ...args],
    { encoding: 'utf8', timeout: 100_000, env: { ...process.env, FRAMEKEEP_RUN: join(directory, 'run') } });
  const done = run('gen:a,count=10', '--once');
  t.is(done.status, 0, done.stderr);
  t.is(done.stderr, '');
  t.deepEqual(done.stdout.trim().split('\n').map((line) => (JSON.parse(line) as { event: string }).event), ['started', 'port-added', 'port-finished', 'stopping', 'stopped']);
  const failed = run('replay:/nonexistent.pcap');
  t.is(failed.status, 1);
  t.like(JSON.parse(failed.stdout), { level: 'fatal', event: 'failed', code: 'E_CAPTURE_OPEN' });
  t.deepEqual(run('gen:a,count=10', '--once', '--log-level', 'error').stdout, '');
  const nowhere = run('gen:a', '--log', join(directory, 'no', 'such', 'log'));
  t.is(nowhere.status, 1);
  t.regex(nowhere.stderr, /\[E_IO\]/);
  const journal = spawnSync(process.execPath, [program, 'up', 'gen:a', '--log', 'journal'], { encoding: 'utf8', env: { ...process.env, FRAMEKEEP_JOURNAL: join(directory, 'none') } });
  t.is(journal.status, 1);
  t.regex(journal.stderr, /there is no journal at .*\[E_LOG\]/s);
});

if (has('the systemd unit', 'systemd-analyze')) {
  test.serial('systemd takes the unit, and finds it hardened', (t) => {
    const directory = place(t), unit = join(directory, 'framekeep@lab.service');
    writeFileSync(unit, UNIT.replace('/usr/bin/framekeep', '/bin/true').replace(/^Documentation=.*\n/m, ''));  // neither is installed here
    const verify = spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8', timeout: 100_000 });
    t.is(verify.status, 0, verify.stderr);
    t.is(verify.stderr.split('\n').filter((line) => line.includes('framekeep@lab')).join('\n'), '');
    const security = spawnSync('systemd-analyze', ['security', '--offline=true', '--threshold=30', '--no-pager', unit], { encoding: 'utf8', timeout: 100_000 });
    t.is(security.status, 0, security.stdout.split('\n').at(-2));
  });
}

test.serial('the unit starts what is there: its options read, its variables are ours', (t) => {
  const [, line] = /^ExecStart=\/usr\/bin\/framekeep (.*)$/m.exec(UNIT)!;
  t.is(line, 'up --config /etc/framekeep/%i.toml --name %i --log journal');
  t.is(setting('Type'), 'notify');
  t.is(setting('ExecReload'), '/bin/kill -HUP $MAINPID');
  t.is(setting('CapabilityBoundingSet'), setting('AmbientCapabilities'));
  t.true(existsSync(join(packageRoot(), 'packaging', 'systemd', 'framekeep.sysusers')));
});

// Numbered UDP datagrams of changing lengths, as fast as one socket takes them.
const SENDER = `const s = require('dgram').createSocket('udp4'); let n = 0;
  const go = () => { const b = Buffer.alloc(16 + (n * 37) % 1400, n & 255); b.writeBigUInt64BE(BigInt(n++)); s.send(b, 9999, '10.79.0.2', () => setImmediate(go)); };
  for (let i = 0; i < 8; i++) go();`;

/** Numbers of the datagrams from a to b. */
function numbers(file: string): Set<bigint> {
  const capture = openCapture(file), found = new Set<bigint>();
  try {
    while (capture.next()) {
      const frame = Buffer.from(capture.bytes.subarray(capture.offset, capture.offset + capture.captured));
      if (frame.length >= 58 && frame.readUInt16BE(12) === 0x0800 && frame[23] === 17 && frame.readUInt16BE(36) === 9999) found.add(frame.readBigUInt64BE(42));
    }
  } catch (error) {
    if ((error as { code?: string }).code !== 'E_CAPTURE_TRUNCATED') throw error;  // the receiver's tcpdump, ended in mid-frame
  }
  capture.close();
  return found;
}

if (has('SIGTERM under traffic, with the unit\'s capabilities alone', 'root', 'ip', 'tcpdump', 'ping', 'ethtool', 'setpriv')) {
  test.serial('SIGTERM under traffic, with the capabilities of the unit alone: all that was forwarded is kept, every sum holds, interfaces are as they were', async (t) => {
    const n = new Network(), directory = place(t);
    t.teardown(() => n.delete());
    const before = ['p0', 'p1'].map((i) => n.middle.sh(`ethtool -k ${i}`));
    // What is left of root's are the unit's alone; and IPC_LOCK, in place of LimitMEMLOCK, where this machine's root may not raise that.
    const raises = spawnSync('prlimit', ['--memlock=unlimited', 'true']).status === 0;
    const capabilities = (setting('CapabilityBoundingSet') + (raises ? '' : ' CAP_IPC_LOCK')).toLowerCase().replaceAll('cap_', '+').split(' ').join(',');
    const sw = new ServiceProcess(t, directory, ['xdp:p0', 'xdp:p1', 'tap:vm1', '--json', '--stats', '0'], {},
      ['ip', 'netns', 'exec', n.middle.name, ...(raises ? ['prlimit', '--memlock=unlimited'] : []), 'setpriv', '--bounding-set', `-all,${capabilities}`, '--inh-caps', `-all,${capabilities}`, '--no-new-privs']);
    await sw.logged('port-added');
    t.is(readFileSync(`/proc/${sw.child.pid}/status`, 'utf8').match(/^CapEff:\t(.*)$/m)![1], raises ? '0000008000003000' : '0000008000007000');
    n.reach();
    const received = join(directory, 'received.pcap'), kept = join(directory, 'kept.pcapng');
    const listener = await Capture.start(n.b, 'eth0', received, 'udp port 9999');
    t.teardown(() => listener.stop());
    const sender = background(n.a, [process.execPath, '-e', SENDER]);
    t.teardown(() => sender.stop('SIGKILL'));
    await eventually('a megabyte of datagrams at the receiver', () => listener.size() >= 1_000_000);
    t.is(await sw.ended('SIGTERM'), 0, sw.stderr);
    await sender.stop('SIGKILL');
    await listener.stop();

    t.regex(n.middle.sh('ip -d link show p0; ip -d link show p1'), /promiscuity 0.*promiscuity 0/s);
    t.notRegex(n.middle.sh('ip -d link show p0; ip -d link show p1'), /xdp/);
    t.notRegex(n.middle.sh('ip link'), /vm1/);
    t.deepEqual(['p0', 'p1'].map((i) => n.middle.sh(`ethtool -k ${i}`)), before);
    const last = JSON.parse(sw.stdout.split('\n').findLast((line) => line.includes('"type":"stopped"'))!) as CountersSnapshot;
    for (const p of last.ports) {
      t.is(p.received, p.forwarded + p.flooded + Object.values(p.dropped).reduce((a, b) => a + b, 0), p.spec);
      t.is(p.received, p.kept + p.notSelected + p.lost, p.spec);
    }
    t.is(last.global.committed, last.ports.reduce((sum, p) => sum + p.kept, 0));
    n.middle.sh(`${process.execPath} ${program} export ${join(directory, 'pool')} -w ${kept}`);
    const got = numbers(received), have = numbers(kept);
    t.true(got.size > 500, `only ${got.size} datagrams reached the receiver`);
    // The pool is small: what had to make room for newer frames is older than its oldest.
    const oldest = [...have].reduce((a, b) => a < b ? a : b);
    const missing = [...got].filter((number) => number >= oldest && !have.has(number));
    t.is(missing.length, 0, `${missing.slice(0, 5).join(', ')} of ${got.size}, behind ${oldest}`);
    const report = JSON.parse(n.middle.sh(`${process.execPath} ${program} inspect --json ${join(directory, 'pool')}`)) as { boots: { ending: string }[] };
    t.deepEqual(report.boots.map((boot) => boot.ending), ['in order']);
    t.log(`${got.size} datagrams received, ${have.size} kept`);
  });
}
