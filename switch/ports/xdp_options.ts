/**
 * The options of an `xdp:` port (ports/xdp.ts says what they mean). The control thread reads them, since it attaches the program, and
 * tells the data plane, which opens the queues.
 */
import type { XdpWay } from '../../native/index.js';
import type { PortOptions } from './options.js';

export interface XdpPortOptions {
  readonly ring: number;
  readonly queues: number;
  readonly ways: readonly XdpWay[];
  readonly csum: 'auto' | 'on' | 'off';
  readonly offloads: 'wire' | 'keep';
}

const WAYS: Record<string, readonly XdpWay[]> = {
  auto: ['native zero-copy', 'native copy', 'generic copy'], zerocopy: ['native zero-copy'], native: ['native zero-copy', 'native copy'], generic: ['generic copy'],
};

/** @throws FramekeepError E_PORT_OPTION */
export function xdpPortOptions(options: PortOptions, rxQueues: number): XdpPortOptions {
  const ring = options.number('ring', 2048, 64, 1 << 16);
  const queues = options.number('queues', rxQueues, 1, Math.max(rxQueues, 1));
  const ways = WAYS[options.oneOf('mode', ['auto', 'zerocopy', 'native', 'generic'], 'auto')];
  const csum = options.oneOf('csum', ['auto', 'on', 'off'], 'auto');
  const offloads = options.oneOf('offloads', ['wire', 'keep'], 'wire');
  options.done();
  return { ring, queues, ways, csum, offloads };
}
