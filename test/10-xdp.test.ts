/** AF_XDP on veth pairs: real frames from real stacks, a witness at the other end, and everything that can go wrong under it. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, ftruncateSync, openSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import {
  FramekeepError, mapFile, mapMemory, pollWait, xdpAttach, xdpBusyPoll, xdpClose, xdpDeliver, xdpDetach, xdpDrain, xdpError,
  xdpFrameBytes, xdpKick, xdpLargestMtu, xdpOpen, xdpPassed, xdpSocket, xdpStatistics, xdpWakeRx,
  type XdpOpenOptions, type XdpRing, type XdpSocket, type XdpWay,
} from '../native/index.js';
import { has } from './needs.js';
import { eventually } from './patience.js';

const CHUNK = 2048, CHUNKS = 4096;
const id = process.pid.toString(36) + Math.floor(Math.random() * 46656).toString(36);
const face = new URL('../native/index.js', import.meta.url).href;

function sh(command: string): string {
  const { status, stdout, stderr } = spawnSync('sh', ['-ec', command], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command}: ${stderr}`);
  return stdout;
}
const ifindex = (name: string) => Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8'));
const macOf = (ns: string, name: string) => sh(`ip netns exec ${ns} cat /sys/class/net/${name}/address`).trim();
const bytesOfMac = (mac: string) => Buffer.from(mac.replaceAll(':', ''), 'hex');

/** One ring as the tests use it. */
class Ring {
  readonly words: Uint32Array;
  private readonly at: XdpRing;
  constructor(at: XdpRing) { this.at = at; this.words = new Uint32Array(at.buffer); }
  get producer() { return this.words[this.at.producer >> 2]; }
  set producer(n) { this.words[this.at.producer >> 2] = n; }
  get consumer() { return this.words[this.at.consumer >> 2]; }
  set consumer(n) { this.words[this.at.consumer >> 2] = n; }
  /** Index of the first word of entry i. */
  slot(i: number) { return (this.at.entries + (i & (this.at.size - 1)) * this.at.entryBytes) >> 2; }
}

interface Received { addr: number; len: number; options: number }

/** A socket with its memory, driven by hand. */
class Hand {
  readonly rx: Ring; readonly tx: Ring; readonly fill: Ring; readonly completion: Ring;
  readonly socket: XdpSocket;
  constructor(socket: XdpSocket) {
    this.socket = socket;
    this.rx = new Ring(socket.rings.rx); this.tx = new Ring(socket.rings.tx);
    this.fill = new Ring(socket.rings.fill); this.completion = new Ring(socket.rings.completion);
  }
  give(addresses: Iterable<number>) {
    let p = this.fill.producer;
    for (const addr of addresses) { this.fill.words[this.fill.slot(p)] = addr; this.fill.words[this.fill.slot(p) + 1] = 0; p++; }
    this.fill.producer = p;
  }
  take(): Received[] {
    const frames: Received[] = [];
    for (let c = this.rx.consumer; c !== this.rx.producer; c++) {
      const s = this.rx.slot(c);
      frames.push({ addr: this.rx.words[s], len: this.rx.words[s + 2], options: this.rx.words[s + 3] });
    }
    this.rx.consumer = this.rx.producer;
    return frames;
  }
  put(frames: readonly { addr: number; len: number }[]) {
    let p = this.tx.producer;
    for (const { addr, len } of frames) { const s = this.tx.slot(p++); this.tx.words.set([addr, 0, len, 0], s); }
    this.tx.producer = p;
  }
  completed(): number[] {
    const done: number[] = [];
    for (let c = this.completion.consumer; c !== this.completion.producer; c++) done.push(this.completion.words[this.completion.slot(c)]);
    this.completion.consumer = this.completion.producer;
    return done;
  }
  statistics() {
    const s = new Float64Array(6);
    if (xdpStatistics(this.socket.fd, s) !== 0) throw new Error('no statistics');
    return { dropped: s[0], rxInvalid: s[1], txInvalid: s[2], ringFull: s[3], fillEmpty: s[4], txEmpty: s[5] };
  }
}

