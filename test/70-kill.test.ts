/**
 * SIGKILL of the real switch under real traffic: what the receiver got is compared, frame by frame, with what is recovered. The
 * moments are random; FRAMEKEEP_SEED repeats them, FRAMEKEEP_KILLS makes it longer.
 */
import test from 'ava';
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openCapture } from '../logger/capture/index.js';
import { sh } from './namespaces.js';
import { has } from './needs.js';
import { background, Capture, Network } from './hosts.js';
import { eventually } from './patience.js';

const KILLS = Number(process.env['FRAMEKEEP_KILLS'] ?? 10), MAX_BATCH = 1024;
/** Datagrams a round at most: the pool's window holds more, so that on a fast machine too none has had to make room when the switch is killed. */
const MOST = 80_000;
// Numbered UDP datagrams of changing lengths, as fast as one socket takes them.
const SENDER = `const s = require('dgram').createSocket('udp4'); let n = 0;
  const go = () => { if (n >= ${MOST}) return; const b = Buffer.alloc(16 + (n * 37) % 1400, n & 255); b.writeBigUInt64BE(BigInt(n++)); b.write(process.argv[1], 8); s.send(b, 9999, '10.79.0.2', () => setImmediate(go)); };
  for (let i = 0; i < 8; i++) go();`;

/** The frames a sent to b, in order. */
function udpFrames(file: string): string[] {
  const capture = openCapture(file), frames: string[] = [];
  try {
    while (capture.next()) {
      const { bytes, offset, captured } = capture;
      if (bytes[offset + 12] === 8 && bytes[offset + 23] === 17 && (bytes[offset + 36] << 8 | bytes[offset + 37]) === 9999) {
        frames.push(Buffer.from(bytes.subarray(offset, offset + captured)).toString('latin1'));
      }
    }
  } catch (error) {
    if ((error as { code?: string }).code !== 'E_CAPTURE_TRUNCATED') throw error;  // the receiver's tcpdump, ended in mid-frame
  }
  capture.close();
  return frames;
}

/** What the receiver got against what is recovered. Apart, so that no round keeps its frames alive. */
function compare(received: string, keptFrames: readonly string[]): { got: number; missing: number; olderMissing: boolean } {
  const have = new Set(keptFrames), got = udpFrames(received);
  return {
    got: got.length, missing: got.filter((frame) => !have.has(frame)).length,
    // Those of one batch in flight are the newest, and no others.
    olderMissing: got.slice(0, -MAX_BATCH).some((frame) => !have.has(frame)),
  };
}

if (has('a switch killed under traffic', 'root', 'ip', 'tcpdump', 'tshark', 'ping', 'ethtool')) {
  test.serial(`killed ${KILLS} times under traffic: all that was acknowledged is recovered, and the interfaces are the kernel's again`, async (t) => {
    t.timeout(120_000 + KILLS * 60_000);
    const seed = process.env['FRAMEKEEP_SEED'] ?? String(Date.now() % 1e6);
    t.log(`FRAMEKEEP_SEED=${seed}`);
    const n = new Network();
    t.teardown(() => n.delete());
    // The switch turns that off on its ports; what a killed one could not put back, the next one does.
    n.middle.sh('ethtool -K p0 gro on && ethtool -K p1 gro on');
    const offloads = (): string => n.middle.sh('ethtool -k p0; ethtool -k p1'), before = offloads();
    let missingAtMost = 0, compared = 0;
    for (let round = 1; round <= KILLS; round++) {
      const first = round % 2 === 0;
      const sw = await n.up(['xdp:p0', 'xdp:p1'], first ? ['--commit-before-forward'] : []);
      t.teardown(() => sw.kill());
      t.is((sw.messages[0] as unknown as { boot: number }).boot, round, 'each start is a new run of the same pool');
      n.reach();
      const received = join(n.directory, `received${round}.pcap`), kept = join(n.directory, `kept${round}.pcapng`);
      const listener = await Capture.start(n.b, 'eth0', received, 'udp port 9999');
      t.teardown(() => listener.stop());
      const sender = background(n.a, [process.execPath, '-e', SENDER, `run${round}`]);
      t.teardown(() => sender.stop());
      await eventually('a first frame behind the capture\'s header', () => listener.size() > 24);
      await sleep(createHash('sha256').update(`${seed}/${round}`).digest().readUInt16BE(0) % 1000);
      await sw.kill();
      await sender.stop('SIGKILL');
      await listener.stop();

      t.false(/xdp|PROMISC/.test(n.middle.sh('ip -d link show p0; ip -d link show p1').replace(/promiscuity 0/g, '')), 'program and promiscuous mode have gone');
      t.regex(n.middle.sh('ip -d link show p0'), /promiscuity 0/);
      n.framekeep('export', n.pool, '--boot', String(round), '-w', kept);
      const { boots, window } = JSON.parse(n.framekeep('inspect', '--boots', '--json', n.pool)) as { boots: { id: number; frames: number }[]; window: { guaranteed: number } };
      const recovered = udpFrames(kept);
      t.true(boots.find(({ id }) => id === round)!.frames < window.guaranteed, 'the window holds all of the round (docs/promises.md)');
      const { got, missing, olderMissing } = compare(received, recovered);
      t.true(got > 0, `round ${round}: no frame reached the receiver`);
      const wanted = first ? 0 : MAX_BATCH;
      t.true(missing <= wanted, `round ${round}: ${missing} of ${got} frames that the receiver got are not recovered`);
      t.false(olderMissing, `round ${round}: an older frame is missing`);
      t.is(sh(`tshark -n -r ${kept} -Y 'udp.dstport == 9999 and not icmp' -T fields -e frame.number | wc -l`).trim(), String(recovered.length), 'tshark reads as many');
      missingAtMost = Math.max(missingAtMost, missing);
      compared += got;
      for (const capture of [received, kept]) rmSync(capture);  // a hundred rounds' are 9 GB, in memory
    }
    t.true(compared > 100 * KILLS, `only ${compared} frames reached the receiver in ${KILLS} rounds`);
    n.framekeep('verify', n.pool);
    t.not(offloads(), before);
    await (await n.up(['xdp:p0', 'xdp:p1'])).stop();
    t.is(offloads(), before, 'offloads are back');
    // The kernel has its interfaces back: it bridges them.
    n.middle.sh('ip link add name bridge0 type bridge && ip link set bridge0 up && ip link set p0 master bridge0 && ip link set p1 master bridge0');
    t.notThrows(() => n.reach());
    t.log(`${KILLS} kills, ${compared} frames compared; most that were forwarded and not yet committed: ${missingAtMost}`);
  });
}
