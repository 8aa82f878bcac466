/** Taps with a header before each frame: what a sender's stack leaves to others, and what is made of it when that is withdrawn. */
import test from 'ava';
import { TAP } from '../native/index.js';
import { Namespace } from './namespaces.js';
import { has } from './needs.js';

const url = new URL('./tap_end.js', import.meta.url).href;
const CHUNK = 2048, HEADROOM = 256, GSO_UDP = 5, NEEDS_CHECKSUM = 1;

if (has('super-frames on taps', 'root', 'ip', 'python3')) {
  const within = (title: string, code: string, check: (t: any, answer: any) => void) => test(title, (t) => {
    const ns = new Namespace();
    try { check(t, ns.node(prelude + code)); } finally { ns.delete(); }
  });
  // UDP_SEGMENT (linux/udp.h): one call of sendto makes several datagrams, which the NIC is to cut.
  const prelude = `const { TapEnd } = await import(${JSON.stringify(url)});
    const { execSync } = await import('node:child_process'), sh = (c) => execSync(c, { encoding: 'utf8' });
    const make = (name, i, options = {}) => {
      const end = new TapEnd(name, { vnetHeader: true, ...options });
      sh('ip addr add 10.81.' + i + '.1/24 dev ' + name + '; ip link set ' + name + ' address 02:00:00:00:00:0' + i + ' up; ip neigh add 10.81.' + i + '.2 lladdr 02:00:00:00:00:77 dev ' + name);
      return end;
    };
    const send = (to, bytes, segment) => sh("python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); " + (segment ? "s.setsockopt(17, 103, " + segment + "); " : "") + "s.sendto(bytes(range(256)) * 8 if " + bytes + " > 2047 else (bytes(range(256)) * 8)[:" + bytes + "], (\\"" + to + "\\", 4242))'");
    const header = (end, addr) => { const v = new DataView(end.umem.segments[0], addr - 16, 16); return [v.getUint8(0), v.getUint8(1), v.getUint16(4, true), v.getUint16(6, true), v.getUint16(8, true)]; };
    // RFC 1071, over pseudo-header and datagram: 0xffff when it fits.
    const sum = (hex) => { const f = Buffer.from(hex, 'hex'); let s = 17 + f.length - 34; const add = (b) => { for (let i = 0; i < b.length; i += 2) s += (b[i] << 8) | (b[i + 1] ?? 0); }; add(f.subarray(26, 34)); add(f.subarray(34)); while (s > 0xffff) s = (s & 0xffff) + (s >>> 16); return s; };\n`;

  within('nothing is left to others until that is offered: frames come cut and complete', `
      const a = make('h0', 1); a.give(...Array.from({ length: 8 }, (_, i) => i * ${CHUNK}));
      send('10.81.1.2', 1500, 500);
      const got = a.wait();
      say([got.map((one) => [one.frame.length / 2, ...header(a, one.addr).slice(0, 2), sum(one.frame)])])`, (t, [got]) => {
    t.deepEqual(got, [1, 2, 3].map(() => [542, 0, 0, 0xffff]));
  });

  within('offered, one call makes one frame, whose header says how it is to be cut', `
      const a = make('h0', 1);
      say([a.offer(true), (a.give(0), send('10.81.1.2', 1500, 500), a.wait().map((one) => [one.addr, one.frame.length / 2, ...header(a, one.addr)]))])`, (t, [offered, got]) => {
    t.is(offered, 0);
    t.deepEqual(got, [[HEADROOM, 1542, NEEDS_CHECKSUM, GSO_UDP, 500, 34, 6]]);
  });

  // A completed field with a header that asks for completion: were it handed on as it is kept, whoever cuts the segment would add to it once more.
  within('a frame whose checksum was completed in its buffer is cut by the next host into segments with good ones', `
      const a = make('h0', 1), b = new TapEnd('h1', { vnetHeader: true, umem: a.umem }), c = new TapEnd('h2');
      sh('ip link add br0 type bridge mcast_snooping 0 forward_delay 0 && ip link set h1 master br0 up && ip link set h2 master br0 up && ip link set br0 up');
      a.offer(true); b.offer(true); a.give(0); c.give(0, ${CHUNK}, ${2 * CHUNK});
      send('10.81.1.2', 1500, 500);
      const { rx } = a.rings, before = (a.receive(), rx.available()), completed = fk.completeChecksums(a.umem.id, rx.words, rx.entries, rx.next, 1, rx.mask, new Uint8Array(1));
      const [frame] = a.take();
      b.rings.tx.pushDescriptor(frame.addr, 0, frame.frame.length / 2); b.rings.tx.publish(); b.transmit();
      say([before, completed, sum(frame.frame), c.wait().map((one) => [one.frame.length / 2, sum(one.frame)]),
        Buffer.from(a.bytes.subarray(frame.addr, frame.addr + frame.frame.length / 2)).toString('hex') === frame.frame])`, (t, [before, completed, whole, cut, unchanged]) => {
    t.deepEqual([before, completed, whole], [1, 1, 0xffff]);
    t.deepEqual(cut, [1, 2, 3].map(() => [542, 0xffff]));
    t.true(unchanged, 'what is kept is not written to');
  });

  within('withdrawn while frames wait: a checksum is completed, a segment is dropped and counted', `
      const a = make('h0', 1); a.offer(true);
      send('10.81.1.2', 301); send('10.81.1.2', 1500, 500); send('10.81.1.2', 700);
      const off = a.offer(false); a.give(0, ${CHUNK}, ${2 * CHUNK});
      const got = a.wait();
      say([off, got.map((one) => [one.frame.length / 2, sum(one.frame)]), a.counters()])`, (t, [off, got, counters]) => {
    t.is(off, 0);
    t.deepEqual(got, [[343, 0xffff], [742, 0xffff]]);
    t.is(counters[TAP.oversize], 1);
  });

  within('what waits to be sent when that changes comes back unsent; what comes after is sent', `
      const a = make('h0', 1), frame = Buffer.concat([Buffer.from('020000000001' + '020000000077' + '88b5', 'hex'), Buffer.alloc(46, 7)]);
      for (const i of [0, 1, 2]) { a.bytes.set(frame, i * ${CHUNK} + ${HEADROOM}); a.rings.tx.pushDescriptor(i * ${CHUNK} + ${HEADROOM}, 0, frame.length); }
      a.rings.tx.publish(); a.offer(true); const first = a.transmit(); const refused = a.counters()[5];
      a.send(3, frame);
      const rx = Number(sh('cat /proc/net/dev').match(/h0: *\\d+ +(\\d+)/)[1]);
      say([first, refused, a.counters()[5], a.completed().length, rx])`, (t, [first, refused, after, completed, rx]) => {
    t.deepEqual([first, refused, after, completed, rx], [3, 3, 3, 4, 1]);
  });

  within('a frame of a port without headers goes out with an empty one, whatever is before it in its buffer', `
      const a = make('h0', 1), frame = Buffer.concat([Buffer.from('020000000001' + '020000000077' + '88b5', 'hex'), Buffer.alloc(46, 7)]);
      a.bytes.fill(0xff, ${HEADROOM} - 16, ${HEADROOM});
      a.send(0, frame);
      say([a.counters(), Number(sh('cat /proc/net/dev').match(/h0: *\\d+ +(\\d+)/)[1])])`, (t, [counters, rx]) => {
    t.deepEqual([counters[TAP.refused], rx], [0, 1]);
  });

  within('a tap without headers is offered nothing', `const { default: _, ...rest } = await import(${JSON.stringify(url)}); const a = new rest.TapEnd('h0'); say([a.offer(true)])`, (t, [offered]) => t.is(offered, -22));
}
