/**
 * VLAN tags that a driver holds beside the frame, as veth does with its peer's: the XDP program puts them back, where the
 * kernel lets it; where not, it says so. And the BTF reader behind it, on everything that is not BTF.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { btfFunction, mapMemory, xdpClose, xdpDeliver, xdpDetach, xdpDrain, xdpOpen, type XdpRing, type XdpRings, type XdpWay } from '../native/index.js';
import { Switch } from '../switch/index.js';
import { Namespace, OURS, sh } from './namespaces.js';
import { has } from './needs.js';
import { sendTagged } from './vlan_sender.js';

// Documentation/bpf/btf.rst: a header, types of 12 bytes and what their kind adds, strings.
const KIND = { int: 1, pointer: 2, array: 3, struct: 4, enum: 6, typedef: 8, func: 12, proto: 13, variable: 14, section: 15, tag: 17, enum64: 19 };
function btf(types: [kind: number, name: string, members: number, more: number][], magic = 0xeb9f): Buffer {
  let names = '\0';
  const parts = types.map(([kind, name, members, more]) => {
    const type = Buffer.alloc(12 + more);
    type.writeUInt32LE(names.length, 0); type.writeUInt32LE((kind << 24 | members) >>> 0, 4);
    names += `${name}\0`;
    return type;
  });
  const body = Buffer.concat(parts), header = Buffer.alloc(24);
  header.writeUInt16LE(magic, 0); header[2] = 1;
  for (const [i, n] of [24, 0, body.length, body.length, names.length].entries()) header.writeUInt32LE(n, 4 + 4 * i);
  return Buffer.concat([header, body, Buffer.from(names, 'latin1')]);
}
const every = btf([
  [KIND.int, 'wanted', 0, 4], [KIND.pointer, '', 0, 0], [KIND.array, '', 0, 12], [KIND.struct, 's', 3, 36], [KIND.enum, 'e', 2, 16], [KIND.typedef, 'wanted', 0, 0],
  [KIND.proto, '', 2, 16], [KIND.func, 'wanted_not', 0, 0], [KIND.variable, 'v', 0, 4], [KIND.section, '.data', 2, 24], [KIND.tag, 't', 0, 4], [KIND.enum64, 'n', 1, 12],
  [KIND.func, 'wanted', 1, 0], [KIND.func, 'last', 1, 0],
]);

test('a function is found in BTF by its whole name, behind types of every kind', (t) => {
  t.is(btfFunction(every, 'wanted'), 13); t.is(btfFunction(every, 'last'), 14); t.is(btfFunction(every, 'wanted_not'), 8);
  for (const name of ['want', 'lastly', 's', '', 'anted']) t.is(btfFunction(every, name), 0, name);
});

test('what is not BTF has no functions, and does no harm', (t) => {
  t.is(btfFunction(btf([[KIND.func, 'last', 1, 0]], 0x9feb), 'last'), 0, 'the other byte order');
  t.is(btfFunction(btf([[31, 'x', 0, 0], [KIND.func, 'last', 1, 0]]), 'last'), 0, 'a kind that nobody knows');
  for (let n = 0; n < every.length; n++) t.is(btfFunction(Uint8Array.from(every.subarray(0, n)), 'last'), 0, `the first ${n} bytes`);
  for (let at = 0; at < every.length; at++) {
    for (const byte of [0, 0x0c, 0x7f, 0xff]) {
      const bad = Uint8Array.from(every);
      bad[at] = byte;
      const id = btfFunction(bad, 'last');
      t.true(id >= 0 && id <= every.length / 12, `byte ${at} is ${byte}`);
    }
  }
});

const CHUNK = 2048, CHUNKS = 1024, left = `${OURS}l`, right = `${OURS}r`;
const RINGS = { rx: 256, tx: 256, fill: 256, completion: 512 };

/** Whether this kernel and its veth can do it at all: Linux 6.8 with BTF. */
const offered = (): boolean => {
  const [major, minor] = readFileSync('/proc/sys/kernel/osrelease', 'utf8').split('.').map(Number);
  if (major > 6 || (major === 6 && minor >= 8)) return true;
  console.log('left out: VLAN tags of veth: needs Linux 6.8');
  return false;
};

type Tags = Parameters<typeof sendTagged>[2];
interface Hosts { readonly pair: readonly [Namespace, Namespace]; clear(): Promise<void> }

