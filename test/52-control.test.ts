/** The control socket, and the commands that use it, through the real program: what a user sees, and what hostile clients do not achieve. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, lstatSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { FramekeepError, packageRoot } from '../native/index.js';
import { Network } from './hosts.js';
import { has } from './needs.js';
import { connectControl, type ControlClient, FDB_PAGE, LONGEST_LINE, METHODS, type ControlEvent, type FdbShownEntry, type KeepState, type PortInfo, type Status } from '../switch/control/index.js';
import type { CountersSnapshot } from '../switch/index.js';

const program = join(packageRoot(), 'cli', 'framekeep.mjs');

/** One user's machine: a run directory, its switches, the commands. */
class Place {
  readonly directory = mkdtempSync('/dev/shm/framekeep-control-');
  readonly run = join(this.directory, 'run');
  readonly env: NodeJS.ProcessEnv = { ...process.env, FRAMEKEEP_RUN: this.run, NO_COLOR: '1' };
  readonly children: ChildProcess[] = [];
  readonly controls: ControlClient[] = [];

  constructor(t: ExecutionContext) {
    t.teardown(async () => {
      for (const control of this.controls) control.close();
      for (const child of this.children) await ended(child, 'SIGKILL');
      rmSync(this.directory, { recursive: true, force: true });
    });
  }

  /** `framekeep up`, once it serves. */
  async up(name: string, ports: readonly string[], options: readonly string[] = []): Promise<ChildProcess> {
    const child = spawn(process.execPath, [program, 'up', ...ports, '--name', name, '--pool', join(this.directory, `${name}.pool`), '--pool-size', '32M', '--json', '--stats', '0', ...options],
      { env: this.env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.children.push(child);
    let out = '', err = '';
    child.stderr!.on('data', (text) => { err += text; });
    child.stdout!.on('data', (text) => { out += text; });
    await until(() => out.includes('"started"') || child.exitCode !== null);
    if (child.exitCode !== null) throw new Error(`it did not start: ${err}`);
    return child;
  }

  async cli(...args: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
    const child = spawn(process.execPath, [program, ...args], { env: this.env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 30_000 }), said = { stdout: '', stderr: '' };
    child.stdout.on('data', (text) => { said.stdout += text; });
    child.stderr.on('data', (text) => { said.stderr += text; });
    const [status] = await once(child, 'close') as [number | null];
    return { status, ...said };
  }

  async json<T = Record<string, unknown>>(t: ExecutionContext, ...args: string[]): Promise<T> {
    const { status, stdout, stderr } = await this.cli(...args, '--json');
    t.is(status, 0, stderr);
    return JSON.parse(stdout) as T;
  }

  /** Closed with the test. */
  async control(name: string): Promise<ControlClient> {
    const control = await connectControl(this.socket(name));
    this.controls.push(control);
    return control;
  }

  socket(name: string): string { return join(this.run, name, 'control'); }
}

async function ended(child: ChildProcess, signal?: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'exit');
  if (signal !== undefined) child.kill(signal);
  await closed;
}

/** A client that says what it likes. */
class Raw {
  readonly socket: Socket;
  text = '';
  closed = false;
  constructor(path: string) {
    this.socket = connect(path);
    this.socket.on('data', (chunk) => { this.text += chunk.toString(); });
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => { this.closed = true; });
  }
  async answer(n = 1): Promise<Record<string, any>> {
    await until(() => this.text.split('\n').length > n);
    return JSON.parse(this.text.split('\n')[n - 1]) as Record<string, any>;
  }
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 15_000; !await holds(); await after(10)) if (Date.now() > end) throw new Error(`in 15 s it never came that ${holds.toString()}`);
}

