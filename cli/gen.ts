/** `framekeep gen`: numbered frames, or a capture's, out of a port; made by the kernel where that goes fastest. */
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as breathe, setTimeout as sleep } from 'node:timers/promises';
import { thousands } from '../logger/words.js';
import { FramekeepError } from '../native/error.js';
import { defaultRouteInterfaces, errnoName, interfaceInfo } from '../native/index.js';
import { PROG_RUN, progRun } from '../native/prog_run.js';
import { openCapture } from '../logger/capture/index.js';
import { BURST } from '../switch/burst.js';
import { LonePort, type Maker } from '../switch/lone_port.js';
import { Numbering, template, type NumberedOptions } from '../switch/numbered_frames.js';
import { EXIT } from './exit.js';
import type { Io } from './io.js';
import type { GenOptions } from './options.js';

/** Of a capture, the frames that are held in memory. */
const MOST_CAPTURE_BYTES = 256 << 20;

interface Sent { readonly frames: number; readonly seconds: number; readonly by: string }

export async function run(options: GenOptions, io: Io): Promise<number> {
  const numbered: NumberedOptions = {
    sizes: options.size, source: macBytes(options.source), sources: options.sources, destination: macBytes(options.destination), destinations: options.destinations, stream: randomInt(1, 2 ** 32),
  };
  const kernel = options.through === 'kernel' || (options.through === undefined && options.port.kind === 'xdp' && options.from === undefined);
  if (options.through === 'kernel' && (options.port.kind !== 'xdp' || options.from !== undefined)) {
    throw new FramekeepError('E_USAGE', 'the kernel makes numbered frames for network interfaces only', 'name an xdp: port and no capture, or leave --through kernel out');
  }
  const sent = kernel ? await byKernel(options, numbered, io) ?? await byPort(options, numbered, io) : await byPort(options, numbered, io);
  const rate = sent.seconds > 0 ? sent.frames / sent.seconds : 0;
  if (options.json) io.printJson({ frames: sent.frames, seconds: sent.seconds, rate, by: sent.by, ...(options.from === undefined && { stream: numbered.stream }) });
  else io.print(`${thousands(sent.frames)} frames in ${sent.seconds.toFixed(2)} s: ${thousands(Math.round(rate))} a second (${sent.by})`);
  return io.interrupted.aborted && io.interrupted.reason === 'SIGINT' ? EXIT.interrupted : EXIT.ok;
}

const macBytes = (text: string): Uint8Array => Uint8Array.from(text.split(':'), (part) => parseInt(part, 16));
const seconds = (since: bigint): number => Number(process.hrtime.bigint() - since) / 1e9;

/** @returns undefined where this kernel or user cannot, and nobody asked for it by name */
async function byKernel(options: GenOptions, numbered: NumberedOptions, io: Io): Promise<Sent | undefined> {
  const { port } = options, info = interfaceInfo(port.name);
  if (!options.force && defaultRouteInterfaces().some((one) => one.name === info.name)) {
    throw new FramekeepError('E_DEFAULT_ROUTE', `${info.name} carries the machine's default route: it would be flooded`, 'choose another interface, or give --force');
  }
  const from = process.hrtime.bigint();
  let making;
  try {
    making = progRun({
      ifindex: info.index, frames: numbered.sizes.map((size) => template(numbered, size)), rate: options.rate, count: options.count ?? Number.MAX_SAFE_INTEGER,
      // A call cannot be stopped within; one size after the other asks for short ones.
      most: numbered.sizes.length > 1 ? 4096 : 1 << 18, destinations: numbered.destinations, sources: numbered.sources,
    });
  } catch (error) {
    if (options.through === 'kernel' || !(error instanceof FramekeepError)) throw error;
    if (!options.quiet) io.note(`the port sends the frames: ${error.message.split('\n')[0]}`);
    return undefined;
  }
  const { counters } = making;
  while (counters[PROG_RUN.ended] === 0 && !io.interrupted.aborted && !(options.duration !== undefined && seconds(from) >= options.duration)) await sleep(5);
  making.stop();
  const took = seconds(from);
  if (counters[PROG_RUN.error] !== 0) throw new FramekeepError('E_PROG_RUN', `the kernel stopped making frames: ${errnoName(counters[PROG_RUN.error])}`, 'framekeep gen --through port');
  return { frames: counters[PROG_RUN.frames], seconds: took, by: 'made by the kernel' };
}

async function byPort(options: GenOptions, numbered: NumberedOptions, io: Io): Promise<Sent> {
  const directory = mkdtempSync(join(tmpdir(), 'framekeep-gen-'));
  const frames = options.from === undefined ? undefined : readCapture(options.from);
  const longest = frames === undefined ? Math.max(...numbered.sizes) : Math.max(...frames.map((f) => f.length));
  const port = await LonePort.open(options.port, { directory, force: options.force, receives: false, longest });
  try {
    if (!options.quiet) for (const line of [port.note, ...port.report]) io.note(`${options.port.text}: ${line}`);
    await connection(port, options, io);
    const numbering = new Numbering(numbered);
    let at = 0;
    const make: Maker = frames === undefined ? (bytes, to) => numbering.write(bytes, to, port.now) : (bytes, to, room) => {
      const frame = frames[at];
      at = at + 1 === frames.length ? 0 : at + 1;
      const length = Math.min(frame.length, room);
      for (let i = 0; i < length; i++) bytes[to + i] = frame[i];
      return length;
    };
    const from = process.hrtime.bigint(), count = options.count ?? Infinity;
    let sent = 0, looked = 0;
    for (;;) {
      const now = seconds(from);
      if (sent >= count || io.interrupted.aborted || (options.duration !== undefined && now >= options.duration)) break;
      const due = options.rate === 0 ? Infinity : Math.floor(now * options.rate) + 1;
      const n = port.send(Math.min(count - sent, Math.max(0, due - sent), BURST), make);
      sent += n;
      if (now - looked >= 0.1) {
        looked = now;
        const { failure } = port;
        if (failure !== undefined) throw new FramekeepError('E_LONE_PORT', `${options.port.text}: ${failure}`, `${sent} frames were sent`);
        await breathe();  // so that a signal is heard
      }
      if (n > 0) continue;
      if (options.rate > 0 && due <= sent) await sleep(Math.max(0, (sent / options.rate - seconds(from)) * 1000));
      else port.sleep(100_000);  // the ring is full
    }
    const took = seconds(from);
    for (const until = Date.now() + 1000; port.outstanding > 0 && Date.now() < until;) { port.send(0, make); port.sleep(100_000); }
    return { frames: sent, seconds: took, by: port.note };
  } finally {
    await port.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A pipe without another end lets go of what it is given: waits for one. */
async function connection(port: LonePort, options: GenOptions, io: Io): Promise<void> {
  if (options.port.kind !== 'pipe') return;
  port.send(0, () => 0);
  if (!port.isConnected && !options.quiet) io.note(`${options.port.text}: waiting for the other end`);
  while (!port.isConnected && !io.interrupted.aborted) {
    await sleep(20);
    port.send(0, () => 0);
  }
}

function readCapture(path: string): Uint8Array[] {
  const capture = openCapture(path), frames: Uint8Array[] = [];
  try {
    for (let bytes = 0; capture.next() && bytes < MOST_CAPTURE_BYTES; bytes += capture.captured) frames.push(capture.bytes.slice(capture.offset, capture.offset + capture.captured));
  } finally {
    capture.close();
  }
  if (frames.length === 0) throw new FramekeepError('E_CAPTURE_EMPTY', `${path} holds no frame`, 'name another file');
  return frames;
}
