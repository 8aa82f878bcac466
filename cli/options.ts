/**
 * What each subcommand gets: its options, parsed and checked, defaults filled in. The bodies (cli/up.ts, cli/export.ts, …)
 * are written against these shapes; cli/table.ts says how they are spelt on the command line and in a configuration
 * file, and cli/values.ts how a text becomes a value.
 */

/** Understood by every subcommand. */
export interface CommonOptions {
  /** Machine-readable output: JSON on standard output, errors as JSON on standard error. */
  json: boolean;
  /** Show the stack of an error. */
  debug: boolean;
}

/** `kind:name[,option[=value]…]`, as in `xdp:eth1,queues=2` or `replay:a.pcap,loop`. */
export interface PortSpec {
  /** One of PORT_KINDS in cli/values.ts; whether it can be opened is found out by the port itself. */
  kind: string;
  /** Interface, file or pipe name, as written. */
  name: string;
  /** Everything after the name, keys and values as written, '' for a key alone; the port kind checks them. */
  options: Record<string, string>;
  /** The whole specification on one line, for messages and for the pool's port table. */
  text: string;
}

/** `NAME`, `NAME:in` or `NAME:out`: keep only what this port received, sent, or both. */
export interface KeepPort {
  name: string;
  direction: 'in' | 'out' | 'both';
}

/** A moment for `--from` and `--to`. */
export interface Moment {
  /** false: `ns` counts from 1970-01-01 UTC. true: `ns` is added to the newest frame's time (`-10s` → -10^10). */
  relative: boolean;
  ns: bigint;
}

/** What a pool must survive; an operator may force one (docs/promises.md). */
export type Durability = 'power' | 'kernel' | 'process';

/** What is kept, and where; shared by `up` and `demo`. */
export interface KeepOptions {
  /** Path of the pool file or device. Default for `up`: /dev/shm/framekeep-NAME.pool. */
  pool: string;
  /** Size of a pool file that has to be created, in bytes; ignored for one that exists. */
  poolSize: number;
  /** pcap-filter expression; '' keeps every frame, null none. */
  keep: string | null;
}

export interface UpOptions extends CommonOptions, KeepOptions {
  /** The configuration file's, then those of --port, then the arguments. */
  ports: PortSpec[];
  /** Bytes of one buffer of a pool that has to be created. */
  chunk: 2048 | 4096 | 65536;
  /** Empty: all ports. */
  keepPorts: KeepPort[];
  /** Most bytes kept of a frame; 0: all. */
  snap: number;
  /** 1 in so many selected frames is kept; 1: each. */
  sample: number;
  /** Forward a frame only after its record is durable. */
  commitBeforeForward: boolean;
  /** Forced durability mode; undefined: what the medium gives. */
  durability: Durability | undefined;
  /** Seconds until an unseen address is forgotten; 0: never. */
  ageing: number;
  /** Entries of the forwarding table. */
  fdbSize: number;
  /** Learn and look up per VLAN. */
  vlanAware: boolean;
  /** `learning`, `hub`, or the absolute path of a module file. */
  logic: string;
  /** Forward 01:80:C2:00:00:00–0F, which 802.1D reserves. */
  forwardReserved: boolean;
  /** Longest and shortest frame forwarded, in bytes without FCS. */
  maxFrame: number;
  minFrame: number;
  /** The switch's name: lower-case letters, digits, `-`, `_`, `.`. */
  name: string;
  /** Data-plane threads. */
  workers: number;
  /** Take an interface that carries the default route. */
  force: boolean;
  /** Give up every privilege once the ports are open; no port is added or removed later. */
  sealed: boolean;
  /** Give up none. */
  keepPrivileges: boolean;
  /** Seconds between two lines of counters; 0: none. */
  stats: number;
  /** No progress on standard error; errors still. */
  quiet: boolean;
  /** Seconds after which the switch stops; undefined: never. */
  duration: number | undefined;
  /** Stop when every replay and gen port has finished. */
  once: boolean;
  /** Where events are logged: an absolute path, `-` for standard output, `journal`; undefined: nowhere. */
  log: string | undefined;
  /** Nothing below it is logged. */
  logLevel: 'debug' | 'info' | 'warn' | 'error';
  /** Where Prometheus metrics are served; undefined: nowhere. */
  metrics: { host: string; port: number } | undefined;
  /** The configuration file that was read, for messages and for reading it again. */
  config: string | undefined;
}

/** What `npm start` runs: the captures of this repository, switched at their own pace. */
export interface DemoOptions extends CommonOptions, KeepOptions {
  /** Capture files to replay, one port each; empty: those under captures/. */
  captures: string[];
  /** Factor on the recorded pace: 2 is twice as fast; 0 is as fast as it goes. */
  speed: number;
  /** true: stop after one pass. undefined: on a terminal go round until interrupted, otherwise one pass. */
  once: boolean | undefined;
  quiet: boolean;
}