test.serial('a running switch has a socket of 0600, status finds it, stop ends it and takes the socket away', async (t) => {
  const place = new Place(t), child = await place.up('lab', ['gen:a,rate=1000', 'sink:b']);
  t.is(lstatSync(place.socket('lab')).mode & 0o777, 0o600);
  t.is(statSync(join(place.run, 'lab')).mode & 0o777, 0o700);
  const said = await place.json<Status>(t, 'status');
  t.is(said.name, 'lab');
  t.is(said.pid, child.pid!);
  t.deepEqual(said.ports.map((p) => [p.port, p.kind, p.state]), [['gen:a', 'gen', 'up'], ['sink:b', 'sink', 'up']]);
  t.is(said.pool, join(place.directory, 'lab.pool'));
  const shown = await place.cli('status', 'lab');
  t.regex(shown.stdout, /^lab\n {2}runs +for \d+ s, process \d+/);
  t.regex(shown.stdout, /gen:a +up +[\d,]+ +0 +0 +[\d,]+ +generator/);

  const control = await connectControl(place.socket('lab')), { stats } = await control.call('stop');
  control.close();
  t.is(stats.global.stopped, 1);
  t.is(stats.global.committed, stats.ports[0].received, 'all that came was committed');
  await ended(child);
  t.is(child.exitCode, 0);
  t.false(existsSync(place.socket('lab')));
  t.regex((await place.cli('status')).stderr, /no switch of yours is running[^]*\[E_NO_SWITCH\]/);
});

test.serial('with several switches one must be named, and the error lists them', async (t) => {
  const place = new Place(t);
  await place.up('east', ['sink:a']);
  await place.up('west', ['sink:a']);
  const { status, stderr } = await place.cli('status');
  t.is(status, 2);
  t.regex(stderr, /several switches are running: east, west[^]*--name[^]*E_SWITCH_AMBIGUOUS/);
  t.is((await place.json<Status>(t, 'status', '-n', 'west')).name, 'west');
  t.is((await place.json<Status>(t, 'status', 'east')).name, 'east');
  t.regex((await place.cli('status', 'north')).stderr, /no switch named 'north'/);
});

test.serial('the socket of a killed switch is no switch, and the next of that name replaces it; two of one name refuse', async (t) => {
  const place = new Place(t), first = await place.up('lab', ['sink:a']);
  await ended(first, 'SIGKILL');
  t.true(existsSync(place.socket('lab')), 'a kill leaves it behind');
  t.regex((await place.cli('status', 'lab')).stderr, /E_NO_SWITCH/);
  t.regex((await place.cli('status')).stderr, /E_NO_SWITCH/);
  const second = await place.up('lab', ['sink:a']);
  t.is((await place.json<Status>(t, 'status')).pid, second.pid!);
  const third = await place.cli('up', 'sink:a', '--name', 'lab', '--pool', join(place.directory, 'other.pool'), '--pool-size', '32M');
  t.regex(third.stderr, /E_NAME_TAKEN/);
  t.is((await place.json<Status>(t, 'status')).pid, second.pid!, 'the refused one took nothing from it');
});

test.serial('garbage, half lines, unknown methods and wrong parameters are answered, and the switch goes on', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['sink:a']);
  const raw = new Raw(place.socket('lab')), cases: [string, number, RegExp][] = [
    ['not json', -32700, /no JSON/], ['[]', -32600, /one JSON object/], ['7', -32600, /one JSON object/], ['{"id":1}', -32600, /"jsonrpc"/],
    ['{"jsonrpc":"2.0","id":{},"method":"status"}', -32600, /"id"/], ['{"jsonrpc":"2.0","id":1,"method":"__proto__"}', -32601, /no method "__proto__"/],
    ['{"jsonrpc":"2.0","id":1,"method":"status","params":[1]}', -32602, /names/], ['{"jsonrpc":"2.0","id":1,"method":"status","params":{"x":1}}', -32602, /no parameter "x"/],
    ['{"jsonrpc":"2.0","id":1,"method":"ports.add"}', -32602, /port is missing/], ['{"jsonrpc":"2.0","id":1,"method":"ports.add","params":{"port":7}}', -32602, /must be a string/],
    ['{"jsonrpc":"2.0","id":1,"method":"ports.remove","params":{"port":"nosuch"}}', -32000, /no port nosuch/], ['\u0000\ufffd\u0007', -32700, /no JSON/],
  ];
  for (const [i, [line, code, message]] of cases.entries()) {
    raw.socket.write(`${line}\n`);
    const { error } = await raw.answer(i + 1);
    t.is(error.code, code, line);
    t.regex(error.message, message, line);
    t.regex(error.data.code, /^E_/);
  }
  raw.socket.write('{"jsonrpc":"2.0","id":"half","met');
  await after(50);
  raw.socket.write('hod":"ports.list"}\n');
  t.is((await raw.answer(cases.length + 1)).id, 'half');
  raw.socket.destroy();
  t.is((await place.json<Status>(t, 'status')).name, 'lab');
});

