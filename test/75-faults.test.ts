/**
 * Faults beside crashes, met by the program as a user runs it: what it says, how it ends, what it leaves behind. Others of this kind
 * are where their layer is: a helper process or an interface that dies (60-hosts, 60-ports), a disk that fails in
 * mid-traffic (45), damaged captures (10-capture-reader, 40), flipped bits and mutated pools (20-pool, 25-export), readers that go away (25-export).
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { openCapture } from '../logger/capture/index.js';
import { FramekeepError, packageRoot } from '../native/index.js';
import { Switch, type CountersSnapshot } from '../switch/index.js';
import { block, CAPTURES, le, saved, SECTION } from './capture_file.js';
import { Network, type RunningSwitch } from './hosts.js';
import { has } from './needs.js';
import { eventually, steady } from './patience.js';

const program = join(packageRoot(), 'cli', 'framekeep.mjs');

/** What `up --json` prints. */
interface Stats { readonly type: string; readonly global?: { readonly committed: number }; readonly ports?: readonly { readonly spec: string; readonly received: number; readonly sent: number; readonly dropped: Record<string, number> }[] }
interface Done { readonly status: number | null; readonly stdout: string; readonly stderr: string }
/** A directory on tmpfs with a run directory of its own, and the program in it. */
class Place {
  readonly directory = mkdtempSync('/dev/shm/framekeep-faults-');
  readonly pool = join(this.directory, 'pool');
  readonly env: NodeJS.ProcessEnv = { ...process.env, FRAMEKEEP_RUN: join(this.directory, 'run'), NO_COLOR: '1' };
  private readonly children: ChildProcess[] = [];

