#!/usr/bin/env node
/**
 * Makes the pictures of docs/inspector.md and the README from the real program: a switch that replays captures, killed twice,
 * `framekeep inspect --tui` on what it left in a terminal of tmux, keys typed, the screen drawn as SVG. Takes a minute. Needs tmux.
 *
 *   node docs/screens/inspector.mjs
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { svgOf } from './svg.mjs';

const root = join(import.meta.dirname, '..', '..'), { Terminal } = await import(join(root, 'dist', 'test', 'terminal.js'));
const program = join(root, 'cli', 'framekeep.mjs'), directory = mkdtempSync('/dev/shm/framekeep-pictures-'), pool = '/dev/shm/lab.pool';
const capture = (file, options) => `replay:${join(root, 'captures', file)},${options},loop=yes`;
const env = { ...process.env, FRAMEKEEP_RUN: join(directory, 'run') };
rmSync(pool, { force: true });

const up = () => spawn(process.execPath, [program, 'up',
  capture('nb6-http.pcap', 'as=homebox,speed=4,filter=ether src e0:a1:d7:18:c2:72 or ether src e0:a1:d7:18:c2:73'),
  capture('nb6-http.pcap', 'as=provider,speed=4,filter=ether src 00:17:33:61:00:00 or ether src 80:fb:06:f0:45:d7'),
  capture('dns_icmp.pcap', 'as=laptop,speed=4,filter=ether src 60:33:4b:13:c5:58'), capture('dns_icmp.pcap', 'as=phone,speed=4,filter=ether src 02:1a:11:f0:c8:3b'),
  capture('rpvstp-trunk-native-vid5.pcap', 'as=trunk,speed=2'),
  '--name', 'lab', '--pool', pool, '--pool-size', '16M', '--stats', '0'], { env, stdio: ['ignore', 'ignore', 'inherit'] });
let lab;
const run = async (seconds, signal) => {
  lab = up();
  await sleep(seconds * 1000);
  lab.kill(signal);
  await new Promise((resolve) => lab.once('close', resolve));
};
const terminals = [];
const open = (width, height) => {
  const terminal = new Terminal([process.execPath, program, 'inspect', '--tui', pool], { width, height, env: { FRAMEKEEP_RUN: env.FRAMEKEEP_RUN } });
  terminals.push(terminal);
  return terminal;
};
const save = async (terminal, name, title) => {
  await sleep(400);
  const svg = svgOf(terminal.coloured(), title);
  writeFileSync(join(import.meta.dirname, `${name}.svg`), svg);
  console.log(`${name}.svg: ${(svg.length / 1024).toFixed(1)} KiB`);
};

try {
  await run(9, 'SIGKILL');
  await sleep(12_000);
  await run(6, 'SIGTERM');
  await run(12, 'SIGKILL');
  const small = open(80, 24), large = open(160, 44);
  await large.shows('What happened');
  await save(large, 'inspector-report', 'framekeep inspect --tui: what happened');
  await large.keys('Enter', '/');
  large.type('udp port 53');
  await large.keys('Enter');
  await large.shows(/udp port 53: [\d,]+ of/);
  await large.keys('j', 'Tab', 'G', 'Enter', 'G', 'Enter', 'Down', 'Down');
  await save(large, 'inspector', 'framekeep inspect --tui: frames, layers, bytes');
  await small.shows('What happened');
  await small.keys('Enter', 'j', 'm', 'm', 'j', 'm', 'Tab', 'j', 'j', 'Enter', 'j', 'j');
  await save(small, 'inspector-80x24', 'framekeep inspect --tui, 80×24');
  lab = up();
  await small.shows('living');
  await small.keys('Escape', 'F');
  await sleep(4000);
  await save(small, 'inspector-follow', 'framekeep inspect --tui: following a living switch');
} finally {
  for (const terminal of terminals) terminal.close();
  lab?.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
  rmSync(pool, { force: true });
}
