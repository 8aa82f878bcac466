/** Real traffic between two hosts through the switch: ping, TCP at full speed, a download, with the kernel's default offloads. */
import test, { type ExecutionContext } from 'ava';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CountersSnapshot } from '../switch/index.js';
import { has } from './needs.js';
import { eventually } from './patience.js';
import { sh } from './namespaces.js';
import { background, Network, type RunningSwitch } from './hosts.js';

/** Bits a second that TCP has on any machine where its frames pass: with wrong checksums or uncut segments it has a thousandth of that. */
const LEAST_TCP = 5e6;
const SERVER = `const body = require('fs').readFileSync(process.argv[1]); require('http').createServer((q, a) => a.end(body)).listen(80)`;

function network(t: ExecutionContext): Network {
  const n = new Network();
  t.teardown(() => n.delete());
  return n;
}

/** Every frame is counted exactly once. */
function accounted(t: ExecutionContext, last: CountersSnapshot): void {
  for (const p of last.ports) {
    const dropped = Object.values(p.dropped).reduce((a, b) => a + b, 0);
    t.is(p.received, p.forwarded + p.flooded + dropped, `${p.spec}: received`);
    t.is(p.received, p.kept + p.notSelected + p.lost, `${p.spec}: kept`);
  }
}

async function download(t: ExecutionContext, n: Network): Promise<void> {
  const body = randomBytes(64 * 1024), file = join(n.directory, 'body');
  writeFileSync(file, body);
  const server = background(n.b, [process.execPath, '-e', SERVER, file]);
  t.teardown(() => server.stop());
  n.a.sh(`for i in $(seq 50); do curl -s -m 20 -o ${n.directory}/got http://10.79.0.2/ && break; sleep 0.1; done`);
  t.is(sh(`sha256sum < ${n.directory}/got`).slice(0, 64), createHash('sha256').update(body).digest('hex'));
  await server.stop();
}