const memory = () => {
  const mapping = mapMemory('xdp-test', CHUNKS * CHUNK);
  return { mapping, bytes: Buffer.from(mapping.segments[0]), umem: { mappingId: mapping.id, offset: 0, bytes: mapping.bytes, chunkSize: CHUNK } };
};
const chunks = (from: number, count: number) => Array.from({ length: count }, (_, i) => (from + i) * CHUNK);
const rings = { rx: 512, tx: 512, fill: 512, completion: 1024 };
const open = (name: string, umem: XdpOpenOptions['umem'], more: Partial<XdpOpenOptions> = {}) =>
  xdpOpen({ ifindex: ifindex(name), name, queues: 1, rings, umem, ways: ['native copy'], ...more });
/** 60 bytes or more of an experimental Ethertype (IEEE 802), numbered. */
const frameOf = (n: number, length = 60) => {
  const frame = Buffer.alloc(length, n & 0xff);
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5]);
  frame.writeUInt32BE(n, 14);
  return frame;
};
function until<T>(what: string, poll: () => T | undefined | false): Promise<T> {
  return eventually(what, poll, 2);
}
const endOf = async (child: ChildProcess) => { if (child.exitCode === null && child.signalCode === null) await once(child, 'exit'); };
const codeOf = (f: () => unknown): FramekeepError => {
  try { f(); } catch (error) { if (error instanceof FramekeepError) return error; throw error; }
  throw new Error('nothing was thrown');
};

// What this process holds an end of stays quiet: no ARP, no IPv6, no address, so that only the tests' frames are on it.
const quiet = (name: string) => `sysctl -qw net.ipv6.conf.${name}.disable_ipv6=1; ip link set ${name} arp off up`;
const A = `fk${id}a`, B = `fk${id}b`, sa = `fk${id}p`, sb = `fk${id}q`, w0 = `fk${id}v`, w1 = `fk${id}w`;

/** Two hosts, each in its namespace, joined by nothing but what the test forwards between `sa` and `sb`. */
function hosts() {
  for (const [ns, mine, ip] of [[A, sa, 1], [B, sb, 2]] as const) {
    sh(`ip netns add ${ns}; ip netns exec ${ns} sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
        ip link add ${mine} type veth peer name e0 netns ${ns}; ${quiet(mine)}; ip -n ${ns} addr add 10.77.0.${ip}/24 dev e0; ip -n ${ns} link set e0 up`);
  }
  const mac = { a: macOf(A, 'e0'), b: macOf(B, 'e0') };
  sh(`ip -n ${A} neigh replace 10.77.0.2 lladdr ${mac.b} dev e0; ip -n ${B} neigh replace 10.77.0.1 lladdr ${mac.a} dev e0`);
  return mac;
}
/** A cable with both ends here. */
const cable = (queues = 1) => sh(`ip link add ${w0} numrxqueues ${queues} numtxqueues ${queues} type veth peer name ${w1} numrxqueues ${queues} numtxqueues ${queues}
  ${quiet(w0)}; ${quiet(w1)}`);
const clear = () => {
  for (const ns of [A, B]) spawnSync('ip', ['netns', 'del', ns], { stdio: 'ignore' });
  for (const link of [sa, sb, w0]) spawnSync('ip', ['link', 'del', link], { stdio: 'ignore' });
};