test.serial('an error keeps its code and its remedy on the way to the client', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['sink:a']);
  const control = await connectControl(place.socket('lab'));
  const error = await t.throwsAsync(control.call('ports.remove', { port: 'b' }), { instanceOf: FramekeepError }) as FramekeepError;
  t.is(error.code, 'E_PORT_UNKNOWN');
  t.regex(error.remedy, /sink:a/);
  control.close();
  t.is((await t.throwsAsync(control.call('status')) as FramekeepError).code, 'E_CONTROL_LOST');
});

test.serial('ports come, are set, and go, by command', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['gen:a,rate=2000', 'sink:b']);
  const control = await place.control('lab');
  const port = async (name: string): Promise<PortInfo | undefined> => (await control.call('ports.list')).ports.find((p) => p.port === name);
  t.regex((await place.cli('ports', 'add', 'sink:late')).stdout, /^sink:late: sink/);
  await until(async () => (await port('sink:late'))!.sent > 0);
  t.regex((await place.cli('ports', 'set', 'sink:late', '--forward', 'off')).stdout, /forwards nothing, keeps what comes in/);
  const { sent, state } = (await port('sink:late'))!, b = (await port('sink:b'))!.sent;
  t.is(state, 'disabled');
  await until(async () => (await port('sink:b'))!.sent > b + 200);
  t.is((await port('sink:late'))!.sent, sent, 'a disabled port is sent nothing');
  t.is((await place.cli('ports', 'set', 'sink:late', '--forward', 'on')).status, 0);
  await until(async () => (await port('sink:late'))!.sent > sent);
  t.is((await place.cli('ports', 'remove', 'sink:late')).status, 0);
  t.is(await port('sink:late'), undefined);

  t.is((await place.cli('ports', 'set', 'gen:a', '--forward', 'off')).status, 0);
  await until(async () => (await control.call('stats')).ports[0].dropped['disabled'] > 100);
  t.is((await place.cli('ports', 'set', '0', '--keep', 'off')).status, 0, 'by number');
  const { kept, received } = (await port('gen:a'))!;
  await until(async () => (await port('gen:a'))!.received > received + 200);
  t.is((await port('gen:a'))!.kept, kept, 'nothing that comes in there is kept');
  for (const [line, code, status] of [
    [['ports', 'remove', 'nosuch'], 'E_PORT_UNKNOWN', 1], [['ports', 'add', 'tap'], 'E_USAGE', 2], [['ports', 'add', 'gen:z,speed=1'], 'E_PORT_OPTION', 2], [['ports', 'add', 'cap:lo,speed=1'], 'E_PORT_OPTION', 2], [['ports', 'set', 'gen:a'], 'E_USAGE', 2],
  ] as [string[], string, number][]) {
    const said = await place.cli(...line);
    t.is(said.status, status, line.join(' '));
    t.true(said.stderr.includes(`[${code}]`), said.stderr);
  }
});

