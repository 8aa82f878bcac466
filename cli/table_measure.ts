/** `gen` and `sink`: measuring what is between two ports; a part of cli/table.ts. switch/numbered_frames.ts has the frames. */
import type { ArgumentEntry, CommandEntry, OptionEntry } from './table.js';
import * as v from './values.js';

const PORT: ArgumentEntry = { name: 'PORT', key: 'port', value: v.port, help: 'kind:name[,option=value...], as for up' };
const COUNT: OptionEntry = {
  long: 'count', short: 'n', value: v.integer('N', 1, Number.MAX_SAFE_INTEGER), shown: 'no end',
  help: 'stop after so many frames',
};
const DURATION: OptionEntry = { long: 'duration', value: v.seconds, shown: 'no end', help: 'stop after so long' };
const QUIET: OptionEntry = { long: 'quiet', short: 'q', help: 'no progress on standard error; errors still' };
const FORCE: OptionEntry = { long: 'force', help: 'take an interface that carries the default route' };

export const MEASURE_COMMANDS: readonly CommandEntry[] = [
  {
    name: 'gen',
    group: 'Measuring:',
    summary: 'send numbered frames out of a port',
    description: 'Sends frames that carry a number, a time and a stream (EtherType 0x88B5), for sink to count; or the frames of a capture.\n'
      + 'Out of a network interface (xdp:) the kernel makes them itself, as many as the interface takes; a veth takes them '
      + 'only if its other end has an XDP program, or GRO on.\n'
      + 'Otherwise, and with --through port, the port sends them.',
    arguments: [PORT],
    options: [
      { long: 'rate', short: 'r', value: v.rate, fallback: 1000, help: 'frames a second, with k or M; 0: as many as go' },
      {
        long: 'size', short: 's', value: v.frameSizes, fallback: [60], shown: '60',
        help: 'bytes without FCS; several, one after the other: 60,590,1514',
      },
      COUNT, DURATION,
      {
        long: 'from', value: v.path, placeholder: 'CAPTURE', group: 'What is sent:',
        help: 'frames of a pcap or pcapng file, round and round, as they are', completes: 'file',
      },
      { long: 'source', value: v.mac, fallback: '02:00:00:00:00:01', group: 'What is sent:', help: 'the first source address' },
      { long: 'sources', value: v.integer('N', 1, 2 ** 24), fallback: 1, group: 'What is sent:', help: 'how many, counting up' },
      { long: 'destination', value: v.mac, fallback: '02:00:00:00:00:02', group: 'What is sent:', help: 'the first destination address' },
      { long: 'destinations', value: v.integer('N', 1, 2 ** 24), fallback: 1, group: 'What is sent:', help: 'how many, counting up' },
      {
        long: 'through', value: v.oneOf('HOW', ['kernel', 'port']), shown: 'kernel, for xdp ports that can',
        help: 'who makes the frames: kernel or port',
      },
      FORCE, QUIET,
    ],
    examples: [
      ['framekeep gen xdp:eth1 --rate 0 --duration 10', 'as many frames as the interface takes'],
      ['framekeep gen pipe:lab --rate 10k --count 100000 --sources 1000', 'a thousand stations on a pipe'],
    ],
  },
  {
    name: 'sink',
    group: 'Measuring:',
    summary: 'count the frames that come in at a port',
    description: 'Counts frames and bytes; of numbered ones (gen) also what was lost, came twice or out of order, and how long it took, '
      + 'if both ends are on one machine.\nEnds when interrupted, or as told.',
    arguments: [PORT],
    options: [
      COUNT, DURATION,
      { long: 'idle', value: v.seconds, shown: 'never', help: 'stop when nothing came for so long, after the first frame' },
      FORCE, QUIET,
    ],
    examples: [['framekeep sink xdp:eth2 --idle 2 --json', 'until two seconds after the last frame']],
  },
];
