/**
 * A pool with a history, and `framekeep inspect --tui` on it in a terminal. What the screens must be is in test/inspector_screens/;
 * FRAMEKEEP_SCREENS=write makes them anew.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { packageRoot, SLOT_VALID } from '../native/index.js';
import { create, IndexView, Pool, recover, sequenceOf } from '../logger/index.js';
import { CAPTURES, read } from './capture_file.js';
import { Forge, Keeper, portEntry } from './pool_maker.js';
import { Terminal, type TerminalOptions } from './terminal.js';

export const PROGRAM = join(packageRoot(), 'cli', 'framekeep.mjs'), SCREENS = join(packageRoot(), 'test', 'inspector_screens');
export const UNTOUCHED = { alternate: false, cursor: true, mouse: false, keypad: false };
export const KERNEL = Uint8Array.from(Buffer.from(readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').replaceAll('-', '').trim(), 'hex'));
export const BEGIN = 1_763_697_157_424_701_360n, SECOND = 1_000_000_000n;

/** Gives all frames other times: records as the specification has them, with what was kept. */
export function retime(path: string, timeOf: (sequence: number, lane: number) => bigint): void {
  const pool = Pool.open(path), recovery = recover(pool), forge = new Forge(path, pool.geometry);
  recovery.lanes.forEach(({ state }, lane) => {
    const v = new IndexView(pool.head, pool.geometry.lanes[lane]);
    for (let slot = 0; slot < state.length; slot++) {
      if (state[slot] !== SLOT_VALID) continue;
      v.at(slot);
      const sequence = sequenceOf(v.generation, state.length, slot);
      forge.record(lane, slot, {
        generation: v.generation, buffer: v.buffer, timestamp: timeOf(sequence, lane), offset: v.offsetInBuffer, kept: v.kept, wire: v.wire,
          ingress: v.ingress, verdict: v.verdict, boot: v.boot, flags: v.flags,
      });
    }
  });
  forge.close();
  pool.close();
}

/** A pool of three runs with real traffic at told times, 256 frames in all; `torn`: as if the second had been killed in mid-batch. */
export function lab(directory: string, torn = true): string {
  const path = join(directory, 'lab.pool');
  create(path, { bytes: 4 << 20, chunk: 2048, boots: 8 });
  const runs: [string, string[], number, bigint][] = [['nb6-http.pcap', ['tap:homebox', 'tap:provider'], 60, 0n],
    ['mptcp-v0.pcap', ['tap:laptop', 'tap:server,queue=1'], 156, 40n], ['dns_icmp.pcap', ['xdp:eth1', 'xdp:eth2'], 40, 86_400n]];
  const times: bigint[] = [];
  let start = 0;
  for (const [file, ports, count, at] of runs) {
    const pool = Pool.open(path, { writable: true });
    const keeper = new Keeper(pool, { maxBatch: 16, ports: ports.map((spec, id) => portEntry(id, { spec })),
      header: { startNs: BEGIN + at * SECOND, kernelBootId: KERNEL, pid: 4321, host: 'lab', maxBatch: 16 } });
    const frames = read(join(CAPTURES, file)).frames;
    for (let i = 0; i < count; i++) {
      const f = frames[i % frames.length];
      keeper.keep(f.data, { ingress: i & 1, verdict: i % 9 === 8 ? 255 : i % 31 === 30 ? 228 : 1 - (i & 1), });
      times.push(BEGIN + at * SECOND + BigInt(i) * 50_000_000n + BigInt(i * i) * 1000n);
    }
    if (at === 86_400n) pool.writeCheckpoint(keeper.boot, { generation: 1, timeNs: BEGIN + 86_403n * SECOND, clean: true,
      ports: ports.map(() => ({ received: 25, dropped: 3, kept: 20, notSelected: 2, lost: 0 })) });
    keeper.close();
    pool.close();
    start += count;
    if (torn && start === 216) {
      const forge = new Forge(path, keeper.pool.geometry);
      for (const slot of [209, 212, 213]) forge.record(0, slot, { boot: keeper.boot, buffer: slot, spoil: 1 });
      forge.close();
    }
  }
  retime(path, (sequence) => times[sequence]);
  return path;
}

/** In a terminal whose time is UTC. */
export function inspect(t: ExecutionContext, pool: string, options: TerminalOptions = {}): Terminal {
  const terminal = new Terminal([process.execPath, PROGRAM, 'inspect', '--tui', pool], { ...options, env: { TZ: 'UTC', ...options.env } });
  t.teardown(() => terminal.close());
  return terminal;
}

/** Compares the screen with the one that is written down; the directory's name, always as long, is taken out. */
export async function compare(t: ExecutionContext, terminal: Terminal, name: string, directory: string): Promise<void> {
  const file = join(SCREENS, `${name}.txt`);
  const shown = (): string => `${terminal.text().replaceAll(directory, '/dev/shm/framekeep-test-DIRECT').replaceAll(/ in \d\.\d\d s/g, ' in 0.00 s')}\n`;
  if (process.env['FRAMEKEEP_SCREENS'] === 'write') {
    await sleep(500);
    mkdirSync(SCREENS, { recursive: true });
    writeFileSync(file, shown());
  }
  const wanted = readFileSync(file, 'utf8');
  for (const end = performance.now() + 60_000; performance.now() < end && shown() !== wanted;) await sleep(100);
  t.is(shown(), wanted, name);
}
