/**
 * The helper process of a `cap:` port: libpcap through the npm package `cap` on one side, the port's pipe on the other. A process
 * of its own because that package is not safe in the switch's: an interface going down aborts it, the second thread that
 * loads it fails, `send` after `close` faults.
 *
 *   node cap_helper.js INTERFACE PIPE-PATH      says {ready: link type} or {error} to its parent, ends when its parent does
 */
import { createRequire } from 'node:module';
import { createReadStream } from 'node:fs';
import { dropPrivileges, mapMemory } from '../../native/index.js';
import { HEADROOM, type PortContext } from './driver.js';
import { PipePort } from './pipe.js';

interface Cap {
  open(device: string, filter: string, bufferBytes: number, buffer: Buffer): string;
  send(buffer: Buffer, length: number): void;
  setMinBytes?(bytes: number): void;
  close(): void;
  on(event: 'packet', listener: (bytes: number, truncated: boolean) => void): void;
}

const [, , device, path] = process.argv;
const CHUNK = 4096, CHUNKS = 1024, LONGEST = CHUNK - HEADROOM;

function fail(error: string): never {
  process.send?.({ error }, () => process.exit(1));
  throw new Error(error);
}

const memory = mapMemory('framekeep-cap', CHUNK * CHUNKS);
const bytes = new Uint8Array(memory.segments[0]);
const context: PortContext = { umem: memory, segments: [bytes], chunk: CHUNK, maxFrame: LONGEST, xdpSockets: new Set() };
const pipe = new PipePort(context, undefined, path, 'cap');
const { rx, tx, fill, completion } = pipe.queues[0];
const free = Uint32Array.from({ length: CHUNKS }, (_, i) => i * CHUNK);
let freeCount = CHUNKS;

let cap: Cap;
const captured = Buffer.alloc(65536);
try {
  const { Cap } = createRequire(import.meta.url)('cap') as { Cap: new () => Cap };
  cap = new Cap();
} catch (error) { fail(`the package cap does not load: ${(error as Error).message}`); }
try {
  const linkType = cap.open(device, '', 10 << 20, captured);
  if (linkType !== 'ETHERNET') fail(`its link type is ${linkType}, not Ethernet`);
  cap.setMinBytes?.(0);
  dropPrivileges([]);  // libpcap has its socket: this process needs nothing more
} catch (error) { fail((error as Error).message); }

/** From the wire to the switch. libpcap hands the same bytes again at the next packet: they are copied out at once. */
cap.on('packet', (length) => {
  takeBack();
  if (freeCount === 0 || tx.room(1) === 0 || length > LONGEST) return;
  const at = free[--freeCount] + HEADROOM;
  bytes.set(captured.subarray(0, length), at);
  tx.pushDescriptor(at, 0, length);
  tx.publish();
  pipe.transmit();
});

/** From the switch to the wire. */
function toWire(): void {
  for (;;) {
    refill();
    pipe.receive(Number(process.hrtime.bigint()));
    const n = rx.available();
    if (n === 0) return;
    for (let i = 0; i < n; i++) {
      const d = rx.at(rx.next + i), at = rx.words[d], length = rx.words[d + 2];
      try {
        cap.send(Buffer.from(bytes.buffer, at, length), length);
      } catch { /* the interface is down: the frame is lost on the wire, as it would be on a cable */ }
      free[freeCount++] = at - (at % CHUNK);
    }
    rx.next = (rx.next + n) >>> 0;
    rx.publish();
  }
}

function takeBack(): void {
  const n = completion.available();
  for (let i = 0; i < n; i++) {
    const at = completion.words[completion.at(completion.next + i)];
    free[freeCount++] = at - (at % CHUNK);
  }
  completion.next = (completion.next + n) >>> 0;
  completion.publish();
}

function refill(): void {
  let n = Math.min(fill.room(256), freeCount - CHUNKS / 4);
  for (; n > 0; n--) fill.pushAddress(free[--freeCount], 0);
  fill.publish();
}

createReadStream('', { fd: pipe.fds[0], autoClose: false, highWaterMark: 256 }).on('data', toWire).on('error', () => setInterval(toWire, 5));
setInterval(() => { takeBack(); toWire(); }, 100);  // a doorbell that was missed, and whether the switch is still there
process.on('disconnect', () => process.exit(0));
process.on('SIGINT', () => undefined);  // the terminal's: the switch decides
process.send?.({ ready: true });
