/** Hostile, slow and many clients of the control socket: what they do not achieve. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import test from 'ava';
import { FramekeepError } from '../native/index.js';
import { has } from './needs.js';
import { connectControl, LONGEST_LINE, type Status } from '../switch/control/index.js';
import { program, Place, Raw, until } from './control_place.js';

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