export interface TopOptions extends CommonOptions {
  /** A switch's name; undefined: the one that runs, else the one that ran last. */
  name: string | undefined;
}

export interface InspectOptions extends CommonOptions {
  pool: string;
  /** A table of the boots, each with its ports and gaps, instead of the summary alone. */
  boots: boolean;
  /** The inspector, on the whole terminal. */
  tui: boolean;
}

export interface VerifyOptions extends CommonOptions {
  pool: string;
  /** Say nothing; the exit code is the answer. */
  quiet: boolean;
}

export interface ExportOptions extends CommonOptions {
  pool: string;
  /** Path, or '-' for standard output (never a terminal: the frame refuses that). */
  write: string;
  /** pcap-filter expression over the kept frames; '' exports all. */
  filter: string;
  /** undefined: by the output's name, `.pcap` is pcap and everything else pcapng. */
  format: 'pcapng' | 'pcap' | undefined;
  from: Moment | undefined;
  to: Moment | undefined;
  /** Port names or specifications; empty: all. */
  ports: string[];
  /** A boot's number as `inspect` shows it, or the newest; undefined: all. */
  boot: number | 'last' | undefined;
  /** The newest so many frames of what the other options select; undefined: all. */
  last: number | undefined;
  /** Go on with what is kept from now on. */
  follow: boolean;
  /** Stop after so many frames; undefined: never. */
  count: number | undefined;
  /** Most bytes exported of a frame; 0: all that was kept. */
  snap: number;
  /** undefined: a progress bar when standard error is a terminal and it takes long. */
  progress: boolean | undefined;
}

export interface CreateOptions extends CommonOptions {
  pool: string;
  /** Bytes; 0, when it was not given: the whole of a device, 256 MiB of a file. */
  size: number;
  chunk: 2048 | 4096 | 65536;
  lanes: number;
  /** Runs whose port names the pool remembers; undefined: what suits its size. */
  boots: number | undefined;
  /** Replace a pool that holds frames; never one that a process holds, nor a file that is no pool. */
  force: boolean;
}

export interface DoctorOptions extends CommonOptions {
  /** Files, directories or devices a pool might live on; empty: the usual places. */
  paths: string[];
}

/** Of the commands that speak to a running switch. */
export interface NamedOptions extends CommonOptions {
  /** undefined: the only one that runs. */
  name: string | undefined;
}

export type PortsOptions = NamedOptions & (
  | { verb: 'list' }
  | { verb: 'add'; port: PortSpec }
  | { verb: 'remove'; port: string }
  | { verb: 'set'; port: string; forward: 'on' | 'off' | undefined; keep: 'on' | 'off' | undefined; promiscuous: 'on' | 'off' | undefined });

export type FdbOptions = NamedOptions & (
  | { verb: 'show' | 'flush'; port: string | undefined }
  | { verb: 'add'; mac: string; port: string; vlan: number }
  | { verb: 'delete'; mac: string; vlan: number });

export type KeepCommandOptions = NamedOptions & (
  | { verb: 'show' | 'freeze' | 'resume' }
  | { verb: 'set'; words: string[]; keepPorts: KeepPort[]; snap: number | undefined; sample: number | undefined });

export interface StatsOptions extends NamedOptions {
  /** Until interrupted, or the switch ends. */
  watch: boolean;
  /** Seconds between two looks. */
  every: number;
}

export interface CompletionOptions extends NamedOptions {
  /** A shell, or what the shells' scripts ask for. */
  what: 'bash' | 'zsh' | 'fish' | 'switches' | 'ports';
}

export interface GenOptions extends CommonOptions {
  port: PortSpec;
  /** Frames a second; 0: no pace. */
  rate: number;
  size: number[];
  count: number | undefined;
  duration: number | undefined;
  /** A capture whose frames are sent instead. */
  from: string | undefined;
  source: string;
  sources: number;
  destination: string;
  destinations: number;
  /** undefined: the kernel, for xdp ports, where it can. */
  through: 'kernel' | 'port' | undefined;
  force: boolean;
  quiet: boolean;
}

export interface SinkOptions extends CommonOptions {
  port: PortSpec;
  count: number | undefined;
  duration: number | undefined;
  /** Seconds without a frame. */
  idle: number | undefined;
  force: boolean;
  quiet: boolean;
}

export interface WiresharkOptions extends CommonOptions {
  verb: 'show' | 'install' | 'uninstall';
  user: boolean;
  system: boolean;
  /** undefined: where Wireshark says. */
  dir: string | undefined;
}