test.serial('a static address is found at its port whoever claims it, stays through a flush, and goes when deleted', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['gen:a,rate=1000,src=02:00:00:00:00:01,dst=02:00:00:00:00:09', 'sink:b', 'sink:c']);
  const control = await place.control('lab');
  const entries = async (): Promise<readonly FdbShownEntry[]> => (await control.call('fdb.show')).entries;
  await until(async () => (await entries()).length === 1);
  t.like((await entries())[0], { mac: '02:00:00:00:00:01', portName: 'gen:a', isStatic: false });
  t.is((await place.cli('fdb', 'add', '02-00-00-00-00-09', 'sink:c')).status, 0);
  const sent = async (): Promise<number[]> => (await control.call('ports.list')).ports.map((p) => p.sent), before = await sent();
  await until(async () => (await sent())[2] > before[2] + 200);
  t.is((await sent())[1], before[1], 'what is meant for it is flooded no more');
  t.is((await place.cli('fdb', 'add', '02:00:00:00:00:01', 'sink:b')).status, 0);
  await after(50);
  t.like((await entries()).find((e) => e.mac.endsWith('01')), { portName: 'sink:b', isStatic: true }, 'it does not move, though frames with it come in elsewhere');
  t.regex((await place.cli('fdb')).stdout, /02:00:00:00:00:09 +sink:c +static/);
  t.deepEqual((await place.json<FdbShownEntry[]>(t, 'fdb', 'show', '--port', 'sink:c')).map((e) => e.mac), ['02:00:00:00:00:09']);
  t.is((await place.cli('fdb', 'flush')).status, 0);
  t.is((await entries()).filter((e) => e.isStatic).length, 2);
  t.is((await place.cli('fdb', 'delete', '02:00:00:00:00:01')).status, 0);
  await until(async () => (await entries()).some((e) => e.mac.endsWith('01') && !e.isStatic));
  t.is((await place.cli('ports', 'remove', 'sink:c')).status, 0);
  t.is((await entries()).length, 1, 'it goes with its port');
  for (const [line, text] of [[['delete', '02:00:00:00:00:33'], /no entry/], [['add', '01:00:5e:00:00:01', 'sink:b'], /group address/], [['add', '02:00:00:00:00:02', 'sink:b', '--vlan', '7'], /does not learn per VLAN/]] as [string[], RegExp][]) {
    const said = await place.cli('fdb', ...line);
    t.regex(said.stderr, text);
    t.regex(said.stderr, /\[E_FDB\]/);
  }
  await place.up('hub', ['sink:a'], ['--logic', 'hub']);
  t.regex((await place.cli('fdb', 'add', '02:00:00:00:00:01', 'sink:a', '-n', 'hub')).stderr, /'hub' has no forwarding table[^]*E_FDB/);
});

test.serial('a table of thousands comes whole, page by page', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['gen:a,rate=0,macs=6000,count=60000', 'sink:b'], ['--fdb-size', '8192']);
  const control = await place.control('lab');
  await until(async () => (await control.call('status')).fdb.entries === 6000);
  t.is(new Set((await place.json<FdbShownEntry[]>(t, 'fdb')).map((e) => e.mac)).size, 6000);
  const page = await control.call('fdb.show', { limit: 1 });
  t.true(page.entries.length < 6000 && page.next !== null);
  t.true((await control.call('fdb.show')).entries.length <= FDB_PAGE + 4096);
});

test.serial('what is kept is changed by command, from then on, and frozen', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['gen:a,rate=1000,size=200', 'sink:b']);
  const control = await place.control('lab');
  const kept = async (): Promise<{ kept: number; bytes: number }> => {
    const { ports } = await control.call('stats');
    return { kept: ports[0].kept, bytes: ports[0].keptBytes };
  };
  const frames = async (): Promise<number> => (await kept()).kept;
  await until(async () => await frames() > 10);
  t.regex((await place.cli('keep', 'set', 'udp', 'port', '53')).stdout, /^"udp port 53"/);
  const before = await kept();
  await after(100);
  t.is(await frames(), before.kept, 'the generator sends no DNS');
  t.deepEqual(await place.json<KeepState>(t, 'keep', 'set', 'all', '--snap', '20', '--sample', '2'), { expression: '', sample: 2, snap: 20, ports: [], frozen: false, stopped: null });
  await until(async () => await frames() > before.kept + 50);
  t.is((await place.cli('keep', 'freeze')).status, 0);
  const frozen = await kept();
  t.is(frozen.bytes - before.bytes, (frozen.kept - before.kept) * 20);
  t.regex((await place.cli('keep')).stdout, /^frozen[^]*every frame, 1 in 2, 20 bytes of each/);
  await after(100);
  t.is(await frames(), frozen.kept);
  t.is((await place.cli('keep', 'resume')).status, 0);
  await until(async () => await frames() > frozen.kept);
  t.deepEqual((await place.json<KeepState>(t, 'keep', 'set', '--keep-port', 'sink:b:in')).ports, [{ name: 'sink:b', direction: 'in' }]);
  const chosen = await frames();
  await after(100);
  t.is(await frames(), chosen, 'nothing comes in there');
  t.deepEqual((await place.json<KeepState>(t, 'keep', 'set', '--keep-port', '-')).ports, []);
  await until(async () => await frames() > chosen);
  const bad = await place.cli('keep', 'set', 'tcp', 'prt', '80');
  t.is(bad.status, 2);
  t.regex(bad.stderr, /E_FILTER_SYNTAX/);
  t.is((await control.call('keep.show')).expression, '', 'a bad one changes nothing');
});