if (has('AF_XDP sockets', 'root', 'ip', 'ping', 'tcpdump', 'sysctl', 'prlimit', 'setpriv')) {
  test.afterEach.always(clear);

  for (const way of ['native copy', 'generic copy'] as XdpWay[]) {
    test.serial(`${way}: two hosts ping each other through one shared UMEM; bytes and stamps are right`, async (t) => {
      const mac = hosts(), m = memory(), began = process.hrtime.bigint();
      const p = open(sa, m.umem, { ways: [way] });
      const q = open(sb, m.umem, { ways: [way], shareWith: p.sockets[0] });
      t.is(p.way, way); t.is(p.sockets[0].umem, 'own'); t.is(q.sockets[0].umem, 'shared'); t.false(q.sockets[0].zeroCopy);
      const a = new Hand(p.sockets[0]), b = new Hand(q.sockets[0]);
      a.give(chunks(0, 256)); b.give(chunks(256, 256));
      xdpDeliver(p.attachment, 0, a.socket.fd); xdpDeliver(q.attachment, 0, b.socket.fd);

      const ping = spawn('ip', ['netns', 'exec', A, 'ping', '-c', '3', '-i', '0.05', '-W', '20', '-s', '300', '-p', 'a55ac3', '10.77.0.2'], { stdio: ['ignore', 'pipe', 'inherit'] });
      let said = ''; ping.stdout.on('data', (d) => said += d);
      const last = new Map<Hand, bigint>([[a, 0n], [b, 0n]]);  // of each: what is taken later on one may have come earlier on the other
      let first: Buffer | undefined, seen = 0;
      const fds = Int32Array.of(a.socket.fd, 1, b.socket.fd, 1);
      while (ping.exitCode === null) {
        pollWait(fds, 2, 2e6);
        for (const [from, to] of [[a, b], [b, a]] as const) {
          const frames = from.take();
          for (const { addr, len } of frames) {
            const stamp = m.bytes.readBigUInt64LE(addr - 8), now = process.hrtime.bigint();
            t.true(stamp >= began && stamp <= now && stamp >= last.get(from)!, `stamp ${stamp} between ${began} and ${now}`);
            last.set(from, stamp); seen++;
            t.is(addr % CHUNK, 256);
            first ??= Buffer.from(m.bytes.subarray(addr, addr + len));
          }
          to.put(frames);
          if (frames.length > 0) t.true(xdpDrain(to.socket.fd, 8) > 0);
          from.give(to.completed().map((addr) => addr - addr % CHUNK));  // the buffer itself went out, and comes back
        }
        await sleep(0);
      }
      t.regex(said, /3 packets transmitted, 3 received/);
      t.is(seen, 6);
      t.deepEqual(first!.subarray(0, 14), Buffer.concat([bytesOfMac(mac.b), bytesOfMac(mac.a), Buffer.from([8, 0])]));
      t.is(first!.length, 14 + 20 + 8 + 300);
      t.is(first![14 + 20], 8, 'ICMP echo request');
      const pattern = Buffer.from('a55ac3', 'hex');
      for (let i = 14 + 20 + 8 + 16; i < first!.length; i++) t.is(first![i], pattern[(i - 42) % 3]);  // 16: ping's timestamp
      t.deepEqual(a.statistics(), { ...a.statistics(), dropped: 0, ringFull: 0, rxInvalid: 0, txInvalid: 0 });
      for (const { attachment, sockets } of [p, q]) { xdpClose(sockets[0].fd); xdpDetach(attachment); }
    });
  }

  test.serial('what is sent arrives byte for byte at a receiver without XDP, in as few calls as the budget allows', async (t) => {
    hosts();
    const m = memory(), b = new Hand(xdpSocket({ ifindex: ifindex(sb), queue: 0, mode: 'copy', rings, umem: m.umem }));  // no program attached
    const tcpdump = spawn('ip', ['netns', 'exec', B, 'tcpdump', '-i', 'e0', '-U', '-w', '-', '-c', '256', 'ether', 'proto', '0x88b5'], { stdio: ['ignore', 'pipe', 'pipe'] });
    const parts: Buffer[] = []; let told = '';
    tcpdump.stdout.on('data', (d) => parts.push(d)); tcpdump.stderr.on('data', (d) => told += d);
    await until('tcpdump listening', () => told.includes('listening'));
    const sent = Array.from({ length: 256 }, (_, i) => frameOf(i, 60 + i));
    sent.forEach((frame, i) => frame.copy(m.bytes, i * CHUNK + 256));
    b.put(sent.map((frame, i) => ({ addr: i * CHUNK + 256, len: frame.length })));
    t.is(xdpDrain(b.socket.fd, 64), Math.ceil(256 / b.socket.txBudget));
    t.is(b.tx.consumer, 256);
    await endOf(tcpdump);
    const file = Buffer.concat(parts);
    let at = 24;                                       // pcap file header; then 16 bytes before every frame
    for (const frame of sent) {
      const length = file.readUInt32LE(at + 8);
      t.deepEqual(file.subarray(at + 16, at + 16 + length), frame);
      at += 16 + length;
    }
    t.deepEqual(b.completed().sort((x, y) => x - y), chunks(0, 256).map((addr) => addr + 256));
    xdpClose(b.socket.fd);
  });

  test.serial('the same memory registered again serves where sharing cannot', async (t) => {
    cable();
    const m = memory(), p = open(w0, m.umem), pretended = { fd: p.sockets[0].fd, zeroCopy: true };
    const q = open(w1, m.umem, { shareWith: pretended });
    t.is(q.sockets[0].umem, 'again');
    const a = new Hand(p.sockets[0]), b = new Hand(q.sockets[0]);
    a.give(chunks(0, 64)); xdpDeliver(p.attachment, 0, a.socket.fd);
    frameOf(7).copy(m.bytes, 100 * CHUNK);
    b.put([{ addr: 100 * CHUNK, len: 60 }]);
    t.is(xdpDrain(b.socket.fd, 4), 1);
    // A busy kernel passes frames on by a thread of its own (ksoftirqd), so also below.
    const [frame] = await until('the frame', () => { const frames = a.take(); return frames.length > 0 && frames; });
    t.deepEqual(m.bytes.subarray(frame.addr, frame.addr + 60), frameOf(7));
    for (const { attachment, sockets } of [p, q]) { xdpClose(sockets[0].fd); xdpDetach(attachment); }
  });

  test.serial('drops are counted where they happen: fill ring empty, RX ring full, frame too long, queue unread', async (t) => {
    cable(2);
    const m = memory();
    const attachment = xdpAttach({ ifindex: ifindex(w0), name: w0, mode: 'native', queues: 2 });
    const receiver = (queue: number, fill: number, rx: number) => {
      const h = new Hand(xdpSocket({ ifindex: ifindex(w0), queue, mode: 'copy', umem: m.umem, rings: { ...rings, rx } }));
      h.give(chunks(queue * 512, fill)); xdpDeliver(attachment, queue, h.socket.fd); return h;
    };
    const large = mapMemory('xdp-test-large', 4096 * 512), from = { mappingId: large.id, offset: 0, bytes: large.bytes, chunkSize: 4096 };
    const senders = [0, 1].map((queue) => new Hand(xdpSocket({ ifindex: ifindex(w1), queue, mode: 'copy', umem: from, rings })));
    const longest = xdpFrameBytes(CHUNK), none = receiver(0, 0, 512);
    sh(`ip link set ${w0} mtu 2000; ip link set ${w1} mtu 2000`);  // after the sockets, which would refuse it
    frameOf(1, longest + 1).copy(Buffer.from(large.segments[0]));
    const send = async (queue: number, count: number, len = 60) => {
      senders[queue].put(Array.from({ length: count }, () => ({ addr: 0, len })));
      t.true(xdpDrain(senders[queue].socket.fd, 64) > 0);
      let done = 0;
      await until('all of it sent', () => { done += senders[queue].completed().length; return done === count; });
    };
    const passed = new Float64Array(3);
    await send(1, 5);
    await until('five passed', () => xdpPassed(attachment.statsMapFd, passed) === 5);
    t.is(xdpPassed(attachment.statsMapFd, passed), 5); t.deepEqual([...passed], [0, 5, 0]);

    await send(0, 10);
    await until('ten dropped', () => none.statistics().dropped >= 10);
    t.is(none.statistics().dropped, 10); t.true(none.statistics().fillEmpty >= 10); t.is(none.take().length, 0);
    none.give(chunks(0, 64));
    await send(0, 3, longest); await send(0, 2, longest + 1);
    await until('two more dropped', () => none.statistics().dropped >= 12);
    t.deepEqual(none.take().map(({ len }) => len), [longest, longest, longest]);
    t.is(none.statistics().dropped, 12);

    sh(`ip link set ${w0} mtu 1500`);
    const small = receiver(1, 512, 64);
    await send(1, 200);
    await until('the ring full', () => small.statistics().ringFull >= 136);
    t.is(small.statistics().ringFull, 136); t.is(small.take().length, 64);
    t.is(xdpPassed(attachment.statsMapFd, passed), 5);
    none.put([{ addr: CHUNKS * CHUNK, len: 60 }]); xdpDrain(none.socket.fd, 4);
    t.is(none.statistics().txInvalid, 1);
    for (const h of [none, small, ...senders]) xdpClose(h.socket.fd);
    xdpDetach(attachment);
  });

  test.serial('a jumbo frame spans several buffers where that was asked for, and is refused by name where not', async (t) => {
    hosts();
    sh(`ip link set ${sa} mtu 9000; ip -n ${A} link set e0 mtu 9000`);
    const m = memory();
    const refused = codeOf(() => open(sa, m.umem, { ways: ['native copy', 'generic copy'] }));
    t.is(refused.code, 'E_XDP_MTU'); t.regex(refused.message, /native copy: .*other end.*; generic copy: .*1774/s);
    const p = open(sa, m.umem, { multiBuffer: true }), a = new Hand(p.sockets[0]);
    a.give(chunks(0, 64)); xdpDeliver(p.attachment, 0, a.socket.fd);
    spawnSync('ip', ['netns', 'exec', A, 'ping', '-c', '1', '-W', '0.1', '-M', 'do', '-s', '8000', '-p', '3c', '10.77.0.2']);
    const parts: Received[] = [];
    await until('the last part', () => { parts.push(...a.take()); return parts.at(-1)?.options === 0; });
    t.deepEqual(parts.map(({ len, options }) => [len, options]), [[1792, 1], [1792, 1], [1792, 1], [1792, 1], [8042 - 4 * 1792, 0]]);
    const frame = Buffer.concat(parts.map(({ addr, len }) => m.bytes.subarray(addr, addr + len)));
    t.true(frame.subarray(42 + 16).every((byte) => byte === 0x3c));
    xdpClose(a.socket.fd); xdpDetach(p.attachment);
  });

  test.serial('what the kernel refuses has a code and a remedy', (t) => {
    cable();
    const m = memory(), p = open(w0, m.umem), link = ifindex(w0);
    for (const mode of ['native', 'generic'] as const) {
      const busy = codeOf(() => xdpAttach({ ifindex: link, name: w0, mode, queues: 1 }));
      t.is(busy.code, 'E_XDP_BUSY'); t.true(busy.remedy.includes('bpftool net') && busy.remedy.includes(`ip link set dev ${w0} xdp off`));
    }
    const socket = (more: object) => codeOf(() => xdpSocket({ ifindex: link, name: w0, queue: 0, mode: 'copy', rings, umem: m.umem, ...more })).code;
    t.is(socket({}), 'E_XDP_BUSY');
    t.is(socket({ queue: 9 }), 'E_XDP_QUEUE');
    t.is(socket({ ifindex: 0x7fffffff }), 'E_XDP_INTERFACE');
    t.is(socket({ rings: { ...rings, rx: 500 } }), 'E_XDP_RINGS');
    t.is(socket({ umem: { ...m.umem, chunkSize: 1024 } }), 'E_UMEM_GEOMETRY');
    t.is(socket({ umem: { ...m.umem, offset: 4096 } }), 'E_UMEM_GEOMETRY');
    t.is(codeOf(() => xdpAttach({ ifindex: 0x7fffffff, mode: 'native', queues: 1 })).code, 'E_XDP_INTERFACE');
    t.is(codeOf(() => xdpAttach({ ifindex: 1, mode: 'native', queues: 1 })).code, 'E_XDP_MODE', 'the loopback has no native XDP');
    t.is(codeOf(() => xdpDeliver(p.attachment, 1, p.sockets[0].fd)).code, 'E_XDP_QUEUE');
    const path = fileURLToPath(new URL(`xdp-umem-${id}.tmp`, import.meta.url)), fd = openSync(path, 'w+');
    ftruncateSync(fd, 1 << 20);
    const file = mapFile(fd, 1 << 20, { writable: true });
    t.is(socket({ ifindex: ifindex(w1), umem: { ...m.umem, mappingId: file.id, bytes: file.bytes } }), 'E_UMEM_MEMORY', 'a file in the page cache');
    closeSync(fd); rmSync(path);
    xdpClose(p.sockets[0].fd); xdpDetach(p.attachment);
    sh(`ip link set ${w0} mtu ${xdpLargestMtu(CHUNK) + 1}`);
    t.is(socket({}), 'E_XDP_MTU');
    sh(`ip link set ${w0} mtu ${xdpLargestMtu(CHUNK)}`);
    const fits = xdpSocket({ ifindex: link, queue: 0, mode: 'copy', rings, umem: m.umem });
    t.is(xdpBusyPoll(fits.fd, 20, 64), 0);
    xdpClose(fits.fd);
    t.is(xdpKick(fits.fd), -9, 'EBADF: the descriptor is gone');
  });

  const opens = (name: string, index: number, bytes = CHUNKS * CHUNK) => `import { mapMemory, xdpDeliver, xdpOpen } from ${JSON.stringify(face)};
    const m = mapMemory('held', ${bytes});
    const port = xdpOpen({ ifindex: ${index}, name: ${JSON.stringify(name)}, queues: 1, rings: ${JSON.stringify(rings)}, umem: { mappingId: m.id, offset: 0, bytes: m.bytes, chunkSize: ${CHUNK} } });
    xdpDeliver(port.attachment, 0, port.sockets[0].fd);`;

  test.serial('a program that another thread has attached serves where it is of the mode, and goes when it is not', (t) => {
    cable();
    t.teardown(() => sh(`ip link del ${w0}`));
    const { umem } = memory(), mode = (): string => /prog\/xdp|xdpgeneric|xdp/.exec(sh(`ip -d link show ${w0}`).split('\n')[0])?.[0] ?? 'none';
    for (const [way, on] of [['native copy', 'xdp'], ['generic copy', 'xdpgeneric']] as const) {
      const own = xdpAttach({ ifindex: ifindex(w0), name: w0, mode: 'native', queues: 1 }), attached = { ...own, lent: true };
      t.is(mode(), 'xdp');
      const port = open(w0, umem, { ways: [way], attached });
      t.is(mode(), on);
      t.is(port.attachment === attached, way === 'native copy');
      for (const { fd } of port.sockets) xdpClose(fd);
      xdpDetach(port.attachment);
      t.is(mode(), 'none');
      xdpDetach(own);
    }
  });

  test.serial('a process that is killed leaves nothing: the kernel has its interface back, and the next start gets it', async (t) => {
    hosts();
    sh(`ip link set ${sa} arp on netns ${B}; ip -n ${B} addr add 10.77.1.1/24 dev ${sa}; ip -n ${B} link set ${sa} up; ip -n ${A} addr add 10.77.1.2/24 dev e0`);
    const pings = (seconds = 1) => spawnSync('ip', ['netns', 'exec', A, 'ping', '-c', '1', '-W', String(seconds), '10.77.1.1']).status === 0;
    const program = () => sh(`ip -n ${B} link show ${sa}`).includes('prog/xdp');
    t.true(pings(20));
    const index = Number(sh(`ip netns exec ${B} cat /sys/class/net/${sa}/ifindex`));
    for (let round = 0; round < 2; round++) {
      const child = spawn('ip', ['netns', 'exec', B, process.execPath, '--input-type=module', '-e', `${opens(sa, index)} console.log(port.way); setInterval(() => {}, 1000);`],
        { stdio: ['ignore', 'pipe', 'inherit'] });
      t.is(String((await once(child.stdout, 'data'))[0]).trim(), 'native copy');
      t.true(program()); t.false(pings(), 'its frames go to the socket');
      child.kill('SIGKILL'); await endOf(child);
      await until('the link gone', () => !program());
      t.true(pings(20));
    }
  });

  test.serial('a thread that throws gives program and queue back', async (t) => {
    cable();
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(`${opens(w0, ifindex(w0))} throw new Error('as planned');`)}`));
    const [error] = await once(worker, 'error');
    t.is(error.message, 'as planned');
    await until('the link gone', () => !sh(`ip link show ${w0}`).includes('prog/xdp'));
    const p = open(w0, memory().umem);
    xdpClose(p.sockets[0].fd); xdpDetach(p.attachment);
  });

  test.serial('locked memory beyond the limit is refused by name', (t) => {
    cable();
    const { stdout } = spawnSync('prlimit', ['--memlock=65536:65536', 'setpriv', '--bounding-set', '-ipc_lock,-sys_resource', process.execPath, '--input-type=module', '-e',
      `try { ${opens(w0, ifindex(w0)).replace(/^import .*$/m, `const { mapMemory, xdpDeliver, xdpOpen } = await import(${JSON.stringify(face)});`)} } catch (e) { console.log(e.code, e.message); }`], { encoding: 'utf8' });
    t.regex(stdout, /^E_UMEM_MEMLOCK .*limit 65536.*ulimit -l.*LimitMEMLOCK.*CAP_IPC_LOCK/s);
  });

  test.serial('an interface that goes down, and one that disappears, are errors and not crashes', (t) => {
    cable();
    const m = memory(), p = open(w0, m.umem), a = new Hand(p.sockets[0]), { fd } = a.socket;
    const tries = () => {
      const poll = Int32Array.of(fd, 1 | 4);
      pollWait(poll, 1, 0);
      return { events: poll[1] >>> 16, kick: xdpKick(fd), drain: xdpDrain(fd, 4), wake: xdpWakeRx(fd) };
    };
    t.deepEqual(tries(), { events: 4, kick: 0, drain: 1, wake: 0 });
    sh(`ip link set ${w0} down`);
    t.deepEqual(tries(), { events: 0, kick: -100, drain: -100, wake: -100 }, 'ENETDOWN, and poll says nothing');
    sh(`ip link set ${w0} up`);
    t.deepEqual(tries(), { events: 4, kick: 0, drain: 1, wake: 0 });
    sh(`ip link del ${w0}`);
    a.put([{ addr: 0, len: 60 }]);
    t.deepEqual(tries(), { events: 0, kick: -6, drain: -6, wake: -6 }, 'ENXIO, and poll says nothing');
    t.is(xdpError(fd), -100); t.is(xdpError(fd), 0);
    const words = a.tx.words;
    t.true(words.length > 0);
    xdpClose(fd); xdpDetach(p.attachment);
    t.is(words.length, 0); t.is(a.socket.rings.rx.buffer.byteLength, 0, 'detached: late access cannot fault');
    xdpClose(fd);                                      // once more does no harm
  });
}