/** Two hosts that the test joins: `left` and `right` here, `e0` there, with the offloads veth has by itself and these tags on the wire. */
async function hosts(tags: Tags): Promise<Hosts> {
  const pair = [new Namespace(), new Namespace()] as const, stops: (() => Promise<void>)[] = [];
  for (const [i, mine] of [left, right].entries()) {
    const ns = pair[i];
    sh(`ip link add ${mine} type veth peer name e0 netns ${ns.name}; sysctl -qw net.ipv6.conf.${mine}.disable_ipv6=1; ip link set ${mine} arp off up
        ip -n ${ns.name} link set e0 up; ip -n ${ns.name} addr add 10.78.0.${i + 1}/24 dev e0`);
    if (tags.length > 0) stops.push(await sendTagged(ns, 'e0', tags));
  }
  return {
    pair,
    async clear() {
      for (const stop of stops) await stop();
      for (const link of [left, right]) spawnSync('ip', ['link', 'del', link], { stdio: 'ignore' });
      for (const ns of pair) ns.delete();
    },
  };
}
const UNTAGGED: Tags = [], DOT1Q: Tags = [{ type: 0x8100, tci: 0x6005 }], QINQ: Tags = [{ type: 0x88a8, tci: 3000 }, { type: 0x8100, tci: 9 }];

class Words {
  readonly words: Uint32Array; readonly at: XdpRing;
  constructor(at: XdpRing) { this.at = at; this.words = new Uint32Array(at.buffer); }
  put(entry: readonly number[]) {
    const p = this.words[this.at.producer >> 2];
    this.words.set(entry, (this.at.entries >> 2) + (p & (this.at.size - 1)) * (this.at.entryBytes >> 2));
    this.words[this.at.producer >> 2] = p + 1;
  }
  take(): Uint32Array | undefined {
    const c = this.words[this.at.consumer >> 2];
    if (c === this.words[this.at.producer >> 2]) return undefined;
    const from = (this.at.entries >> 2) + (c & (this.at.size - 1)) * (this.at.entryBytes >> 2);
    const entry = this.words.slice(from, from + (this.at.entryBytes >> 2));
    this.words[this.at.consumer >> 2] = c + 1;
    return entry;
  }
}

