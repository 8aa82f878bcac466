/** Taps: whose they are, what their rings do, every way a frame can fail to pass, and TCP with the kernel's default offloads. */
import { once } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import { TAP, tapOpen } from '../native/index.js';
import { Namespace } from './namespaces.js';
import { has } from './needs.js';

const url = new URL('./tap_end.js', import.meta.url).href;
const CHUNK = 2048, HEADROOM = 256;

test('names that no interface can have are refused', (t) => {
  for (const name of ['', 'sixteen-bytes-xx', 'a/b', 'a b', 'a:b', '.', '..']) t.throws(() => tapOpen(name), { code: 'E_TAP_NAME' });
});

if (has('taps in network namespaces', 'root', 'ip', 'setpriv')) {
  const within = (title: string, body: (t: ExecutionContext, ns: Namespace, run: (code: string, prefix?: string[]) => any) => void | Promise<void>) => test(title, async (t) => {
    const ns = new Namespace();
    try { await body(t, ns, (code, prefix) => ns.node(prelude + code, prefix)); } finally { ns.delete(); }
  });
  const prelude = `const { TapEnd, wire } = await import(${JSON.stringify(url)});
    const { execSync } = await import('node:child_process'), sh = (c) => execSync(c, { encoding: 'utf8' });
    const code = (f) => { try { f(); return 'fine' } catch (e) { return e.code ?? String(e) } };
    const exists = (name) => fk.interfaces().some((one) => one.name === name);
    const frame = (length, seed = 1, to = 2) => { const f = Buffer.alloc(length, seed); f.set([2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, seed & 127, 0x88, 0xb5].slice(0, length)); return f };
    const hex = (f) => f.toString('hex');\n`;

  within('a tap that we make is ours and goes with its descriptor; one that was there stays', (t, ns, run) => {
    ns.sh('ip tuntap add old0 mode tap; ip link set old0 mtu 1400; ip tuntap add many0 mode tap multi_queue');
    const [made, numbered, old, many, after] = run(`
      const a = fk.tapOpen('new0'), b = fk.tapOpen('num%d'), c = fk.tapOpen('old0'), d = fk.tapOpen('many0');
      for (const one of [a, b, c, d]) fk.closeFd(one.fd);
      say([a, b, c, d, ['new0', 'num0', 'old0', 'many0'].map(exists)])`);
    t.like(made, { name: 'new0', mtu: 1500, created: true });
    t.regex(made.mac, /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
    t.like(numbered, { name: 'num0', created: true });
    t.like(old, { name: 'old0', mtu: 1400, created: false });
    t.like(many, { name: 'many0', created: false });
    t.deepEqual(after, [false, false, true, true]);
  });

  within('one that is taken, is no tap, or may not be taken: each its own error', (t, ns, run) => {
    ns.sh('ip link add v0 type veth peer name v1; ip tuntap add tun0 mode tun; ip tuntap add mine0 mode tap user 0; ip tuntap add other0 mode tap user 4242');
    t.deepEqual(run("const a = fk.tapOpen('mine0'); say([code(() => fk.tapOpen('mine0')), code(() => fk.tapOpen('v0')), code(() => fk.tapOpen('tun0'))])"), ['E_TAP_BUSY', 'E_TAP_KIND', 'E_TAP_KIND']);
    const said = run(`const message = (f) => { try { f(); return 'fine' } catch (e) { return e.code + ' ' + e.message } };
      say(['mine0', 'other0', 'new0'].map((name) => message(() => fk.tapOpen(name))))`, ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin']);
    t.is(said[0], 'fine', 'made for this user: no capability is needed');
    t.regex(said[1], /^E_PERMISSION the tap other0 belongs to another user/);
    t.regex(said[2], /^E_PERMISSION making the tap new0 needs CAP_NET_ADMIN\n.*ip tuntap add new0 mode tap user/);
  });

  /** Two taps, up, on one kernel bridge that floods and does not wait: what one sends the other receives. */
  const bridged = `const a = new TapEnd('a0'), b = new TapEnd('b0');
    sh('ip link add br0 type bridge mcast_snooping 0 forward_delay 0 ageing_time 0 && ip link set a0 master br0 up && ip link set b0 master br0 up && ip link set br0 up');\n`;

  within('frames of every length pass byte by byte, in the buffers that were given, and each buffer comes back', (t, _ns, run) => {
    const [sent, got, completions, counters, ends] = run(`${bridged}
      const lengths = [14, 15, 41, 60, 64, 255, 1000, 1513, 1514], frames = lengths.map((n, i) => frame(n, i + 3));
      b.give(...lengths.map((_, i) => i * ${CHUNK} + 77));             // bits below the chunk are ignored
      a.send(40, ...frames);
      let got = [];
      while (got.length < frames.length) { const more = b.wait(); if (more.length === 0) break; got = got.concat(more); }
      say([frames.map(hex), got, a.completed(), [a.counters(), b.counters()], [a.rings.tx.outstanding(), b.rings.fill.outstanding()]])`);
    t.deepEqual(got.map((one: any) => one.frame), sent);
    t.deepEqual(got.map((one: any) => one.addr), sent.map((_: string, i: number) => i * CHUNK + HEADROOM));
    t.deepEqual(completions, sent.map((_: string, i: number) => (40 + i) * CHUNK + HEADROOM));
    t.deepEqual(counters[0], [0, 0, 0, 0, 0, 0, 0]);
    t.deepEqual(ends, [0, 0]);
  });

  within('VLAN tags stay in the frame, inserted by the kernel where it kept them apart', (t, _ns, run) => {
    const [sent, got] = run(`${bridged}
      const tagged = Buffer.concat([frame(12), Buffer.from('8100002a88b5', 'hex'), Buffer.alloc(50, 7)]);
      b.give(0); a.send(40, tagged);
      say([hex(tagged), b.wait().map((one) => one.frame)])`);
    t.deepEqual(got, [sent]);
  });

  within('want of buffers and of ring room stops receiving and loses nothing; the burst is bounded', (t, _ns, run) => {
    const steps = run(`${bridged}
      const steps = [], frames = Array.from({ length: 6 }, (_, i) => frame(60, i + 3));
      const note = (n) => steps.push([n, b.take().map((one) => one.frame.slice(22, 24)), b.counters()[1]]);
      a.send(40, ...frames);
      fk.pollWait(new Int32Array([b.tap.fd, 1]), 1, 20e9);
      note(b.receive());
      b.give(0, ${CHUNK}); note(b.receive());
      b.give(0, ${CHUNK}, ${2 * CHUNK}, ${3 * CHUNK}, ${4 * CHUNK}); note(b.receive(1)); note(b.receive()); note(b.receive());
      say(steps)`);
    t.deepEqual(steps, [[0, [], 1], [2, ['03', '04'], 2], [1, ['05'], 2], [3, ['06', '07', '08'], 2], [0, [], 2]]);
  });

  within('an rx ring that is full keeps frames in the kernel', (t, _ns, run) => {
    const answer = run(`const a = new TapEnd('a0'), b = new TapEnd('b0', { size: 4 });
      sh('ip link add br0 type bridge mcast_snooping 0 forward_delay 0 && ip link set a0 master br0 up && ip link set b0 master br0 up && ip link set br0 up');
      const frames = Array.from({ length: 7 }, (_, i) => frame(60, i + 3));
      a.send(40, ...frames);
      fk.pollWait(new Int32Array([b.tap.fd, 1]), 1, 20e9);
      const steps = [];
      b.give(0, 1 * ${CHUNK}, 2 * ${CHUNK}, 3 * ${CHUNK}); steps.push(b.receive());
      b.give(4 * ${CHUNK}, 5 * ${CHUNK}, 6 * ${CHUNK}); steps.push(b.receive(), b.take().length, b.receive(), b.take().map((one) => one.frame.slice(22, 24)));
      say(steps)`);
    t.deepEqual(answer, [4, 0, 4, 3, ['07', '08', '09']]);
  });

  within('a frame too long for a buffer is dropped and counted, never cut; its buffer serves the next', (t, _ns, run) => {
    const [got, counters] = run(`const a = new TapEnd('a0', { chunks: 64 }), b = new TapEnd('b0');
      sh('ip link add br0 type bridge mcast_snooping 0 forward_delay 0 ageing_time 0; for i in a0 b0; do ip link set $i mtu 9000 master br0 up; done; ip link set br0 up');
      const sizes = [60, 1791, 1792, 1793, 3000, 61], got = [];
      b.give(0, ${CHUNK}, ${2 * CHUNK});
      sizes.forEach((n, i) => { const f = frame(n, i + 3); a.bytes.set(f, 40 * ${CHUNK}); a.rings.tx.pushDescriptor(40 * ${CHUNK}, 0, n); a.rings.tx.publish(); a.transmit(); });
      for (let k = 0; k < 10 && got.length < 3; k++) got.push(...b.wait());
      say([got.map((one) => [one.addr, one.frame.length / 2, new Set(one.frame.slice(28)).size]), b.counters()])`);
    t.deepEqual(got, [[HEADROOM, 60, 2], [CHUNK + HEADROOM, 1791, 2], [2 * CHUNK + HEADROOM, 61, 2]]);
    t.is(counters[TAP.oversize], 3);
  });

  within('what is not sent is counted by reason, and comes back all the same', (t, _ns, run) => {
    const [answers, completions, counters] = run(`${bridged}
      const { tx } = a.rings, answers = [];
      answers.push(a.send(40, frame(13), frame(0), frame(60)));
      tx.pushDescriptor(64 * ${CHUNK} - 10, 0, 60); tx.pushDescriptor(0, 9, 60); tx.pushDescriptor(0xffffffff, 0xffffffff, 60); tx.publish(); answers.push(a.transmit());
      a.rings.fill.pushAddress(0, 7); a.rings.fill.pushAddress(${CHUNK}, 0); a.rings.fill.publish();
      b.send(40, frame(60, 9)); answers.push(a.wait().length);
      sh('ip link set a0 down'); answers.push(a.send(50, frame(60), frame(60)), a.receive());
      sh('ip link set a0 up'); answers.push(a.send(52, frame(60)));
      say([answers, a.completed().length, a.counters()])`);
    t.deepEqual(answers, [3, 3, 1, 2, 0, 1]);
    t.is(completions, 9);
    t.deepEqual(counters, [0, 2, 2, 2, 4, 0, 5], 'starved twice: the buffers that were given were used up');
  });

  within('a full completion ring stops sending, and what is left goes when there is room', (t, _ns, run) => {
    t.deepEqual(run(`const a = new TapEnd('a0', { size: 4 }); sh('ip link set a0 up');
      const four = [1, 2, 3, 4].map((n) => frame(60, n));
      say([a.send(0, ...four), a.send(8, ...four), a.completed().length, a.transmit(), a.completed().length, a.rings.tx.outstanding()])`), [4, 0, 4, 4, 4, 0]);
  });

  within('an interface that goes away says so on both ways, and to poll', (t, ns, run) => {
    ns.sh('ip tuntap add a0 mode tap');
    t.deepEqual(run(`const a = new TapEnd('a0'); sh('ip link set a0 up; ip link del a0');
      const poll = new Int32Array([a.tap.fd, 1]);
      a.give(0);
      say([a.receive(), a.send(4, frame(60)), a.completed().length, fk.pollWait(poll, 1, 0), poll[1] >>> 16 & fk.POLLERR])`), [-77, -77, 0, 1, 8]);
  });

  within('what was detached or unmapped is refused, not touched', (t, _ns, run) => {
    t.deepEqual(run(`const a = new TapEnd('a0'), b = new TapEnd('b0');
      fk.tapDetach(a.attached); fk.unmap(b.umem);
      say([a.receive(), a.transmit(), b.receive(), b.transmit(), fk.tapReceive(4242, 1), a.attached.counters.length,
        code(() => fk.tapAttach(b.tap.fd, b.umem, 64, b.umem, 11, 256)), code(() => fk.tapAttach(b.tap.fd, fk.softRings(64), 63, fk.mapMemory('x', 4096), 11, 256)),
        code(() => fk.tapAttach(b.tap.fd, fk.softRings(64), 128, fk.mapMemory('x', 4096), 11, 256)), code(() => fk.tapAttach(b.tap.fd, fk.softRings(64), 64, fk.mapMemory('x', 4096), 11, 2048))])`),
      [-22, -22, -22, -22, -22, 0, 'E_TAP', 'E_TAP', 'E_TAP', 'E_TAP']);
  });

  within('a handle of one thread means nothing in another, and a thread that ends gives its tap back', (t, _ns, run) => {
    t.deepEqual(run(`const { Worker } = await import('node:worker_threads'), { once } = await import('node:events');
      const text = 'import { parentPort } from "node:worker_threads"; const { TapEnd } = await import(' + JSON.stringify(${JSON.stringify(url)}) + '); const a = new TapEnd("w0"); parentPort.postMessage(a.attached.handle); parentPort.once("message", () => {});';
      const w = new Worker(new URL('data:text/javascript,' + encodeURIComponent(text)));
      const [handle] = await once(w, 'message'), during = [exists('w0'), fk.tapReceive(handle, 1)];
      w.postMessage('end'); await once(w, 'exit');
      say([...during, exists('w0')])`), [true, -22, false]);
  });

  within('TCP passes two taps with default offloads at both ends, and every checksum is whole', async (t, ns) => {
    const other = new Namespace();
    const passing = await ns.start(`${prelude}
      const a = new TapEnd('a0', { size: 512, chunks: 1024 }), b = new TapEnd('b0', { size: 512, umem: a.umem });
      sh('ip link set b0 netns ${other.name}; ip addr add 10.66.0.1/24 dev a0; ip link set a0 up');
      say(1); say(await wire(a, b)); process.exit(0);`);
    t.teardown(async () => { if (passing.child.exitCode === null) await passing.kill(); other.delete(); });
    let said = '';
    passing.child.stdout!.on('data', (d) => { said += d; });
    other.sh('ip addr add 10.66.0.2/24 dev b0; ip link set b0 up');
    const server = await ns.start(`const { createServer } = await import('node:net'), { createHash } = await import('node:crypto');
      createServer((c) => { const h = createHash('sha256'); c.on('data', (d) => h.update(d)); c.on('end', () => c.end(h.digest('hex'))); }).listen(7000, () => say(1));`);
    t.teardown(() => server.kill());
    const [sent, received, seconds] = other.node(`const { connect } = await import('node:net'), { createHash, randomBytes } = await import('node:crypto'), { once } = await import('node:events');
      const block = randomBytes(1 << 20), h = createHash('sha256'), c = connect(7000, '10.66.0.1'), start = performance.now();
      let answer = ''; c.on('data', (d) => { answer += d; });
      for (let i = 0; i < 32; i++) { block.writeUInt32LE(i); h.update(block); if (!c.write(Buffer.from(block))) await once(c, 'drain'); }
      c.end(); await once(c, 'close');
      say([h.digest('hex'), answer, (performance.now() - start) / 1000]);`);
    t.is(received, sent);
    for (const one of [ns, other]) t.is(one.sh("awk '/^Tcp:/ { n = $NF } END { print n }' /proc/net/snmp").trim(), '0', 'InCsumErrors');
    passing.child.stdin!.write('stop');
    await once(passing.child, 'close');
    const { frames, counters } = JSON.parse(said);
    t.true(frames > (32 << 20) / 1500);
    for (const c of counters) t.deepEqual([c[TAP.oversize], c[TAP.invalid], c[TAP.refused]], [0, 0, 0]);
    t.log(`${Math.round((32 << 23) / seconds / 1e6)} Mbit/s, ${frames} frames`);
  });
}
