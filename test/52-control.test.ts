/** A switch under control, through the real program: it is found, named, replaced, watched and stopped. */
import { spawn } from 'node:child_process';
import { existsSync, lstatSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { connectControl, type Status } from '../switch/control/index.js';
import type { CountersSnapshot } from '../switch/index.js';
import { program, Place, ended, until } from './control_place.js';

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
