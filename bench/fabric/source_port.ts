/** A port whose other end is the native source: soft rings, and nothing to do a turn, as little as for a NIC in zero-copy mode. */
import { unmap, type Mapping } from '../../native/index.js';
import type { PortContext, PortDriver } from '../../switch/ports/driver.js';
import { makeSoftRings, type RingSet } from '../../switch/ring.js';

export class SourcePort implements PortDriver {
  readonly queues: readonly RingSet[];
  readonly stamped = false;
  readonly partialChecksums = false;
  readonly fds: readonly number[] = [];
  readonly note = 'the bench\'s source';
  readonly mac = new Uint8Array(6);
  readonly mtu: number;
  readonly due = 0;
  readonly finished = false;
  readonly memory: Mapping;

  constructor(context: PortContext, ringSize: number) {
    const rings = makeSoftRings(ringSize);
    this.memory = rings.memory;
    this.queues = [rings.plane];
    this.mtu = context.maxFrame - 14;
  }

  receive(): void { /* the source's thread fills the RX ring */ }
  transmit(): void { /* and empties the TX ring */ }
  /** After the source has stopped. */
  close(): void { unmap(this.memory); }
}
