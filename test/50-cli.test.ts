/** The command's frame, from outside: help, version, usage errors, exit codes, JSON errors, the configuration file, doctor. */
import test from 'ava';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { exitCodeOf } from '../cli/exit.js';
import { parseConfig } from '../cli/config.js';
import type { UpOptions, ExportOptions, CreateOptions, DemoOptions } from '../cli/options.js';
import { parse } from '../cli/parse.js';
import { nearest } from '../cli/suggest.js';
import { COMMANDS, COMMON, keyOf } from '../cli/table.js';
import { PORT_KINDS } from '../cli/values.js';
import { FramekeepError } from '../native/error.js';
/** What tells a user's default pools from root's. */
const OWN = process.getuid?.() === 0 ? '' : `-${process.getuid?.()}`;

const root = fileURLToPath(new URL('../..', import.meta.url));
const bin = join(root, 'cli', 'framekeep.mjs');
const up = COMMANDS.find((c) => c.name === 'up')!;

function framekeep(args: string[], env: NodeJS.ProcessEnv = {}): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [bin, ...args], { encoding: 'utf8', env: { ...process.env, ...env }, timeout: 100_000 });
}

function parsed<T>(line: string[], base = '/base'): T {
  const result = parse(line, '0', base);
  if ('text' in result) throw new Error('it was taken for help');
  return result.options as T;
}

