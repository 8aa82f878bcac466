/** What a running switch may do and what others may do to it: capabilities of every thread, modes of every file. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import test from 'ava';
import { capabilityBits, FramekeepError, packageRoot, threadPrivileges, type Capability } from '../native/index.js';
import { create, Pool } from '../logger/index.js';
import { connectControl } from '../switch/control/index.js';
import { Network, type RunningSwitch } from './hosts.js';
import { has } from './needs.js';
import { Keeper, portEntry, scratch, testFrame } from './pool_maker.js';

const program = join(packageRoot(), 'cli', 'framekeep.mjs');

for (const umask of ['000', '077']) {
  test.serial(`under umask ${umask}: pool, counters, lock, sockets and pipes are 0600, directories 0700`, async (t) => {
    const directory = mkdtempSync('/dev/shm/framekeep-modes-'), run = join(directory, 'run');
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    const child = spawn('sh', ['-c', `umask ${umask}; exec "$0" "$@"`, process.execPath, program, 'up', 'pipe:w', 'sink:s', '--pool', join(directory, 'pool'), '--pool-size', '1M', '--name', 'modes', '--json'],
      { env: { ...process.env, FRAMEKEEP_RUN: run }, stdio: ['ignore', 'pipe', 'inherit'] });
    t.teardown(() => ended(child, 'SIGKILL'));
    await once(child.stdout!, 'data');
    const seen: Record<string, string> = {};
    for (const path of [join(directory, 'pool'), run, ...(readdirSync(run, { recursive: true }) as string[]).map((name) => join(run, name))]) {
      const { mode, uid } = statSync(path);
      seen[path.slice(directory.length + 1)] = (mode & 0o7777).toString(8);
      t.is(uid, process.getuid!());
      t.is(mode & 0o7777, statSync(path).isDirectory() ? 0o700 : 0o600, path);
    }
    t.like(seen, { pool: '600', 'run/modes/control': '600', 'run/modes/counters': '600', 'run/pipes/w': '600', 'run/pipes/w.a': '600' });
    t.is(await ended(child, 'SIGTERM'), 0);
  });
}

test('a pool from somewhere else does not speak to the terminal of who looks at it', (t) => {
  const path = join(scratch(t), 'a.pool');
  create(path, { bytes: 1 << 20 });
  const pool = Pool.open(path, { writable: true }), evil = 'a\x1b[2Jb\x9b31mc\x07d\u202ee\n\x7f';
  const keeper = new Keeper(pool, { ports: [portEntry(0, { spec: `xdp:${evil}`, note: evil })], header: { name: evil, host: evil, keep: evil, software: evil } });
  for (let i = 0; i < 20; i++) keeper.keep(testFrame(i), {});
  keeper.close();
  pool.close();
  for (const args of [['inspect'], ['inspect', '--boots'], ['verify'], ['export', '-w', `${path}.pcapng`]]) {
    const { stdout, stderr, status } = spawnSync(process.execPath, [program, args[0], path, ...args.slice(1)], { encoding: 'utf8' });
    t.is(status, 0, stderr);
    t.notRegex(stdout + stderr, /[\0-\x09\x0b-\x1f\x7f-\x9f\u202e]/, args.join(' '));
  }
  t.regex(spawnSync(process.execPath, [program, 'inspect', '--boots', path], { encoding: 'utf8' }).stdout, /xdp:a\ufffd\[2Jb/);
});

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const closed = once(child, 'close');
  child.kill(signal);
  return (await closed)[0] as number | null;
}

if (has('capabilities of a running switch', 'root', 'ip', 'ethtool', 'setpriv')) {
  const network = new Network();
  process.env['FRAMEKEEP_RUN'] = network.env['FRAMEKEEP_RUN'];
  let sw: RunningSwitch | undefined;
  test.afterEach.always(async () => { await sw?.kill(); });
  test.after.always(() => network.delete());
  /** In this sandbox root may lack some itself. */
  const mine = threadPrivileges()[0].permitted;
  const bits = (...which: Capability[]): bigint => capabilityBits(which) & mine;
  const PORTS = bits('NET_ADMIN', 'NET_RAW', 'BPF', 'IPC_LOCK');
  const ping = (): string => network.ping();
  const helperOf = (pid: number): number[] => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter((x) => x !== '').map(Number);

  test.serial('every thread of a running switch has what opening ports takes and no more; ports of each kind can still be added and removed', async (t) => {
    sw = await network.up(['xdp:p0', 'gen:g,count=1'], ['--pool-size', '16M']);
    const check = (what: string): void => {
      const threads = threadPrivileges(sw!.child.pid!);
      t.true(threads.length > 4, `${threads.length} threads`);
      for (const thread of threads) t.deepEqual([thread.effective, thread.permitted, thread.bounding & ~PORTS, thread.noNewPrivileges], [PORTS, PORTS, 0n, true], `${what}: thread ${thread.tid}`);
    };
    check('at first');
    t.deepEqual(sw.messages.find((m) => m.type === 'started')?.['privileges'], ['NET_ADMIN', 'NET_RAW', 'BPF', 'IPC_LOCK'].filter((name) => bits(name as Capability) !== 0n));
    const control = await connectControl('test');
    await control.call('ports.add', { port: 'xdp:p1' });
    ping();
    await control.call('ports.remove', { port: 'xdp:p1' });
    await control.call('ports.add', { port: 'tap:t9' });
    await control.call('ports.add', { port: 'cap:p1' });
    const helpers = helperOf(sw.child.pid!);
    t.is(helpers.length, 1);
    for (const thread of threadPrivileges(helpers[0])) t.deepEqual([thread.effective, thread.permitted, thread.noNewPrivileges], [0n, 0n, true], `the helper's thread ${thread.tid}`);
    ping();
    await after(300);  // and threads that were started meanwhile
    check('later');
    control.close();
    await sw.stop();
    t.regex(network.middle.sh('ip -d link show p0'), /promiscuity 0/);
  });

  test.serial('sealed: no thread has any; frames pass, ports stay as they are, and the end is in order', async (t) => {
    sw = await network.up(['xdp:p0', 'cap:p1'], ['--pool-size', '16M', '--sealed']);
    for (const thread of threadPrivileges(sw.child.pid!)) t.deepEqual([thread.effective, thread.permitted, thread.noNewPrivileges], [0n, 0n, true], `thread ${thread.tid}`);
    ping();
    const control = await connectControl('test');
    for (const call of [control.call('ports.add', { port: 'sink:s' }), control.call('ports.remove', { port: 'xdp:p0' })]) {
      t.is((await t.throwsAsync(call, { instanceOf: FramekeepError }) as FramekeepError).code, 'E_SEALED');
    }
    control.close();
    await after(1200);  // statistics and links are asked for once a second
    ping();
    const s = await sw.stop();
    t.true(s.ports.every((p) => p.state === 'removed' || p.state === 'up'), JSON.stringify(s.ports.map((p) => p.state)));
    t.deepEqual(sw.messages.filter((m) => m.type === 'event' && m['kind'] === 'port-gone'), []);
    t.regex(network.middle.sh('ip -d link show p0'), /promiscuity 0/);
  });

  test.serial('sealed, with offloads turned off: what turns them on again is kept, and does', async (t) => {
    network.middle.sh('ethtool -K p0 gro on');
    t.teardown(() => network.middle.sh('ethtool -K p0 gro off'));
    sw = await network.up(['xdp:p0', 'sink:s'], ['--pool-size', '16M', '--sealed']);
    t.regex(network.middle.sh('ethtool -k p0'), /generic-receive-offload: off/);
    for (const thread of threadPrivileges(sw.child.pid!)) t.is(thread.effective, bits('NET_ADMIN'), `thread ${thread.tid}`);
    await sw.stop();
    t.regex(network.middle.sh('ethtool -k p0'), /generic-receive-offload: on/);
  });

  test.serial('what is not wanted is not given up; both wishes at once are a usage error', async (t) => {
    sw = await network.up(['sink:s'], ['--pool-size', '1M', '--keep-privileges']);
    for (const thread of threadPrivileges(sw.child.pid!)) t.deepEqual([thread.permitted, thread.noNewPrivileges], [mine, false]);
    await sw.stop();
    const both = t.throws(() => network.framekeep('up', 'sink:s', '--pool', network.pool, '--sealed', '--keep-privileges'));
    t.regex(both!.message, /E_USAGE/);
  });

  test.serial('an ordinary user, with or without capabilities of a service manager, is no worse off', async (t) => {
    const directory = mkdtempSync('/dev/shm/framekeep-nobody-');
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    network.middle.sh(`chown 65534 ${directory}`);
    for (const [ambient, kept] of [['', 0n], ['--inh-caps +net_admin,+net_raw,+sys_nice --ambient-caps +net_admin,+net_raw,+sys_nice', bits('NET_ADMIN', 'NET_RAW')]] as const) {
      const ports = kept === 0n ? ['sink:s', 'gen:g,count=5'] : ['cap:p1', 'sink:s'];
      const child = spawn('ip', ['netns', 'exec', network.middle.name, 'setpriv', '--reuid', '65534', '--clear-groups', ...ambient.split(' ').filter((x) => x !== ''), process.execPath, program, 'up', ...ports,
        '--pool', join(directory, 'pool'), '--pool-size', '1M', '--json'], { env: { ...process.env, FRAMEKEEP_RUN: join(directory, 'run') }, stdio: ['ignore', 'pipe', 'pipe'] });
      t.teardown(() => ended(child, 'SIGKILL'));
      let said = '';
      child.stderr!.on('data', (text) => { said += text; });
      const [line] = await Promise.race([once(child.stdout!, 'data'), once(child, 'exit').then(() => { throw new Error(said); })]);
      t.regex(String(line), /"started"/);
      for (const thread of threadPrivileges(child.pid!)) t.deepEqual([thread.effective, thread.noNewPrivileges], [kept, true]);
      t.is(await ended(child, 'SIGTERM'), 0, said);
    }
  });
}
