/**
 * A capture for Wireshark: a pool's frames into its named pipe as pcapng, and from then on those that are kept. Whatever can be
 * refused is refused before the pipe is opened: Wireshark then shows the reason. The Freeze button speaks to the switch's control socket.
 */
import { closeSync, constants } from 'node:fs';
import { setTimeout as after } from 'node:timers/promises';
import { count, thousands } from '../../logger/words.js';
import { FramekeepError } from '../../native/error.js';
import { ByteSink } from '../../logger/capture/index.js';
import { compileFilter } from '../../logger/filter/index.js';
import { exportPool, Pool, type FollowNews, type Moment } from '../../logger/index.js';
import { connectControl, type ControlClient } from '../../switch/control/index.js';
import { whatFailed } from '../exit.js';
import { defaultsOf } from './answers.js';
import type { ExtcapLine } from './line.js';
import type { Source } from './sources.js';
import { openPipe, Toolbar } from './toolbar.js';

const SINK_BYTES = 1 << 19;
/** How long Wireshark may take to open its end. */
const READER_MS = 60_000;
/** A switch writes its run into the pool before its ports are open and its control socket is there: how long that is waited for, and how often asked. */
const SWITCH_MS = 60_000, ASK_MS = 200;

/** @throws FramekeepError; E_OUTPUT_CLOSED: Wireshark has closed the pipe, which is one way it ends a capture */
export async function capture(line: ExtcapLine, source: Source, interrupted: AbortSignal, application: string): Promise<void> {
  const filter = line.filter.trim() === '' ? undefined : compileFilter(line.filter);
  const pool = Pool.open(source.pool), isLive = pool.isLive(), defaults = defaultsOf(isLive), last = line.last ?? defaults.last;
  const limit = new AbortController(), signal = AbortSignal.any([interrupted, limit.signal]);
  const freezer = new Freezer(source.name), toolbar = new Toolbar(line.controlIn, line.controlOut, (label) => { void freezer.press(label); });
  freezer.toolbar = toolbar;
  let fd: number | undefined, timer: NodeJS.Timeout | undefined;
  try {
    await freezer.connect();
    const result = await exportPool(pool, async (beside) => {
      fd = await openWhenRead(line.fifo!, signal);
      if (line.duration > 0) timer = setTimeout(() => limit.abort(), Math.min(line.duration * 1000, 2 ** 31 - 1));
      return new ByteSink(fd, line.fifo, SINK_BYTES, beside);
    }, {
      match: filter?.match, reach: filter?.reach, from: momentOf(last, isLive), ports: line.ports, snap: line.snap, count: line.count || undefined,
      follow: line.follow ?? defaults.follow, signal, application,
      news: (news) => tell(news, toolbar, freezer),
    });
    const written = thousands(result.frames);
    toolbar.log(`${written} frames, ${thousands(result.overtaken)} replaced by the switch before they could be read`);
  } finally {
    clearTimeout(timer);
    freezer.close();
    toolbar.close();
    pool.close();
    if (fd !== undefined) closeSync(fd);
  }
}

/** A living pool's seconds are counted from now, another's from its newest frame. */
function momentOf(last: number, isLive: boolean): Moment | undefined {
  if (last === Infinity) return undefined;
  const back = BigInt(Math.round(last * 1e9));
  return isLive ? { relative: false, ns: BigInt(Date.now()) * 1_000_000n - back } : { relative: true, ns: -back };
}

function tell(news: FollowNews, toolbar: Toolbar, freezer: Freezer): void {
  if (news.kind === 'caught-up') toolbar.log(`${count(news.frames, 'frame')} from before; following`);
  else if (news.kind === 'overtaken') toolbar.say(`framekeep: ${count(news.frames, 'frame')} replaced by the switch before they could be read`);
  else {
    toolbar.say(`framekeep: the switch was started again (boot ${news.boot})`);
    void freezer.comeBack();
  }
}

/** Opens a named pipe as soon as somebody reads it. */
async function openWhenRead(path: string, signal: AbortSignal): Promise<number> {
  for (const end = Date.now() + READER_MS; ;) {
    try {
      return openPipe(path, constants.O_WRONLY);
    } catch (error) {
      if (error instanceof FramekeepError) throw error;
    }
    if (signal.aborted) throw new FramekeepError('E_OUTPUT_CLOSED', `${path}: ended before anybody read it`);
    if (Date.now() > end) throw new FramekeepError('E_EXTCAP_PIPE', `nobody has opened ${path} for reading within ${READER_MS / 1000} s`,
      'start the capture in Wireshark');
    await after(20);
  }
}

/** The switch behind the Freeze button, and its events, which go into the log. */
class Freezer {
  toolbar!: Toolbar;
  private readonly name: string | undefined;
  private control: ControlClient | undefined;
  private busy = false;
  /** Counts the runs whose socket is waited for. */
  private runs = 0;
  private isClosed = false;

  constructor(name: string | undefined) { this.name = name; }

  /** Another run has begun: its button is there as soon as its socket is. */
  async comeBack(): Promise<void> {
    const run = ++this.runs;
    for (const end = Date.now() + SWITCH_MS; run === this.runs; await after(ASK_MS, undefined, { ref: false })) {
      const isLast = this.name === undefined || Date.now() > end;
      if (this.control === undefined) await this.connect(!isLast);
      if (this.control !== undefined || isLast) return;
    }
  }

  /** Finds out what the button says. Without a switch there is nothing to press. @param quietly  says nothing where there is none */
  async connect(quietly = false): Promise<void> {
    this.control?.close();
    this.control = undefined;
    try {
      if (this.name === undefined) throw new FramekeepError('E_NO_SWITCH', 'no switch of yours writes this pool: there is nothing to freeze');
      const control = await connectControl(this.name);
      if (this.isClosed) {
        control.close();
        return;
      }
      this.control = control;
      control.on('event', (event) => {
        if (event.kind === 'keeping-frozen') this.toolbar.setButton('Resume');
        else if (event.kind === 'keeping-resumed') this.toolbar.setButton('Freeze');
        if ('text' in event) this.toolbar.log(event.text);
      });
      control.once('close', () => {
        if (this.control !== control) return;
        this.control = undefined;
        this.toolbar.setButton(undefined);
        this.toolbar.say(`framekeep: the switch ${this.name} has ended`);
      });
      await control.call('events.subscribe', {}, 2000);
      const { frozen } = await control.call('keep.show', {}, 2000);
      this.toolbar.setButton(frozen ? 'Resume' : 'Freeze');
    } catch (error) {
      this.toolbar.setButton(undefined);
      if (!quietly) this.toolbar.log(error instanceof FramekeepError ? whatFailed(error) : String(error));
    }
  }

  async press(label: string): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      if (this.control === undefined) await this.connect();
      if (this.control === undefined) throw new FramekeepError('E_NO_SWITCH', 'no switch of yours writes this pool: there is nothing to freeze');
      const { frozen } = await this.control.call(label === 'Resume' ? 'keep.resume' : 'keep.freeze', {}, 5000);
      this.toolbar.setButton(frozen ? 'Resume' : 'Freeze');
      this.toolbar.say(frozen ? 'framekeep: frozen; what the pool holds stays, and nothing new is kept' : 'framekeep: keeping again');
    } catch (error) {
      this.toolbar.warn(`framekeep: ${error instanceof FramekeepError ? whatFailed(error) : String(error)}`);
    } finally { this.busy = false; }
  }

  close(): void {
    const { control } = this;
    this.runs++;
    this.isClosed = true;
    this.control = undefined;
    control?.close();
  }
}
