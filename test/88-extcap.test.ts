/**
 * framekeep as a capture interface: tshark as an ordinary user lists and captures it, the program's pipes are driven as Wireshark
 * drives them, and `framekeep wireshark` puts it where it is looked for.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync, chownSync, closeSync, constants, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync, statSync, symlinkSync, writeFileSync, writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { message, Messages, openPipe } from '../cli/extcap/toolbar.js';
import { packageRoot } from '../native/index.js';
import { create, Pool } from '../logger/index.js';
import { Keeper, portEntry, scratch, testFrame } from './pool_maker.js';
import { has } from './needs.js';

const root = packageRoot(), program = join(root, 'cli', 'framekeep.mjs');
const isRoot = process.getuid?.() === 0, NOBODY = 65534;

/** An ordinary user: their home, where their switches run, and the one place beside the usual ones where their pools are. */
class User {
  readonly home: string;
  readonly pools: string;
  readonly env: NodeJS.ProcessEnv;

  constructor(t: ExecutionContext) {
    this.home = mkdtempSync('/dev/shm/framekeep-user-');
    this.pools = join(this.home, 'pools');
    mkdirSync(this.pools);
    if (isRoot) for (const path of [this.home, this.pools]) chownSync(path, NOBODY, NOBODY);
    chmodSync(this.home, 0o755);
    const { XDG_RUNTIME_DIR, XDG_CONFIG_HOME, WIRESHARK_EXTCAP_DIR, ...env } = process.env;
    this.env = { ...env, HOME: this.home, TMPDIR: this.home, FRAMEKEEP_RUN: join(this.home, 'run'), FRAMEKEEP_POOLS: this.pools, NO_COLOR: '1' };
    t.teardown(() => rmSync(this.home, { recursive: true, force: true }));
  }

