/** `framekeep sink`: counts what comes in at a port, and says what became of numbered frames on their way. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { thousands } from '../logger/words.js';
import { FramekeepError } from '../native/error.js';
import { LonePort } from '../switch/lone_port.js';
import { NumberedCount } from '../switch/numbered_frames.js';
import { EXIT } from './exit.js';
import type { Io } from './io.js';
import type { SinkOptions } from './options.js';

const LONGEST = 1522;

export async function run(options: SinkOptions, io: Io): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'framekeep-sink-')), count = new NumberedCount();
  const port = await LonePort.open(options.port, { directory, force: options.force, receives: true, longest: LONGEST });
  try {
    if (!options.quiet) for (const line of [port.note, ...port.report]) io.note(`${options.port.text}: ${line}`);
    await receive(port, count, options, io);
  } finally {
    await port.close();
    rmSync(directory, { recursive: true, force: true });
  }
  const report = reportOf(count);
  if (options.json) io.printJson(report);
  else for (const line of inWords(report)) io.print(line);
  return io.interrupted.aborted && io.interrupted.reason === 'SIGINT' ? EXIT.interrupted : EXIT.ok;
}

async function receive(port: LonePort, count: NumberedCount, options: SinkOptions, io: Io): Promise<void> {
  const read = count.read.bind(count), most = options.count ?? Infinity, from = process.hrtime.bigint();
  let looked = 0, heard = 0;
  for (;;) {
    const n = port.receive(read), now = Number(process.hrtime.bigint() - from) / 1e9;
    if (n > 0) heard = now;
    if (count.frames >= most || io.interrupted.aborted || (options.duration !== undefined && now >= options.duration)) return;
    if (options.idle !== undefined && count.frames > 0 && now - heard >= options.idle) return;
    if (now - looked >= 0.1) {
      looked = now;
      const { failure } = port;
      if (failure !== undefined) throw new FramekeepError('E_LONE_PORT', `${options.port.text}: ${failure}`, `${count.frames} frames had come`);
      await breathe();  // so that a signal is heard
    }
    if (n === 0) port.sleep(20e6);
  }
}

interface Report {
  readonly frames: number; readonly bytes: number; readonly seconds: number; readonly rate: number; readonly bitsPerSecond: number;
  /** Frames without a number. */
  readonly foreign: number;
  readonly streams: readonly {
    readonly stream: number; readonly received: number; readonly first: number; readonly highest: number;
    readonly lost: number; readonly duplicates: number; readonly reordered: number; readonly tooLate: number;
  }[];
  /** ns; of frames that carry a time. */
  readonly latency: { readonly frames: number; readonly least: number; readonly p50: number; readonly p99: number; readonly p999: number; readonly most: number } | undefined;
}

function reportOf(c: NumberedCount): Report {
  const span = (c.lastTime - c.firstTime) / 1e9, per = (n: number): number => span > 0 ? n / span : 0, l = c.latencies;
  return {
    frames: c.frames, bytes: c.bytes, seconds: span, rate: per(Math.max(0, c.frames - 1)), bitsPerSecond: per(c.bytes * 8), foreign: c.foreign,
    streams: [...c.streams.values()].map((s) => ({
      stream: s.stream, received: s.received, first: s.first, highest: s.highest, lost: s.lost, duplicates: s.duplicates, reordered: s.reordered, tooLate: s.tooLate,
    })),
    latency: l.count === 0 ? undefined : { frames: l.count, least: l.least, p50: l.quantile(0.5), p99: l.quantile(0.99), p999: l.quantile(0.999), most: l.most },
  };
}

function inWords(r: Report): string[] {
  const n = (x: number): string => thousands(Math.round(x)), us = (ns: number): string => `${(ns / 1000).toFixed(1)} µs`;
  const lines = [`${n(r.frames)} frames, ${n(r.bytes)} bytes in ${r.seconds.toFixed(2)} s: ${n(r.rate)} a second, ${(r.bitsPerSecond / 1e6).toFixed(1)} Mb/s`];
  if (r.foreign > 0) lines.push(`${n(r.foreign)} of them without a number`);
  for (const s of r.streams) {
    lines.push(`stream ${s.stream.toString(16).padStart(8, '0')}: numbers ${n(s.first)} to ${n(s.highest)}, ${n(s.lost)} lost, `
      + `${n(s.duplicates)} twice, ${n(s.reordered)} out of order${s.tooLate > 0 ? `, ${n(s.tooLate)} too late to tell` : ''}`);
  }
  if (r.latency !== undefined) lines.push(`on the way: ${us(r.latency.least)} at least, median ${us(r.latency.p50)}, 99 % ${us(r.latency.p99)}, 99.9 % ${us(r.latency.p999)}, at most ${us(r.latency.most)}`);
  return lines;
}
