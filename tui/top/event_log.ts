/**
 * What happened, newest last: told by the switch on its control socket, or seen in the counters between two looks. What repeats is one
 * line with a count.
 */
import { thousands } from '../../logger/words.js';
import { rateText } from '../amounts.js';
import type { Style } from '../look.js';
import type { SwitchState, SwitchWatch } from './switch_watch.js';

export interface LoggedEvent { readonly first: number; last: number; text: string; style: Style; times: number; readonly key: string }

const MOST = 500, SAME_SECONDS = 30;
/** What counts as a flood: so many flooded frames a second, and at least half of what a port receives. */
const FLOOD_FRAMES = 1000, FLOOD_SHARE = 0.5;

export class EventLog {
  readonly events: LoggedEvent[] = [];
  private wasState: SwitchState | undefined;

  /** @param key  events of one key within half a minute are one line. @param at seconds since 1970 */
  add(text: string, style: Style = 'normal', key = text, at = Date.now() / 1000): void {
    for (let i = this.events.length - 1; i >= 0 && at - this.events[i].last < SAME_SECONDS; i--) {
      const e = this.events[i];
      if (e.key !== key) continue;
      e.last = at;
      e.text = text;
      e.times++;
      return;
    }
    this.events.push({ first: at, last: at, text, style, times: 1, key });
    if (this.events.length > MOST) this.events.shift();
  }

  /** @param told  the switch tells of itself: what is left are the kernel's drops, frames that were lost, and whether it runs */
  compare(watch: SwitchWatch, told: boolean): void {
    this.compareState(watch);
    const { snapshot: now, before, seconds } = watch;
    if (before === undefined || seconds <= 0) return;
    const g = now.global, was = before.global;
    if (!told && g.frozen !== was.frozen) this.add(g.frozen > 0 ? 'the pool is frozen: nothing new is kept' : 'frames are kept again', g.frozen > 0 ? 'warn' : 'good', `frozen${g.frozen}`);
    if (!told && g.moved > was.moved) this.add(`${thousands(g.moved - was.moved)} address${g.moved - was.moved === 1 ? '' : 'es'} moved to another port`, 'warn', 'moves');
    if (!told && g.fdbFull > was.fdbFull) this.add(`the forwarding table is full: ${thousands(g.fdbFull - was.fdbFull)} times an address was not learned`, 'bad', 'fdb-full');
    for (const p of now.ports) {
      const old = before.ports.find((o) => o.id === p.id && o.spec === p.spec);
      if (old === undefined) {
        if (!told && p.state !== 'removed') this.add(`${p.spec}: port opened`, 'good', `opened${p.id}`);
        continue;
      }
      if (!told && p.state !== old.state) this.add(`${p.spec}: ${p.state}${p.state === 'up' ? '' : ` (it was ${old.state})`}`, p.state === 'up' ? 'good' : 'warn', `${p.state}${p.id}`);
      if (!told && p.finished > old.finished) this.add(`${p.spec}: came to its end`, 'normal', `finished${p.id}`);
      const a = (key: 'flooded' | 'received' | 'txFull' | 'lost' | 'xdpRxRingFull' | 'xdpFillEmpty' | 'xdpRxDropped'): number => Math.max(0, p[key] - old[key]) / seconds;
      if (!told && a('flooded') >= FLOOD_FRAMES && a('flooded') >= FLOOD_SHARE * a('received')) {
        this.add(`${p.spec}: ${rateText(a('flooded'))} frames/s are flooded, ${Math.round(100 * a('flooded') / a('received'))} % of what it receives`, 'warn', `floods${p.id}`);
      }
      if (!told && a('txFull') > 0) this.add(`${p.spec}: overload, ${rateText(a('txFull'))} frames/s found its TX ring full`, 'bad', `overload${p.id}`);
      if (a('lost') > 0) this.add(`${p.spec}: ${rateText(a('lost'))} frames/s should have been kept and were not`, 'bad', `lost${p.id}`);
      const ring = a('xdpRxRingFull') + a('xdpFillEmpty') + a('xdpRxDropped');
      if (ring > 0) this.add(`${p.spec}: overload, the kernel dropped ${rateText(ring)} frames/s for want of a descriptor`, 'bad', `rx${p.id}`);
    }
  }

  private compareState(watch: SwitchWatch): void {
    const { state, snapshot, lastSeconds } = watch;
    if (state === this.wasState || (state === 'running' && snapshot.global.boot === 0)) return;  // 0: its pool is still being opened
    if (this.wasState === undefined) this.add(`${snapshot.name}: run ${snapshot.global.boot} of the pool, process ${snapshot.pid}`, 'normal', 'run', snapshot.startSeconds);
    else if (state === 'running') this.add(this.wasState === 'stuck' ? 'the data plane goes on' : `${snapshot.name} was started again: run ${snapshot.global.boot}, process ${snapshot.pid}`, 'good', `running${snapshot.pid}`);
    if (state === 'died') this.add(`${snapshot.name} died without a word (process ${snapshot.pid})`, 'bad', 'died', lastSeconds);
    else if (state === 'stopped') this.add(`${snapshot.name} has stopped`, 'warn', 'stopped', lastSeconds);
    else if (state === 'stuck') this.add('the data plane does not move: it is stopped, or the machine is out of time', 'bad', 'stuck');
    this.wasState = state;
  }
}
