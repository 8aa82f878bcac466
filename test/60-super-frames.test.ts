/**
 * Frames of up to 64 KiB between two hosts on taps with headers: the sender's stack does not cut its segments, nobody else does
 * either, and what is kept of them is whole. Where one port cannot take such frames, none are sent.
 */
import test, { type ExecutionContext } from 'ava';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { Network, type RunningSwitch } from './hosts.js';
import { sh, type Namespace } from './namespaces.js';
import { has } from './needs.js';

const PORTS = ['tap:t0,vnet-hdr', 'tap:t1,vnet-hdr'], POOL = ['--chunk', '65536', '--pool-size', '64M'];
const MEGABYTES = 12;

/** Takes one connection's bytes and answers with their SHA-256. */
const SINK = `require('net').createServer((c) => { const h = require('crypto').createHash('sha256'); c.on('data', (d) => h.update(d)); c.on('end', () => c.end(h.digest('hex'))); }).listen(7000, () => console.log('listening'))`;
/** Sends random bytes to an address and says their SHA-256, and the one that comes back. */
const SOURCE = `const [address, megabytes] = process.argv.slice(1), { once } = require('events'), { createHash, randomBytes } = require('crypto');
  const h = createHash('sha256'), block = randomBytes(1 << 20), c = require('net').connect(7000, address);
  let answer = ''; c.on('data', (d) => { answer += d; });
  (async () => {
    for (let i = 0; i < megabytes; i++) { block.writeUInt32LE(i); h.update(block); if (!c.write(Buffer.from(block))) await once(c, 'drain'); }
    c.end(); await once(c, 'close'); console.log(h.digest('hex') === answer ? 'same' : 'different');
  })();`;

interface Hosts { readonly n: Network; readonly sw: RunningSwitch }

/** The hosts' ends of the taps are `tap` with 10.80.0.1 and 10.80.0.2, and IPv6 addresses beside. */
async function hosts(t: ExecutionContext, ports: readonly string[] = PORTS, options: readonly string[] = POOL): Promise<Hosts> {
  const n = new Network();
  t.teardown(() => n.delete());
  const sw = await n.up(ports, options);
  t.teardown(() => sw.kill());
  ([[n.a, 't0', 1], [n.b, 't1', 2]] as const).forEach(([host, tap, i]) => {
    sh(`ip -n ${n.middle.name} link set ${tap} netns ${host.name} name tap`);
    host.sh(`sysctl -qw net.ipv6.conf.tap.disable_ipv6=0 net.ipv6.conf.tap.accept_dad=0; ip addr add 10.80.0.${i}/24 dev tap; ip addr add fd00::${i}/64 dev tap nodad; ip link set tap up`);
  });
  return { n, sw };
}

