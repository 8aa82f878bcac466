/**
 * What a look at the counters, once a second, tells an operator: frames that a full queue dropped, a forwarding table that is
 * full, floods. Runs in the control thread; the data plane does nothing for it. What goes on is told again after ten seconds.
 */
import { thousands } from '../logger/words.js';
import type { CountersSnapshot } from './counters.js';
import type { SwitchEvent } from './messages.js';

const AGAIN_SECONDS = 10;
/** Fewer flooded frames a second than this are ARP and its like. */
const FLOOD_RATE = 1000;

interface Told { at: number; count: number }

export class CountersWatch {
  private before: CountersSnapshot | undefined;
  private beforeAt = 0;
  /** By subject: when it was told last, and how much has come since. */
  private readonly told = new Map<string, Told>();

  /** @param now seconds, of any clock that goes evenly */
  look(stats: CountersSnapshot, now: number): SwitchEvent[] {
    const { before } = this, seconds = now - this.beforeAt, events: SwitchEvent[] = [];
    this.before = stats;
    this.beforeAt = now;
    if (before === undefined || seconds <= 0) return events;
    let received = 0, flooded = 0;
    for (const port of stats.ports) {
      const was = before.ports.find((p) => p.id === port.id && p.spec === port.spec);
      if (was === undefined) continue;
      received += port.received - was.received;
      flooded += port.flooded - was.flooded;
      const full = this.since(`overload ${port.id}`, port.txFull - was.txFull, now);
      if (full > 0) events.push({ kind: 'overload', port: port.id, spec: port.spec, count: full, text: `${thousands(full)} frames were dropped: it does not send as fast as they come` });
    }
    const unlearned = this.since('fdb-full', stats.global.fdbFull - before.global.fdbFull, now);
    if (unlearned > 0) events.push({ kind: 'fdb-full', count: unlearned, text: `the forwarding table is full: ${thousands(unlearned)} times an address was not learned` });
    const floods = this.since('floods', flooded / seconds >= FLOOD_RATE && flooded * 2 > received ? flooded : 0, now);
    if (floods > 0) events.push({ kind: 'floods', count: floods, text: `most of what comes in is flooded: ${thousands(Math.round(flooded / seconds))} frames a second` });
    return events;
  }

  /** @returns how many to tell of now; 0: none, or not yet */
  private since(subject: string, count: number, now: number): number {
    const told = this.told.get(subject);
    if (told === undefined) {
      if (count > 0) this.told.set(subject, { at: now, count: 0 });
      return count;
    }
    told.count += count;
    if (now - told.at < AGAIN_SECONDS) return 0;
    const sum = told.count;
    if (sum === 0) this.told.delete(subject);
    else { told.at = now; told.count = 0; }
    return sum;
  }
}
