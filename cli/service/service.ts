/**
 * A switch as a service: what it says to its manager, to its log and to Prometheus, and SIGHUP. All of it runs in the control thread,
 * once a second; what was not asked for is not even loaded.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../native/index.js';
import { windowOf } from '../../switch/counters.js';
import type { CountersSnapshot, Switch, SwitchPort } from '../../switch/index.js';
import { asFramekeepError, whatFailed } from '../exit.js';
import type { Io } from '../io.js';
import type { UpOptions } from '../options.js';
import type { ServiceLog } from './log.js';
import { ServiceManager } from './manager.js';
import type { Answer, MetricsServer } from './metrics_server.js';
import { Reloader, type Reloaded } from './reload.js';
import { Watch } from './watch.js';

const TICK_SECONDS = 1, STATUS_SECONDS = 10;
const seconds = (): number => performance.now() / 1000;

export class Service {
  /** Whether the log takes the place of what a person is told. */
  readonly narrates: boolean;
  private readonly options: UpOptions;
  private readonly io: Io;
  private readonly manager: ServiceManager;
  private readonly log: ServiceLog | undefined;
  private readonly metrics: MetricsServer | undefined;
  private readonly watch = new Watch();
  private answer: (() => Promise<Answer>) | undefined;
  private sw: Switch | undefined;
  private reloader: Reloader | undefined;
  private reloading = false;
  private reloadAgain = false;
  private stopping = false;
  private timer: NodeJS.Timeout | undefined;
  private nextStatus = 0;

  /** Opens the log and the metrics' port. @throws FramekeepError before anything of the machine was touched */
  static async open(options: UpOptions, io: Io): Promise<Service> {
    const manager = new ServiceManager();
    const log = options.log === undefined ? undefined : await (await import('./log.js')).ServiceLog.open(options.log, options.logLevel, options.name, io);
    let service: Service | undefined;
    const metrics = options.metrics === undefined ? undefined
      : await (await import('./metrics_server.js')).MetricsServer.listen(options.metrics, async () => service?.answer?.());
    const made = service = new Service(options, io, manager, log, metrics);
    // Something to read again, or a log file that may have been moved away; otherwise SIGHUP is a request to stop.
    if (options.config !== undefined || options.log !== undefined) io.onHangup = () => void made.reload();
    return made;
  }

  private constructor(options: UpOptions, io: Io, manager: ServiceManager, log: ServiceLog | undefined, metrics: MetricsServer | undefined) {
    this.options = options;
    this.io = io;
    this.manager = manager;
    this.log = log;
    this.metrics = metrics;
    this.narrates = options.log === '-' || options.log === 'journal';
  }

  /** The switch runs. @param ports in the order of `options.ports`. @param again the options as the configuration file says them now */
  begin(sw: Switch, ports: readonly SwitchPort[], again: () => UpOptions): void {
    const { options, manager, log } = this;
    this.sw = sw;
    log?.started(sw, ports);
    sw.on('event', (event) => log?.event(event, seconds()));
    sw.on('failed', (error) => log?.failed(error));
    sw.once('stopping', () => {
      this.stopping = true;
      manager.stopping('sending what is in flight, committing');
      log?.say('info', 'stopping', 'stopping');
    });
    sw.once('stopped', () => log?.stopped(sw.stats()));
    if (this.metrics !== undefined) void this.serveMetrics(this.metrics, sw);
    this.reloader = new Reloader(sw, options, ports, again, (level) => log?.setLevel(level));
    manager.ready(statusOf(sw.stats()));
    if (log === undefined && !manager.listens) return;
    const period = manager.watchdogSeconds > 0 ? Math.min(TICK_SECONDS, manager.watchdogSeconds / 3) : TICK_SECONDS;
    this.timer = setInterval(() => this.tick(), period * 1000);
    this.timer.unref();
  }

  /** For what ended it before or besides the data plane. */
  failed(error: unknown): void {
    const failure = asFramekeepError(error);
    this.manager.status(whatFailed(failure));
    this.log?.failed(failure);
  }

  end(): void {
    clearInterval(this.timer);
    this.metrics?.close();
  }

  private async serveMetrics(server: MetricsServer, sw: Switch): Promise<void> {
    const { metricsOf } = await import('./metrics.js');
    const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
    const { medium, durability, zeroCopy } = sw.started;
    const registry = metricsOf(() => sw.stats(), { version, node: process.versions.node, switch: sw.name, pool: sw.stats().pool, medium, durability, copies: zeroCopy ? '0' : '1' });
    this.answer = async () => ({ type: registry.contentType, text: await registry.metrics() });
    this.log?.say('info', 'metrics', `metrics at ${server.url}`, { url: server.url });
    if (this.options.json) this.io.print(JSON.stringify({ type: 'metrics', url: server.url }));
    else if (!this.options.quiet && !this.narrates) this.io.note(`metrics: ${server.url}`);
  }

  private tick(): void {
    const { sw, manager, log } = this, s = sw!.stats(), now = seconds();
    manager.alive(s.global.turns);
    log?.happened(this.watch.look(s, now));
    log?.tick(now);
    if (!manager.listens || now < this.nextStatus || s.global.stopped > 0) return;
    this.nextStatus = now + STATUS_SECONDS;
    manager.status(statusOf(s));
  }

  /** One at a time; a SIGHUP that comes in the middle asks for another one. */
  private async reload(): Promise<void> {
    const { manager, log, reloader } = this;
    if (reloader === undefined || this.stopping) return;
    if (this.reloading) { this.reloadAgain = true; return; }
    this.reloading = true;
    manager.reloading();
    try {
      log?.reopen();
      this.tell(await reloader.reload());
    } catch (thrown) {
      const error = asFramekeepError(thrown), text = `not reloaded, nothing was changed: ${whatFailed(error)}`;
      log?.say('error', 'reload-failed', text, { code: error.code, remedy: error.remedy });
      if (this.options.json) this.io.print(JSON.stringify({ type: 'reload-failed', error: { code: error.code, message: whatFailed(error), remedy: error.remedy } }));
      else if (!this.narrates) this.io.note(`${this.io.errColours.red('framekeep:')} ${text}\n  ${error.remedy}\n  [${error.code}]`);
    }
    this.reloading = false;
    if (!this.stopping) manager.ready(statusOf(this.sw!.stats()));
    if (this.reloadAgain) { this.reloadAgain = false; void this.reload(); }
  }

  private tell(r: Reloaded): void {
    const parts = [
      ...(r.changed.length > 0 ? [`changed: ${r.changed.join(', ')}`] : []),
      ...(r.closed.length > 0 ? [`closed: ${r.closed.join(', ')}`] : []),
      ...(r.opened.length > 0 ? [`opened: ${r.opened.map((p) => p.spec).join(', ')}`] : []),
      ...r.failed,
      ...(r.waiting.length > 0 ? [`waits for a restart: ${r.waiting.join(', ')}`] : []),
    ];
    const text = `reloaded; ${parts.length > 0 ? parts.join('; ') : 'nothing is different'}`;
    const bad = r.failed.length > 0 || r.waiting.length > 0, { log } = this;
    log?.say(bad ? 'warn' : 'info', 'reloaded', text, { changed: r.changed, closed: r.closed, opened: r.opened.map((p) => p.spec), waiting: r.waiting, failed: r.failed });
    if (this.options.json) this.io.print(JSON.stringify({ type: 'reloaded', ...r }));
    else if (!this.options.quiet && !this.narrates) this.io.note(bad ? this.io.errColours.yellow(text) : text);
  }
}

function statusOf(s: CountersSnapshot): string {
  const there = s.ports.filter((p) => p.state === 'up' || p.state === 'down'), up = there.filter((p) => p.state === 'up').length;
  const { committed, frozen } = s.global, { frames, slots } = windowOf(s), window = slots > 0 ? Math.floor(frames / slots * 100) : 0;
  return `${up} of ${there.length} ports up, ${committed} frames kept, pool ${window} % full${frozen > 0 ? ', keeping nothing' : ''}`;
}
