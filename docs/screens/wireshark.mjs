#!/usr/bin/env node
/**
 * Makes the picture of docs/wireshark.md from the real programs: a switch that replays captures, `framekeep wireshark install`, and
 * Wireshark capturing it, on a display of its own, as an ordinary user. Takes half a minute.
 * Needs wireshark, Xvfb, xdotool, ImageMagick's import, and setpriv where root runs it.
 *
 *   node docs/screens/wireshark.mjs
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const root = join(import.meta.dirname, '..', '..'), program = join(root, 'cli', 'framekeep.mjs');
const home = mkdtempSync('/dev/shm/framekeep-pictures-'), settings = join(home, '.config', 'wireshark'), display = `:${100 + process.pid % 900}`;
const NOBODY = 65534, isRoot = process.getuid() === 0;
mkdirSync(settings, { recursive: true });
writeFileSync(join(settings, 'recent'), 'gui.interface_toolbar_show: framekeep\ncolumn.width: %m, 60, %t, 110, %Cus:frame.interface_name:0:R, 70, %Cus:frame.comment:0:R, 150, %s, 170, %d, 170, %p, 70, %i, 380\n');
writeFileSync(join(settings, 'preferences'), 'gui.column.format: "No.", "%m", "Time", "%t", "Port", "%Cus:frame.interface_name:0:R", "Became", "%Cus:frame.comment:0:R", '
  + '"Source", "%s", "Destination", "%d", "Protocol", "%p", "Info", "%i"\ngui.update.enabled: FALSE\n');
if (isRoot) for (const path of [home, join(home, '.config'), settings]) chownSync(path, NOBODY, NOBODY);

const { XDG_CONFIG_HOME, ...others } = process.env;
const env = { ...others, HOME: home, TMPDIR: home, XDG_RUNTIME_DIR: home, FRAMEKEEP_RUN: join(home, 'run'), DISPLAY: display, LANG: 'C.UTF-8' };
const as = isRoot ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--'] : [];
const start = (...line) => spawn(line[0], line.slice(1), { env, stdio: 'ignore' });
const replay = (file, speed, name) => `replay:${join(root, 'captures', file)},speed=${speed},loop=yes,as=${name}`;
const running = [
  start('Xvfb', display, '-screen', '0', '1200x620x24'),
  start(...as, process.execPath, program, 'up', replay('nb6-http.pcap', 2, 'web'), replay('dns_icmp.pcap', 4, 'dns'), replay('rpvstp-trunk-native-vid5.pcap', 1, 'trunk'), '--pool', join(home, 'lab.pool'),
    '--pool-size', '4M', '--logic', 'hub', '--name', 'lab', '--stats', '0', '--quiet'),
];
try {
  await sleep(4000);
  const said = spawnSync([...as, process.execPath][0], [...as, process.execPath, program, 'wireshark', 'install'].slice(1), { env, encoding: 'utf8' });
  if (said.status !== 0) throw new Error(said.stderr);
  running.push(start(...as, 'wireshark', '-k', '-i', 'framekeep-lab'));
  await sleep(4000);
  // There is no window manager that would make it as large as the screen.
  spawnSync('sh', ['-c', 'for w in $(xdotool search --name Capturing); do xdotool windowmove $w 0 0 windowsize $w 1200 620; done'], { env });
  await sleep(12_000);
  const picture = join(root, 'docs', 'screens', 'wireshark.png');
  if (spawnSync('import', ['-window', 'root', '+dither', '-colors', '128', '-define', 'png:compression-level=9', '-strip', `PNG8:${picture}`], { env }).status !== 0) throw new Error('import failed');
} finally {
  for (const child of running.reverse()) {
    const closed = once(child, 'close');
    child.kill();
    await closed;
  }
  rmSync(home, { recursive: true, force: true });
}
