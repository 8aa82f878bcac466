/**
 * What happens to a switch, as JSON lines with fields: to a file, to standard output, or to the journal. Written by the control
 * thread, a line at a time and at once; what repeats is said three times a minute and then counted.
 *
 *   {"level":"warn","time":"2026-11-21T03:04:05.678Z","pid":812,"switch":"lab","event":"port-down","port":"xdp:eth1","msg":"link is down"}
 */
import type { DestinationStream, Logger } from 'pino';
import type { FramekeepError } from '../../native/index.js';
import type { CountersSnapshot, Switch, SwitchEvent, SwitchPort } from '../../switch/index.js';
import { whatFailed } from '../exit.js';
import type { Io } from '../io.js';
import { Journal } from './journal.js';
import { Limiter } from './limiter.js';
import type { Happening, Level } from './watch.js';

const SAME_MOST = 3, SAME_SECONDS = 60, MOST_WAITING = 1 << 20;
const LEVEL_OF: Readonly<Record<SwitchEvent['kind'], Level>> = {
  'port-up': 'info', 'port-down': 'warn', 'port-gone': 'error', 'port-warning': 'warn', 'port-finished': 'info', 'port-added': 'info', 'port-removed': 'info', 'port-changed': 'info',
  overload: 'warn', 'fdb-full': 'warn', floods: 'warn', moves: 'info',
  'keep-changed': 'info', 'keeping-frozen': 'info', 'keeping-resumed': 'info', 'keeping-stopped': 'error', stopped: 'debug',
};
/** Told every ten seconds at most, with what came since. */
const SUMMED: ReadonlySet<SwitchEvent['kind']> = new Set(['overload', 'fdb-full', 'floods']);

export class ServiceLog {
  private readonly pino: Logger;
  private readonly file: { reopen(): void } | undefined;
  private readonly limiter = new Limiter(SAME_MOST, SAME_SECONDS);

  /**
   * @param destination  a file's path, which is appended to; `-`: standard output; `journal`: systemd's
   * @throws FramekeepError E_LOG; or what the system says of the file
   */
  static async open(destination: string, level: Level, name: string, io: Io): Promise<ServiceLog> {
    const { pino } = await import('pino');
    let stream: DestinationStream, file: { reopen(): void } | undefined;
    if (destination === 'journal') stream = new Journal();
    else if (destination === '-') stream = { write: (line: string) => { io.stdout.write(line); } };
    else {
      const lines = pino.destination({ dest: destination, append: true, sync: true, mode: 0o640, maxLength: MOST_WAITING });
      let said = false;
      lines.on('error', (error: Error) => {  // a full disk is no reason to stop switching
        if (!said) io.note(`framekeep: the log ${destination} cannot be written: ${error.message}`);
        said = true;
      });
      stream = file = lines;
    }
    const logger = pino({
      level, base: { pid: process.pid, switch: name }, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) },
    }, stream);
    return new ServiceLog(logger, file);
  }

  private constructor(logger: Logger, file: { reopen(): void } | undefined) {
    this.pino = logger;
    this.file = file;
  }

  setLevel(level: Level): void { this.pino.level = level; }

  /** After the file was moved away (logrotate): the next line goes into a new one. */
  reopen(): void { this.file?.reopen(); }

  say(level: Level | 'fatal', event: string, text: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.pino[level]({ event, ...fields }, text);
  }

  started(sw: Switch, ports: readonly SwitchPort[]): void {
    const { findings, ...started } = sw.started;
    this.say('info', 'started', `run ${started.boot} of the pool, ${ports.length} port${ports.length === 1 ? '' : 's'}`, { pool: sw.stats().pool, ...started });
    for (const line of findings) this.say('warn', 'pool-finding', line);
    for (const line of sw.leftovers) this.say('warn', 'put-back', `put back after an earlier crash: ${line}`);
    for (const { spec, id, note, report } of ports) this.say('info', 'port-added', `added: ${note}`, { port: spec, id, report });
  }

  /** @param now seconds, as for `tick` */
  event(event: SwitchEvent, now: number): void {
    if (event.kind === 'stopped') return;  // `stopped` says it, with the last counters
    const { kind, text, port: _, spec, ...fields } = { port: -1, spec: undefined, ...event };
    if (!SUMMED.has(kind) && !this.limiter.allows(`${kind}${spec === undefined ? '' : ` ${spec}`}`, now)) return;
    this.say(LEVEL_OF[kind], kind, text, { ...(spec !== undefined && { port: spec }), ...fields });
  }

  happened(found: readonly Happening[]): void {
    for (const { level, event, text, fields } of found) this.say(level, event, text, fields);
  }

  tick(now: number): void {
    for (const [what, times] of this.limiter.ended(now)) {
      const [event, port] = what.split(/ (.*)/);
      this.say('warn', 'repeated', `${what}: ${times} more times in ${SAME_SECONDS} s`, { repeated: event, times, ...(port !== undefined && { port }) });
    }
  }

  failed(error: FramekeepError): void { this.say('fatal', 'failed', whatFailed(error), { code: error.code, remedy: error.remedy }); }

  stopped(last: CountersSnapshot): void {
    const sum = (of: (p: CountersSnapshot['ports'][number]) => number): number => last.ports.reduce((n, p) => n + of(p), 0);
    const totals = {
      received: sum((p) => p.received), sent: sum((p) => p.sent), dropped: sum((p) => Object.values(p.dropped).reduce((a, b) => a + b, 0)),
      kept: sum((p) => p.kept), notSelected: sum((p) => p.notSelected), lost: sum((p) => p.lost),
    };
    this.tick(Infinity);
    this.say('info', 'stopped', `received ${totals.received}, kept ${totals.kept}`, totals);
  }
}
