/** Interfaces with several queues, shared out among several data-plane threads: real traffic, sums, and a kill. */
import test, { type ExecutionContext } from 'ava';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openCapture } from '../logger/capture/index.js';
import { sh } from './namespaces.js';
import { has } from './needs.js';
import { background, Capture, Network } from './hosts.js';
import { eventually } from './patience.js';
import { RemoteSwitch } from './remote_switch.js';

/** Both cables with two queues each way. */
function network(t: ExecutionContext): Network {
  const n = new Network();
  t.teardown(() => n.delete());
  for (const [host, port, address] of [[n.a, 'p0', '10.79.0.1/24'], [n.b, 'p1', '10.79.0.2/24']] as const) {
    sh(`ip -n ${n.middle.name} link del ${port}
        ip link add ${port} netns ${n.middle.name} numrxqueues 2 numtxqueues 2 type veth peer name eth0 netns ${host.name} numrxqueues 2 numtxqueues 2
        ip -n ${n.middle.name} link set ${port} up; ip -n ${host.name} addr add ${address} dev eth0; ip -n ${host.name} link set eth0 up`);
  }
  return n;
}

// Many flows: their hash spreads them over the queues. Told so, it ends after so many.
const SENDER = `const d = require('dgram'); let n = 0; const most = Number(process.argv[1] ?? Infinity);
  for (let i = 0; i < 32; i++) { const s = d.createSocket('udp4'); const go = () => { if (n >= most) return; const b = Buffer.alloc(32 + (n * 37) % 1200, n & 255); b.writeBigUInt64BE(BigInt(n++)); s.send(b, 9999, '10.79.0.2', () => setImmediate(go)); }; s.bind(() => go()); }`;

function datagrams(file: string): string[] {
  const capture = openCapture(file), frames: string[] = [];
  try {
    while (capture.next()) {
      const { bytes, offset, captured } = capture;
      if (bytes[offset + 12] === 8 && bytes[offset + 23] === 17 && (bytes[offset + 36] << 8 | bytes[offset + 37]) === 9999) frames.push(Buffer.from(bytes.subarray(offset, offset + captured)).toString('latin1'));
    }
  } catch (error) { if ((error as { code?: string }).code !== 'E_CAPTURE_TRUNCATED') throw error; }
  capture.close();
  return frames;
}

if (has('several workers on interfaces with several queues', 'root', 'ip', 'ping', 'iperf3', 'tcpdump', 'tshark')) {
  test.serial('two workers, two queues: ping, TCP, every sum, and both lanes in use', async (t) => {
    const n = network(t), sw = await RemoteSwitch.start(n, { checked: true, workers: 2, create: { bytes: 256 << 20 } });
    t.teardown(() => sw.kill());
    const one = await sw.addPort('xdp:p0');
    await sw.addPort('xdp:p1');
    t.regex(one.note, /2 of 2 queues/);
    await sw.addPort('tap:t0');  // one worker's: what is flooded there crosses over
    t.regex(n.ping('-q -c 5 -i 0.05'), / 0% packet loss/);
    const server = background(n.b, ['iperf3', '-s']);
    t.teardown(() => server.stop());
    n.a.sh('for i in $(seq 30); do iperf3 -c 10.79.0.2 -P 6 -t 1 >/dev/null && exit 0; sleep 0.1; done; exit 1');
    const { end } = JSON.parse(n.a.sh('iperf3 -J -c 10.79.0.2 -P 6 -t 2')) as { end: { sum_received: { bits_per_second: number } } };
    t.log(`six TCP streams: ${(end.sum_received.bits_per_second / 1e6).toFixed(0)} Mb/s, everything kept`);
    t.true(end.sum_received.bits_per_second > 5e6);
    const stats = await sw.settled();
    for (const p of stats.ports) {
      t.is(p.received, p.forwarded + p.flooded + Object.values(p.dropped).reduce((a, b) => a + b, 0), p.spec);
      t.is(p.received, p.kept + p.notSelected + p.lost, p.spec);
    }
    await sw.stop();
    const { lanes } = JSON.parse(n.framekeep('inspect', '--json', n.pool)) as { lanes: { valid: number }[] };
    t.is(lanes.length, 2);
    t.true(lanes.every((lane) => lane.valid > 100), JSON.stringify(lanes));
    n.framekeep('verify', n.pool);
  });

  test.serial('an interface with several queues disappears in mid-traffic: gone from every worker, and the others go on', async (t) => {
    const n = network(t), sw = await RemoteSwitch.start(n, { checked: true, workers: 2, create: { bytes: 128 << 20 } });
    t.teardown(() => sw.kill());
    await sw.addPort('xdp:p0');
    await sw.addPort('xdp:p1');
    await sw.addPort('tap:t0');
    const sender = background(n.a, [process.execPath, '-e', SENDER]);
    t.teardown(() => sender.stop());
    const received = async (): Promise<number> => (await sw.stats()).ports[0].received;
    await eventually('traffic', async () => await received() > 100);
    sh(`ip -n ${n.middle.name} link del p1`);
    await sw.event('port-gone', 'xdp:p1');
    const before = await received();
    await eventually('frames of the other port, which goes on', async () => await received() > before);
    t.pass();
    await sender.stop('SIGKILL');
    await sw.stop();
    n.framekeep('verify', n.pool);
  });

  test.serial('killed with two lanes being written: what the receiver got is recovered from both', async (t) => {
    const n = network(t);
    for (const round of [1, 2]) {
      const sw = await n.up(['xdp:p0', 'xdp:p1'], ['--workers', '2', '--pool-size', '512M', '--commit-before-forward']);
      t.teardown(() => sw.kill());
      n.reach();
      const received = join(n.directory, `received${round}.pcap`), kept = join(n.directory, `kept${round}.pcapng`);
      const listener = await Capture.start(n.b, 'eth0', received, 'udp port 9999');
      t.teardown(() => listener.stop());
      // Fewer than a lane holds, so that on a fast machine too no frame has had to make room when the switch is killed.
      const sender = background(n.a, [process.execPath, '-e', SENDER, '80000']);
      t.teardown(() => sender.stop());
      await eventually('frames at the receiver', () => listener.size() > 100_000);
      await sleep(300 * round);
      await sw.kill();
      await sender.stop('SIGKILL');
      await listener.stop();
      n.framekeep('export', n.pool, '--boot', String(round), '-w', kept);
      const have = new Set(datagrams(kept)), got = datagrams(received);
      t.true(got.length > 50, `only ${got.length} frames reached the receiver`);
      t.is(got.filter((frame) => !have.has(frame)).length, 0, `of ${got.length} frames that were forwarded, some are not recovered`);
      // In a burst of one port after a burst of another, a frame may be older than the one before; the lanes as a whole go together.
      const times = sh(`tshark -n -r ${kept} -T fields -e frame.time_epoch`).trim().split('\n').map(Number);
      let latest = 0, furthest = 0;
      for (const time of times) { furthest = Math.max(furthest, latest - time); latest = Math.max(latest, time); }
      t.true(furthest < 0.5, `a frame comes ${furthest} s after a newer one`);
      t.log(`round ${round}: ${got.length} frames compared`);
    }
    n.framekeep('verify', n.pool);
  });
}