/** Runs iperf3 from a to b, and says the bits a second that arrived. */
function iperf(n: Network, seconds: number): number {
  n.b.sh('iperf3 -s -1 -D >/dev/null 2>&1');
  const result = JSON.parse(n.a.sh(`for i in $(seq 30); do iperf3 -J -c 10.79.0.2 -t ${seconds} && break; sleep 0.1; done`).replace(/^\{[^]*?"error"[^]*?\}\n(?=\{)/, '')) as { end: { sum_received: { bits_per_second: number } } };
  return result.end.sum_received.bits_per_second;
}

/** No frame in the export has a checksum that Wireshark calls bad. */
function checksumsAreGood(t: ExecutionContext, n: Network): void {
  n.framekeep('export', n.pool, '-w', `${n.directory}/kept.pcapng`);
  const bad = sh(`tshark -n -r ${n.directory}/kept.pcapng -o tcp.check_checksum:TRUE -o udp.check_checksum:TRUE -o ip.check_checksum:TRUE -Y 'tcp.checksum.status == 0 or udp.checksum.status == 0 or ip.checksum.status == 0' | wc -l`);
  t.is(bad.trim(), '0');
  t.true(Number(sh(`tshark -n -r ${n.directory}/kept.pcapng -Y tcp | wc -l`)) > 40);
}

if (has('forwarding between network namespaces', 'root', 'ip', 'ping', 'iperf3', 'curl', 'tshark')) {
  const all = async (t: ExecutionContext, ports: readonly string[], seconds: number, options: readonly string[] = []): Promise<void> => {
    const n = network(t), sw = await n.up(ports, options);
    t.teardown(() => sw.kill());
    t.regex(n.ping(), / 0% packet loss/);
    await download(t, n);
    if (seconds > 0) {
      const bits = iperf(n, seconds);
      t.log(`${ports.join(' ')}: TCP ${(bits / 1e6).toFixed(0)} Mb/s, everything kept`);
      t.true(bits > LEAST_TCP, `${bits} bits a second`);
    }
    const last = await sw.stop();
    accounted(t, last);
    if (seconds === 0) checksumsAreGood(t, n);
  };

  test.serial('AF_XDP on veth: ping, a download and iperf3 with default offloads', (t) => all(t, ['xdp:p0', 'xdp:p1'], 2));
  test.serial('AF_XDP on veth: all that was kept has good checksums', (t) => all(t, ['xdp:p0', 'xdp:p1'], 0));
  test.serial('commit before forward', (t) => all(t, ['xdp:p0', 'xdp:p1'], 1, ['--commit-before-forward']));
  // Generic mode leaves the senders' segmentation on, and drops what they leave to a NIC to cut: test/60-ports.test.ts.
  test.serial('generic mode: ping', async (t) => {
    const n = network(t), sw = await n.up(['xdp:p0,mode=generic', 'xdp:p1,mode=generic']);
    t.teardown(() => sw.kill());
    t.regex(n.ping(), / 0% packet loss/);
    accounted(t, await sw.stop());
  });

  test.serial('a tap on one side: ping, a download and iperf3', async (t) => {
    const n = network(t), sw = await n.up(['xdp:p0', 'tap:t0']);
    t.teardown(() => sw.kill());
    sh(`ip -n ${n.b.name} link del eth0 && ip -n ${n.middle.name} link set t0 netns ${n.b.name} && ip -n ${n.b.name} addr add 10.79.0.2/24 dev t0 && ip -n ${n.b.name} link set t0 up`);
    t.regex(n.ping(), / 0% packet loss/);
    await download(t, n);
    t.true(iperf(n, 1) > LEAST_TCP);
    accounted(t, await sw.stop());
  });

  test.serial('two switches joined by a pipe', async (t) => {
    const n = network(t), first = await n.up(['xdp:p0', 'pipe:wire']);
    t.teardown(() => first.kill());
    const second = await n.up(['xdp:p1', 'pipe:wire'], ['--name', 'other', '--pool', `${n.directory}/other.pool`]);
    t.teardown(() => second.kill());
    t.regex(n.ping('-c 5 -i 0.2'), / 0% packet loss/);
    await download(t, n);
    accounted(t, await first.stop());
    accounted(t, await second.stop());
  });

  test.serial('an interface that disappears in mid-traffic is a port gone, and the others go on', async (t) => {
    const n = network(t), sw = await n.up(['xdp:p0', 'xdp:p1', 'tap:t0']);
    t.teardown(() => sw.kill());
    const flood = background(n.a, ['ping', '-f', '-w', '100', '10.79.0.2']);
    t.teardown(() => flood.stop());
    await eventually('traffic', () => { const look = sw.messages.findLast((m) => m.type === 'stats') as unknown as CountersSnapshot | undefined; return (look?.ports.find((p) => p.spec === 'xdp:p1')?.received ?? 0) > 100; });
    sh(`ip -n ${n.b.name} link del eth0`);
    const gone = await sw.heard((m) => m.type === 'event' && m['kind'] === 'port-gone');
    t.is(gone['spec'], 'xdp:p1');
    await flood.stop();
    sh(`ip -n ${n.middle.name} link set t0 netns ${n.b.name} && ip -n ${n.b.name} addr add 10.79.0.2/24 dev t0 && ip -n ${n.b.name} link set t0 up && ip -n ${n.a.name} neigh flush dev eth0`);
    t.regex(n.ping(), / 0% packet loss/);
    const last = await sw.stop();
    accounted(t, last);
    t.is(last.ports.find((p) => p.spec === 'xdp:p1')!.state, 'gone');
  });

  test.serial('a cap: port passes frames both ways; when its helper is killed the port is gone and the switch goes on', async (t) => {
    const n = network(t);
    let sw: RunningSwitch;
    try {
      sw = await n.up(['xdp:p0', 'cap:p1']);
    } catch (error) {
      t.regex(String(error), /E_CAP.*|does not load/s);
      return t.fail(`cap is not there: npm run setup builds it (${String(error).slice(0, 300)})`);
    }
    t.teardown(() => sw.kill());
    t.regex(n.ping('-c 5 -i 0.2'), / 0% packet loss/);
    const helper = sh(`pgrep -P ${sw.child.pid} -f cap_helper`).trim();
    process.kill(Number(helper), 'SIGKILL');
    await sw.heard((m) => m.type === 'event' && m['kind'] === 'port-gone' && m['spec'] === 'cap:p1');
    accounted(t, await sw.stop());
  });

  test.serial('the interface with the default route is refused unless forced', async (t) => {
    const n = network(t);
    sh(`ip -n ${n.middle.name} addr add 192.0.2.1/24 dev p0 && ip -n ${n.middle.name} route add default via 192.0.2.2 dev p0`);
    const error = await t.throwsAsync(n.up(['xdp:p0', 'xdp:p1']));
    t.regex(error.message, /E_DEFAULT_ROUTE/);
    const sw = await n.up(['xdp:p0', 'xdp:p1'], ['--force']);
    t.teardown(() => sw.kill());
    accounted(t, await sw.stop());
  });

  test.serial('without privilege: what is missing is named, and what grants it', (t) => {
    const n = network(t);
    const error = t.throws(() => n.middle.sh(`setpriv --reuid 65534 --regid 65534 --clear-groups env FRAMEKEEP_RUN=/tmp/fk-nobody-${process.pid} ${process.execPath} ${join(process.cwd(), 'cli', 'framekeep.mjs')} up xdp:p0 xdp:p1 --pool /dev/shm/fk-nobody-${process.pid}.pool; echo no; exit 3`));
    sh(`rm -rf /tmp/fk-nobody-${process.pid} /dev/shm/fk-nobody-${process.pid}.pool`);
    t.regex(error.message, /CAP_/);
    t.regex(error.message, /E_(XDP_)?PERMISSION/);
  });
}