/** Opens both, forwards between them until a ping from the first host has ended. */
async function pingThrough(a: Namespace, way: XdpWay, multiBuffer: boolean) {
  const began = process.hrtime.bigint();
  const memory = mapMemory('vlan-test', CHUNKS * CHUNK), bytes = Buffer.from(memory.segments[0]);
  const umem = { mappingId: memory.id, offset: 0, bytes: memory.bytes, chunkSize: CHUNK };
  const ends: { port: ReturnType<typeof xdpOpen>; rings: Record<keyof XdpRings, Words> }[] = [];
  for (const [i, name] of [left, right].entries()) {
    const port = xdpOpen({ ifindex: Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8')), name, queues: 1, rings: RINGS, umem, ways: [way], multiBuffer, ...(i && { shareWith: ends[0].port.sockets[0] }) });
    const { rx, tx, fill, completion } = port.sockets[0].rings;
    const rings = { rx: new Words(rx), tx: new Words(tx), fill: new Words(fill), completion: new Words(completion) };
    for (let n = 0; n < 200; n++) rings.fill.put([(i * 512 + n) * CHUNK, 0]);
    xdpDeliver(port.attachment, 0, port.sockets[0].fd);
    ends.push({ port, rings });
  }
  const ping = spawn('ip', ['netns', 'exec', a.name, 'ping', '-c', '3', '-i', '0.05', '-W', '20', '-s', '100', '10.78.0.2'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  ping.stdout.on('data', (d) => { said += d; });
  const frames: Buffer[] = [];
  let stamped = true;
  while (ping.exitCode === null) {
    for (const [from, to] of [[ends[0], ends[1]], [ends[1], ends[0]]]) {
      for (let d = from.rings.rx.take(); d !== undefined; d = from.rings.rx.take()) {
        const stamp = bytes.readBigUInt64LE(d[0] - 8);
        stamped &&= stamp >= began && stamp <= process.hrtime.bigint();
        frames.push(Buffer.from(bytes.subarray(d[0], d[0] + d[2])));
        to.rings.tx.put([d[0], 0, d[2], 0]);
        xdpDrain(to.port.sockets[0].fd, 8);
      }
      for (let d = to.rings.completion.take(); d !== undefined; d = to.rings.completion.take()) from.rings.fill.put([d[0] - d[0] % CHUNK, 0]);
    }
    await sleep(1);
  }
  const keeps = ends.map(({ port }) => port.attachment.keepsVlanTags);
  for (const { port } of ends) { xdpClose(port.sockets[0].fd); xdpDetach(port.attachment); }
  return { keeps, frames, stamped, answered: /3 received/.test(said) };
}

const CASES = [
  ['untagged', UNTAGGED, ''], ['802.1Q, priority 3', DOT1Q, '81006005'], ['802.1ad over 802.1Q', QINQ, '88a80bb881000009'],
] as const;

if (has('VLAN tags of veth', 'root', 'ip', 'ping', 'sysctl', 'python3') && offered()) {
  for (const multiBuffer of [false, true]) {
    for (const [what, sent, tags] of CASES) {
      test.serial(`${what}${multiBuffer ? ', frames in several buffers' : ''}: arrives as it would be on a wire`, async (t) => {
        const { pair, clear } = await hosts(sent);
        t.teardown(clear);
        const { keeps, frames, stamped, answered } = await pingThrough(pair[0], 'native copy', multiBuffer);
        t.deepEqual(keeps, [true, true]);
        t.true(answered); t.true(stamped);
        const pings = frames.filter((frame) => frame.subarray(12 + tags.length / 2).readUInt16BE() === 0x0800);
        t.is(pings.length, 6);
        for (const frame of frames) {
          t.is(frame.subarray(12, 12 + tags.length / 2).toString('hex'), tags);
          t.true([0x0800, 0x0806].includes(frame.readUInt16BE(12 + tags.length / 2)));
        }
        const mac = pair.map((ns) => ns.sh('cat /sys/class/net/e0/address').trim().replaceAll(':', ''));
        t.is(pings[0].subarray(0, 12).toString('hex'), mac[1] + mac[0]);
        t.is(pings[0].length, 14 + tags.length / 2 + 20 + 8 + 100);
        t.is(pings[0].subarray(14 + tags.length / 2 + 28 + 16).toString('hex'), Buffer.from(Array.from({ length: 84 }, (_, i) => i + 16)).toString('hex'), 'ping\'s pattern');
      });
    }
  }

  test.serial('generic mode falls back: untagged frames pass, a tag is lost, and the attachment says so', async (t) => {
    for (const tags of [UNTAGGED, DOT1Q]) {
      const { pair, clear } = await hosts(tags);
      try {
        const { keeps, answered, frames } = await pingThrough(pair[0], 'generic copy', false);
        t.deepEqual(keeps, [false, false]);
        t.true(answered, 'the tag is lost on the way, and these hosts do not ask for one');
        for (const frame of frames) t.true([0x0800, 0x0806].includes(frame.readUInt16BE(12)));
      } finally {
        await clear();
      }
    }
  });

  test.serial('a driver that tells no tags gets the program without them', (t) => {
    const ns = new Namespace();
    t.teardown(() => ns.delete());
    ns.sh('ip tuntap add t0 mode tap; ip link set t0 up');
    t.false(ns.node("say(fk.xdpAttach({ ifindex: fk.interfaceInfo('t0').index, mode: 'native', queues: 1 }).keepsVlanTags)"));
  });

  test.serial('frames that go on to the kernel are as they came: the tag once, beside them', async (t) => {
    const { pair, clear } = await hosts(DOT1Q);
    t.teardown(clear);
    const inside = new Namespace();
    t.teardown(() => inside.delete());
    sh(`ip link set ${left} netns ${inside.name}`);
    inside.sh(`ip link set ${left} up arp on; ip addr add 10.78.0.2/24 dev ${left}`);
    t.teardown(await sendTagged(inside, left, DOT1Q));  // takes one tag off what arrives: none must be left
    const code = `import { spawnSync } from 'node:child_process';
      const { keepsVlanTags, statsMapFd } = fk.xdpAttach({ ifindex: fk.interfaceInfo('${left}').index, mode: 'native', queues: 1 });
      const ping = spawnSync('ip', ['netns', 'exec', '${pair[0].name}', 'ping', '-c', '2', '-i', '0.05', '-W', '20', '10.78.0.2']);
      say([keepsVlanTags, ping.status, fk.xdpPassed(statsMapFd, new Float64Array(2)) >= 2]);`;
    t.deepEqual(inside.node(code), [true, 0, true]);
  });

  for (const [mode, keeps] of [['native', true], ['generic', false]] as const) {
    test.serial(`a switch on two veths, ${mode}: says whether tags are kept${keeps ? ', and carries tagged TCP' : ''}`, async (t) => {
      const { pair, clear } = await hosts(DOT1Q), directory = mkdtempSync(join(tmpdir(), 'fk-vlan-'));
      t.teardown(async () => { await clear(); rmSync(directory, { recursive: true }); });
      const sw = await Switch.start({ name: `vlan${process.pid}`, pool: join(directory, 'pool'), create: { bytes: 64 << 20 } });
      try {
        for (const name of [left, right]) {
          const port = await sw.addPort(`xdp:${name},mode=${mode}`);
          t.is(port.note.includes(', keeps VLAN tags'), keeps, port.note);
          t.is(port.report.some((line) => /in another namespace.*lost unless/.test(line)), !keeps, port.report.join('\n'));
        }
        if (!keeps) return;
        const server = await pair[1].start("import { createServer } from 'node:net'; createServer((s) => s.pipe(s)).listen(9, '10.78.0.2', () => say(1));");
        t.teardown(() => server.kill());
        t.is(pair[0].node(`import { connect } from 'node:net';
          let n = 0; const s = connect(9, '10.78.0.2').setTimeout(30000, () => s.destroy()).on('data', (d) => { n += d.length; });
          s.end(Buffer.alloc(1 << 20, 7)); await new Promise((done) => s.on('close', done)); say(n);`), 1 << 20);
      } finally {
        await sw.stop();
      }
    });
  }
}
