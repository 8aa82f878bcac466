/** The control socket, and the commands that use it, through the real program: what a user sees, and what hostile clients do not achieve. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { FramekeepError, packageRoot } from '../native/index.js';
import { connectControl, type Status } from '../switch/control/index.js';

const program = join(packageRoot(), 'cli', 'framekeep.mjs');

/** One user's machine: a run directory, its switches, the commands. */
class Place {
  readonly directory = mkdtempSync('/dev/shm/framekeep-control-');
  readonly run = join(this.directory, 'run');
  readonly env: NodeJS.ProcessEnv = { ...process.env, FRAMEKEEP_RUN: this.run, NO_COLOR: '1' };
  readonly children: ChildProcess[] = [];

  constructor(t: ExecutionContext) {
    t.teardown(async () => {
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

  cli(...args: string[]): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(process.execPath, [program, ...args], { encoding: 'utf8', env: this.env, timeout: 30_000 });
  }

  json<T = Record<string, unknown>>(t: ExecutionContext, ...args: string[]): T {
    const { status, stdout, stderr } = this.cli(...args, '--json');
    t.is(status, 0, stderr);
    return JSON.parse(stdout) as T;
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

test('a running switch has a socket of 0600, status finds it, stop ends it and takes the socket away', async (t) => {
  const place = new Place(t), child = await place.up('lab', ['gen:a,rate=1000', 'sink:b']);
  t.is(lstatSync(place.socket('lab')).mode & 0o777, 0o600);
  t.is(statSync(join(place.run, 'lab')).mode & 0o777, 0o700);
  const said = place.json<Status>(t, 'status');
  t.is(said.name, 'lab');
  t.is(said.pid, child.pid!);
  t.deepEqual(said.ports.map((p) => [p.port, p.kind, p.state]), [['gen:a', 'gen', 'up'], ['sink:b', 'sink', 'up']]);
  t.is(said.pool, join(place.directory, 'lab.pool'));
  const shown = place.cli('status', 'lab');
  t.regex(shown.stdout, /^lab\n {2}runs +for \d+ s, process \d+/);
  t.regex(shown.stdout, /gen:a +up +[\d,]+ +0 +0 +[\d,]+ +generator/);

  const control = await connectControl(place.socket('lab')), { stats } = await control.call('stop');
  control.close();
  t.is(stats.global.stopped, 1);
  t.is(stats.global.committed, stats.ports[0].received, 'all that came was committed');
  await ended(child);
  t.is(child.exitCode, 0);
  t.false(existsSync(place.socket('lab')));
  t.regex(place.cli('status').stderr, /no switch of yours is running[^]*\[E_NO_SWITCH\]/);
});

test('with several switches one must be named, and the error lists them', async (t) => {
  const place = new Place(t);
  await place.up('east', ['sink:a']);
  await place.up('west', ['sink:a']);
  const { status, stderr } = place.cli('status');
  t.is(status, 2);
  t.regex(stderr, /several switches are running: east, west[^]*--name[^]*E_SWITCH_AMBIGUOUS/);
  t.is(place.json<Status>(t, 'status', '-n', 'west').name, 'west');
  t.is(place.json<Status>(t, 'status', 'east').name, 'east');
  t.regex(place.cli('status', 'north').stderr, /no switch named 'north'/);
});

test('the socket of a killed switch is no switch, and the next of that name replaces it; two of one name refuse', async (t) => {
  const place = new Place(t), first = await place.up('lab', ['sink:a']);
  await ended(first, 'SIGKILL');
  t.true(existsSync(place.socket('lab')), 'a kill leaves it behind');
  t.regex(place.cli('status', 'lab').stderr, /E_NO_SWITCH/);
  t.regex(place.cli('status').stderr, /E_NO_SWITCH/);
  const second = await place.up('lab', ['sink:a']);
  t.is(place.json<Status>(t, 'status').pid, second.pid!);
  const third = place.cli('up', 'sink:a', '--name', 'lab', '--pool', join(place.directory, 'other.pool'), '--pool-size', '32M');
  t.regex(third.stderr, /E_NAME_TAKEN/);
  t.is(place.json<Status>(t, 'status').pid, second.pid!, 'the refused one took nothing from it');
});

test('garbage, half lines, unknown methods and wrong parameters are answered, and the switch goes on', async (t) => {
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
  t.is(place.json<Status>(t, 'status').name, 'lab');
});

test('an error keeps its code and its remedy on the way to the client', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['sink:a']);
  const control = await connectControl(place.socket('lab'));
  const error = await t.throwsAsync(control.call('ports.remove', { port: 'b' }), { instanceOf: FramekeepError }) as FramekeepError;
  t.is(error.code, 'E_PORT_UNKNOWN');
  t.regex(error.remedy, /sink:a/);
  control.close();
  t.is((await t.throwsAsync(control.call('status')) as FramekeepError).code, 'E_CONTROL_LOST');
});
