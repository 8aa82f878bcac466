/**
 * Every subcommand with its arguments and options, once. The parser (cli/parse.ts), `--help`, the keys of the
 * configuration file (cli/config.ts), the manual page (cli/man.ts) and the shells' completions (cli/completion.ts) all come
 * from here, and docs/configuration.md's test. What the values mean to the program is in cli/options.ts.
 */
import { CONTROL_COMMANDS, SHELL_COMMANDS } from './table_control.js';
import { MEASURE_COMMANDS } from './table_measure.js';
import { WIRESHARK_COMMANDS } from './table_wireshark.js';
import * as v from './values.js';
import type { Value } from './values.js';

export interface OptionEntry {
  /** `pool-size`: the option without its dashes, and the key in a configuration file. */
  long: string;
  /** `w`. */
  short?: string;
  /** Absent: a flag. */
  value?: Value<unknown>;
  /** Overrides the placeholder of `value`. */
  placeholder?: string;
  /** Property of the options object, where it is not `long` in camel case. */
  key?: string;
  /** May be given several times; the property is an array. */
  many?: true;
  /** A flag that `--no-…` turns off, and what that says in help; unset is undefined. */
  negatable?: string;
  required?: true;
  /** Value when it is not given; flags and `many` need none. */
  fallback?: unknown;
  /** How help shows the fallback, where it is not itself. */
  shown?: string;
  help: string;
  /** Heading in help. */
  group?: string;
  /** Not a key of the configuration file. */
  commandLineOnly?: true;
  completes?: Completes;
}

/** What a completion offers beside choices: names of switches that run, a switch's ports, files. */
export type Completes = 'switch' | 'port' | 'file';

export interface ArgumentEntry {
  name: string;
  key: string;
  value: Value<unknown>;
  optional?: true;
  many?: true;
  help: string;
  completes?: Completes;
}

export interface CommandEntry {
  name: string;
  summary: string;
  /** A line that begins with blanks stands as it is. */
  description: string;
  arguments: readonly ArgumentEntry[];
  options: readonly OptionEntry[];
  examples: readonly (readonly [line: string, what: string])[];
  /** Heading in the list of commands. */
  group: string;
  /** Takes --config FILE. */
  configured?: true;
  /** `framekeep ports add …`: what it does, in words of its own; the first when none is said. The command's own options are all the verbs'. */
  verbs?: readonly VerbEntry[];
}
export type VerbEntry = Omit<CommandEntry, 'configured' | 'group' | 'verbs'>;

/** Options of every subcommand. */
export const COMMON: readonly OptionEntry[] = [
  { long: 'json', help: 'write JSON, and errors as JSON', commandLineOnly: true },
  { long: 'debug', help: 'show the stack of an error', commandLineOnly: true },
];

const POOL: ArgumentEntry = { name: 'POOL', key: 'pool', value: v.path, help: 'pool file or device' };

const KEEP: OptionEntry = {
  long: 'keep', value: v.keep, fallback: '', shown: 'all', group: 'What is kept:',
  help: 'keep frames that this pcap-filter(7) expression selects; also all, none',
};
const POOL_SIZE: OptionEntry = {
  long: 'pool-size', value: v.size, fallback: 256 * 1024 ** 2, shown: '256M', group: 'The pool:',
  help: 'size of a pool file that has to be created: bytes, or with K, M, G, T',
};
const CHUNK: OptionEntry = {
  long: 'chunk', value: v.chunk, fallback: 2048, group: 'The pool:',
  help: 'bytes of one buffer of a pool that has to be created: 2048, 4096, or 65536 for super-frames (taps only)',
};
const QUIET: OptionEntry = { long: 'quiet', short: 'q', help: 'no progress on standard error; errors still' };