test.serial('stats --watch goes on until the switch ends, and a stop by command is one in order', async (t) => {
  const place = new Place(t), child = await place.up('lab', ['gen:a,rate=1000', 'sink:b']);
  const watch = spawn(process.execPath, [program, 'stats', '--watch', '--every', '0.1', '--json'], { env: place.env, stdio: ['ignore', 'pipe', 'inherit'] });
  place.children.push(watch);
  let out = '';
  watch.stdout!.on('data', (text) => { out += text; });
  await until(() => out.split('\n').length > 4);
  const said = await place.cli('stop');
  t.regex(said.stdout, /^lab has stopped: [\d,]+ frames kept/);
  await ended(child);
  t.is(child.exitCode, 0);
  await ended(watch);
  t.is(watch.exitCode, 0);
  const looks = out.trim().split('\n').map((line) => JSON.parse(line) as CountersSnapshot);
  t.true(looks.at(-1)!.ports[0].received > looks[0].ports[0].received);
  t.is(looks.at(-1)!.global.stopped, 1);
});

test.serial('events tell what happens: ports, stations that move, what is kept, overload, floods, the end', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['sink:b'], ['--fdb-size', '16']);
  const control = await connectControl(place.socket('lab')), heard: ControlEvent[] = [];
  let closed = false;
  control.on('event', (event) => heard.push(event));
  control.on('close', () => { closed = true; });
  await control.call('events.subscribe');
  const came = (kind: ControlEvent['kind']) => (): boolean => heard.some((e) => e.kind === kind);
  await control.call('ports.add', { port: 'gen:x,rate=50,src=02:00:00:00:00:0a' });
  await control.call('ports.add', { port: 'gen:y,rate=50,src=02:00:00:00:00:0a' });
  await until(came('moves'));
  const moved = heard.find((e) => e.kind === 'moves') as ControlEvent & { moves: { mac: string; fromName: string; toName: string }[] };
  t.is(moved.moves[0].mac, '02:00:00:00:00:0a');
  t.deepEqual([moved.moves[0].fromName, moved.moves[0].toName].sort(), ['gen:x', 'gen:y']);
  await control.call('ports.add', { port: 'gen:many,rate=20000,macs=100' });
  await until(came('fdb-full'));
  await until(came('floods'));
  await control.call('ports.remove', { port: 'gen:x' });
  await control.call('keep.set', { sample: 3 });
  await control.call('keep.freeze');
  await control.call('keep.resume');
  await control.call('ports.set', { port: 'sink:b', forwarding: false });
  await control.call('stop');
  await until(() => closed);
  for (const kind of ['port-added', 'port-removed', 'port-changed', 'keep-changed', 'keeping-frozen', 'keeping-resumed', 'stopped'] as const) t.true(came(kind)(), kind);
  for (const event of heard) t.true(Math.abs(event.time - Date.now() / 1000) < 60);
  t.true(heard.filter((e) => e.kind === 'moves').length <= 30, 'moves are told once a second, not once a frame');
});

