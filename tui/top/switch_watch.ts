/**
 * A switch as seen from outside: its counters once a second, what they came to since, and whether it runs. Reads the counters file
 * and the lock; asks nobody. It follows a switch that ends and is started again under its name.
 */
import { closeSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { lockHeld } from '../../native/index.js';
import { Counters, type CountersSnapshot, type PortSnapshot } from '../../switch/counters.js';
import { countersPath } from '../../switch/run_directory.js';
import { History } from '../graph.js';

/** `stuck`: the process is there and its data plane has not moved for a while. */
export type SwitchState = 'running' | 'stuck' | 'stopped' | 'died';

/** Seconds that graphs reach back: what 250 columns of braille hold. */
export const HISTORY_SECONDS = 512;
/** The data plane wakes four times a second with nothing to do. */
const STUCK_SECONDS = 5;

/** What a port did since the look before, a second. */
export class PortRates {
  readonly inFrames = new History(HISTORY_SECONDS);
  readonly inBits = new History(HISTORY_SECONDS);
  readonly outFrames = new History(HISTORY_SECONDS);
  readonly outBits = new History(HISTORY_SECONDS);
  readonly drops = new History(HISTORY_SECONDS);
  readonly kept = new History(HISTORY_SECONDS);
}

export const droppedOf = (p: PortSnapshot): number => Object.values(p.dropped).reduce((a, b) => a + b, 0);

export class SwitchWatch {
  readonly directory: string;
  snapshot: CountersSnapshot;
  /** As of the look before; undefined after a start. */
  before: CountersSnapshot | undefined;
  state: SwitchState = 'running';
  /** Between the last two looks. */
  seconds = 0;
  /** Frames kept a second: by all data-plane threads, and by each, in the order of the lanes they write. */
  readonly kept = new History(HISTORY_SECONDS);
  keptOfLanes: readonly History[] = [];
  private readonly ratesById = new Map<number, PortRates>();
  private counters: Counters;
  private inode: number;
  private lockFd: number | undefined;
  private lookedAt = performance.now();

  /** @param directory the switch's run directory. @throws FramekeepError E_COUNTERS, E_PERMISSION */
  constructor(directory: string) {
    this.directory = directory;
    this.counters = Counters.open(countersPath(directory));
    this.inode = statSync(countersPath(directory)).ino;
    this.snapshot = this.counters.snapshot();
    this.state = this.findState();
  }

  /** Ports that are there, or were when the switch ended, in order. */
  get ports(): readonly PortSnapshot[] {
    const there = this.snapshot.ports.filter((p) => p.state !== 'removed');
    return this.isAlive || there.length > 0 ? there : this.snapshot.ports;  // a switch that stops removes its ports
  }

  /** The number that the next frame gets in each lane that is written; undefined where that was not told yet. */
  get nextOfLanes(): readonly (number | undefined)[] { return this.snapshot.workers.map((w) => w.slots > 0 ? w.nextSequence : undefined); }

  get isAlive(): boolean { return this.state === 'running' || this.state === 'stuck'; }

  /** When it was last heard of: now, or the time of its last turn. Seconds since 1970. */
  get lastSeconds(): number {
    const { heartbeat } = this.snapshot.global;
    const idle = Number(process.hrtime.bigint()) / 1e9 - heartbeat;
    // The heartbeat is CLOCK_MONOTONIC: it says nothing where the machine was booted since.
    return this.isAlive || heartbeat <= 0 || idle < 0 ? Date.now() / 1000 : Math.max(this.snapshot.startSeconds, Date.now() / 1000 - idle);
  }

  rates(port: PortSnapshot): PortRates {
    let rates = this.ratesById.get(port.id);
    if (rates === undefined) this.ratesById.set(port.id, rates = new PortRates());
    return rates;
  }

  /** Looks. @returns true when another run of the switch has begun: what was known of the one before is gone */
  look(): boolean {
    const isAnother = this.follow(), at = performance.now();
    this.before = isAnother ? undefined : this.snapshot;
    this.snapshot = this.counters.snapshot();
    this.seconds = (at - this.lookedAt) / 1000;
    this.lookedAt = at;
    this.state = this.findState();
    if (isAnother) this.ratesById.clear();
    const { workers } = this.snapshot;
    if (isAnother || this.keptOfLanes.length !== workers.length) this.keptOfLanes = workers.map(() => new History(HISTORY_SECONDS));
    const { before, seconds } = this;
    // After its end the graphs stand still: they are the last that is known.
    if (before === undefined || seconds <= 0 || !this.isAlive) return isAnother;
    const a = (now: number, then: number): number => Math.max(0, now - then) / seconds;
    for (const p of this.snapshot.ports) {
      const was = before.ports.find((o) => o.id === p.id && o.spec === p.spec);
      if (was === undefined) {
        this.ratesById.delete(p.id);  // the number has a new owner
        continue;
      }
      const rates = this.rates(p);
      rates.inFrames.push(a(p.received, was.received));
      rates.inBits.push(a(p.receivedBytes, was.receivedBytes) * 8);
      rates.outFrames.push(a(p.sent, was.sent));
      rates.outBits.push(a(p.sentBytes, was.sentBytes) * 8);
      rates.drops.push(a(droppedOf(p), droppedOf(was)));
      rates.kept.push(a(p.kept, was.kept));
    }
    this.kept.push(a(this.snapshot.global.committed, before.global.committed));
    this.keptOfLanes.forEach((kept, n) => kept.push(a(workers[n].committed, before.workers[n]?.committed ?? 0)));
    return isAnother;
  }

  close(): void {
    this.counters.close();
    if (this.lockFd !== undefined) closeSync(this.lockFd);
  }

  /** A switch that starts puts a new file in the old one's place. */
  private follow(): boolean {
    try {
      const path = countersPath(this.directory), { ino } = statSync(path);
      if (ino === this.inode) return false;
      const next = Counters.open(path);
      this.counters.close();
      this.counters = next;
      this.inode = ino;
      return true;
    } catch { return false; }  // gone: what is mapped stays
  }

  private findState(): SwitchState {
    const { global } = this.snapshot;
    if (!this.isLocked()) return global.stopped > 0 ? 'stopped' : 'died';
    if (global.stopped > 0) return 'stopped';
    const idle = Number(process.hrtime.bigint()) / 1e9 - global.heartbeat;
    return global.heartbeat > 0 && idle > STUCK_SECONDS ? 'stuck' : 'running';
  }

  private isLocked(): boolean {
    try {
      this.lockFd ??= openSync(join(this.directory, 'lock'), 'r');
      return lockHeld(this.lockFd);
    } catch { return false; }
  }
}
