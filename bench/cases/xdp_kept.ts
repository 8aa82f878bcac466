/**
 * What keeping costs on a wire, by frame size: two veth pairs, AF_XDP, everything kept and flushed as on persistent memory, against nothing kept.
 * So did PASTE measure, on a NIC; `fabric-kept` asks the same of a switch that no wire holds back.
 */
import { over, type Case, type Row } from '../case.js';
import { FRAMEKEEP, FRAMEKEEP_FLUSHED } from '../net/switches.js';
import { COSTS } from './fabric_kept.js';
import { saturated } from './xdp_saturated.js';

const kept = (size: number): string => `kept, ${size}`, not = (size: number): string => `not kept, ${size}`;

export const xdpKept: Case = {
  name: 'xdp-kept',
  about: 'saturating frames of each size over two veth pairs, AF_XDP: everything kept and flushed (clwb of frame and record, two fences), against nothing kept',
  needs: ['root', 'ip', 'ethtool', 'taskset', 'ping'],
  minutes: 4,
  contestants: (settings) => [...COSTS.keys()].flatMap((size) => [
    saturated(FRAMEKEEP_FLUSHED, settings, size, kept(size)), saturated(FRAMEKEEP, settings, size, not(size)),
  ]),
  rows: (median) => [...COSTS].map(([size, cost]): Row => ({
    what: `${size} bytes, kept and flushed, of not kept`, ratio: over(median(kept(size), 'kpps'), median(not(size), 'kpps')), value: median(kept(size), 'kpps'), unit: 'k frames/s',
    target: { atLeast: 1 - cost }, note: `${median(not(size), 'kpps')?.toFixed(0) ?? '–'} k frames/s not kept, ${median(kept(size), 'unaccounted') ?? '–'} unaccounted for`,
  })),
};