test.serial('huge lines, half lines and clients that read nothing are ended, and the switch serves the others meanwhile', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['gen:a,rate=5000', 'sink:b']);
  const huge = new Raw(place.socket('lab'));
  huge.socket.write('x'.repeat(LONGEST_LINE + 10));
  t.is((await huge.answer()).error.code, -32700);
  await until(() => huge.closed);
  const fits = new Raw(place.socket('lab'));
  fits.socket.write(`{"jsonrpc":"2.0","id":1,"method":"keep.show"${' '.repeat(LONGEST_LINE - 60)}}\n`);
  t.is((await fits.answer()).id, 1);
  const drop = new Raw(place.socket('lab')), words = '{"jsonrpc":"2.0","id":"drop","method":"keep.show"}';
  drop.socket.setNoDelay(true);
  for (const byte of words) {
    drop.socket.write(byte);
    await after(0);
  }
  drop.socket.write('\n');
  t.is((await drop.answer()).id, 'drop', 'a byte at a time');
  drop.socket.destroy();
  const half = new Raw(place.socket('lab'));
  half.socket.write('{"jsonrpc":"2.0","id":1,"meth');
  half.socket.end();
  await until(() => half.closed);
  t.is(half.text, '');

  // Asks for megabytes of answers and reads none: is paused, and nobody else notices.
  const deaf = connect(place.socket('lab')).on('error', () => undefined);
  deaf.pause();
  for (let i = 0; i < 4000; i++) deaf.write(`{"jsonrpc":"2.0","id":${i},"method":"stats"}\n`);
  const slow = connect(place.socket('lab')).on('error', () => undefined);
  slow.pause();
  slow.write('{"jsonrpc":"2.0","id":1,"method":"events.subscribe"}\n');
  for (let i = 0; i < 20; i++) {  // gone in the middle of an answer
    const gone = connect(place.socket('lab')).on('error', () => undefined);
    gone.write('{"jsonrpc":"2.0","id":1,"method":"stats"}\n{"jsonrpc":"2.0","id":2,"method":"fdb.show"}\n', () => gone.destroy());
  }
  const control = await connectControl(place.socket('lab')), before = await control.call('stats');
  await until(async () => (await control.call('stats')).ports[0].received > before.ports[0].received + 1000);
  const memory = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${before.pid}/status`, 'utf8'))![1]) >> 10, was = memory();
  for (let i = 0; i < 300; i++) await control.call('status');
  t.true(memory() - was < 64, `${memory() - was} MiB more`);
  deaf.destroy();
  slow.destroy();
  control.close();
});

test.serial('a hundred connections at once are served, and idle ones do not lock the hundred-and-first out', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['sink:b']);
  const idle = Array.from({ length: 100 }, () => new Raw(place.socket('lab')));
  await until(() => idle.filter((raw) => raw.closed).length >= 36);
  t.is((await place.json<Status>(t, 'status')).name, 'lab');
  t.true(idle.filter((raw) => !raw.closed).length <= 64);
  for (const raw of idle) raw.socket.destroy();
  const asking = await Promise.all(Array.from({ length: 60 }, () => connectControl(place.socket('lab'))));
  const answers = await Promise.all(asking.flatMap((control) => [control.call('keep.show'), control.call('fdb.show'), control.call('ports.list')]));
  t.is(answers.length, 180);
  for (const control of asking) control.close();
});

test.serial('no client slows the data plane: what asks it is spaced out over all of them', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['sink:b']);
  const clients = await Promise.all(Array.from({ length: 10 }, () => connectControl(place.socket('lab'))));
  const began = performance.now();
  await Promise.all(clients.flatMap((control) => Array.from({ length: 10 }, () => control.call('fdb.show'))));
  t.true(performance.now() - began > 99 * 10 - 20, 'a hundred requests take a second');
  for (const control of clients) control.close();
});

test.serial('every method has an entry that says what it does, and answers what it should', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['sink:b']);
  const control = await connectControl(place.socket('lab'));
  t.deepEqual(await control.call('events.subscribe'), { subscribed: true });
  t.deepEqual(await control.call('events.unsubscribe'), { subscribed: false });
  for (const method of Object.keys(METHODS) as (keyof typeof METHODS)[]) {
    t.true(METHODS[method].does.length > 5);
    const error = await t.throwsAsync(control.call(method, { nonsense: 1 } as never)) as FramekeepError;
    t.is(error.code, 'E_CONTROL_PARAMS', method);
  }
  control.close();
});

const page = readFileSync(join(packageRoot(), 'docs/control.md'), 'utf8');
const section = (title: string): string => page.split(new RegExp(`^### ${title.replaceAll('.', '\\.')}$`, 'm'))[1]?.split(/^##/m)[0] ?? '';
/** `id`: its number; `kind`, `name`: what it is → id, kind, name: what stands before a colon, or alone, in the lines of a list. */
const named = (text: string): string[] => [...text.matchAll(/^\* (.+)$/gm)].flatMap(([, line]) => line.split(';').flatMap((part) => [...part.split(':')[0].matchAll(/`([a-zA-Z]+)`/g)].map(([, name]) => name)));

