/** Interfaces as the kernel has them: facts, promiscuous mode, offloads, default routes, changes; and what a crash leaves. */
import test from 'ava';
import { readFileSync } from 'node:fs';
import { FramekeepError, LinkMonitor, getFeatures, interfaceInfo, interfaces, setFeatures } from '../native/index.js';
import { Namespace } from './namespaces.js';
import { has } from './needs.js';

test('the loopback interface is known to everybody', (t) => {
  const lo = interfaceInfo('lo');
  t.is(lo.index, 1);
  t.is(lo.mac, '00:00:00:00:00:00');
  t.is(lo.kind, 'virtual');
  t.deepEqual([lo.rxQueues, lo.txQueues, lo.xdp], [1, 1, 'none']);
  t.true(interfaces().some((one) => one.name === 'lo'));
});

test('an unknown interface is an error that lists the known ones', (t) => {
  const error = t.throws(() => interfaceInfo('nosuchif'), { instanceOf: FramekeepError, code: 'E_INTERFACE_UNKNOWN' });
  t.regex(error!.remedy, /\blo\b/);
  t.throws(() => getFeatures('nosuchif'), { code: 'E_INTERFACE_UNKNOWN' });
});

test('features have the kernel\'s names, and fixed ones are told from changeable ones', (t) => {
  const features = getFeatures('lo');
  for (const name of ['rx-gro', 'rx-lro', 'rx-gro-hw', 'rx-vlan-hw-parse', 'tx-checksum-ip-generic']) t.true(features.has(name), name);
  t.false(features.get('rx-vlan-hw-parse')!.changeable);
  t.throws(() => setFeatures('lo', { 'rx-nonsense': true }), { code: 'E_FEATURE_UNKNOWN', message: /rx-nonsense/ });
});

test('a monitor has nothing to say when nothing happens', (t) => {
  const monitor = new LinkMonitor();
  t.deepEqual(monitor.read(), []);
  monitor.close();
});