  private as(command: readonly string[]): [string, string[]] {
    const all = isRoot ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--', ...command] : [...command];
    return [all[0], all.slice(1)];
  }
  run(...command: string[]): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(...this.as(command), { env: this.env, encoding: 'utf8', timeout: 60_000, maxBuffer: 64 << 20 });
  }
  framekeep(...args: string[]): { status: number | null; stdout: string; stderr: string } { return this.run(process.execPath, program, ...args); }
  spawn(...command: string[]): ChildProcess {
    return spawn(...this.as(command), { env: this.env, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** A switch between a generator and a capture with DNS in it, going round. */
  async up(t: ExecutionContext, name: string): Promise<ChildProcess> {
    const child = this.spawn(process.execPath, program, 'up', 'gen:g,rate=200', `replay:${join(root, 'captures/dns_icmp.pcap')},loop,speed=20`, '--pool', join(this.home, `${name}.pool`),
      '--pool-size', '4M', '--name', name, '--json', '--stats', '0');
    t.teardown(() => ended(child, 'SIGKILL'));
    await once(child.stdout!, 'data');
    return child;
  }

  /** A pool that a run has left behind, of numbered frames. */
  leave(file: string, frames = 100): string {
    const path = join(this.pools, file);
    create(path, { bytes: 1 << 20 });
    const pool = Pool.open(path, { writable: true }), keeper = new Keeper(pool, { ports: [portEntry(0, { spec: 'tap:vm1' }), portEntry(1, { spec: 'xdp:eth1,queues=2' })] });
    for (let i = 0; i < frames; i++) keeper.keep(testFrame(i), { ingress: i % 2 });
    keeper.close();
    pool.close();
    if (isRoot) chownSync(path, NOBODY, NOBODY);
    return path;
  }
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const closed = once(child, 'close');
  child.kill(signal);
  return (await closed)[0] as number | null;
}

const sentences = (out: string, kind: string): string[] => out.split('\n').filter((line) => line.startsWith(`${kind} `));
const values = (out: string, kind: string): string[] => sentences(out, kind).map((line) => /\{value=([^}]*)\}/.exec(line)?.[1] ?? line);

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
    const ours = stdout.split('\n').map((line) => line.replace(/^\d+\. /, '')).filter((line) => line.includes(user.home) || line.includes('lab'));
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
    await after(200);
    t.deepEqual(captures(user), [], 'no capture program is left');
  });

  test.serial('the last N seconds, then what comes: frames from before the capture and from after it, each once, in order', async (t) => {
    const user = new User(t);
    await user.up(t, 'lab');
    user.framekeep('wireshark', 'install');
    await after(2500);
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
    await after(500);
    await ended(lab, 'SIGKILL');
    const after_ = user.run('tshark', '-q', '-i', 'framekeep-lab.pool', '-c', '30', '-T', 'fields', '-e', 'frame.number').stdout.trim().split('\n');
    t.is(after_.length, 30);
    const config = user.framekeep('extcap', '--extcap-config', '--extcap-interface', 'framekeep-lab').stdout;
    t.regex(config, /\{call=--last\}.*\{default=all\}/);
    t.regex(config, /\{call=--follow\}.*\{default=false\}/);
  });

  /** Wireshark's part: makes the pipes, starts the program, reads them. */
  class Wireshark {
    readonly child: ChildProcess;
    readonly fifo: string;
    readonly heard: { control: number; command: number; text: string }[] = [];
    stderr = '';
    bytes = 0;
    private readonly directory: string;
    private readonly fds: { readonly frames: number; readonly fromExtcap: number; readonly toExtcap: number };
    private readonly messages = new Messages();
    private timer: NodeJS.Timeout;

    constructor(t: ExecutionContext, user: User, name: string, ...options: string[]) {
      this.directory = mkdtempSync(join(user.home, 'pipes-'));
      const pipes = ['frames', 'out', 'in'].map((pipe) => join(this.directory, pipe));
      if (spawnSync('mkfifo', pipes).status !== 0) throw new Error('no pipes');
      if (isRoot) for (const path of [this.directory, ...pipes]) chownSync(path, NOBODY, NOBODY);
      this.fifo = pipes[0];
      const open = (path: string, how: number): number => openSync(path, how | constants.O_NONBLOCK);
      this.fds = { frames: open(pipes[0], constants.O_RDONLY), fromExtcap: open(pipes[1], constants.O_RDONLY), toExtcap: open(pipes[2], constants.O_RDWR) };
      this.child = user.spawn(process.execPath, program, 'extcap', '--capture', '--extcap-interface', name, '--fifo', pipes[0], '--extcap-control-out', pipes[1], '--extcap-control-in', pipes[2], ...options);
      this.child.stderr!.on('data', (text) => { this.stderr += text; });
      this.timer = setInterval(() => this.look(), 20);
      t.teardown(async () => { await ended(this.child, 'SIGKILL'); this.close(); });
    }
    press(control: number, command = 1, payload = ''): void { writeSync(this.fds.toExtcap, message(control, command, payload)); }
    write(bytes: Buffer): void { writeSync(this.fds.toExtcap, bytes); }
    async hears(what: (m: { control: number; command: number; text: string }) => boolean): Promise<void> {
      for (const end = Date.now() + 20_000; !this.heard.some(what);) {
        if (Date.now() > end) throw new Error(`not heard: ${what.toString()}; but ${JSON.stringify(this.heard)} ${this.stderr}`);
        await after(20);
      }
    }
    /** The reader of the frames goes away. */
    stopReading(): void { closeSync(this.fds.frames); (this.fds as { frames: number }).frames = -1; }
    private look(): void {
      const buffer = Buffer.alloc(65536);
      for (const fd of [this.fds.frames, this.fds.fromExtcap]) {
        try {
          const n = fd < 0 ? 0 : readSync(fd, buffer, 0, buffer.length, null);
          if (fd === this.fds.frames) this.bytes += n;
          else for (const m of this.messages.take(buffer.subarray(0, n)) ?? []) this.heard.push({ control: m.control, command: m.command, text: m.payload.toString() });
        } catch { /* nothing there yet */ }
      }
    }
    private close(): void {
      clearInterval(this.timer);
      for (const fd of Object.values(this.fds)) if (fd >= 0) closeSync(fd);
    }
  }
  const FREEZE = 0, LOG = 1, SET = 1, ADD = 2, ENABLE = 4, DISABLE = 5, STATUS = 6;

  test.serial('the Freeze button freezes the switch, and resumes it; what others do shows on it too', async (t) => {
    const user = new User(t);
    await user.up(t, 'lab');
    const shark = new Wireshark(t, user, 'framekeep-lab'), kept = (): { frozen: boolean } => JSON.parse(user.framekeep('keep', 'show', '--json').stdout) as { frozen: boolean };
    await shark.hears((m) => m.control === FREEZE && m.command === ENABLE);
    await shark.hears((m) => m.control === FREEZE && m.command === SET && m.text === 'Freeze');
    await shark.hears((m) => m.control === LOG && m.command === ADD && m.text.includes('following'));
    shark.press(255, 0);  // Wireshark says that it is ready
    shark.press(FREEZE);
    await shark.hears((m) => m.command === STATUS && m.text.includes('frozen'));
    t.true(kept().frozen);
    await shark.hears((m) => m.control === FREEZE && m.command === SET && m.text === 'Resume');
    const counted = (): number => (JSON.parse(user.framekeep('stats', '--json').stdout) as { global: { nextSequence: number } }).global.nextSequence, before = counted();
    await after(300);
    t.is(counted(), before, 'nothing new is kept');
    shark.heard.length = 0;
    // In two pieces, as a pipe may give them.
    const click = message(FREEZE, SET);
    shark.write(click.subarray(0, 3));
    await after(60);
    shark.write(click.subarray(3));
    await shark.hears((m) => m.command === STATUS && m.text.includes('keeping again'));
    t.false(kept().frozen);
    shark.heard.length = 0;
    user.framekeep('keep', 'freeze');
    await shark.hears((m) => m.control === FREEZE && m.command === SET && m.text === 'Resume');
    user.framekeep('keep', 'resume');
    await after(500);
    const bytes = shark.bytes;
    await after(500);
    t.true(shark.bytes > bytes, 'frames come again');
    t.is(await ended(shark.child, 'SIGTERM'), 0);
    t.is(shark.stderr, '');
  });

  test.serial('the switch ends: the button goes grey, and the capture goes on with the next run', async (t) => {
    const user = new User(t);
    const first = await user.up(t, 'lab'), shark = new Wireshark(t, user, 'framekeep-lab', '--last', 'all', '--follow');
    await shark.hears((m) => m.control === LOG && m.text.includes('following'));
    shark.heard.length = 0;
    await ended(first, 'SIGKILL');
    await shark.hears((m) => m.control === FREEZE && m.command === DISABLE);
    shark.press(FREEZE);
    await shark.hears((m) => m.command === 8 && m.text.includes("no switch named 'lab' is running") || m.text.includes('nothing to freeze'));
    shark.heard.length = 0;
    await user.up(t, 'lab');
    await shark.hears((m) => m.command === STATUS && m.text.includes('started again'));
    await shark.hears((m) => m.control === FREEZE && m.command === ENABLE);
    shark.press(FREEZE);
    await shark.hears((m) => m.command === STATUS && m.text.includes('frozen'));
    t.is(await ended(shark.child, 'SIGTERM'), 0);
    t.is(shark.stderr, '');
  });

  test.serial('the reader goes away, or stops reading: the program ends, quietly; also with nonsense on its control pipe', async (t) => {
    const user = new User(t);
    await user.up(t, 'lab');
    const gone = new Wireshark(t, user, 'framekeep-lab');
    await gone.hears((m) => m.text.includes('following'));
    gone.stopReading();
    t.deepEqual(await once(gone.child, 'close'), [0, null]);
    t.is(gone.stderr, '');
    const idle = new Wireshark(t, user, 'framekeep-lab', '--extcap-capture-filter', 'ip6 proto 254');  // nothing to write: the pipe itself tells
    await idle.hears((m) => m.text.includes('following'));
    idle.write(Buffer.from('no message at all, and then some more'));
    idle.press(FREEZE);
    await after(300);
    t.is(idle.child.exitCode, null);
    t.false((JSON.parse(user.framekeep('keep', 'show', '--json').stdout) as { frozen: boolean }).frozen, 'after nonsense nothing is obeyed');
    idle.stopReading();
    t.deepEqual(await once(idle.child, 'close'), [0, null]);
    t.is(idle.stderr, '');
  });
}

