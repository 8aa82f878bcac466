/** What the commands change in a running switch: ports, the forwarding table, what is kept; and the events that tell of it. */
import { once } from 'node:events';
import { setTimeout as after } from 'node:timers/promises';
import test from 'ava';
import { Network } from './hosts.js';
import { has } from './needs.js';
import { connectControl, FDB_PAGE, type ControlEvent, type FdbShownEntry, type KeepState, type PortInfo } from '../switch/control/index.js';
import type { CountersSnapshot } from '../switch/index.js';
import { Place, until } from './control_place.js';

test.serial('ports come, are set, and go, by command', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['gen:a,rate=2000', 'sink:b']);
  const control = await place.control('lab');
  const port = async (name: string): Promise<PortInfo | undefined> => (await control.call('ports.list')).ports.find((p) => p.port === name);
  t.regex((await place.cli('ports', 'add', 'sink:late')).stdout, /^sink:late: sink/);
  await until(async () => (await port('sink:late'))!.sent > 0);
  t.regex((await place.cli('ports', 'set', 'sink:late', '--forward', 'off')).stdout, /forwards nothing, keeps what comes in/);
  const { sent, state } = (await port('sink:late'))!, b = (await port('sink:b'))!.sent;
  t.is(state, 'disabled');
  await until(async () => (await port('sink:b'))!.sent > b + 200);
  t.is((await port('sink:late'))!.sent, sent, 'a disabled port is sent nothing');
  t.is((await place.cli('ports', 'set', 'sink:late', '--forward', 'on')).status, 0);
  await until(async () => (await port('sink:late'))!.sent > sent);
  t.is((await place.cli('ports', 'remove', 'sink:late')).status, 0);
  t.is(await port('sink:late'), undefined);

  t.is((await place.cli('ports', 'set', 'gen:a', '--forward', 'off')).status, 0);
  await until(async () => (await control.call('stats')).ports[0].dropped['disabled'] > 100);
  t.is((await place.cli('ports', 'set', '0', '--keep', 'off')).status, 0, 'by number');
  const { kept, received } = (await port('gen:a'))!;
  await until(async () => (await port('gen:a'))!.received > received + 200);
  t.is((await port('gen:a'))!.kept, kept, 'nothing that comes in there is kept');
  for (const [line, code, status] of [
    [['ports', 'remove', 'nosuch'], 'E_PORT_UNKNOWN', 1], [['ports', 'add', 'tap'], 'E_USAGE', 2], [['ports', 'add', 'gen:z,speed=1'], 'E_PORT_OPTION', 2], [['ports', 'add', 'cap:lo,speed=1'], 'E_PORT_OPTION', 2], [['ports', 'set', 'gen:a'], 'E_USAGE', 2],
  ] as [string[], string, number][]) {
    const said = await place.cli(...line);
    t.is(said.status, status, line.join(' '));
    t.true(said.stderr.includes(`[${code}]`), said.stderr);
  }
});

test.serial('a static address is found at its port whoever claims it, stays through a flush, and goes when deleted', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['gen:a,rate=1000,src=02:00:00:00:00:01,dst=02:00:00:00:00:09', 'sink:b', 'sink:c']);
  const control = await place.control('lab');
  const entries = async (): Promise<readonly FdbShownEntry[]> => (await control.call('fdb.show')).entries;
  await until(async () => (await entries()).length === 1);
  t.like((await entries())[0], { mac: '02:00:00:00:00:01', portName: 'gen:a', isStatic: false });
  t.is((await place.cli('fdb', 'add', '02-00-00-00-00-09', 'sink:c')).status, 0);
  const sent = async (): Promise<number[]> => (await control.call('ports.list')).ports.map((p) => p.sent), before = await sent();
  await until(async () => (await sent())[2] > before[2] + 200);
  t.is((await sent())[1], before[1], 'what is meant for it is flooded no more');
  t.is((await place.cli('fdb', 'add', '02:00:00:00:00:01', 'sink:b')).status, 0);
  await after(50);
  t.like((await entries()).find((e) => e.mac.endsWith('01')), { portName: 'sink:b', isStatic: true }, 'it does not move, though frames with it come in elsewhere');
  t.regex((await place.cli('fdb')).stdout, /02:00:00:00:00:09 +sink:c +static/);
  t.deepEqual((await place.json<FdbShownEntry[]>(t, 'fdb', 'show', '--port', 'sink:c')).map((e) => e.mac), ['02:00:00:00:00:09']);
  t.is((await place.cli('fdb', 'flush')).status, 0);
  t.is((await entries()).filter((e) => e.isStatic).length, 2);
  t.is((await place.cli('fdb', 'delete', '02:00:00:00:00:01')).status, 0);
  await until(async () => (await entries()).some((e) => e.mac.endsWith('01') && !e.isStatic));
  t.is((await place.cli('ports', 'remove', 'sink:c')).status, 0);
  t.is((await entries()).length, 1, 'it goes with its port');
  for (const [line, text] of [[['delete', '02:00:00:00:00:33'], /no entry/], [['add', '01:00:5e:00:00:01', 'sink:b'], /group address/], [['add', '02:00:00:00:00:02', 'sink:b', '--vlan', '7'], /does not learn per VLAN/]] as [string[], RegExp][]) {
    const said = await place.cli('fdb', ...line);
    t.regex(said.stderr, text);
    t.regex(said.stderr, /\[E_FDB\]/);
  }
  await place.up('hub', ['sink:a'], ['--logic', 'hub']);
  t.regex((await place.cli('fdb', 'add', '02:00:00:00:00:01', 'sink:a', '-n', 'hub')).stderr, /'hub' has no forwarding table[^]*E_FDB/);
});