if (has('interfaces in network namespaces', 'root', 'ip')) {
  const within = (name: string, body: (t: import('ava').ExecutionContext, ns: Namespace) => void | Promise<void>) => test(name, async (t) => {
    const ns = new Namespace();
    try { await body(t, ns); } finally { ns.delete(); }
  });

  within('kinds, drivers, queues and states of virtual interfaces', (t, ns) => {
    ns.sh('ip link add v0 numrxqueues 4 numtxqueues 4 type veth peer name v1; ip tuntap add t0 mode tap; ip link add br0 type bridge; ip link add m0 link v0 type macvlan');
    ns.sh('ip link set v0 mtu 1400 address 02:00:00:00:00:aa; ip link set v0 up; ip link set v1 up; ip link set t0 up; ip link set v1 master br0');
    const all: any[] = ns.node('say(fk.interfaces())'), of = (name: string) => all.find((one) => one.name === name);
    t.like(of('v0'), { mac: '02:00:00:00:00:aa', mtu: 1400, driver: 'veth', type: 'veth', kind: 'virtual', up: true, running: true, rxQueues: 4, txQueues: 4, lower: of('v1').index });
    t.like(of('v1'), { driver: 'veth', master: of('br0').index, promiscuity: 1 });
    t.like(of('t0'), { driver: 'tun', type: 'tun', up: true, running: false });
    t.like(of('br0'), { driver: 'bridge', type: 'bridge', up: false });
    t.like(of('m0'), { driver: 'macvlan', lower: of('v0').index });
    ns.sh('ip link set v1 down');
    t.like(ns.node('say(fk.interfaceInfo("v0"))'), { up: true, running: false });
  });

  within('promiscuous mode ends with its descriptor, and with a killed process', async (t, ns) => {
    ns.sh('ip link add v0 type veth peer name v1');
    const promiscuity = () => ns.node('say(fk.interfaceInfo("v0").promiscuity)');
    t.deepEqual(ns.node(`const i = fk.interfaceInfo('v0').index, seen = [], look = () => seen.push(fk.interfaceInfo('v0').promiscuity);
      look(); const a = fk.holdPromiscuous(i), b = fk.holdPromiscuous(i); look(); fk.closeFd(a); look(); fk.closeFd(b); look(); say(seen)`), [0, 2, 1, 0]);
    const holder = await ns.start('fk.holdPromiscuous(fk.interfaceInfo("v0").index); say(1); setInterval(() => {}, 1000)');
    t.is(promiscuity(), 1);
    await holder.kill();
    t.is(promiscuity(), 0);
    t.is(ns.node('try { fk.holdPromiscuous(4242) } catch (e) { say(e.code) }'), 'E_INTERFACE_UNKNOWN');
  });

  within('features are changed, and what refuses is told', (t, ns) => {
    ns.sh('ip link add v0 type veth peer name v1');
    t.true(ns.node('say(fk.getFeatures("v0").get("tx-checksum-ip-generic").on)'));
    t.deepEqual(ns.node('say(fk.setFeatures("v0", { "tx-checksum-ip-generic": false, "rx-vlan-hw-parse": false, "rx-lro": true }))'), ['rx-lro']);
    t.deepEqual(ns.node('say(["tx-checksum-ip-generic", "rx-vlan-hw-parse"].map((f) => fk.getFeatures("v0").get(f).on))'), [false, false]);
  });

  within('without privilege, the missing capability is named', (t, ns) => {
    ns.sh('ip link add v0 type veth peer name v1');
    const asNobody = (code: string) => ns.node(`process.setgid(65534); process.setuid(65534); try { ${code} } catch (e) { say([e.code, e.message]) }`);
    const [code, message] = asNobody('fk.setFeatures("v0", { "rx-gro": true })');
    t.is(code, 'E_PERMISSION');
    t.regex(message, /CAP_NET_ADMIN/);
    t.regex(message, /setcap cap_net_admin,cap_net_raw,cap_bpf,cap_ipc_lock\+ep/);
    t.regex(asNobody('fk.holdPromiscuous(1)')[1], /CAP_NET_RAW/);
    t.is(asNobody('say(fk.interfaceInfo("v0").name)'), 'v0');
  });

  within('the way out: default routes of any table, and what carries them underneath', (t, ns) => {
    const routes = () => Object.fromEntries(ns.node('say(fk.defaultRouteInterfaces())').map((one: any) => [one.name, one.how]));
    t.deepEqual(routes(), {});
    ns.sh('for i in 0 1 2 3 4; do ip link add v$i type veth peer name w$i; ip link set v$i up; ip link set w$i up; done');
    ns.sh('ip addr add 10.9.0.1/24 dev v0; ip route add default via 10.9.0.2');
    t.deepEqual(routes(), { v0: 'carries the IPv4 default route' });           // not w0, its peer
    ns.sh('ip addr add 10.9.1.1/24 dev v1; ip route add default via 10.9.1.2 table 77');
    t.deepEqual(Object.keys(routes()).sort(), ['v0', 'v1']);
    ns.sh('ip route flush table 77; ip route del default');
    ns.sh('ip link add br0 type bridge; ip link set v2 master br0; ip link add m3 link v3 type macvlan; ip link set m3 master br0; ip link set br0 up; ip addr add 10.9.2.1/24 dev br0');
    ns.sh('ip route add default nexthop via 10.9.2.2 dev br0 nexthop via 10.9.1.2 dev v1; sysctl -qw net.ipv6.conf.v1.disable_ipv6=0; ip -6 route add default dev v1');
    t.deepEqual(routes(), {
      br0: 'carries the IPv4 default route', v1: 'carries the IPv4 and IPv6 default routes',
      v2: 'is a member of br0, which carries the IPv4 default route',
      m3: 'is a member of br0, which carries the IPv4 default route',
      v3: 'is what m3 stands on, which is a member of br0, which carries the IPv4 default route',
    });
    ns.sh('ip route flush default; ip route add unreachable default');
    t.false('v1' in routes() && /IPv4/.test(routes()['v1']));
  });

  within('a monitor tells of up, down, carrier, rename and going away, and of nothing twice', async (t, ns) => {
    ns.sh('ip link add v0 type veth peer name v1; ip link add br0 type bridge');
    const other = new Namespace();
    t.teardown(() => other.delete());
    const run = await ns.start(`
      const m = new fk.LinkMonitor(), poll = new Int32Array([m.fd, fk.POLLIN]), all = [];
      say(1);
      process.stdin.once('data', () => {
        if (fk.pollWait(poll, 1, 1e9) !== 1) throw new Error('not readable');
        say(m.read()); if (m.read().length) throw new Error('more'); process.exit();
      });`);
    let text = '';
    run.child.stdout!.on('data', (d) => { text += d; });
    const index: Record<string, number> = ns.node('say(Object.fromEntries(fk.interfaces().map((one) => [one.name, one.index])))');
    // The kernel tells of a carrier a second late or more, and not at all when it has changed back by then (net/core/link_watch.c).
    const becomes = (state: string): string => `n=0; until [ "$(cat /sys/class/net/v0/operstate)" = ${state} ]; do n=$((n + 1)); [ $n -lt 1200 ] || exit 9; sleep 0.05; done; ip link show v0 >/dev/null`;
    ns.sh(`ip link set v0 up; ip link set v1 up; ${becomes('up')}; ip link set v1 down; ${becomes('lowerlayerdown')}; ip link set v0 down; ip link set v0 name w0; ip link set w0 master br0; ip link set w0 nomaster; ip link set v1 netns ${other.name}; ip link del w0`);
    run.child.stdin!.write('x');
    await new Promise((done) => run.child.once('close', done));
    const events = JSON.parse(text) as { ifindex: number; name: string; up: boolean; running: boolean; gone: boolean }[];
    const mine = events.filter((e) => e.ifindex === index['v0']);
    t.true(mine.some((e) => e.up && e.running));
    t.true(mine.some((e) => e.up && !e.running && !e.gone));
    t.true(mine.some((e) => e.name === 'w0' && !e.gone));
    t.is(mine.filter((e) => e.gone).length, 1, 'leaving a bridge is not going away');
    t.deepEqual(mine.at(-1), { ifindex: index['v0'], name: 'w0', up: false, running: false, gone: true });
    t.true(events.some((e) => e.ifindex === index['v1'] && e.gone), 'moved to another namespace');
  });

  within('a monitor that was overrun compares, and misses nobody', (t, ns) => {
    ns.sh('ip link add v0 type veth peer name v1; ip link add gone0 type bridge');
    // More than a socket takes, however much that is here: a link is told of in 500 bytes at least.
    const lines = Math.max(3000, Math.ceil(Number(readFileSync('/proc/sys/net/core/rmem_default', 'utf8')) / 500));
    const events = ns.node(`
      const { spawnSync } = await import('node:child_process');
      const m = new fk.LinkMonitor();
      const lines = Array.from({ length: ${lines} }, (_, i) => 'link set v0 ' + (i & 1 ? 'down' : 'up'));
      const r = spawnSync('ip', ['-batch', '-'], { input: ['link del gone0', ...lines, 'link set v0 up'].join('\\n') });
      if (r.status !== 0) throw new Error(String(r.stderr));
      const first = m.read(); say([first.length, first.find((e) => e.name === 'gone0'), first.find((e) => e.name === 'v0'), m.read()])`);
    t.is(events[0], 4, 'lo, v0, v1 and gone0, once each');
    t.deepEqual(events[3], [], 'nothing old afterwards');
    t.is(events[1]?.gone, true);
    t.like(events[2], { up: true, gone: false });
  });
}
