/** Prometheus metrics as a scraper gets them: over HTTP, in the exposition format, and agreeing with the counters. */
import test from 'ava';
import { spawnSync } from 'node:child_process';
import { request } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { CountersSnapshot } from '../switch/index.js';
import { eventually } from './patience.js';
import { place, program, ServiceProcess } from './service_process.js';

interface Reply { readonly status: number; readonly type: string; readonly text: string }
function http(url: string, method = 'GET'): Promise<Reply> {
  return new Promise((resolve, reject) => {
    request(url, { method, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => { text += chunk; });
      response.on('end', () => resolve({ status: response.statusCode!, type: String(response.headers['content-type']), text }));
    }).on('error', reject).end();
  });
}

interface Family { readonly help: string; type?: string; readonly samples: Map<string, number> }

/**
 * The text format of Prometheus, version 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/), strictly: HELP, then TYPE, then
 * the samples of one family together; names and labels as they must be; no sample twice; a line feed at the end.
 */
function parseExposition(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  let open = '';
  if (!text.endsWith('\n')) throw new Error('no line feed at the end');
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue;
    const help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line);
    if (help !== null) {
      if (families.has(help[1])) throw new Error(`${help[1]} twice`);
      families.set(open = help[1], { help: help[2], samples: new Map() });
      continue;
    }
    const type = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge)$/.exec(line);
    if (type !== null) {
      const family = families.get(type[1]);
      if (type[1] !== open || family === undefined || family.samples.size > 0 || family.type !== undefined) throw new Error(`TYPE out of place: ${line}`);
      family.type = type[2];
      continue;
    }
    const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"(?:,[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*")*\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?)$/.exec(line);
    if (sample === null || sample[1] !== open) throw new Error(`not a sample of ${open}: ${line}`);
    const { samples } = families.get(open)!, labels = sample[2] ?? '';
    if (samples.has(labels)) throw new Error(`twice: ${line}`);
    samples.set(labels, Number(sample[3]));
  }
  return families;
}