/** Processes of this user's that capture. */
function captures(user: User): string[] {
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid)).map((pid) => {
    try { return readFileSync(`/proc/${pid}/cmdline`, 'utf8'); } catch { return ''; }
  }).filter((line) => line.includes('--capture') && line.includes(user.home));
}

/** The program, as Wireshark calls it, in a place where nothing is found by chance. */
function extcap(t: ExecutionContext, args: readonly string[], env: NodeJS.ProcessEnv = {}): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [program, 'extcap', ...args], { encoding: 'utf8', timeout: 60_000, env: { ...process.env, FRAMEKEEP_RUN: join(scratch(t), 'run'), ...env } });
}

test('listing: what it answers, whatever a later Wireshark adds', (t) => {
  const { stdout, stderr, status } = extcap(t, ['--extcap-interfaces', '--extcap-version=4.9', '--extcap-new-thing', 'x', '--log-level', 'debug']);
  t.is(status, 0, stderr);
  t.is(stderr, '');
  const lines = stdout.trim().split('\n');
  t.regex(lines[0], /^extcap \{version=[0-9.]+\}\{display=framekeep\}/);
  for (const line of lines) t.regex(line, /^(extcap|interface|control) (\{[a-z]+=[^{}]*\})+$/);
  for (const value of values(stdout, 'interface')) t.regex(value, /^framekeep-[A-Za-z0-9._-]+$/);
  t.is(sentences(stdout, 'control').length, 2);
  t.is(extcap(t, ['--extcap-interfaces']).stdout.split('\n')[0], lines[0], 'also without a version');
});

