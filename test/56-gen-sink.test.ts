/** `framekeep gen` and `framekeep sink`, as programs: what one sends the other counts; and what the counting makes of loss, repetition and disorder. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from './properties.js';
import { packageRoot } from '../native/index.js';
import { Latencies, Numbering, NumberedCount, StreamCount } from '../switch/numbered_frames.js';
import { Namespace, sh } from './namespaces.js';
import { has } from './needs.js';

const bin = join(packageRoot(), 'cli', 'framekeep.mjs');

interface Program { child: ChildProcess; ended: Promise<{ code: number | null; stdout: string; stderr: string }>; until(said: RegExp): Promise<void> }

function start(args: readonly string[], env: NodeJS.ProcessEnv, namespace?: Namespace): Program {
  const [program, ...line] = [...(namespace === undefined ? [] : ['ip', 'netns', 'exec', namespace.name]), process.execPath, bin, ...args];
  const child = spawn(program, line, { env: { ...process.env, ...env, NO_COLOR: '1' }, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '', stderr = '';
  child.stdout.on('data', (t) => { stdout += t; });
  child.stderr.on('data', (t) => { stderr += t; });
  return {
    child,
    ended: once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr })),
    async until(said) {
      while (!said.test(stderr)) {
        if (child.exitCode !== null) throw new Error(`it ended: ${stderr}`);
        await Promise.race([once(child.stderr, 'data'), once(child, 'exit')]);
      }
    },
  };
}

function runDirectory(t: { teardown(fn: () => void): void }): NodeJS.ProcessEnv {
  const directory = mkdtempSync('/dev/shm/framekeep-test-');
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return { FRAMEKEEP_RUN: directory };
}

test('what gen sends into a pipe, sink counts at its other end: every number once, in order, with its time', async (t) => {
  const env = runDirectory(t), sink = start(['sink', 'pipe:wire', '--count', '3000', '--duration', '90', '--json'], env);
  t.teardown(() => sink.child.kill('SIGKILL'));
  await sink.until(/shared memory/);
  const gen = await start(['gen', 'pipe:wire', '--rate', '0', '--count', '3000', '--size', '60,22,1514', '--sources', '7', '--json'], env).ended;
  t.is(gen.code, 0, gen.stderr);
  const sent = JSON.parse(gen.stdout), { code, stdout, stderr } = await sink.ended, report = JSON.parse(stdout);
  t.is(code, 0, stderr);
  t.is(sent.frames, 3000);
  t.is(report.frames, 3000);
  t.is(report.bytes, 1000 * (60 + 22 + 1514));
  t.is(report.foreign, 0);
  // Frames of 22 bytes have no room for the stream's name, nor for the time.
  const named = report.streams.find((s: { stream: number }) => s.stream === sent.stream), nameless = report.streams.find((s: { stream: number }) => s.stream === 0);
  t.is(named.received + nameless.received, 3000);
  t.is(nameless.received, 1000);
  t.is(named.first, 0);
  t.is(named.highest, 2999);
  t.is(named.duplicates + named.reordered + named.tooLate, 0);
  t.is(report.latency.frames, 2000);
  t.true(report.latency.least > 0 && report.latency.least <= report.latency.p50 && report.latency.p50 <= report.latency.p999 && report.latency.p999 <= report.latency.most);
});

test('gen keeps to its rate, and sink ends when nothing comes any more', async (t) => {
  const env = runDirectory(t), sink = start(['sink', 'pipe:wire', '--idle', '3', '--json', '--duration', '90'], env);
  t.teardown(() => sink.child.kill('SIGKILL'));
  await sink.until(/shared memory/);
  const gen = await start(['gen', 'pipe:wire', '--rate', '2k', '--duration', '0.5', '--json'], env).ended;
  const { frames } = JSON.parse(gen.stdout), report = JSON.parse((await sink.ended).stdout);
  t.true(frames >= 1 && frames <= 1001, `${frames} frames in half a second at 2,000 a second`);
  t.is(report.frames, frames);
  t.is(report.streams[0].lost, 0);
});

test('gen sends the frames of a capture as they are', async (t) => {
  const env = runDirectory(t), sink = start(['sink', 'pipe:wire', '--count', '500', '--duration', '90', '--json'], env);
  t.teardown(() => sink.child.kill('SIGKILL'));
  await sink.until(/shared memory/);
  const gen = await start(['gen', 'pipe:wire', '--rate', '0', '--count', '500', '--from', join(packageRoot(), 'captures', 'LLDP_and_CDP.pcap')], env).ended;
  t.is(gen.code, 0, gen.stderr);
  t.regex(gen.stdout, /^500 frames in /);
  const report = JSON.parse((await sink.ended).stdout);
  t.is(report.frames, 500);
  t.is(report.foreign, 500);
  t.is(report.latency, undefined);
});

test('gen and sink say what they do not understand', async (t) => {
  const env = runDirectory(t);
  for (const [line, said] of [
    [['gen', 'pipe:a', '--size', '21'], /no frame size/], [['gen', 'pipe:a', '--rate', 'fast'], /no rate/], [['gen', 'pipe:a', '--through', 'kernel'], /network interfaces only/],
    [['gen', 'pipe:a', '--from', '/nowhere'], /nowhere/], [['sink'], /missing/],
  ] as const) {
    const { code, stderr } = await start(line, env).ended;
    t.true(code === 2 || code === 1, stderr);
    t.regex(stderr, said);
  }
});

test('sink counts loss, repetition and disorder as they happened', (t) => {
  t.notThrows(() => fc.assert(fc.property(fc.array(fc.record({ lost: fc.boolean(), twice: fc.boolean(), late: fc.boolean() }), { minLength: 1, maxLength: 300 }), (fates) => {
    // A late frame comes after the next one that is on time; the first and the last are on time, so that the span is known.
    const order: number[] = [], held: number[] = [];
    let reordered = 0, lost = 0, duplicates = 0;
    fates.forEach((fate, i) => {
      const edge = i === 0 || i === fates.length - 1;
      if (fate.lost && !edge) { lost++; return; }
      if (fate.late && !edge) { held.push(i); return; }
      order.push(i);
      for (const number of held.splice(0)) { order.push(number); reordered++; }
      if (fate.twice) { order.push(i); duplicates++; }
    });
    const count = new StreamCount(1);
    for (const number of order) count.count(number);
    return count.received === order.length && count.lost === lost && count.duplicates === duplicates && count.reordered === reordered && count.tooLate === 0;
  })));
});

test('a number that comes too late to tell is said to be', (t) => {
  const count = new StreamCount(1);
  for (const number of [0, 1, 200_000, 5]) count.count(number);
  t.is(count.tooLate, 1);
  t.is(count.lost, 200_001 - 4);
});

test('quantiles are within a step of what was measured', (t) => {
  t.notThrows(() => fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 2 ** 40 }), { minLength: 1, maxLength: 200 }), fc.constantFrom(0.5, 0.9, 0.99), (spans, share) => {
    const latencies = new Latencies();
    for (const ns of spans) latencies.add(ns);
    const exact = [...spans].sort((a, b) => a - b)[Math.ceil(spans.length * share) - 1], found = latencies.quantile(share);
    return found >= exact * 0.999 && found <= exact * 1.07 + 1;
  })));
});

test('a numbered frame is read as it was written, at any number', (t) => {
  t.notThrows(() => fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 53 - 2 }), fc.integer({ min: 34, max: 200 }), fc.integer({ min: 1, max: 2 ** 32 - 1 }), (number, size, stream) => {
    const numbering = new Numbering({ sizes: [size], source: Uint8Array.of(2, 0, 0, 0, 0, 1), sources: 1, destination: Uint8Array.of(2, 0, 0, 0, 0, 2), destinations: 1, stream });
    numbering.number = number;
    const bytes = new Uint8Array(300), count = new NumberedCount();
    const length = numbering.write(bytes, 8, 5_000_000_000);
    count.read(bytes, 8, length, 5_000_000_700);
    const found = count.streams.get(stream);
    return length === size && count.foreign === 0 && found?.first === number && count.latencies.least === 700;
  })));
});

if (has('gen and sink on interfaces', 'root', 'ip')) {
  for (const through of ['kernel', 'port'] as const) {
    test(`what gen sends over veth through the ${through} comes to sink`, async (t) => {
      const env = runDirectory(t), a = new Namespace(), b = new Namespace();
      t.teardown(() => { a.delete(); b.delete(); });
      sh(`ip link add g0 netns ${a.name} type veth peer name g1 netns ${b.name} && ip -n ${a.name} link set g0 up && ip -n ${b.name} link set g1 up`);
      const sink = start(['sink', 'xdp:g1', '--idle', '4', '--duration', '90', '--json'], env, b);
      t.teardown(() => sink.child.kill('SIGKILL'));
      await sink.until(/AF_XDP/);
      const gen = await start(['gen', 'xdp:g0', '--rate', '2k', '--count', '1000', '--sources', '5', '--through', through, '--json'], env, a).ended;
      t.is(gen.code, 0, gen.stderr);
      const sent = JSON.parse(gen.stdout), report = JSON.parse((await sink.ended).stdout);
      t.is(sent.frames, 1000);
      const [stream] = report.streams;
      t.is(stream.stream, sent.stream);
      // What a veth could not take, on a machine that is busy, was lost in the kernel: it is then missing here, and not there twice.
      t.is(stream.received + stream.lost + stream.first + (999 - stream.highest), 1000);
      t.true(stream.received > 0);
      t.is(stream.duplicates, 0);
      t.is(report.latency.frames, stream.received);
    });
  }
}
