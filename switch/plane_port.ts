/** A port as the data plane has it: rings, counters, what is on its way, and whether it takes part. */
import type { PortDriver } from './ports/driver.js';
import type { Inlet } from './ports/handoff.js';
import type { Ring } from './ring.js';

export class PlanePort {
  readonly id: number;
  readonly driver: PortDriver;
  readonly tx: Ring;
  /** Frames on the TX ring that other TX rings have as well: by buffer, 1. */
  readonly flooded: Uint8Array;
  readonly counters: Float64Array;
  /** Index of the first TX entry that was not published yet, and the bytes of the frames since. */
  published: number;
  unpublishedBytes = 0;
  /** The TX ring takes no frame with fewer entries free than this: a port that is stuck does not get every buffer there is. */
  spare = 1;
  /** The newest stamp of each queue, ns: a stamp before it is an older frame's. */
  readonly lastStamp: Float64Array;
  /** By port number, shared by all: 1 where frames may go out. */
  readonly open: Uint8Array;
  /** Off: what comes in is dropped, and nothing is sent. Its frames may still be kept. */
  forwarding = true;
  /** Off: nothing that comes in here is kept. */
  keeping = true;
  /** It was said that the port is gone. */
  lost = false;
  /** Where other workers hand over what they send here. */
  inlets: Inlet[] = [];

  constructor(id: number, driver: PortDriver, buffers: number, counters: Float64Array, open: Uint8Array) {
    this.id = id;
    this.open = open;
    open[id] = 1;
    this.driver = driver;
    this.tx = driver.queues[0].tx;
    this.published = this.tx.next;
    this.lastStamp = new Float64Array(driver.queues.length);
    this.flooded = new Uint8Array(buffers);
    this.counters = counters;
  }

  /** Sends and receives: the link is up, and nobody disabled the port. */
  get up(): boolean { return this.open[this.id] === 1; }
  set up(up: boolean) { this.open[this.id] = up ? 1 : 0; }
}