test('link types, options, and their values again', (t) => {
  const directory = scratch(t), path = join(directory, 'x{y}\n.pool');
  create(path, { bytes: 1 << 20 });
  const pool = Pool.open(path, { writable: true });
  new Keeper(pool, { ports: [portEntry(0, { spec: 'tap:vm1' }), portEntry(1, { spec: 'xdp:eth1,queues=2', note: 'a {b}\nvalue {arg=9}' }), portEntry(2, { spec: 'replay:a,b.pcap' })] }).close();
  pool.close();
  const env = { FRAMEKEEP_POOLS: `${directory}:relative:/nonexistent` };
  const listed = extcap(t, ['--extcap-interfaces'], env).stdout;
  t.true(values(listed, 'interface').includes('framekeep-x_y__.pool'), listed);
  for (const line of listed.trim().split('\n')) t.regex(line, /^(extcap|interface|control) (\{[a-z]+=[^{}]*\})+$/);
  t.is(extcap(t, ['--extcap-dlts', '--extcap-interface', 'framekeep-x_y__.pool'], env).stdout, 'dlt {number=1}{name=EN10MB}{display=Ethernet}\n');
  const config = extcap(t, ['--extcap-config', '--extcap-interface', 'framekeep-x_y__.pool'], env).stdout;
  for (const line of config.trim().split('\n')) t.regex(line, /^(arg|value) (\{[a-z]+=[^{}]*\})+$/);
  t.deepEqual(values(config, 'value'), ['tap:vm1', 'xdp:eth1', '2'], 'what has a comma goes by its number');
  for (const line of sentences(config, 'value')) t.regex(line, /\{enabled=true\}\{default=false\}$/, 'Wireshark lets nobody check what is not enabled');
  t.deepEqual(sentences(config, 'arg').map((line) => /\{call=([^}]*)\}/.exec(line)?.[1]), ['--last', '--port', '--follow', '--count', '--duration', '--snap']);
  t.deepEqual(values(extcap(t, ['--extcap-config', '--extcap-interface', 'framekeep-x_y__.pool', '--extcap-reload-option', '--port'], env).stdout, 'value'), ['tap:vm1', 'xdp:eth1', '2']);
  t.is(extcap(t, ['--extcap-config', '--extcap-interface', 'framekeep-x_y__.pool', '--extcap-reload-option', 'last'], env).stdout, '');
});

test('a filter without a capture is looked at: nothing is said of a good one, one line of a bad one', (t) => {
  t.deepEqual([extcap(t, ['--extcap-interface', 'x', '--extcap-capture-filter', 'tcp port 80'])].map(({ status, stdout, stderr }) => ({ status, stdout, stderr })), [{ status: 0, stdout: '', stderr: '' }]);
  t.is(extcap(t, ['--extcap-interface', 'x', '--extcap-capture-filter', '']).stdout, '');
  for (const filter of ['tcp prot 80', 'inbound', '"', '--capture', '\n;', 'a'.repeat(5000)]) {
    const { status, stdout, stderr } = extcap(t, ['--extcap-interface', 'x', '--extcap-capture-filter', filter]);
    t.is(stderr, '', filter);
    t.is(status, 0);
    t.regex(stdout, /^[^\n]+\n$/, filter);
  }
});