async function transfer(t: ExecutionContext, from: Namespace, to: Namespace, address: string): Promise<void> {
  const run = (host: Namespace, code: string, ...args: string[]) => {
    const child = spawn('ip', ['netns', 'exec', host.name, process.execPath, '-e', code, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.teardown(() => { child.kill('SIGKILL'); });
    return child;
  };
  const sink = run(to, SINK);
  await once(sink.stdout, 'data');
  const [said] = await once(run(from, SOURCE, address, String(MEGABYTES)).stdout, 'data');
  t.is(String(said).trim(), 'same');
  sink.kill('SIGKILL');
  await once(sink, 'close');
}

function checksumsFit(t: ExecutionContext, n: Network): void {
  for (const host of [n.a, n.b]) t.is(host.sh("awk '/^Tcp:/ { e = $NF } END { print e }' /proc/net/snmp").trim(), '0', 'InCsumErrors');
}

if (has('super-frames between network namespaces', 'root', 'ip', 'ping', 'tshark')) {
  test.serial('TCP over IPv4 and IPv6 passes in frames of up to 64 KiB, and what was kept opens in tshark, whole and with good checksums', async (t) => {
    const { n, sw } = await hosts(t);
    t.regex(n.a.sh('ping -c 2 -i 0.2 -W 2 10.80.0.2'), / 0% packet loss/);
    await transfer(t, n.a, n.b, '10.80.0.2');
    await transfer(t, n.b, n.a, 'fd00::1');
    checksumsFit(t, n);
    const last = await sw.stop();
    for (const p of last.ports) {
      t.is(p.received, p.kept);
      t.true(p.received < MEGABYTES * 1024 * 1024 / 1448, 'fewer frames than segments');
      t.is(p.dropped.oversize, 0);
    }
    n.framekeep('export', n.pool, '-w', `${n.directory}/kept.pcapng`);
    const fields = sh(`tshark -n -r ${n.directory}/kept.pcapng -o tcp.check_checksum:TRUE -Y tcp -T fields -e frame.len -e frame.cap_len -e tcp.checksum.status -e ip.len -e ipv6.plen`)
      .trim().split('\n').map((line) => line.split('\t').map((text) => text === '' ? undefined : Number(text)));
    t.true(fields.length > 40);
    const bad = fields.filter(([length, captured, checksum, v4, v6]) => length !== captured || checksum !== 1 || length !== Math.max(14 + (v4 ?? v6! + 40), v4 === undefined ? 0 : 54));
    t.deepEqual(bad, []);
    t.true(Math.max(...fields.map(([length]) => length!)) > 30_000);
    n.framekeep('verify', n.pool);
  });

  test.serial('beside a port that takes no such frames none are sent; TCP goes on as such ports come and go', async (t) => {
    const { n, sw } = await hosts(t);
    const ports = (...words: string[]): string => n.framekeep('ports', ...words, '--name', 'test');
    ports('add', 'sink:s');
    await transfer(t, n.a, n.b, '10.80.0.2');
    const moving = transfer(t, n.b, n.a, '10.80.0.1');
    ports('remove', 'sink:s');
    ports('add', 'sink:s');
    await moving;
    checksumsFit(t, n);
    const last = await sw.stop();
    t.true(last.ports[0].received > MEGABYTES * 1024 * 1024 / 1448, 'every segment of the first transfer was a frame');
  });

  test.serial('a host on an ordinary tap is reached in frames that it can take', async (t) => {
    const { n, sw } = await hosts(t, ['tap:t0,vnet-hdr', 'tap:t1']);
    await transfer(t, n.a, n.b, '10.80.0.2');
    await transfer(t, n.b, n.a, '10.80.0.1');
    checksumsFit(t, n);
    const last = await sw.stop();
    for (const p of last.ports) t.is(p.dropped.oversize, 0);
    n.framekeep('export', n.pool, '-w', `${n.directory}/kept.pcapng`);
    const lengths = sh(`tshark -n -r ${n.directory}/kept.pcapng -T fields -e frame.len`).trim().split('\n').map(Number);
    t.is(Math.max(...lengths), 1514);
  });

  test.serial('in an ordinary file: kept by one copy', async (t) => {
    const file = `/var/tmp/framekeep-super-${process.pid}`;
    t.teardown(() => { rmSync(file, { force: true }); });
    const { n, sw } = await hosts(t, PORTS, ['--pool', file, ...POOL]);
    await transfer(t, n.a, n.b, '10.80.0.2');
    const { ports: [p] } = await sw.stop();
    t.is(p.kept, p.received);
    t.true(p.received < MEGABYTES * 1024 * 1024 / 1448);
    n.framekeep('verify', file);
  });

  test.serial('what cannot be is said: a pool of small buffers, and AF_XDP in one of large ones', async (t) => {
    const n = new Network();
    t.teardown(() => n.delete());
    await t.throwsAsync(n.up(['tap:t0,vnet-hdr', 'tap:t1']), { message: /E_TAP_BUFFERS|--chunk 65536/ });
    await t.throwsAsync(n.up(['xdp:p0', 'xdp:p1'], ['--pool', `${n.directory}/large`, ...POOL]), { message: /2048 or 4096/ });
  });
}