test.serial('a table of thousands comes whole, page by page', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['gen:a,rate=0,macs=6000,count=60000', 'sink:b'], ['--fdb-size', '8192']);
  const control = await place.control('lab');
  await until(async () => (await control.call('status')).fdb.entries === 6000);
  t.is(new Set((await place.json<FdbShownEntry[]>(t, 'fdb')).map((e) => e.mac)).size, 6000);
  const page = await control.call('fdb.show', { limit: 1 });
  t.true(page.entries.length < 6000 && page.next !== null);
  t.true((await control.call('fdb.show')).entries.length <= FDB_PAGE + 4096);
});

test.serial('what is kept is changed by command, from then on, and frozen', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['gen:a,rate=1000,size=200', 'sink:b']);
  const control = await place.control('lab');
  const kept = async (): Promise<{ kept: number; bytes: number }> => {
    const { ports } = await control.call('stats');
    return { kept: ports[0].kept, bytes: ports[0].keptBytes };
  };
  const frames = async (): Promise<number> => (await kept()).kept;
  await until(async () => await frames() > 10);
  t.regex((await place.cli('keep', 'set', 'udp', 'port', '53')).stdout, /^"udp port 53"/);
  const before = await kept();
  await after(100);
  t.is(await frames(), before.kept, 'the generator sends no DNS');
  t.deepEqual(await place.json<KeepState>(t, 'keep', 'set', 'all', '--snap', '20', '--sample', '2'), { expression: '', sample: 2, snap: 20, ports: [], frozen: false, stopped: null });
  await until(async () => await frames() > before.kept + 50);
  t.is((await place.cli('keep', 'freeze')).status, 0);
  const frozen = await kept();
  t.is(frozen.bytes - before.bytes, (frozen.kept - before.kept) * 20);
  t.regex((await place.cli('keep')).stdout, /^frozen[^]*every frame, 1 in 2, 20 bytes of each/);
  await after(100);
  t.is(await frames(), frozen.kept);
  t.is((await place.cli('keep', 'resume')).status, 0);
  await until(async () => await frames() > frozen.kept);
  t.deepEqual((await place.json<KeepState>(t, 'keep', 'set', '--keep-port', 'sink:b:in')).ports, [{ name: 'sink:b', direction: 'in' }]);
  const chosen = await frames();
  await after(100);
  t.is(await frames(), chosen, 'nothing comes in there');
  t.deepEqual((await place.json<KeepState>(t, 'keep', 'set', '--keep-port', '-')).ports, []);
  await until(async () => await frames() > chosen);
  const bad = await place.cli('keep', 'set', 'tcp', 'prt', '80');
  t.is(bad.status, 2);
  t.regex(bad.stderr, /E_FILTER_SYNTAX/);
  t.is((await control.call('keep.show')).expression, '', 'a bad one changes nothing');
});

test.serial('events tell what happens: ports, stations that move, what is kept, overload, floods, the end', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['sink:b'], ['--fdb-size', '16']);
  const control = await connectControl(place.socket('lab')), heard: ControlEvent[] = [];
  let closed = false;
  control.on('event', (event) => heard.push(event));
  control.on('close', () => { closed = true; });
  await control.call('events.subscribe');
  const began = performance.now();
  const came = (kind: ControlEvent['kind']) => (): boolean => heard.some((e) => e.kind === kind);
  await control.call('ports.add', { port: 'gen:x,rate=50,src=02:00:00:00:00:0a' });
  await control.call('ports.add', { port: 'gen:y,rate=50,src=02:00:00:00:00:0a' });
  await until(came('moves'));
  const moved = heard.find((e) => e.kind === 'moves') as ControlEvent & { moves: { mac: string; fromName: string; toName: string }[] };
  t.is(moved.moves[0].mac, '02:00:00:00:00:0a');
  t.deepEqual([moved.moves[0].fromName, moved.moves[0].toName].sort(), ['gen:x', 'gen:y']);
  await control.call('ports.add', { port: 'gen:many,rate=20000,macs=100' });
  await until(came('fdb-full'));
  await until(came('floods'));
  await control.call('ports.remove', { port: 'gen:x' });
  await control.call('keep.set', { sample: 3 });
  await control.call('keep.freeze');
  await control.call('keep.resume');
  await control.call('ports.set', { port: 'sink:b', forwarding: false });
  await control.call('stop');
  await until(() => closed);
  for (const kind of ['port-added', 'port-removed', 'port-changed', 'keep-changed', 'keeping-frozen', 'keeping-resumed', 'stopped'] as const) t.true(came(kind)(), kind);
  const seconds = (performance.now() - began) / 1000;
  for (const event of heard) t.true(Math.abs(event.time - Date.now() / 1000) < seconds + 60);
  t.true(heard.filter((e) => e.kind === 'moves').length <= seconds + 10, 'moves are told once a second, not once a frame');
});

