/**
 * A wire of two interfaces through AF_XDP with XDP_USE_SG: a frame may lie in several buffers, all but the last of whose descriptors
 * say XDP_PKT_CONTD. What the data plane would gain if it knew such frames; no look-up, nothing kept.
 *
 * Arguments: two interfaces, and native or generic. Says `ready`; on SIGTERM what came and went, as JSON, one line an interface.
 */
import { fileURLToPath } from 'node:url';
import { completeChecksums, interfaceInfo, mapMemory, pollWait, xdpDeliver, xdpDrain, xdpOpen, type XdpPort, type XdpSocket } from '../../native/index.js';
import { Ring } from '../../switch/ring.js';

const CHUNK = 4096, BUFFERS = 8192, RING = 2048, PENDING = 1500, XDP_PKT_CONTD = 1, POLLIN = 1;

class End {
  readonly port: XdpPort;
  readonly socket: XdpSocket;
  readonly rx: Ring;
  readonly tx: Ring;
  readonly fill: Ring;
  readonly completion: Ring;
  readonly seen = { frames: 0, bytes: 0, longest: 0, mostDescriptors: 0, txFull: 0 };

  constructor(name: string, generic: boolean, umem: number, share: End | undefined) {
    this.port = xdpOpen({
      name, ifindex: interfaceInfo(name).index, queues: 1, ways: [generic ? 'generic copy' : 'native copy'], multiBuffer: true,
      rings: { rx: RING, tx: RING, fill: 2 * RING, completion: 2 * RING }, umem: { mappingId: umem, offset: 0, bytes: BUFFERS * CHUNK, chunkSize: CHUNK },
      ...(share !== undefined && { shareWith: { fd: share.socket.fd, zeroCopy: false } }),
    });
    const [socket] = this.port.sockets, { rings } = socket;
    this.socket = socket;
    this.rx = new Ring(rings.rx, false, 4);
    this.tx = new Ring(rings.tx, true, 4);
    this.fill = new Ring(rings.fill, true, 2);
    this.completion = new Ring(rings.completion, false, 2);
  }
}

const marks = new Uint8Array(RING), free: number[] = Array.from({ length: BUFFERS }, (_, i) => i * CHUNK);

function refill({ fill }: End): void {
  for (let n = PENDING - fill.outstanding(); n > 0 && free.length > 0; n--) fill.pushAddress(free.pop()!, 0);
  fill.publish();
}

/** Hands on every frame whose last buffer is there. @returns how many descriptors */
function pass(umem: number, from: End, to: End): number {
  const { rx, seen } = from, { tx, completion } = to, n = rx.available(), { words } = rx;
  if (n > 0) completeChecksums(umem, words, rx.entries, rx.next, n, rx.mask, marks);
  let first = 0, length = 0;
  for (let i = 0; i < n; i++) {
    const d = rx.at(rx.next + i);
    length += words[d + 2];
    if ((words[d + 3] & XDP_PKT_CONTD) !== 0) continue;
    const parts = i + 1 - first, fits = tx.room(parts) >= parts;
    seen.frames++;
    seen.bytes += length;
    seen.longest = Math.max(seen.longest, length);
    seen.mostDescriptors = Math.max(seen.mostDescriptors, parts);
    if (!fits) seen.txFull++;
    for (; first <= i; first++) {
      const e = rx.at(rx.next + first);
      if (!fits) { free.push(words[e] - words[e] % CHUNK); continue; }
      const t = tx.at(tx.next);
      tx.pushDescriptor(words[e], 0, words[e + 2]);
      tx.words[t + 3] = words[e + 3];
    }
    length = 0;
  }
  rx.next = (rx.next + first) >>> 0;
  rx.publish();
  tx.publish();
  if (tx.outstanding() > 0) xdpDrain(to.socket.fd, 64);
  const done = completion.available();
  for (let i = 0; i < done; i++) {
    const address = completion.words[completion.at(completion.next + i)];
    free.push(address - address % CHUNK);
  }
  completion.next = (completion.next + done) >>> 0;
  completion.publish();
  refill(from);
  refill(to);
  return first;
}

async function main([one, two, mode]: string[]): Promise<void> {
  const umem = mapMemory('framekeep-bench-fragments', BUFFERS * CHUNK).id, a = new End(one, mode === 'generic', umem, undefined), b = new End(two, mode === 'generic', umem, a), ends = [a, b];
  for (const end of ends) refill(end);
  for (const end of ends) xdpDeliver(end.port.attachment, 0, end.socket.fd);
  let ended = false;
  process.once('SIGTERM', () => { ended = true; });
  console.log('ready');
  const poll = new Int32Array(4);
  for (let turns = 0; !ended; turns++) {
    if (pass(umem, a, b) + pass(umem, b, a) === 0) {
      poll.set([a.socket.fd, POLLIN, b.socket.fd, POLLIN]);
      pollWait(poll, 2, 1e7);
      turns = 0;
    }
    if (turns % 256 === 0) await new Promise(setImmediate);
  }
  for (const { port, seen } of ends) console.log(JSON.stringify({ way: port.way, ...seen }));
  process.exit(0);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));