export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'up',
    group: 'Running a switch:',
    summary: 'run a switch',
    description: 'Switches frames between its ports and keeps the selected ones in a pool, until it is interrupted.\n'
      + 'A port is kind:name[,option=value...]:\n'
      + v.PORT_KINDS.flatMap((k) => [
        `  ${`${k.kind}:`.padEnd(8)} ${k.help}\n`, ...(k.options.length === 0 ? [] : [`           options: ${k.options.join(', ')}\n`]),
      ]).join('')
      + '  each:    as=NAME, what it is called in counters, pool and captures',
    configured: true,
    arguments: [{ name: 'PORT', key: 'ports', value: v.port, optional: true, many: true, help: 'kind:name[,option=value...]' }],
    options: [
      { long: 'port', short: 'p', value: v.port, key: 'ports', many: true, help: 'the same as an argument' },
      { long: 'name', value: v.switchName, fallback: 'sw0', help: 'the name of the switch' },
      {
        long: 'config', short: 'c', value: v.path, placeholder: 'FILE',
        help: 'read a TOML file; what the command line says wins', commandLineOnly: true,
      },
      {
        long: 'pool', value: v.path, shown: '/dev/shm/framekeep-NAME.pool, -NAME-UID.pool of an ordinary user', group: 'The pool:',
        help: 'file or device that keeps the frames; made if it does not exist',
      },
      POOL_SIZE,
      CHUNK,
      {
        long: 'durability', value: v.durability, group: 'The pool:', shown: 'what the medium gives',
        help: 'force what the pool must survive: power, kernel or process',
      },
      { long: 'commit-before-forward', group: 'The pool:', help: 'forward a frame only after its record is durable' },
      KEEP,
      {
        long: 'keep-port', value: v.keepPort, key: 'keepPorts', many: true, group: 'What is kept:',
        help: 'keep only what this port received (:in), sent (:out), or both',
      },
      {
        long: 'snap', value: v.integer('BYTES', 0, 65535), fallback: 0, shown: 'all', group: 'What is kept:',
        help: 'keep at most so many bytes of a frame',
      },
      { long: 'sample', value: v.integer('N', 1, 0xffffffff), fallback: 1, group: 'What is kept:', help: 'keep 1 in N of the selected frames' },
      { long: 'logic', value: v.logic, fallback: 'learning', group: 'Switching:', help: 'learning, hub, or a module file of your own' },
      { long: 'vlan-aware', group: 'Switching:', help: 'learn and look up addresses per VLAN' },
      {
        long: 'ageing', value: v.integer('SECONDS', 0, 1_000_000), fallback: 300, group: 'Switching:',
        help: 'forget an address not seen for so long; 0: never',
      },
      { long: 'fdb-size', value: v.integer('N', 1, 2 ** 24), fallback: 8192, group: 'Switching:', help: 'addresses the forwarding table holds' },
      { long: 'forward-reserved', group: 'Switching:', help: 'forward 01:80:C2:00:00:00-0F, which 802.1D reserves' },
      {
        long: 'max-frame', value: v.integer('BYTES', 60, 65535), fallback: 1522, group: 'Switching:',
        help: 'drop longer frames (length without FCS)',
      },
      { long: 'min-frame', value: v.integer('BYTES', 14, 1514), fallback: 14, group: 'Switching:', help: 'drop shorter frames (length without FCS)' },
      {
        long: 'workers', value: v.integer('N', 1, 8), fallback: 1, group: 'Running:',
        help: 'data-plane threads, each with a lane of the pool and its share of an interface\'s queues',
      },
      { long: 'force', group: 'Running:', help: 'take an interface that carries the default route' },
      { long: 'sealed', group: 'Running:', help: 'give up every privilege once the ports are open; ports stay as they are' },
      { long: 'keep-privileges', group: 'Running:', help: 'give up none (default: all but what opening ports takes)' },
      { long: 'stats', value: v.seconds, fallback: 1, group: 'Running:', help: 'print counters this often; 0: never' },
      { ...QUIET, group: 'Running:' },
      { long: 'duration', value: v.seconds, shown: 'none', group: 'Running:', help: 'stop after so long' },
      { long: 'once', group: 'Running:', help: 'stop when every replay and gen port has finished' },
      {
        long: 'log', value: v.logDestination, group: 'As a service:', shown: 'none',
        help: 'log events as JSON lines to a file; - is standard output, journal systemd\'s',
      },
      {
        long: 'log-level', value: v.oneOf('LEVEL', ['debug', 'info', 'warn', 'error']), fallback: 'info', group: 'As a service:',
        help: 'debug, info, warn or error: log nothing below it',
      },
      {
        long: 'metrics', value: v.endpoint, group: 'As a service:', shown: 'none',
        help: 'serve Prometheus metrics over HTTP; without a host to this machine alone',
      },
    ],
    examples: [
      ['framekeep up xdp:eth1 xdp:eth2 --keep "arp or port 53"', 'switch two interfaces, keep ARP and DNS'],
      ['framekeep up tap:t0 tap:t1 --pool /dev/dax0.0', 'keep every frame on persistent memory'],
      ['framekeep up --config /etc/framekeep/lab.toml', 'say it all in a file'],
    ],
  },
  ...CONTROL_COMMANDS,
  {
    name: 'top',
    group: 'A switch that runs:',
    summary: 'watch a switch on the whole screen',
    description: 'Shows ports, pool, talkers, protocols, forwarding table and events of a running switch, or what one that ended left behind.\n'
      + 'It reads what the switch writes anyway, and does not slow it. ? lists the keys; docs/dashboard.md has pictures.',
    arguments: [{
      name: 'NAME', key: 'name', value: v.switchName, optional: true, completes: 'switch',
      help: 'which switch (default: the one that runs, else the one that ran last)',
    }],
    options: [],
    examples: [['framekeep top', 'while framekeep up runs in another terminal'], ['framekeep top lab', 'one of several']],
  },
  {
    name: 'inspect',
    group: 'What was kept:',
    summary: 'say what a pool holds and what happened to it',
    description: 'Reads a pool, of a living, stopped or crashed switch, and reports its boots, ports, frames, gaps and torn records.\nNothing is changed.',
    arguments: [POOL],
    options: [
      { long: 'boots', help: 'each boot with its ports and gaps' },
      { long: 'tui', help: 'look at it, and at its frames, on the whole terminal', commandLineOnly: true },
    ],
    examples: [
      ['framekeep inspect --tui /dev/shm/framekeep-sw0.pool', 'what happened, and the frames with their layers and bytes'],
      ['framekeep inspect --json /dev/shm/framekeep-sw0.pool | jq .window', 'the span of time it covers'],
    ],
  },
  {
    name: 'verify',
    group: 'What was kept:',
    summary: 'check a pool, record by record',
    description: 'Reads every record and every kept frame. Exit code 0: nothing is damaged; 1: something is.',
    arguments: [POOL],
    options: [{ ...QUIET, help: 'say nothing: the exit code answers' }],
    examples: [['framekeep verify -q lab.pool && echo sound', 'in a script']],
  },
  {
    name: 'export',
    group: 'What was kept:',
    summary: 'write kept frames as pcapng or pcap',
    description: 'Writes what a pool holds, also while a switch is keeping frames in it. The switch is not slowed.\n'
      + 'TIME is 2025-11-21T03:04:05.123456789Z, seconds since 1970, or -10s: before the newest frame.',
    arguments: [POOL, { name: 'FILTER', key: 'filterWords', value: v.text, optional: true, many: true, help: 'pcap-filter(7) expression, as --filter' }],
    options: [
      { long: 'write', short: 'w', value: v.output, required: true, help: 'file to write; - is standard output' },
      {
        long: 'format', value: v.oneOf('FORMAT', ['pcapng', 'pcap']), shown: 'by the name: .pcap or pcapng',
        help: 'pcapng, or pcap with nanoseconds',
      },
      {
        long: 'filter', short: 'f', value: v.text, placeholder: 'EXPR', fallback: '', shown: 'all', group: 'Which frames:',
        help: 'frames that this pcap-filter(7) expression selects',
      },
      { long: 'from', value: v.moment, group: 'Which frames:', help: 'none older than this' },
      { long: 'to', value: v.moment, group: 'Which frames:', help: 'none newer than this' },
      { long: 'port', value: v.text, placeholder: 'NAME', key: 'ports', many: true, group: 'Which frames:', help: 'received by this port' },
      { long: 'boot', value: v.boot, group: 'Which frames:', shown: 'all', help: 'of one run of the switch: its number, or last' },
      { long: 'last', value: v.integer('N', 1, Number.MAX_SAFE_INTEGER), group: 'Which frames:', help: 'the newest N of those' },
      { long: 'follow', short: 'F', group: 'Which frames:', help: 'go on with what is kept from now on, until interrupted' },
      {
        long: 'count', short: 'n', value: v.integer('N', 1, Number.MAX_SAFE_INTEGER), shown: 'no end', group: 'Which frames:',
        help: 'stop after so many frames',
      },
      { long: 'snap', value: v.integer('BYTES', 0, 65535), fallback: 0, shown: 'all', help: 'write at most so many bytes of a frame' },
      { long: 'progress', negatable: 'show none', help: 'show a progress bar (default: on a terminal, if it takes long)' },
    ],
    examples: [
      ['framekeep export lab.pool -w lab.pcapng', 'all of it'],
      ['framekeep export lab.pool -w - --from -10s tcp port 80 | wireshark -k -i -', 'the last ten seconds of HTTP, in Wireshark'],
      ['framekeep export lab.pool -w - --follow | wireshark -k -i -', 'all there is, and what comes'],
    ],
  },
  {
    name: 'create',
    group: 'What was kept:',
    summary: 'make an empty pool',
    description: 'Makes a pool of its own geometry. `framekeep up` makes one by itself where the defaults do.',
    arguments: [POOL],
    options: [
      { long: 'size', value: v.size, fallback: 0, shown: '256M, or the whole device', help: 'bytes, or with K, M, G, T' },
      { ...CHUNK, group: undefined, help: 'bytes of one buffer: 2048, 4096, or 65536 for super-frames (taps only)' } as OptionEntry,
      { long: 'lanes', value: v.integer('N', 1, 16), fallback: 1, help: 'logs, one for each data-plane thread' },
      { long: 'boots', value: v.integer('N', 2, 65535), shown: '32; 4 in a small pool', help: 'runs whose ports it remembers' },
      { long: 'force', help: 'replace a pool that holds frames' },
    ],
    examples: [['framekeep create --size 4G /mnt/huge/lab.pool', 'on hugetlbfs']],
  },
  {
    name: 'doctor',
    group: 'Running a switch:',
    summary: 'say what this machine can do',
    description: 'Looks at the kernel, the processor, privileges, interfaces, media, limits and programs; changes nothing.\nEvery "no" says what to do about it.',
    arguments: [{ name: 'PATH', key: 'paths', value: v.path, optional: true, many: true, help: 'where a pool might live' }],
    options: [],
    examples: [['framekeep doctor /mnt/pmem', 'what would a pool there survive?']],
  },
  {
    name: 'demo',
    group: 'Running a switch:',
    summary: 'switch captures between replay ports (npm start)',
    description: 'Replays captures, one port each, through a switch that keeps what --keep selects; no privilege, no interface.\n'
      + 'On a terminal it goes round until interrupted, otherwise it ends after one pass.',
    arguments: [{ name: 'CAPTURE', key: 'captures', value: v.path, optional: true, many: true, help: 'pcap or pcapng files (default: captures/)' }],
    options: [
      { long: 'speed', value: v.factor, fallback: 1, help: 'factor on the recorded pace; 0: as fast as it goes' },
      {
        long: 'pool', value: v.path, shown: '/dev/shm/framekeep-demo.pool, -demo-UID.pool of an ordinary user', group: 'The pool:',
        help: 'file that keeps the frames',
      },
      { ...POOL_SIZE, fallback: 64 * 1024 ** 2, shown: '64M' },
      KEEP,
      { long: 'once', negatable: 'go round until interrupted', help: 'end after one pass (default: unless on a terminal)' },
      QUIET,
    ],
    examples: [['npm start -- --speed 10 --keep tcp', 'ten times as fast, keep TCP']],
  },
  ...WIRESHARK_COMMANDS,
  ...MEASURE_COMMANDS,
  ...SHELL_COMMANDS,
];

/** The property an option fills: `pool-size` → `poolSize`. */
export function keyOf(option: OptionEntry): string {
  return option.key ?? option.long.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