test.serial('what is scraped is in the format, named by convention, and is what the counters say', async (t) => {
  const directory = place(t);
  const sw = new ServiceProcess(t, directory, ['gen:a,count=3000,rate=0,size=100,as=a\\c', 'gen:slow,rate=100', 'sink:b', '--metrics', '0', '--json', '--stats', '0', '--keep', 'len == 100', '--workers', '2']);
  const url = String((await sw.logged('metrics'))['url']);
  t.regex(url, /^http:\/\/127\.0\.0\.1:\d+\/metrics$/, 'this machine alone');
  await sw.logged('port-finished');
  const first = await eventually('3,000 committed frames', async () => { const page = await http(url); return page.text.includes('\nframekeep_pool_committed_frames_total 3000\n') && page; });
  const families = parseExposition(first.text);
  t.is(first.status, 200);
  t.is(first.type, 'text/plain; version=0.0.4; charset=utf-8');
  for (const [name, { help, type, samples }] of families) {
    t.regex(name, /^framekeep_[a-z0-9_]+$/);
    t.is(type === 'counter', name.endsWith('_total'), name);
    t.regex(help, /\.$|;.*\.$/, name);
    t.true(samples.size > 0 || name.includes('xdp'), name);
    t.notRegex(name, /_(ms|us|ns|kb|kib|percent)(_|$)/, 'base units');
  }
  const value = (name: string, labels = ''): number => families.get(`framekeep_${name}`)!.samples.get(labels)!;
  const a = 'port="a\\\\c"';
  t.is(value('port_received_frames_total', `{${a}}`), 3000);
  t.is(value('port_received_bytes_total', `{${a}}`), 300_000);
  t.is(value('port_kept_frames_total', `{${a}}`), 3000);
  t.is(value('pool_committed_frames_total'), 3000);
  t.is(value('pool_window_frames'), 3000);
  t.is(value('pool_boot'), 1);
  t.is(value('workers'), 2);
  t.true(value('pool_commits_total') > 0);
  t.is(value('pool_fences_total'), 2 * value('pool_commits_total'));
  t.is(value('port_up', '{port="sink:b"}'), 1);
  const dropped = [...families.get('framekeep_port_dropped_frames_total')!.samples].filter(([labels]) => labels.includes(a)).reduce((sum, [, n]) => sum + n, 0);
  t.is(value('port_forwarded_frames_total', `{${a}}`) + value('port_flooded_frames_total', `{${a}}`) + dropped, 3000);
  t.true(value('data_plane_heartbeat_age_seconds') < 30);
  t.regex([...families.get('framekeep_info')!.samples.keys()][0], /^\{version="[\d.]+",node="[\d.]+",switch="sw0",pool="[^"]+\/pool",medium="tmpfs",durability="process",copies="0"\}$/);

  // It goes on: counters never fall, and those of a port that sends grow.
  const slow = (page: Map<string, Family>): number => page.get('framekeep_port_not_selected_frames_total')!.samples.get('{port="gen:slow"}')!;
  const later = await eventually('more frames of gen:slow', async () => { const page = parseExposition((await http(url)).text); return slow(page) > slow(families) && page; });
  for (const [name, { type, samples }] of families) {
    if (type === 'counter') for (const [labels, n] of samples) t.true(later.get(name)!.samples.get(labels)! >= n, name + labels);
  }

  if (spawnSync('promtool', ['--version']).status === 0) {
    const checked = spawnSync('promtool', ['check', 'metrics'], { input: first.text, encoding: 'utf8' });
    t.is(checked.status, 0, checked.stderr + checked.stdout);
  } else t.log('promtool is not here: the format was checked by this file alone');

  t.is((await http(url.replace('/metrics', '/'))).status, 404);
  t.is((await http(url.replace('/metrics', '/metrics/x'))).status, 404);
  t.is((await http(url, 'POST')).status, 405);
  const head = await http(url, 'HEAD');
  t.is(head.status, 200);
  t.is(head.text, '');
  // Many at once: each gets a whole page.
  for (const { status, text } of await Promise.all(Array.from({ length: 10 }, () => http(url)))) {
    t.is(status, 200);
    t.is(parseExposition(text).size, families.size);
  }
  t.is(await sw.ended('SIGTERM'), 0);
  const s = JSON.parse(sw.stdout.split('\n').findLast((line) => line.includes('"type":"stopped"'))!) as CountersSnapshot;
  t.is(s.ports[0].spec, 'a\\c');
});

test.serial('off unless asked; an address that is taken is said before anything is opened', async (t) => {
  const directory = place(t), taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.teardown(() => { taken.close(); });
  const { port } = taken.address() as AddressInfo;
  const refused = new ServiceProcess(t, directory, ['gen:a', '--metrics', String(port)]);
  t.is(await refused.ended(), 1);
  t.regex(refused.stderr, new RegExp(`metrics cannot be served at 127\\.0\\.0\\.1:${port}: another program has it.*\\[E_METRICS\\]`, 's'));
  t.false(spawnSync('ls', [join(directory, 'pool')]).status === 0, 'no pool was made');
  const quiet = new ServiceProcess(t, directory, ['sink:a']);
  await quiet.logged('port-added');
  const listening = spawnSync('sh', ['-c', `cat /proc/${quiet.child.pid}/net/tcp /proc/${quiet.child.pid}/net/tcp6; ls -l /proc/${quiet.child.pid}/fd`], { encoding: 'utf8' }).stdout;
  const inodes = [...listening.matchAll(/socket:\[(\d+)\]/g)].map((m) => m[1]);
  const tcp = listening.split('\n').filter((line) => /^\s*\d+: /.test(line) && inodes.includes(line.trim().split(/\s+/)[9]));
  t.deepEqual(tcp, []);
  t.is(await quiet.ended('SIGTERM'), 0);
});

test.serial('what is not asked for is not loaded: neither prom-client nor pino', (t) => {
  const directory = place(t);
  const { status, stderr } = spawnSync(process.execPath, ['--trace-deprecation', program, 'up', 'gen:a,count=1', '--once', '--pool', join(directory, 'pool'), '--pool-size', '32M'],
    { encoding: 'utf8', maxBuffer: 1 << 28, env: { ...process.env, FRAMEKEEP_RUN: join(directory, 'run'), NODE_DEBUG: 'module' } });
  t.is(status, 0);
  t.regex(stderr, /smol-toml|commander/);
  t.notRegex(stderr, /node_modules\/(pino|prom-client)\//);
});
