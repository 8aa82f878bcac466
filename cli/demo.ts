/**
 * What `npm start` runs: the captures of this repository, switched between replay ports at their recorded pace, and kept. Needs
 * no privilege and no NIC. A conversation is played from two ports, split at the source MAC, so that the switch really has
 * something to learn.
 */
import { basename, join } from 'node:path';
import { thousands } from '../logger/words.js';
import { packageRoot } from '../native/index.js';
import { Switch, type SwitchPort } from '../switch/index.js';
import { bytesText } from '../tui/counters_view.js';
import type { Io } from './io.js';
import type { DemoOptions } from './options.js';
import { announce, program, runUntilDone, serveControl, type RunningOptions } from './running.js';

/** captures/README.md says what they are. */
const SHOW: readonly { readonly name: string; readonly file: string; readonly filter: string }[] = [
  { name: 'laptop', file: 'mptcp-v0.pcap', filter: 'ether src f2:8c:f5:24:1b:21' },
  { name: 'server', file: 'mptcp-v0.pcap', filter: 'ether src 16:51:53:04:3f:55' },
  { name: 'homebox', file: 'nb6-http.pcap', filter: 'ether src e0:a1:d7:18:c2:72 or ether src e0:a1:d7:18:c2:73' },
  { name: 'provider', file: 'nb6-http.pcap', filter: 'ether src 00:17:33:61:00:00 or ether src 80:fb:06:f0:45:d7' },
  { name: 'trunk', file: 'rpvstp-trunk-native-vid5.pcap', filter: '' },
];

export async function run(options: DemoOptions, io: Io): Promise<number> {
  const once = options.once ?? io.stderr.isTTY !== true;
  const specs = options.captures.length > 0
    ? options.captures.map((file) => ({ name: basename(file), kind: 'replay', file, filter: '' }))
    : SHOW.map((s) => ({ ...s, file: join(packageRoot(), 'captures', s.file) }));
  void io.interrupted;
  const sw = await Switch.start({ name: `demo-${process.getuid?.() ?? 0}`, pool: options.pool, held: true, create: { bytes: options.poolSize }, keep: options.keep });
  const ports: SwitchPort[] = [];
  const before = sw.stats().global.committed;
  try {
    for (const { name, file, filter } of specs) {
      const portOptions: Record<string, string> = { as: name, speed: String(options.speed), ...(filter !== '' && { filter }), ...(!once && { loop: 'yes' }) };
      const text = `replay:${file},${Object.entries(portOptions).map(([k, v]) => `${k}=${v}`).join(',')}`;
      const port = await sw.addPort({ kind: 'replay', name: file, options: portOptions, text });
      ports.push({ ...port, spec: `${name} (${basename(file)})` });
    }
    await sw.begin();
    await serveControl(sw);
  } catch (error) {
    await sw.stop();
    throw error;
  }
  const running: RunningOptions = { json: options.json, quiet: options.quiet, stats: io.stderr.isTTY === true ? 0.5 : 5, duration: undefined, once };
  announce(sw, ports, running, io);
  if (!options.quiet && !options.json) {
    io.note(once ? 'One pass through the captures …' : 'Until Ctrl-C. In another terminal, here:');
    if (!once) {
      io.note(`  watch it      ${program()} top`);
      io.note(`  kill it       kill -9 ${process.pid}`);
      io.note(`  what it kept  ${program()} inspect --tui ${options.pool}`);
      io.note(`  as pcapng     ${exportCommand(options.pool)}`);
    }
  }
  let last = sw.stats();
  sw.on('event', (event) => { if (event.kind === 'stopped') last = sw.stats(); });
  const code = await runUntilDone(sw, running, io);
  if (options.json) return code;
  const kept = last.global.committed - before;
  io.print(`${thousands(kept)} frames (${bytesText(last.global.keptBytes)}) were kept in ${options.pool}, recorded as run ${sw.started.boot}.`);
  io.print(`Open them in Wireshark:  ${exportCommand(options.pool)} && wireshark kept.pcapng`);
  io.print(`Without a display:       ${exportCommand(options.pool)} && tshark -r kept.pcapng`);
  io.print(`What happened:           ${program()} inspect ${options.pool}`);
  return code;
}

const exportCommand = (pool: string): string => `${program()} export ${pool} -w kept.pcapng --boot last`;
