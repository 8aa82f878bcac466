#!/usr/bin/env node
/**
 * Makes the pictures of docs/dashboard.md and the README from the real program: a switch that replays captures, `framekeep top` in a
 * terminal of tmux, keys typed, the screen drawn as SVG. Takes two minutes, because graphs need a past. Needs tmux.
 *
 *   node docs/screens/dashboard.mjs
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { svgOf } from './svg.mjs';

const root = join(import.meta.dirname, '..', '..'), { Terminal } = await import(join(root, 'dist', 'test', 'terminal.js'));
const program = join(root, 'cli', 'framekeep.mjs'), directory = mkdtempSync('/dev/shm/framekeep-pictures-'), run = join(directory, 'run');
const capture = (file, options) => `replay:${join(root, 'captures', file)},${options},loop=yes`;
const seconds = Number(process.env.SECONDS_BEFORE ?? 75);

// What npm start replays, and a talk with a web server; each capture's ends at ports of their own.
const up = () => spawn(process.execPath, [program, 'up',
  capture('mptcp-v0.pcap', 'as=laptop,speed=4,filter=ether src f2:8c:f5:24:1b:21'), capture('mptcp-v0.pcap', 'as=server,speed=4,filter=ether src 16:51:53:04:3f:55'),
  capture('http.pcap', 'as=browser,speed=6,filter=ether src 00:00:01:00:00:00'), capture('http.pcap', 'as=web,speed=6,filter=ether src fe:ff:20:00:01:00'),
  capture('rpvstp-trunk-native-vid5.pcap', 'as=trunk,speed=2'),
  '--name', 'lab', '--pool', '/dev/shm/lab.pool', '--pool-size', '32M', '--stats', '0'], { env: { ...process.env, FRAMEKEEP_RUN: run }, stdio: ['ignore', 'ignore', 'inherit'] });
let lab = up();
const terminals = [];
const open = (width, height) => {
  const terminal = new Terminal([process.execPath, program, 'top', 'lab'], { width, height, env: { FRAMEKEEP_RUN: run } });
  terminals.push(terminal);
  return terminal;
};
const save = (terminal, name, title) => {
  const svg = svgOf(terminal.coloured(), title);
  writeFileSync(join(import.meta.dirname, `${name}.svg`), svg);
  console.log(`${name}.svg: ${(svg.length / 1024).toFixed(1)} KiB`);
};

try {
  // A run before, killed: the pool has its frames too.
  await sleep(12_000);
  lab.kill('SIGKILL');
  await sleep(500);
  lab = up();
  await sleep(2000);
  const large = open(120, 44), small = open(80, 24);
  await large.shows('running');
  await small.shows('running');
  await sleep(seconds * 1000);
  save(large, 'dashboard', 'framekeep top');
  await small.keys('4');
  await sleep(300);
  save(small, 'dashboard-80x24', 'framekeep top, 80×24');
  await small.keys('1', 'j', 'Enter');
  await sleep(300);
  save(small, 'dashboard-port', 'framekeep top: one port');
  await small.keys('Escape', '/');
  small.type('tcp port 80');
  await small.keys('Enter', '3');
  await sleep(1500);
  save(small, 'dashboard-filter', 'framekeep top: only what a filter selects');
  lab.kill('SIGKILL');
  await small.shows('DIED');
  await small.keys('/', 'C-u', 'Enter', '6');
  await sleep(300);
  save(small, 'dashboard-died', 'framekeep top: the switch was killed');
} finally {
  for (const terminal of terminals) terminal.close();
  lab.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
  rmSync('/dev/shm/lab.pool', { force: true });
}