test('hostile arguments: each is refused with a reason, and nothing that was named is touched', (t) => {
  const directory = scratch(t), file = join(directory, 'precious'), path = join(directory, 'a.pool'), env = { FRAMEKEEP_POOLS: directory };
  writeFileSync(file, 'precious');
  create(path, { bytes: 1 << 20 });
  const capture = ['--capture', '--extcap-interface', 'framekeep-a.pool'], before = readFileSync(path);
  const cases: [string[], RegExp][] = [
    [[...capture, '--fifo', file], /precious is no named pipe, and was not touched/],
    [[...capture, '--fifo', path], /a\.pool is no named pipe/],
    [[...capture, '--fifo', directory], /cannot be opened: EISDIR/],
    [[...capture, '--fifo', join(directory, 'new')], /cannot be opened: ENOENT/],
    [[...capture, '--fifo', file, '--extcap-control-in', file], /precious is no named pipe/],
    [[...capture, '--fifo', file, '--extcap-control-out', path], /a\.pool is no named pipe/],
    [capture, /--fifo is missing/],
    [['--capture', '--fifo', file], /--extcap-interface is missing/],
    [['--capture', '--fifo', file, '--extcap-interface', '../../etc/passwd'], /there is no interface "\.\.\/\.\.\/etc\/passwd"/],
    [['--capture', '--fifo', file, '--extcap-interface', 'framekeep-../x'], /there is no interface/],
    [['--capture', '--fifo', file, '--extcap-interface', `\x1b[2J${'x'.repeat(500)}`], /there is no interface "\\u001b/],
    [['--extcap-config', '--extcap-interface', 'framekeep-nosuch'], /there is no interface/],
    [['--extcap-dlts'], /--extcap-interface is missing/],
    [[...capture, '--fifo', file, '--last', '-5'], /--last: "-5" is no time span/],
    [[...capture, '--fifo', file, '--count', '1e9'], /--count: "1e9" is not a whole number/],
    [[...capture, '--fifo', file, '--snap', '65536'], /--snap: "65536" is not a whole number/],
    [[...capture, '--fifo', file, '--duration', 'NaN'], /--duration: "NaN" is no time span/],
    [[...capture, '--fifo', file, '--follow', 'maybe'], /neither true nor false/],
    [[...capture, '--fifo'], /--fifo has no value/],
    [[...capture, '--fifo', file, 'stray'], /"stray" is no option/],
    [[...capture, '--fifo', file, '--remove-all', 'x'], /there is no option --remove-all/],
    [[...capture, '--fifo', file, '--port', 'tap:nosuch'], /no run of the switch had a port tap:nosuch/],
  ];
  for (const [args, reason] of cases) {
    const { status, stdout, stderr } = extcap(t, args, env);
    t.is(status, 1, args.join(' '));
    t.is(stdout, '');
    t.regex(stderr, reason);
    t.notRegex(stderr, /E_INTERNAL|\x1b/, args.join(' '));
  }
  t.is(readFileSync(file, 'utf8'), 'precious');
  t.true(readFileSync(path).equals(before));
  t.false(existsSync(join(directory, 'new')));
});

test('messages: however a stream is cut, the same come out of it; nonsense ends it', (t) => {
  const one = fc.record({ control: fc.integer({ min: 0, max: 255 }), command: fc.integer({ min: 0, max: 255 }), text: fc.string({ maxLength: 300 }) });
  fc.assert(fc.property(fc.array(one, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (all, cuts) => {
    const stream = Buffer.concat(all.map((m) => message(m.control, m.command, m.text))), messages = new Messages(), found: unknown[] = [];
    for (let at = 0, i = 0; at < stream.length; at += cuts[i++ % cuts.length]) {
      for (const m of messages.take(stream.subarray(at, at + cuts[i % cuts.length])) ?? [undefined]) found.push(m && { control: m.control, command: m.command, text: m.payload.toString() });
    }
    return JSON.stringify(found) === JSON.stringify(all.map(({ control, command, text }) => ({ control, command, text: Buffer.from(text).toString() })));
  }));
  t.is(new Messages().take(Buffer.from('X\0\0\x02\0\0')), undefined);
  t.is(new Messages().take(Buffer.from('T\xff\xff\xff\0\0', 'latin1')), undefined, 'no message is that long');
  t.deepEqual(message(3, 1, 'ab'), Buffer.from('T\0\0\x04\x03\x01ab'));
  t.throws(() => openPipe('/dev/null', constants.O_RDWR), { code: 'E_EXTCAP_PIPE' });
});

test('wireshark install and uninstall: again and again, and never over what is somebody else\'s', (t) => {
  const directory = join(scratch(t), 'not', 'there', 'yet'), path = join(directory, 'framekeep');
  const wireshark = (...args: string[]) => spawnSync(process.execPath, [program, 'wireshark', ...args, '--dir', directory], { encoding: 'utf8' });
  t.regex(wireshark('uninstall').stdout, /is not there: nothing to remove/);
  t.regex(wireshark('install').stdout, new RegExp(`^installed ${path}\n`));
  t.is(statSync(path).mode & 0o777, 0o755);
  t.regex(wireshark('install').stdout, /is there already/);
  t.like(JSON.parse(wireshark('install', '--json').stdout), { path, done: 'unchanged' });
  const listed = spawnSync(path, ['--extcap-interfaces', '--extcap-version=4.0'], { encoding: 'utf8' });
  t.regex(listed.stdout, /^extcap \{version=/, listed.stderr);
  // Of another framekeep: replaced, and said.
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, text.replaceAll(program, '/nonexistent/framekeep.mjs'));
  t.is(spawnSync(path, ['--extcap-interfaces'], { encoding: 'utf8', env: { PATH: '/usr/bin:/bin' } }).status, 0, 'one that was removed lists nothing, and is no error');
  t.regex(wireshark('install').stdout, /now calls this framekeep/);
  t.is(readFileSync(path, 'utf8'), text);
  t.regex(wireshark('uninstall').stdout, /^removed /);
  t.deepEqual(readdirSync(directory), []);
  for (const foreign of ['#!/bin/sh\necho mine\n', '', 'x'.repeat(100_000)]) {
    writeFileSync(path, foreign);
    for (const verb of ['install', 'uninstall']) {
      const { status, stderr } = wireshark(verb);
      t.is(status, 1);
      t.regex(stderr, /E_WIRESHARK_FOREIGN/);
    }
    t.is(readFileSync(path, 'utf8'), foreign);
  }
  rmSync(path);
  symlinkSync('/bin/true', path);
  t.regex(wireshark('install').stderr, /E_WIRESHARK_FOREIGN/);
  t.regex(spawnSync(process.execPath, [program, 'wireshark', 'install', '--user', '--system'], { encoding: 'utf8' }).stderr, /more than one place is named/);
  t.regex(spawnSync(process.execPath, [program, 'wireshark'], { encoding: 'utf8', env: { PATH: '/nonexistent' } }).stderr, /E_WIRESHARK_MISSING/);
});

test('where Wireshark looks is asked of it: of 4.0, and of those that name both places', (t) => {
  const directory = scratch(t);
  const ask = (folders: string): { user: { directory: string }; system: { directory: string } } => {
    writeFileSync(join(directory, 'tshark'), `#!/bin/sh\ncase "$*" in *folders*) cat <<'E'\n${folders}\nE\n;; *) echo 'TShark (Wireshark) 4.4.2.';; esac\n`, { mode: 0o755 });
    return JSON.parse(spawnSync(process.execPath, [program, 'wireshark', '--json'], { encoding: 'utf8', env: { ...process.env, PATH: `${directory}:${process.env['PATH']}` } }).stdout) as ReturnType<typeof ask>;
  };
  t.like(ask('Personal configuration:\t/home/u/.config/wireshark\nExtcap path:         \t/usr/lib/wireshark/extcap'),
    { user: { directory: '/home/u/.config/wireshark/extcap' }, system: { directory: '/usr/lib/wireshark/extcap' } });
  t.like(ask('Personal configuration:\t/home/u/.config/wireshark\nPersonal Extcap path:\t/home/u/.local/lib/wireshark/extcap\nGlobal Extcap path:  \t/usr/libexec/wireshark/extcap'),
    { user: { directory: '/home/u/.local/lib/wireshark/extcap' }, system: { directory: '/usr/libexec/wireshark/extcap' } });
});