  constructor(t: ExecutionContext) {
    t.teardown(async () => {
      for (const child of this.children) await end(child, 'SIGKILL');
      rmSync(this.directory, { recursive: true, force: true });
    });
  }
  run(...args: string[]): Done { return this.wrapped([], ...args); }
  /** @param wrap  a command that starts it, as `prlimit …` */
  wrapped(wrap: readonly string[], ...args: string[]): Done {
    const [command, ...rest] = [...wrap, process.execPath, program, ...args];
    return spawnSync(command, rest, { encoding: 'utf8', env: this.env, timeout: 110_000, maxBuffer: 1 << 28 });
  }
  /** In the background. @returns once it has said that it has started */
  async start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<{ child: ChildProcess; said: () => Stats[] }> {
    const child = spawn(process.execPath, [program, ...args, '--json', '--stats', '0.1'], { env: { ...this.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.children.push(child);
    let out = '', err = '';
    child.stderr.on('data', (text) => { err += text; });
    child.stdout.on('data', (text) => { out += text; });
    while (!out.includes('"started"')) {
      if (child.exitCode !== null) throw new Error(`it did not start: ${err}`);
      await after(20);
    }
    return { child, said: () => out.split('\n').slice(0, -1).map((line) => JSON.parse(line) as Stats) };
  }
  sound(): string {
    const { status, stdout, stderr } = this.run('verify', this.pool);
    if (status !== 0) throw new Error(`verify: ${stdout}${stderr}`);
    return stdout;
  }
}
async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const closed = once(child, 'close');
  child.kill(signal);
  return (await closed)[0] as number | null;
}

interface Frame { readonly bytes: Buffer; readonly ns: bigint }
function framesOf(path: string): Frame[] {
  const capture = openCapture(path), all: Frame[] = [];
  while (capture.next()) all.push({ bytes: Buffer.from(capture.bytes.subarray(capture.offset, capture.offset + capture.captured)), ns: BigInt(capture.tsHi) << 32n | BigInt(capture.tsLo) });
  capture.close();
  return all;
}

// --------------------------------------------------------------------------------------------------- the data plane throws

for (const [how, statement, told] of [
  ['as a bug would', 'throw new RangeError("planted: no such thing")', /the data plane failed|planted: no such thing/], ['with a code of its own', 'throw Object.assign(new Error("planted"), { code: "E_PLANTED" })', /planted/],
] as const) {
  test.serial(`the data plane throws in mid-traffic, ${how}: the process says so and ends with an error, the pool is sound and is continued`, (t) => {
    const place = new Place(t), logic = join(place.directory, 'logic.mjs');
    writeFileSync(logic, `let n = 0;\nexport default () => ({ name: 'planted', forward(frame, ingress, verdict) { if (++n === 3000) ${statement}; verdict.flood(); } });\n`);
    const { status, stderr } = place.run('up', 'gen:g,rate=20000', 'sink:s', '--pool', place.pool, '--pool-size', '16M', '--logic', logic, '--duration', '20');
    t.is(status, 1, stderr);
    t.regex(stderr, told);
    t.regex(stderr, /\[E_[A-Z]+\]/);
    const frames = Number(/sound; ([\d,]+) frames/.exec(place.sound())![1].replaceAll(',', ''));
    t.true(frames > 1000 && frames < 3000, `${frames} frames`);
    t.regex(place.run('inspect', place.pool).stdout, /boot 1 ended without a word/);
    const again = place.run('up', 'gen:g,rate=0,count=10', 'sink:s', '--pool', place.pool, '--once', '--json');
    t.is(again.status, 0, again.stderr);
    t.like(JSON.parse(again.stdout.split('\n')[0]), { type: 'started', boot: 2, recovered: frames });
    place.sound();
  });
}

// ------------------------------------------------------------------------------------------------------------------ captures

/** A pcapng file with one frame of every length from 0 to `most`: a broadcast, as far as it has room to be one. */
function everyLength(most: number): { path: string; frames: Buffer[] } {
  const frames = Array.from({ length: most + 1 }, (_, length) => Buffer.from(Uint8Array.from({ length }, (_x, i) => i < 6 ? 255 : i < 12 ? 2 : (i * 31 + length) & 255)));
  const path = saved(SECTION, block(1, le(1, 262144)), ...frames.map((data) => block(6, Buffer.concat([le(0, 0, 0, data.length, data.length), data, Buffer.alloc(-data.length & 3)]))));
  return { path, frames };
}

test.serial('frames of every length, from none to more than a buffer has: replayed, sent through a pipe to another switch, kept at both, exported', async (t) => {
  const place = new Place(t), { path, frames } = everyLength(1900), other = new Place(t), max = 1792;
  const env = { FRAMEKEEP_RUN: place.env['FRAMEKEEP_RUN'] };
  const far = await other.start(['up', 'pipe:w', 'sink:s', '--pool', other.pool, '--pool-size', '32M', '--max-frame', String(max), '--name', 'far'], env);
  const near = await place.start(['up', `replay:${path},speed=0`, 'pipe:w', '--pool', place.pool, '--pool-size', '32M', '--max-frame', String(max)]);
  const whole = frames.slice(14, max + 1);
  const look = (of: { said(): Stats[] }): Stats | undefined => of.said().findLast((m) => m.type === 'stats');
  await eventually('all frames at this end, some at the other', () => look(near)?.ports?.[0]?.received === frames.length && (look(far)?.global?.committed ?? 0) > 0);
  await steady(() => look(far)?.global?.committed, undefined, 500);
  t.is(await end(near.child, 'SIGTERM'), 0);
  t.is(await end(far.child, 'SIGTERM'), 0);
  for (const [at, expected] of [[place, frames.slice(0, max + 1)], [other, undefined]] as const) {
    at.sound();
    const out = join(at.directory, 'out.pcapng');
    t.is(at.run('export', at.pool, '-w', out).status, 0);
    const kept = framesOf(out).map((f) => f.bytes.toString('hex'));
    if (expected !== undefined) t.true(kept.length === expected.length && kept.every((hex, i) => hex === expected[i].toString('hex')), `${kept.length} kept`);
    else {
      // At full speed the wire may be full for a while: what came is what was sent, in order, and what did not come was counted.
      const sent = new Map(whole.map((f, i) => [f.toString('hex'), i])), order = kept.map((hex) => sent.get(hex) ?? -1);
      t.true(order.every((n, i) => n >= 0 && (i === 0 || n > order[i - 1])), 'each byte by byte, in order');
      const [replay, pipe] = near.said().findLast((m) => m.type === 'stopped')!.ports!;
      t.is(replay.dropped['runt'], 14);
      t.is(replay.dropped['oversize'], 1900 - max);
      t.is(pipe.sent, whole.length - replay.dropped['tx-full'] - replay.dropped['no-egress']);
      t.true(kept.length >= pipe.sent - 512, `${kept.length} of ${pipe.sent} arrived before the end`);
    }
  }
});

test.serial('generated frames, the 60 shortest, 60 between and the 60 that reach a buffer\'s end: forwarded, kept and exported byte for byte; the next one is refused', async (t) => {
  const place = new Place(t), least = 22, most = 1792;
  const sw = await Switch.start({ name: `gen-sweep-${process.pid}`, pool: place.pool, create: { bytes: 32 << 20 }, maxFrame: most, checked: true });
  t.teardown(() => sw.stop());
  const { id: sink } = await sw.addPort('sink:s');
  // A generator makes one length, and a port more or less takes 20 ms: all 1,771 took 35 s.
  const between = Math.floor((most - least - 120) / 60);
  const sizes = Array.from({ length: 180 }, (_, i) => i < 60 ? least + i : i < 120 ? least + 60 + (i - 60) * between : most - 179 + i);
  for (let from = 0; from < sizes.length; from += 60) {
    const added = await Promise.all(sizes.slice(from, from + 60).map((size, i) => sw.addPort(`gen:g${i},size=${size},count=1,rate=0`)));
    await eventually('the generators\' end', () => added.every(({ id }) => sw.stats().ports.find((p) => p.id === id)!.finished === 1));
    for (const { id } of added) await sw.removePort(id);
  }
  for (const size of [least - 1, most + 1]) {
    const error = await t.throwsAsync(sw.addPort(`gen:g,size=${size}`), { instanceOf: FramekeepError }) as FramekeepError;
    t.is(error.code, 'E_PORT_OPTION', String(size));
  }
  await sw.stop();
  // With 60 ports a ring's share is small: what did not fit in it was counted.
  t.is(sw.stats().ports[sink].sent + sw.stats().ports[sink].txFull, sizes.length);
  place.sound();
  const out = join(place.directory, 'out.pcapng'), head = Buffer.from('020000000002020000000001' + '88b5' + '0000000000000000', 'hex');
  t.is(place.run('export', place.pool, '-w', out).status, 0);
  const frames = framesOf(out).map((f) => f.bytes).sort((a, b) => a.length - b.length);
  t.is(frames.length, sizes.length);
  t.is(frames.findIndex((f, i) => !f.equals(Buffer.concat([head, Buffer.alloc(sizes[i] - head.length)]))), -1);
});

if (has('frames of every length through taps', 'root', 'ip', 'sysctl', 'python3')) {
  test.serial('frames of every length that a tap takes, to beyond a buffer: at another tap, in the pool and in the export byte for byte, or dropped by name', async (t) => {
    // One byte less than a buffer has: what fills the read to its end may have been cut.
    const network = new Network(), most = 1791, beyond = 2000, count = most - 14 + 1;
    t.teardown(() => network.delete());
    const sw = await network.up(['tap:t0', 'tap:t1'], ['--pool-size', '32M', '--max-frame', '1792']);
    t.teardown(() => sw.kill());
    network.middle.sh('for i in t0 t1; do ip link set $i mtu 9000 up; done');
    // Sends 14 to `beyond` bytes at t0 and says what t1 has of them, as numbers of those that are whole and in order.
    const got = JSON.parse(network.middle.sh(`python3 - <<'END'
import json, socket
at = lambda name: (s := socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)), s.bind((name, 0)))[0]
a, b = at('t0'), at('t1')
b.setsockopt(socket.SOL_SOCKET, 33, 1 << 23)  # SO_RCVBUFFORCE
b.settimeout(20)
frame = lambda n: bytes((255 if i < 6 else 2 if i < 12 else (i * 31 + n) & 255) for i in range(n))
got = []
def receive(count):
    while len(got) < count:
        f, (_, _, kind, *_) = b.recvfrom(4096)
        if kind != socket.PACKET_OUTGOING: got.append(len(f) if f == frame(len(f)) else -1)
try:
    for n in range(14, ${beyond + 1}):
        a.send(frame(n))
        if n % 50 == 0: receive(min(n, ${most}) - 13)  # no more at once than a tap's queue holds
    receive(${count})
except socket.timeout: pass
print(json.dumps(got))
END`)) as number[];
    const wanted = Array.from({ length: count }, (_, i) => 14 + i);
    t.is(got.join(), wanted.join());
    await sw.heard((m) => m.type === 'stats' && (m as unknown as CountersSnapshot).ports[0].received === beyond - 14 + 1);
    const { ports } = await sw.stop(), [p0] = ports;
    t.is(p0.received, beyond - 14 + 1);
    t.is(p0.dropped['oversize'], beyond - most);
    t.is(p0.forwarded + p0.flooded, count);
    const out = join(network.directory, 'out.pcapng');
    network.framekeep('export', network.pool, '-w', out);
    const kept = framesOf(out).map((f) => f.bytes);
    t.is(kept.map((f) => f.length).join(), wanted.join());
    t.true(kept.every((f) => f.every((byte, i) => byte === (i < 6 ? 255 : i < 12 ? 2 : (i * 31 + f.length) & 255))), 'byte for byte');
  });
}

if (has('frames of every length through AF_XDP', 'root', 'ip', 'python3')) {
  test.serial('frames of every length that a veth takes, to a buffer\'s end, by AF_XDP: at the other host, in the pool and in the export byte for byte', async (t) => {
    // A buffer has 1,792 bytes: an MTU of 1,774, its header, and room for a VLAN tag, which the four longest have.
    const network = new Network(), most = 1792, mtu = 1774, untagged = mtu + 14;
    t.teardown(() => network.delete());
    for (const host of [network.a, network.b]) host.sh(`ip link set eth0 mtu ${mtu}`);
    network.middle.sh(`ip link set p0 mtu ${mtu} && ip link set p1 mtu ${mtu}`);
    const sw = await network.up(['xdp:p0', 'xdp:p1'], ['--pool-size', '32M', '--max-frame', String(most)]);
    t.teardown(() => sw.kill());
    const python = `import json, socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5))
s.bind(('eth0', 0x88b5))
head = lambda n: bytes.fromhex('ff' * 6 + '02' * 6 + ('88b5' if n <= ${untagged} else '8100000588b6'))
frame = lambda n: head(n) + bytes((i * 31 + n) & 255 for i in range(len(head(n)), n))
`;
    const there = spawn('ip', ['netns', 'exec', network.b.name, 'python3', '-c', `${python}
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 23)  # SO_RCVBUFFORCE
print('ready', flush=True)
s.settimeout(20)
got = []
try:
    while len(got) < ${untagged - 13}:
        f = s.recv(4096)
        got.append(len(f) if f == frame(len(f)) else -1)
except socket.timeout: pass
print(json.dumps(got))`], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.teardown(() => { there.kill('SIGKILL'); });
    let said = '';
    there.stdout.on('data', (text) => { said += text; });
    await once(there.stdout, 'data');
    network.a.sh(`python3 - <<'END'\n${python}
for n in range(14, ${most + 1}):
    s.send(frame(n))
    if n % 50 == 0: time.sleep(0.01)
END`);
    await once(there, 'close');
    const lengths = (to: number): string => Array.from({ length: to - 13 }, (_, i) => 14 + i).join();
    t.is((JSON.parse(said.split('\n')[1]) as number[]).join(), lengths(untagged));
    await sw.stop();
    const out = join(network.directory, 'out.pcapng');
    network.framekeep('export', network.pool, '-w', out, '--filter', "'ether proto 0x88b5 or (vlan 5 and ether proto 0x88b6)'");
    const kept = framesOf(out).map((f) => f.bytes);
    t.is(kept.map((f) => f.length).join(), lengths(most));
    for (const f of kept) {
      const head = Buffer.from('ff'.repeat(6) + '02'.repeat(6) + (f.length <= untagged ? '88b5' : '8100000588b6'), 'hex');
      t.deepEqual(f, Buffer.concat([head, Buffer.from(Array.from({ length: f.length - head.length }, (_, i) => ((head.length + i) * 31 + f.length) & 255))]));
    }
  });
}

test.serial('a hostile capture on replay: refused with a code, or its good frames and a word; the switch ends in order', (t) => {
  const place = new Place(t), folder = join(CAPTURES, 'malformed');
  let refused = 0, told = 0;
  for (const name of readdirSync(folder).filter((file) => /\.pcap/.test(file)).filter((_, i) => i % 3 === 0)) {  // 40-soft-ports has all of them
    const { status, stderr, stdout } = place.run('up', `replay:${join(folder, name)},speed=0`, 'sink:s', '--pool', place.pool, '--pool-size', '8M', '--once', '--json');
    t.true(status === 0 || status === 1, `${name}: ${status} ${stderr}`);
    if (status === 1) { refused++; t.regex(stderr, /"code":"E_CAPTURE/, name); } else if (stdout.includes('port-warning')) told++;
  }
  t.true(refused >= 1 && told >= 1, `${refused} refused, ${told} told`);
  place.sound();
});

// ---------------------------------------------------------------------------------------------------------------- full disks

if (has('a small disk', 'root', 'mount')) {
  test.serial('a disk without room: no pool is begun, an export ends with the last whole frame that fits, and both are said with exit code 1', (t) => {
    const place = new Place(t), disk = join(place.directory, 'disk');
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4M', 'framekeep-test', disk]);
    t.teardown(() => { spawnSync('umount', ['-l', disk]); });
    for (const args of [['create', join(disk, 'p'), '--size', '16M'], ['up', 'sink:s', '--pool', join(disk, 'p'), '--pool-size', '16M', '--once']]) {
      const { status, stderr } = place.run(...args);
      t.is(status, 1, stderr);
      t.regex(stderr, /\[E_POOL_SPACE\]/);
      t.deepEqual(readdirSync(disk), [], 'nothing is left of it');
    }
    t.is(place.run('up', 'gen:g,rate=0,count=6000,size=1500', 'sink:s', '--pool', place.pool, '--pool-size', '32M', '--once').status, 0);
    const out = join(disk, 'out.pcapng'), { status, stderr } = place.run('export', place.pool, '-w', out);
    t.is(status, 1);
    t.regex(stderr, /\[E_OUTPUT_FULL\]/);
    const capture = openCapture(out);
    let whole = 0;
    const error = t.throws(() => { while (capture.next()) whole++; }, { instanceOf: FramekeepError }) as FramekeepError;
    capture.close();
    t.is(error.code, 'E_CAPTURE_TRUNCATED', 'whoever reads it is told');
    t.true(whole > 2000, `${whole} frames are whole`);
    place.sound();
  });
}

// ------------------------------------------------------------------------------------------------------------- flipped bits

test.serial('flipped bits in records and in a superblock: verify finds them, the next switch lives with them, and exports the rest', (t) => {
  const place = new Place(t), out = join(place.directory, 'out.pcapng');
  t.is(place.run('up', 'gen:g,rate=0,count=500', 'sink:s', '--pool', place.pool, '--pool-size', '8M', '--once').status, 0);
  const fd = openSync(place.pool, 'r+'), good = readFileSync(place.pool);
  const first = Number(good.readBigUInt64LE(128));  // where lane 0's index begins: docs/format.md
  for (const slot of [7, 100, 101, 300]) writeSync(fd, Buffer.of(good[first + slot * 32 + 9] ^ 0x10), 0, 1, first + slot * 32 + 9);
  writeSync(fd, Buffer.of(good[44] ^ 1), 0, 1, 44);
  closeSync(fd);
  const verify = place.run('verify', place.pool);
  t.is(verify.status, 1);
  t.regex(verify.stdout, /4 records damaged .*slots 7, 100, 101 and 300/);
  t.regex(verify.stdout, /superblock copy A is damaged/);
  const up = place.run('up', 'gen:g,rate=0,count=5', 'sink:s', '--pool', place.pool, '--once', '--json');
  t.is(up.status, 0, up.stderr);
  t.like(JSON.parse(up.stdout.split('\n')[0]), { boot: 2, recovered: 496 });
  t.is(place.run('export', place.pool, '-w', out).status, 0);
  const numbers = framesOf(out).map((f) => Number(f.bytes.readBigUInt64BE(14)));
  t.deepEqual(numbers, [...Array.from({ length: 500 }, (_, i) => i).filter((i) => ![7, 100, 101, 300].includes(i)), 0, 1, 2, 3, 4]);
});

// ------------------------------------------------------------------------------------------------------------------ the clock

/** CLOCK_REALTIME as this process shall see it: the machine's, plus what a file says. Linux has no namespace for that clock, and the machine's is not ours to set. */
const CLOCK = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
static volatile long long *offset;
static int (*real)(clockid_t, struct timespec*);
__attribute__((constructor)) static void begin(void) {
  real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  int fd = open(getenv("PLANTED_CLOCK"), O_RDONLY);
  offset = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
}
int clock_gettime(clockid_t id, struct timespec *t) {
  int r = real(id, t);
  if (id == CLOCK_REALTIME && offset && offset != MAP_FAILED) t->tv_sec += *offset;
  static __thread int readings;
  if (id == CLOCK_REALTIME && getenv("PLANTED_PAUSE") && ++readings % 40 == 0) {
    struct timespec pause = { 0, 3000000 };
    nanosleep(&pause, 0);
  }
  return r;
}
int gettimeofday(struct timeval *t, void *zone) {
  struct timespec s; clock_gettime(CLOCK_REALTIME, &s); (void)zone;
  t->tv_sec = s.tv_sec; t->tv_usec = s.tv_nsec / 1000; return 0;
}
`;

if (has('a clock that is set', 'cc')) {
  test.serial('a thread that loses its CPU between two readings of the clocks: no frame is stamped earlier than the ones before it', async (t) => {
    const place = new Place(t), library = join(place.directory, 'clock.so'), offset = join(place.directory, 'offset');
    writeFileSync(`${library}.c`, CLOCK);
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, `${library}.c`, '-ldl']);
    writeFileSync(offset, Buffer.alloc(4096));
    const preload = { LD_PRELOAD: [library, process.env['LD_PRELOAD']].filter(Boolean).join(' '), PLANTED_CLOCK: offset, PLANTED_PAUSE: '1' };
    const { child } = await place.start(['up', 'gen:g,rate=2000', 'sink:s', '--pool', place.pool, '--pool-size', '32M'], preload);
    await after(1000);
    t.is(await end(child, 'SIGTERM'), 0);
    const out = join(place.directory, 'out.pcapng');
    t.is(place.run('export', place.pool, '-w', out).status, 0);
    const frames = framesOf(out), back = frames.filter(({ ns }, i) => i > 0 && ns < frames[i - 1].ns);
    t.true(frames.length > 500, `${frames.length} frames`);
    t.is(back.length, 0, `${back.length} of ${frames.length} frames go back in time`);
  });

  test.serial('the clock is set back an hour and forward a day in mid-traffic: order, pool, export and the next run are as ever, and the report says so', async (t) => {
    const place = new Place(t), library = join(place.directory, 'clock.so'), offset = join(place.directory, 'offset'), HOUR = 3600n * 10n ** 9n;
    writeFileSync(`${library}.c`, CLOCK);
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, `${library}.c`, '-ldl']);
    writeFileSync(offset, Buffer.alloc(4096));
    const set = (seconds: number): void => { const fd = openSync(offset, 'r+'), b = Buffer.alloc(8); b.writeBigInt64LE(BigInt(seconds)); writeSync(fd, b, 0, 8, 0); closeSync(fd); };
    const preload = { LD_PRELOAD: [library, process.env['LD_PRELOAD']].filter(Boolean).join(' '), PLANTED_CLOCK: offset };
    const { child, said } = await place.start(['up', 'gen:g,rate=1000', 'sink:s', '--pool', place.pool, '--pool-size', '32M'], preload);
    const kept = (): number => said().findLast((m) => m.type === 'stats')?.global?.committed ?? 0;
    const more = async (): Promise<void> => { const from = kept(); await eventually('300 more frames', () => kept() > from + 300); };
    await more();
    set(-3600);
    await more();
    set(86400);
    await more();
    t.is(await end(child, 'SIGTERM'), 0);
    place.sound();
    t.regex(place.run('inspect', place.pool).stdout, /time goes back once: the clock was set/);
    const out = join(place.directory, 'out.pcapng'), exported = place.run('export', place.pool, '-w', out);
    t.is(exported.status, 0, exported.stderr);
    const frames = framesOf(out);
    t.true(frames.length > 500);
    frames.forEach((frame, i) => { if (frame.bytes.readBigUInt64BE(14) !== BigInt(i)) t.fail(`frame ${i} is out of order`); });
    const steps = frames.slice(1).map((frame, i) => frame.ns - frames[i].ns), jumps = steps.filter((step) => step < 0n || step > HOUR / 2n);
    t.is(jumps.length, 2, 'time jumps twice');
    t.true(jumps[0] > -HOUR - HOUR / 60n && jumps[0] < -HOUR + HOUR / 60n, `back by ${jumps[0]}`);
    t.true(jumps[1] > 25n * HOUR - HOUR / 60n && jumps[1] < 25n * HOUR + HOUR / 60n, `forward by ${jumps[1]}`);
    // The next run begins before the newest frame's time.
    set(0);
    const next = place.run('up', 'gen:g,rate=0,count=7', 'sink:s', '--pool', place.pool, '--once', '--json');
    t.like(JSON.parse(next.stdout.split('\n')[0]), { boot: 2, recovered: frames.length, gaps: 0 });
    t.is(place.run('export', place.pool, '-w', out, '--boot', 'last').status, 0);
    t.is(framesOf(out).length, 7);
    place.sound();
  });
}

// --------------------------------------------------------------------------------------------------------- with interfaces

if (has('faults on interfaces', 'root', 'ip', 'ping', 'ethtool', 'prlimit', 'setpriv')) {
  const network = new Network();
  let sw: RunningSwitch | undefined;
  test.afterEach.always(async () => { await sw?.kill(); });
  test.after.always(() => network.delete());

  test.serial('the data plane throws while it has interfaces: they are the kernel\'s again, offloads and all', async (t) => {
    const logic = join(network.directory, 'logic.mjs');
    writeFileSync(logic, "let n = 0;\nexport default () => ({ name: 'planted', forward(frame, ingress, verdict) { if (++n === 20) throw new Error('planted'); verdict.flood(); } });\n");
    network.middle.sh('ethtool -K p0 gro on');
    sw = await network.up(['xdp:p0', 'xdp:p1', 'tap:t0'], ['--pool-size', '16M', '--logic', logic]);
    t.regex(network.middle.sh('ethtool -k p0'), /generic-receive-offload: off/);
    const closed = once(sw.child, 'close');
    network.a.sh('ping -c 30 -i 0.05 -W 1 10.79.0.2 || true');
    const [code] = await closed;
    t.is(code, 1, sw.stderr);
    t.regex(sw.stderr, /planted/);
    t.regex(network.middle.sh('ethtool -k p0'), /generic-receive-offload: on/);
    for (const port of ['p0', 'p1']) {
      const link = network.middle.sh(`ip -d link show ${port}`);
      t.regex(link, /promiscuity 0/);
      t.notRegex(link, /xdp/);
    }
    t.throws(() => network.middle.sh('ip link show t0'), undefined, 'the tap that it made is gone');
    t.regex(network.framekeep('verify', network.pool), /sound; \d+ frames/);
    sw = await network.up(['xdp:p0', 'xdp:p1'], ['--pool-size', '16M']);
    network.reach();
    await sw.stop();
    network.middle.sh('ethtool -K p0 gro off');
  });

  test.serial('locked memory is limited: said by name with what grants it, and the interface is let go', (t) => {
    const run = network.middle.sh(`FRAMEKEEP_RUN=${network.env['FRAMEKEEP_RUN']} prlimit --memlock=65536:65536 setpriv --bounding-set -ipc_lock,-sys_resource `
      + `${process.execPath} ${program} up xdp:p0 sink:s --pool ${network.directory}/limited.pool --pool-size 16M --json 2>&1 || echo exit $?`);
    t.regex(run, /"code":"E_UMEM_MEMLOCK"/);
    t.regex(run, /LimitMEMLOCK/);
    t.regex(run, /exit 1$/m);
    t.regex(network.middle.sh('ip -d link show p0'), /promiscuity 0/);
    t.is(statSync(`${network.directory}/limited.pool`).mode & 0o777, 0o600);
  });
}
