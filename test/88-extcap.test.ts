/** The capture program as Wireshark calls it: what it lists, what it refuses, the messages on its control pipes. */
import { constants, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from './properties.js';
import { message, Messages, openPipe } from '../cli/extcap/toolbar.js';
import { create, Pool } from '../logger/index.js';
import { Keeper, portEntry, scratch } from './pool_maker.js';
import { extcap } from './wireshark_user.js';

const sentences = (out: string, kind: string): string[] => out.split('\n').filter((line) => line.startsWith(`${kind} `));
const values = (out: string, kind: string): string[] => sentences(out, kind).map((line) => /\{value=([^}]*)\}/.exec(line)?.[1] ?? line);

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