test.serial('docs/control.md has every method with its parameters and errors, and no other', (t) => {
  const titles = [...page.split('\n## Methods\n')[1].split('\n## ')[0].matchAll(/^### (.+)$/gm)].map((m) => m[1]);
  t.deepEqual(titles, Object.keys(METHODS));
  for (const [method, { does, params, errors }] of Object.entries(METHODS)) {
    const text = section(method);
    t.true(text.includes(`\n${does[0].toUpperCase()}${does.slice(1)}.\n`), method);
    t.deepEqual([...text.matchAll(/^\| `([^`]+)` \| (.+?) \| (.+) \|$/gm)].map(([, ...row]) => row),
      Object.entries(params).map(([name, p]) => [name, p.type + (p.required ? ', required' : ''), p.help]), method);
    t.deepEqual([...(/^Errors: (.*)$/m.exec(text)?.[1] ?? '').matchAll(/E_[A-Z_]+/g)].map(([code]) => code), errors.filter((e) => e.startsWith('E_')), method);
    t.regex(text, /^Result: /m);
  }
  for (const [bound, where] of [[String((LONGEST_LINE - 1).toLocaleString('en')), 'a line']]) t.true(page.includes(`| ${where} | ${bound} bytes |`));
});

test.serial('what docs/control.md says is in a status, a port, what is kept and an entry is what a switch answers', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['gen:a,rate=1000', 'sink:b']);
  const control = await place.control('lab');
  await until(async () => (await control.call('fdb.show')).entries.length > 0);
  const status = await control.call('status');
  const same = (title: string, what: object): void => { t.deepEqual(named(section(title)).sort(), Object.keys(what).sort(), title); };
  same('A status', status);
  same('A port', status.ports[0]);
  same('What is kept', await control.call('keep.show'));
  same('An entry of the forwarding table', (await control.call('fdb.show')).entries[0]);
  const events = page.split('\n## Events\n')[1].split('\n## ')[0];
  const source = readFileSync(join(packageRoot(), 'switch/messages.ts'), 'utf8').split('export type SwitchEvent')[1].split(';\n\n')[0];
  const kinds = [...source.matchAll(/readonly kind: ([^;]+);/g), ...source.matchAll(/readonly kind: ([^;}]+) }/g)].flatMap(([, words]) => [...words.matchAll(/'([a-z-]+)'/g)].map(([, kind]) => kind));
  const told = [...events.matchAll(/^\| (`.+?) \|/gm)].flatMap(([, cell]) => [...cell.matchAll(/`([a-z-]+)`/g)].map(([, kind]) => kind));
  t.deepEqual([...new Set(told)].sort(), [...new Set([...kinds, 'events-lost'])].sort());
});

test.serial('two workers: each one\'s counters beside their sum, and a lane that went round does not fill the other', async (t) => {
  const place = new Place(t);
  // A generator is the worker's that has fewest ports: a at the first, b at the second. `c` at the first again.
  await place.up('lab', ['gen:a,rate=0,count=40000', 'gen:b,rate=0,count=300,src=02:00:00:00:00:0b,dst=02:00:00:00:00:0c', 'sink:c'], ['--workers', '2', '--pool-size', '8M']);
  const control = await place.control('lab');
  await until(async () => (await control.call('stats')).global.committed === 40_300);
  const { workers, global } = await control.call('stats'), status = await control.call('status');
  t.deepEqual(workers.map((w) => w.nextSequence), [40_000, 300]);
  for (const key of ['committed', 'commits', 'slots', 'buffers'] as const) t.is(workers[0][key] + workers[1][key], global[key], key);
  t.deepEqual([status.workers, status.lanes, status.slots, status.frames], [2, 2, global.slots, workers[0].slots + 300]);
  const { stdout } = await place.cli('status', 'lab');
  t.regex(stdout, /, 2 workers\n.*, run 1, 2 lanes\n/);
  t.regex(stdout, new RegExp(`holds {2}${status.frames.toLocaleString('en')} frames`));
  t.regex((await place.cli('stats', 'lab')).stdout, /worker 0: [\d,]+ bursts, 40,000 frames in .*\n +worker 1: [\d,]+ bursts, 300 frames in/);
});

if (has('the control socket with nc', 'nc')) {
  test.serial('nc is client enough: requests of a file are answered in order, and the connection ends', async (t) => {
    const place = new Place(t);
    await place.up('lab', ['sink:b']);
    const nc = spawn('nc', ['-N', '-U', place.socket('lab')], { stdio: ['pipe', 'pipe', 'inherit'] });
    let out = '';
    nc.stdout.on('data', (text) => { out += text; });
    nc.stdin.end(['keep.show', 'ports.list', 'fdb.show'].map((method, id) => `{"jsonrpc":"2.0","id":${id},"method":"${method}"}\n`).join(''));
    await once(nc, 'close');
    t.deepEqual(out.trim().split('\n').map((line) => (JSON.parse(line) as { id: number }).id), [0, 1, 2]);
  });
}

if (has('control sockets of others', 'root', 'setpriv')) {
  test.serial('another user is refused, and told whose it is', async (t) => {
    const place = new Place(t);
    await place.up('lab', ['sink:b']);
    // In a place that the other may enter, so that the socket's own mode is what refuses.
    for (const path of [place.directory, place.run, join(place.run, 'lab')]) chmodSync(path, 0o755);
    const other = spawn('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, program, 'status', 'lab'], { env: place.env, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    other.stderr.on('data', (text) => { said += text; });
    const [status] = await once(other, 'close');
    t.regex(said, /somebody else's[^]*\[E_PERMISSION\]/);
    t.is(status, 77);
  });
}

if (has('control of a switch between hosts', 'root', 'ip', 'ping', 'ethtool')) {
  test.serial('interfaces and taps are added to a running switch, traffic flows, and stop leaves them as they were found', async (t) => {
    const network = new Network();
    try {
      const offloads = (): string => network.middle.sh('ethtool -k p0; ethtool -k p1; ip -d -o link show p0; ip -d -o link show p1').replaceAll(/ state \w+ | prog\/xdp id \d+| xdp\S*/g, ' ');
      const before = offloads(), sw = await network.up(['xdp:p0']);
      t.throws(() => network.a.sh('ping -c1 -W1 10.79.0.2'));
      t.regex(network.framekeep('ports', 'add', 'xdp:p1'), /^xdp:p1: AF_XDP/);
      network.a.sh('ping -c2 -i0.2 -W2 10.79.0.2');
      t.regex(network.framekeep('ports', 'add', 'tap:fkc0'), /^tap:fkc0: /);
      network.middle.sh('ip link show fkc0');
      t.regex(network.framekeep('ports'), /tap:fkc0/);
      t.regex(network.framekeep('fdb'), /([0-9a-f]{2}:){5}[0-9a-f]{2} +xdp:p1/);
      network.framekeep('ports', 'set', 'xdp:p1', '--forward', 'off');
      t.throws(() => network.a.sh('ping -c1 -W1 10.79.0.2'));
      network.framekeep('ports', 'set', 'xdp:p1', '--forward', 'on');
      network.a.sh('ping -c2 -i0.2 -W2 10.79.0.2');
      network.framekeep('ports', 'remove', 'tap:fkc0');
      t.throws(() => network.middle.sh('ip link show fkc0'), undefined, 'the tap that the switch made goes');
      const closed = once(sw.child, 'close');
      t.regex(network.framekeep('stop'), /^test has stopped: [\d,]+ frames kept/);
      t.is((await closed)[0], 0);
      t.is(offloads(), before);
      const { global, ports } = sw.messages.findLast((m) => m.type === 'stopped') as unknown as CountersSnapshot;
      t.is(global.committed, ports.reduce((n, p) => n + p.kept, 0));
      t.true(global.committed > 0);
      t.regex(network.framekeep('verify', network.pool), /./);
    } finally { network.delete(); }
  });
}