if (has('control of a switch between hosts', 'root', 'ip', 'ping', 'ethtool')) {
  test.serial('promiscuous mode is set while the port lives, is the kernel\'s own flag, and goes with the port; ports without it say so', async (t) => {
    const network = new Network();
    try {
      const promiscuity = (): number => (JSON.parse(network.middle.sh('ip -d -j link show dev p0')) as { promiscuity: number }[])[0].promiscuity;
      const state = (port: string): boolean | null =>
        (JSON.parse(network.framekeep('ports', '--json')) as PortInfo[]).find((p) => p.port === port)!.promiscuous;
      const sw = await network.up(['xdp:p0', 'xdp:p1', 'sink:s']);
      t.teardown(() => sw.kill());
      t.deepEqual([promiscuity(), state('xdp:p0'), state('sink:s')], [1, true, null]);
      t.regex(network.framekeep('ports', 'set', 'xdp:p0', '--promiscuous', 'off'), /^xdp:p0: forwards, keeps what comes in, not promiscuous$/m);
      t.deepEqual([promiscuity(), state('xdp:p0'), state('xdp:p1')], [0, false, true]);
      network.framekeep('ports', 'set', 'xdp:p0', '--promiscuous', 'off');
      t.is(promiscuity(), 0, 'off twice is off');
      network.middle.sh('ip link set p0 promisc on');
      network.framekeep('ports', 'set', 'xdp:p0', '--promiscuous', 'on');
      t.deepEqual([promiscuity(), state('xdp:p0')], [2, true], 'what others have set is theirs');
      network.framekeep('ports', 'remove', 'xdp:p0');
      t.is(promiscuity(), 1);
      network.middle.sh('ip link set p0 promisc off');
      network.framekeep('ports', 'add', 'xdp:p0');
      network.framekeep('ports', 'set', 'xdp:p0', '--promiscuous', 'off');
      network.framekeep('ports', 'remove', 'xdp:p0');
      t.is(promiscuity(), 0, 'off, and removed: no more is taken away than was given');
      t.throws(() => network.framekeep('ports', 'set', 'sink:s', '--promiscuous', 'on', '--forward', 'off'), { message: /sink:s has no promiscuous mode.*E_PORT_SETTING/s });
      t.regex(network.framekeep('ports', 'set', 'sink:s', '--keep', 'on'), /^sink:s: forwards, keeps what comes in$/m, 'what was refused changed nothing');
      network.framekeep('stop');
    } finally { network.delete(); }
  });

  test.serial('interfaces and taps are added to a running switch, traffic flows, and stop leaves them as they were found', async (t) => {
    const network = new Network();
    try {
      const offloads = (): string => network.middle.sh('ethtool -k p0; ethtool -k p1; ip -d -o link show p0; ip -d -o link show p1').replaceAll(/ state \w+ | prog\/xdp id \d+| xdp\S*/g, ' ');
      const before = offloads(), sw = await network.up(['xdp:p0']);
      t.teardown(() => sw.kill());
      // An address that was asked for in vain is given up only after three seconds.
      const pings = (): string => network.a.sh('for i in $(seq 20); do ping -q -c1 -W1 10.79.0.2 >/dev/null && break; done; ping -c2 -i0.2 -W2 10.79.0.2');
      t.throws(() => network.a.sh('ping -c1 -W1 10.79.0.2'));
      t.regex(network.framekeep('ports', 'add', 'xdp:p1'), /^xdp:p1: AF_XDP/);
      pings();
      t.regex(network.framekeep('ports', 'add', 'tap:fkc0'), /^tap:fkc0: /);
      network.middle.sh('ip link show fkc0');
      t.regex(network.framekeep('ports'), /tap:fkc0/);
      t.regex(network.framekeep('fdb'), /([0-9a-f]{2}:){5}[0-9a-f]{2} +xdp:p1/);
      network.framekeep('ports', 'set', 'xdp:p1', '--forward', 'off');
      t.throws(() => network.a.sh('ping -c1 -W1 10.79.0.2'));
      network.framekeep('ports', 'set', 'xdp:p1', '--forward', 'on');
      pings();
      network.framekeep('ports', 'remove', 'tap:fkc0');
      t.throws(() => network.middle.sh('ip link show fkc0'), undefined, 'the tap that the switch made goes');
      const closed = once(sw.child, 'close');
      t.regex(network.framekeep('stop'), /^test has stopped: [\d,]+ frames kept/);
      t.is((await closed)[0], 0);
      t.is(offloads(), before);
      const { global, ports } = sw.messages.findLast((m) => m.type === 'stopped') as unknown as CountersSnapshot;
      t.is(global.committed, ports.reduce((n, p) => n + p.kept, 0));
      t.true(global.committed > 0);
      t.regex(network.framekeep('verify', network.pool), /./);
    } finally { network.delete(); }
  });
}
