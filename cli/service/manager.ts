/**
 * What a service says to its manager over NOTIFY_SOCKET (sd_notify(3)): that it is ready, how it is, that it reloads or stops, and
 * that it is alive. Silent where nobody asked. The variables are taken out of the environment, so that no child speaks for us.
 */
import { datagramSend } from '../../native/index.js';

export class ServiceManager {
  /** Seconds between two signs of life that the manager asks for; 0: it asks for none. */
  readonly watchdogSeconds: number;
  private readonly address: string;
  private lastTurns = -1;
  private lastStatus = '';

  constructor(env: NodeJS.ProcessEnv = process.env) {
    this.address = env['NOTIFY_SOCKET'] ?? '';
    const forUs = env['WATCHDOG_PID'] === undefined || Number(env['WATCHDOG_PID']) === process.pid;
    const microseconds = Number(env['WATCHDOG_USEC'] ?? 0);
    this.watchdogSeconds = this.listens && forUs && microseconds > 0 ? microseconds / 1e6 : 0;
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_PID', 'WATCHDOG_USEC']) delete env[name];
  }

  get listens(): boolean { return this.address !== ''; }

  ready(status: string): void { this.say(`READY=1\nSTATUS=${status}`); }

  /** To be followed by `ready` when it is done. CLOCK_MONOTONIC, in microseconds, tells the manager which reload is meant. */
  reloading(): void { this.say(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`); }

  stopping(status: string): void { this.say(`STOPPING=1\nSTATUS=${status}`); }

  status(text: string): void {
    if (text === this.lastStatus) return;
    this.lastStatus = text;
    this.say(`STATUS=${text}`);
  }

  /**
   * A sign of life, if the data plane gave one: it turns at least four times a second, also when it is idle.
   * @param turns how many turns it has made
   */
  alive(turns: number): void {
    if (this.watchdogSeconds === 0 || turns === this.lastTurns) return;
    this.lastTurns = turns;
    this.say('WATCHDOG=1');
  }

  private say(text: string): void {
    if (this.listens) datagramSend(this.address, Buffer.from(`${text}\n`));
  }
}