function refused(action: () => unknown): FramekeepError {
  try {
    action();
  } catch (error) {
    if (error instanceof FramekeepError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

function scratch(t: { teardown(fn: () => void): void }): string {
  const dir = mkdtempSync(join(tmpdir(), 'framekeep-cli-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test('--help names every subcommand and the exit codes, on standard output', (t) => {
  const { status, stdout, stderr } = framekeep(['--help']);
  t.is(status, 0);
  t.is(stderr, '');
  for (const command of COMMANDS) t.regex(stdout, new RegExp(`^  ${command.name} `, 'm'));
  for (const code of ['0 done', '1 it failed', '2 wrong usage', '77 a privilege', '130 interrupted']) t.true(stdout.includes(code), code);
});

test('the options of a port, by kind, are those that its driver reads: in help and in the README', (t) => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8'), help = parse(['up', '--help'], '0', '/') as { text: string };
  for (const { kind, options } of PORT_KINDS) {
    const files = [`${kind}.ts`, `${kind}_options.ts`].map((name) => join(root, 'switch', 'ports', name)).filter((file) => existsSync(file));
    const read = [...files.map((file) => readFileSync(file, 'utf8')).join('').matchAll(/options\.(?:number|text|flag|oneOf)\('([a-z-]+)'/g)].map((m) => m[1]!);
    t.deepEqual([...options].sort(), read.sort(), kind);
    const row = new RegExp(`^\\| \`${kind}:[^|]*\\|.*\\| ([^|]*)\\|$`, 'm').exec(readme)?.[1] ?? 'no row';
    t.deepEqual([...row.matchAll(/`([a-z-]+)`/g)].map((m) => m[1]), [...options], `README: ${row}`);
    t.regex(help.text, new RegExp(`^  ${kind}: .*${options.length === 0 ? '' : `\\n +options: ${options.join(', ')}`}$`, 'm'));
  }
});

test('every subcommand has help with all its options and an example that it accepts', (t) => {
  const all = COMMANDS.flatMap((c) => [{ ...c, words: [c.name] }, ...(c.verbs ?? []).map((verb) => ({ ...verb, options: [...c.options, ...verb.options], words: [c.name, verb.name] }))]);
  for (const command of all) {
    const help = parse([...command.words, '--help'], '0', '/');
    if (!('text' in help)) return t.fail();
    t.is(help.exitCode, 0);
    t.true(help.text.startsWith(`Usage: framekeep ${command.words.join(' ')}`));
    for (const option of command.options) t.true(help.text.includes(`--${option.long}`), `${command.words.join(' ')} --${option.long}`);
    t.true(command.examples.length > 0 || ('verbs' in command && command.verbs !== undefined), `${command.words.join(' ')} shows an example`);
    for (const [line] of command.examples) {
      const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map((m) => m[1] ?? m[2]!);
      const start = words.findIndex((word) => word === 'framekeep');
      const end = words.findIndex((word) => ['|', '&&', '>'].includes(word));
      const args = start >= 0 ? words.slice(start + 1, end < 0 ? undefined : end) : ['demo', ...words.slice(words.indexOf('--') + 1)];
      if (args.includes('--config')) continue;         // names a file of the reader's
      t.notThrows(() => parse(args, '0', '/'), line);
    }
  }
});

test('--version prints the version of package.json', (t) => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  t.is(framekeep(['--version']).stdout, `${version}\n`);
});

test('without a command: help on standard error, exit code 2', (t) => {
  const { status, stdout, stderr } = framekeep([]);
  t.is(status, 2);
  t.is(stdout, '');
  t.true(stderr.includes('Usage: framekeep COMMAND'));
});

for (const [line, said] of [
  [['upp', 'x'], "unknown command 'upp' (Did you mean up?)"],
  [['up', 'xdp:a', '--pol', 'x'], "unknown option '--pol' (Did you mean --pool?)"],
  [['up', 'xpd:a'], '"xpd" is no kind of port (did you mean xdp?)'],
  [['up', 'eth0'], '"eth0" is no port; kinds are xdp, tap'],
  [['up', 'xdp:'], 'the xdp port has no name'],
  [['up', 'xdp:a', 'xdp:a'], 'port xdp:a is named twice'],
  [['up'], 'the switch has no port'],
  [['up', 'xdp:a,queue=1,queue=2'], 'says queue twice'],
  [['up', 'xdp:a', '--pool-size', '12Q'], '--pool-size: "12Q" is no size'],
  [['up', 'xdp:a', '--chunk', '1024'], '--chunk: "1024" is none of 2048, 4096'],
  [['up', 'xdp:a', '--durability', 'pover'], '(did you mean power?)'],
  [['up', 'xdp:a', '--sample', '0'], 'is not a whole number from 1'],
  [['up', 'xdp:a', '--ageing', '-1'], 'is not a whole number from 0'],
  [['up', 'xdp:a', '--name', 'A b'], '"A b" is no name'],
  [['up', 'xdp:a', '--logic', 'hubb'], '(did you mean hub?)'],
  [['up', 'xdp:a', '--min-frame', '1500', '--max-frame', '1400'], 'the shortest frame (1500) is longer'],
  [['up', 'xdp:a', '--stats', 'often'], '"often" is no time span'],
  [['export', 'p'], "required option '-w, --write <OUT>' not specified"],
  [['export', 'p', '-w', 'o', '--from', '2025-02-30'], '"2025-02-30" is no time'],
  [['export', 'p', '-w', 'o', '--boot', 'first'], '"first" is no boot'],
  [['export', 'p', '-w', 'o', '--filter', 'tcp', 'udp'], 'the filter is given twice'],
  [['inspect'], "missing required argument 'POOL'"],
  [['inspect', 'a', 'b'], 'too many arguments'],
  [['demo', '--speed', 'fast'], '"fast" is no factor'],
] as const) {
  test(`usage error: framekeep ${line.join(' ')}`, (t) => {
    const error = refused(() => parse(line, '0', '/'));
    t.is(error.code, 'E_USAGE');
    t.true(error.message.includes(said), error.message);
    t.not(error.remedy, '');
    t.is(exitCodeOf(error.code), 2);
  });
}

test('an error is what, remedy and code on standard error, and nothing on standard output', (t) => {
  const { status, stdout, stderr } = framekeep(['up', 'xdb:a']);
  t.is(status, 2);
  t.is(stdout, '');
  t.regex(stderr, /^framekeep: .*did you mean xdp.*\n  see --help\n  \[E_USAGE\]\n$/);
});

test('with --json an error is one JSON document', (t) => {
  const { status, stdout, stderr } = framekeep(['up', 'xdb:a', '--json']);
  t.is(status, 2);
  t.is(stdout, '');
  const { error } = JSON.parse(stderr);
  t.deepEqual(Object.keys(error), ['code', 'message', 'remedy']);
  t.is(error.code, 'E_USAGE');
});

test('a file that is not there is E_IO with exit code 1, and --debug shows the stack', (t) => {
  const { status, stderr } = framekeep(['up', '--config', '/nonexistent/a.toml', '--debug']);
  t.is(status, 1);
  t.regex(stderr, /there is no such file \(ENOENT\)/);
  t.regex(stderr, /\[E_IO\]/);
  t.regex(stderr, /^ {4}at /m);
});

test('exit codes by error code', (t) => {
  t.is(exitCodeOf('E_PERMISSION'), 77);
  t.is(exitCodeOf('E_XDP_PERMISSION'), 77);
  t.is(exitCodeOf('E_INTERRUPTED'), 130);
  t.is(exitCodeOf('E_CONFIG'), 2);
  t.is(exitCodeOf('E_POOL_LOCKED'), 1);
});

test('up: every option has its default, as docs/configuration.md says', (t) => {
  t.deepEqual(parsed<UpOptions>(['up', 'xdp:a']), {
    ports: [{ kind: 'xdp', name: 'a', options: {}, text: 'xdp:a' }],
    pool: `/dev/shm/framekeep-sw0${OWN}.pool`, poolSize: 256 << 20, chunk: 2048, keep: '', keepPorts: [], snap: 0, sample: 1,
    commitBeforeForward: false, durability: undefined, ageing: 300, fdbSize: 8192, vlanAware: false, logic: 'learning', forwardReserved: false,
    maxFrame: 1522, minFrame: 14, name: 'sw0', workers: 1, force: false, sealed: false, keepPrivileges: false, stats: 1, quiet: false, duration: undefined, once: false,
    log: undefined, logLevel: 'info', metrics: undefined, config: undefined,
    json: false, debug: false,
  });
});

test('up: every option reads', (t) => {
  const options = parsed<UpOptions>(['up', '-p', 'tap:t0', 'replay:x/a,b.pcap,speed=10,loop', 'gen:', '--pool', 'p.pool', '--pool-size', '1.5G', '--chunk', '4096',
    '--keep', ' udp port 53 ', '--keep-port', 'a:in', '--keep-port', 'xdp:b:out', '--keep-port', 'c', '--snap', '96', '--sample', '10', '--commit-before-forward',
    '--durability', 'kernel', '--ageing', '0', '--fdb-size', '65536', '--vlan-aware', '--logic', './mine.js', '--forward-reserved', '--max-frame', '9018',
    '--min-frame', '60', '--name', 'lab', '--workers', '2', '--force', '--sealed', '--keep-privileges', '--stats', '250ms', '-q', '--duration', '2m', '--once',
    '--log', 'lab.log', '--log-level', 'warn', '--metrics', '[::1]:9719', '--json', '--debug']);
  t.deepEqual(options, {
    ports: [
      { kind: 'tap', name: 't0', options: {}, text: 'tap:t0' },
      { kind: 'replay', name: '/base/x/a,b.pcap', options: { speed: '10', loop: '' }, text: 'replay:/base/x/a,b.pcap,speed=10,loop' },
      { kind: 'gen', name: 'gen', options: {}, text: 'gen:gen' },
    ],
    pool: '/base/p.pool', poolSize: 1.5 * 1024 ** 3, chunk: 4096, keep: 'udp port 53',
    keepPorts: [{ name: 'a', direction: 'in' }, { name: 'xdp:b', direction: 'out' }, { name: 'c', direction: 'both' }],
    snap: 96, sample: 10, commitBeforeForward: true, durability: 'kernel', ageing: 0, fdbSize: 65536, vlanAware: true, logic: '/base/mine.js',
    forwardReserved: true, maxFrame: 9018, minFrame: 60, name: 'lab', workers: 2, force: true, sealed: true, keepPrivileges: true, stats: 0.25, quiet: true, duration: 120, once: true,
    log: '/base/lab.log', logLevel: 'warn', metrics: { host: '::1', port: 9719 }, config: undefined,
    json: true, debug: true,
  });
  const logged = (...line: string[]): UpOptions => parsed<UpOptions>(['up', 'xdp:a', ...line]);
  t.is(logged('--log', 'journal').log, 'journal');
  t.is(logged('--log', '-').log, '-');
  t.regex(refused(() => logged('--log', '-', '--json')).message, /standard output has --json already/);
  t.deepEqual(logged('--metrics', '9719').metrics, { host: '127.0.0.1', port: 9719 });
  t.deepEqual(logged('--metrics', 'lab.example:80').metrics, { host: 'lab.example', port: 80 });
  for (const bad of ['70000', 'host', '::1', ':80', 'a b:80', '1:2:3']) t.regex(refused(() => logged('--metrics', bad)).message, /no place to listen/, bad);
  const quoted = parsed<UpOptions>(['up', 'replay:/a.pcap,filter="port 1, 2,loop",loop']).ports[0]!;
  t.deepEqual(quoted, { kind: 'replay', name: '/a.pcap', options: { filter: 'port 1, 2,loop', loop: '' }, text: 'replay:/a.pcap,filter="port 1, 2,loop",loop' });
  t.is(parsed<UpOptions>(['up', 'xdp:a', '--keep', 'none']).keep, null);
  t.is(parsed<UpOptions>(['up', 'xdp:a', '--keep', 'all']).keep, '');
});

test('export: filter words, moments to the nanosecond, boots, tri-state progress', (t) => {
  const at = (...line: string[]) => parsed<ExportOptions>(['export', 'p', '-w', '-', ...line]);
  t.deepEqual(at('tcp', 'port', '80'), {
    pool: '/base/p', write: '-', filter: 'tcp port 80', format: undefined, from: undefined, to: undefined, ports: [], boot: undefined, last: undefined,
    follow: false, count: undefined, snap: 0, progress: undefined, json: false, debug: false,
  });
  t.deepEqual(at('--from', '-10s').from, { relative: true, ns: -10_000_000_000n });
  t.deepEqual(at('--from', '-1.5m').from, { relative: true, ns: -90_000_000_000n });
  t.deepEqual(at('--to', '1763694245.5').to, { relative: false, ns: 1763694245_500_000_000n });
  t.deepEqual(at('--to', '1763694245.123456789').to, { relative: false, ns: 1763694245_123_456_789n });
  t.deepEqual(at('--from', '2025-11-21T03:04:05.123456789Z').from, { relative: false, ns: 1763694245_123_456_789n });
  t.deepEqual(at('--from', '2025-11-21 04:04:05.5+0100').from, { relative: false, ns: 1763694245_500_000_000n });
  t.is(at('--from', '2025-11-21').from!.ns, BigInt(new Date(2025, 10, 21).getTime()) * 1_000_000n);
  t.is(at('--boot', 'last').boot, 'last');
  t.is(at('--boot', '3').boot, 3);
  t.is(at('--progress').progress, true);
  t.is(at('--no-progress').progress, false);
  t.deepEqual(at('--port', 'a', '--port', 'b').ports, ['a', 'b']);
  t.is(parsed<ExportOptions>(['export', 'p', '-w', 'x/o.pcap']).write, '/base/x/o.pcap');
});

test('create and demo: defaults', (t) => {
  t.deepEqual(parsed<CreateOptions>(['create', 'p']), { pool: '/base/p', size: 0, chunk: 2048, lanes: 1, boots: undefined, force: false, json: false, debug: false });
  t.deepEqual(parsed<DemoOptions>(['demo', '--no-once']), {
    captures: [], speed: 1, pool: `/dev/shm/framekeep-demo${OWN}.pool`, poolSize: 64 << 20, keep: '', once: false, quiet: false, json: false, debug: false,
  });
});

test('the example of docs/configuration.md has every key and reads, and so does its short form', (t) => {
  const [full, short] = [...readFileSync(join(root, 'docs', 'configuration.md'), 'utf8').matchAll(/```toml\n(.*?)```/gs)].map((m) => m[1]!);
  const options = parseConfig(full!, '/etc/lab.toml', up);
  t.deepEqual(Object.keys(options).sort(), up.options.filter((o) => !o.commandLineOnly).map(keyOf).sort());
  t.is(options['pool'], '/mnt/pmem/lab.pool');
  t.is(options['poolSize'], 4 * 1024 ** 3);
  t.is(options['duration'], 3600);
  t.deepEqual(options['ports'], [
    { kind: 'xdp', name: 'eth1', options: {}, text: 'xdp:eth1' },
    { kind: 'replay', name: '/etc/captures/http.pcap', options: { speed: '10', loop: 'true' }, text: 'replay:/etc/captures/http.pcap,speed=10,loop=true' },
  ]);
  t.is((parseConfig(short!, '/etc/lab.toml', up)['ports'] as unknown[]).length, 3);
});

test('what the command line says wins over the file; ports add up; --no-FLAG unsets', (t) => {
  const file = join(scratch(t), 'lab.toml');
  writeFileSync(file, 'name = "lab"\npool-size = "1G"\nageing = 10\nforce = true\nonce = true\nkeep = "arp"\nport = ["tap:t0"]\n');
  const options = parsed<UpOptions>(['up', '--config', file, '--ageing', '20', '--no-force', 'tap:t1']);
  t.is(options.name, 'lab');
  t.is(options.pool, `/dev/shm/framekeep-lab${OWN}.pool`);
  t.is(options.poolSize, 1024 ** 3);
  t.is(options.ageing, 20);
  t.false(options.force);
  t.true(options.once);
  t.is(options.keep, 'arp');
  t.deepEqual(options.ports.map((p) => p.text), ['tap:t0', 'tap:t1']);
  t.is(options.config, file);
});

for (const [source, said] of [
  ['pool_size = 1', '/c.toml:1: pool_size is not known here (did you mean pool-size?)'],
  ['\n\nageng = 1', '/c.toml:3: ageng is not known here (did you mean ageing?)'],
  ['# a\njson = true', '/c.toml:2: json is not known here'],
  ['[pool]\nsize = 1', '/c.toml:1: pool: it takes a string, not a table'],
  ['ageing = "5"\nquiet = 1', '/c.toml:2: quiet: it takes true or false, not a number'],
  ['keep = true', '/c.toml:1: keep: it takes a string, not true'],
  ['ageing = 1.5', '/c.toml:1: ageing: "1.5" is not a whole number'],
  ['name = 2025-01-01', '/c.toml:1: name: it takes a string, not a date'],
  ['port = "xdp:a"', 'it takes an array, or [[port]] tables, not a string'],
  ['port = [["xdp:a"]]', 'it takes a string, not an array'],
  ['[[port]]\nkin = "xdp"', 'a [[port]] table has no kind (is kin meant to be kind?)'],
  ['[[port]]\nkind = "xpd"\nname = "a"', '/c.toml:1: port: "xpd" is no kind of port (did you mean xdp?)'],
  ['[[port]]\nkind = "xdp"\nname = 1', 'name takes a string, not a number'],
  ['[[port]]\nkind = "xdp"\nname = "a"\nqueue = [1]', 'queue takes a string, a number, true or false, not an array'],
  ['keep = "a"\nkeep = "b"', '/c.toml:2:'],
  ['name = "lab', '/c.toml:1:'],
] as const) {
  test(`configuration error: ${source.replaceAll('\n', '\\n')}`, (t) => {
    const error = refused(() => parseConfig(source, '/c.toml', up));
    t.is(error.code, 'E_CONFIG');
    t.true(error.message.includes(said), error.message);
    t.not(error.remedy, '');
  });
}

test('a syntax error in the file is told with line, column and the line itself', (t) => {
  const error = refused(() => parseConfig('name = "a"\nsnap = = 3\n', '/c.toml', up));
  t.regex(error.message, /^\/c\.toml:2:\d+: /);
  t.is(error.remedy, 'the line says: snap = = 3');
});

test('suggestions are near, or none', (t) => {
  t.is(nearest('poolsize', ['pool', 'pool-size', 'snap']), 'pool-size');
  t.is(nearest('keepport', ['keep', 'keep-port']), 'keep-port');
  t.is(nearest('quite', ['quiet', 'once']), 'quiet');
  t.is(nearest('zebra', ['pool', 'keep', 'ageing']), undefined);
});

test('no two options of a subcommand share a name, a letter or a property', (t) => {
  for (const command of COMMANDS) {
    const all = [...command.options, ...COMMON];
    for (const names of [all.map((o) => o.long), all.flatMap((o) => o.short ?? []), all.map(keyOf)]) t.is(new Set(names).size, names.length, command.name);
  }
});

test('doctor --json answers every question, and each no has a remedy', (t) => {
  const { status, stdout, stderr } = framekeep(['doctor', '--json', '/dev/shm', root, '/nonexistent/dir/x.pool']);
  t.is(status, 0, stderr);
  const report = JSON.parse(stdout);
  t.deepEqual(Object.keys(report), ['checks', 'interfaces', 'media']);
  const ids = ['node', 'kernel', 'addon', 'flush', 'privileges', 'af-xdp', 'memlock', 'open-files', 'libpcap', 'cap', 'tshark', 'wireshark'];
  t.deepEqual(report.checks.map((c: { id: string }) => c.id).filter((id: string) => ids.includes(id)), ids);
  for (const check of report.checks) {
    t.is(typeof check.ok, 'boolean');
    t.true(check.found !== '' && check.title !== '', check.id);
    t.is(check.remedy === '', check.ok, `${check.id}: ${check.found}`);
  }
  t.is(report.checks[0].data.version, process.versions.node);
  const loopback = report.interfaces.find((i: { name: string }) => i.name === 'lo');
  t.like(loopback, { mtu: loopback.mtu, defaultRoute: false });
  const [shm, tree, absent] = report.media;
  t.like(shm, { path: '/dev/shm', kind: 'tmpfs', zeroCopy: true, durability: 'process' });
  t.true(tree.promise.length > 20);
  t.like(absent, { ok: false, kind: '' });
});

test('doctor says of a device that is no persistent memory, and of a place that is not there, that no pool can be there', (t) => {
  const { media } = JSON.parse(framekeep(['doctor', '--json', '/dev/null', '/nonexistent/dir/x.pool', '/dev/shm/not-made-yet.pool']).stdout);
  t.like(media[0], { ok: false, promise: 'no pool can be in it: it is neither a file nor a devdax device' });
  t.like(media[1], { ok: false, kind: '' });
  t.like(media[2], { ok: true, kind: 'tmpfs' });
});

test('doctor changes nothing: no file is left in a directory it looked at', (t) => {
  const dir = scratch(t);
  t.is(framekeep(['doctor', dir]).status, 0);
  t.deepEqual(readdirSync(dir), []);
});

test('doctor as text: a pipe and NO_COLOR get no escape sequences', (t) => {
  const { stdout } = framekeep(['doctor', '/dev/shm'], { NO_COLOR: '1', FORCE_COLOR: '' });
  t.regex(stdout, /^(yes|no ) {2}Node/m);
  t.regex(stdout, /^Interfaces$/m);
  t.false(stdout.includes('\x1b'));
});

test('on a terminal there are colours, unless NO_COLOR is set', (t) => {
  // script(1) of util-linux gives the program a terminal.
  const onTerminal = (env: NodeJS.ProcessEnv) => spawnSync('script', ['-qec', `${process.execPath} ${bin} up xdb:a`, '/dev/null'],
    { encoding: 'utf8', env: { ...process.env, TERM: 'xterm', NO_COLOR: '', ...env }, input: '' });
  const colour = onTerminal({});
  t.is(colour.status, 2, colour.stderr);
  t.true(colour.stdout.includes('\x1b[31mframekeep:'), JSON.stringify(colour.stdout));
  t.false(onTerminal({ NO_COLOR: '1' }).stdout.includes('\x1b'));
});

test('standard output is refused for an export if it is a terminal', (t) => {
  const { status, stdout } = spawnSync('script', ['-qec', `${process.execPath} ${bin} export /nonexistent.pool -w -`, '/dev/null'], { encoding: 'utf8', input: '' });
  t.is(status, 2);
  t.true(stdout.includes('standard output is a terminal'));
});

test('a reader that goes away is no error', async (t) => {
  const child = spawn(process.execPath, [bin, 'up', '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (chunk) => { stderr += chunk; });
  const status = await new Promise((resolve) => child.on('close', resolve));
  t.is(stderr, '');
  t.is(status, 0);
});

test('create makes a pool once, and replaces only pools, and only when told to', (t) => {
  const pool = join(scratch(t), 'a.pool');
  const made = framekeep(['create', pool, '--size', '4M', '--chunk', '4096', '--boots', '8', '--json']);
  t.is(made.status, 0, made.stderr);
  t.like(JSON.parse(made.stdout), { path: pool, bytes: 4 << 20, chunk: 4096, lanes: 1, boots: 8, durability: 'process' });
  t.is(statSync(pool).mode & 0o777, 0o600);
  const before = readFileSync(pool);
  const again = framekeep(['create', pool, '--size', '8M']);
  t.is(again.status, 1);
  t.regex(again.stderr, /\[E_POOL_EXISTS\]/);
  t.true(readFileSync(pool).equals(before));
  t.is(framekeep(['create', pool, '--size', '8M', '--force']).status, 0);
  t.is(statSync(pool).size, 8 << 20);
  writeFileSync(pool, 'a letter\n'.repeat(5000));
  t.regex(framekeep(['create', pool, '--force']).stderr, /\[E_POOL_FOREIGN\]/);
  t.is(readFileSync(pool, 'utf8').slice(0, 9), 'a letter\n');
});

test('docs/errors.md lists exactly the codes of the sources, each with its exit code', (t) => {
  const rooms = ['native', 'logger', 'switch', 'tui', 'cli', 'bench'];
  const used = new Set<string>(['E_SETUP']);
  for (const room of rooms.filter((name) => existsSync(join(root, name)))) {
    for (const file of readdirSync(join(root, room), { recursive: true, encoding: 'utf8' }).filter((f) => /\.(ts|mjs|cc|h)$/.test(f))) {
      for (const [, code] of readFileSync(join(root, room, file), 'utf8').matchAll(/'(E_[A-Z][A-Z0-9_]*)'/g)) used.add(code!);
    }
  }
  const rows = [...readFileSync(join(root, 'docs', 'errors.md'), 'utf8').matchAll(/^\| `(E_[A-Z0-9_]+)` \| (\d+) \| (.+?) \| (.+?) \|$/gm)];
  const documented = rows.map((row) => row[1]!);
  t.deepEqual([...used].filter((code) => !documented.includes(code)).sort(), [], 'not in docs/errors.md');
  t.deepEqual(documented.filter((code) => !used.has(code)), [], 'in docs/errors.md, but in no source');
  t.is(new Set(documented).size, documented.length, 'a code is listed twice');
  for (const [, code, exit] of rows) t.is(Number(exit), exitCodeOf(code!), code);
});

test('a command with verbs: the first is meant when none is said, its options stand anywhere, and a wrong verb is named', (t) => {
  const ports = (...line: string[]): Record<string, unknown> => parsed<Record<string, unknown>>(['ports', ...line]);
  t.is(ports().verb, 'list');
  t.deepEqual([ports('-n', 'lab').verb, ports('-n', 'lab').name], ['list', 'lab']);
  for (const line of [['-n', 'lab', 'remove', 'tap:a', '--json'], ['remove', '-n', 'lab', '--json', 'tap:a'], ['--json', 'remove', 'tap:a', '--name', 'lab']]) {
    const { verb, name, port, json } = ports(...line);
    t.deepEqual([verb, name, port, json], ['remove', 'lab', 'tap:a', true], line.join(' '));
  }
  const { verb, words, snap, sample } = parsed<Record<string, unknown>>(['keep', 'set', 'tcp', 'port', '80', '--snap', '96']);
  t.deepEqual([verb, words, snap, sample], ['set', ['tcp', 'port', '80'], 96, undefined]);
  t.regex(refused(() => parse(['fdb', 'flsh'], '0', '/')).message, /does not know "flsh" \(did you mean flush\?\); it has show, add, delete, flush/);
  t.is(refused(() => parse(['fdb', 'add', '02:00:00:00:00:01'], '0', '/')).code, 'E_USAGE');
  t.regex(refused(() => parse(['fdb', 'add', '02:00:00:00:01', 'x'], '0', '/')).message, /no MAC address/);
  t.is(refused(() => parse(['ports', 'set', 'x', '--forward', 'maybe'], '0', '/')).code, 'E_USAGE');
});
