/** What the control thread and the data-plane thread say to each other. */
import type { CreateOptions } from '../logger/pool.js';
import { FramekeepError, type Durability } from '../native/index.js';
import type { Move } from './lookup/logic.js';
import type { HandoffPlace } from './ports/handoff.js';
import type { PortRequest } from './ports/request.js';
import type { XdpShare } from './ports/xdp.js';

/** What a data-plane thread is started with. */
export interface ThreadOptions {
  readonly name: string;
  readonly pool: string;
  readonly create: CreateOptions;
  readonly durability?: Durability;
  readonly countersPath: string;
  /** Which of the data-plane threads (workers) this is, and how many there are. Worker 0 leads: it has the pool's tables. */
  readonly worker: number;
  readonly workers: number;
  /** eventfds that wake the workers from poll(2); and by worker, Int32: whether it sleeps there. */
  readonly wakeFds: readonly number[];
  readonly asleep: SharedArrayBuffer;
  /** Where workers meet when a new run begins in the pool (switch/gate.ts). */
  readonly gate: SharedArrayBuffer;
  /** The forwarding table (switch/fdb.ts). */
  readonly table: SharedArrayBuffer;
  /** What worker 0 found and began; for the others. */
  readonly begun?: Begun;
  /** Int32 [0]: how many messages wait. */
  readonly waiting: SharedArrayBuffer;
  readonly keep: KeepPolicy;
  readonly snap: number;
  readonly commitBeforeForward: boolean;
  readonly logic: string;
  readonly fdbSize: number;
  readonly ageing: number;
  readonly vlanAware: boolean;
  readonly forwardReserved: boolean;
  readonly minFrame: number;
  readonly maxFrame: number;
  readonly maxBatch: number;
  /** Take no frame before a `hold` request says so. */
  readonly held: boolean;
  /** Check every change of a buffer's owner: for tests. */
  readonly checked: boolean;
  /** CPU to stay on; undefined: any. */
  readonly cpu?: number;
  readonly software: string;
}

/** The run that worker 0 began. */
export interface Begun {
  readonly boot: number;
  /** One-copy pools: the memory file that frames are received into; else -1. */
  readonly umemFd: number;
}

export interface KeepPolicy {
  /** pcap-filter; '' keeps every frame, null none. */
  readonly expression: string | null;
  /** The expression compiled, in the control thread: libpcap may ask a name server. Undefined: no filter. */
  readonly program: Uint32Array | undefined;
  readonly sample: number;
  /** Whether only frames of chosen ports are kept. */
  readonly byPort: boolean;
}

export type Request =
  /** To worker 0. `facts`: another worker has opened it. `places`: the rings for handing frames over, this worker's or to its port. */
  | { readonly type: 'add-port'; readonly port: PortRequest; readonly facts?: PortFacts; readonly places: readonly HandoffPlace[] }
  /** To the worker that is to own the port: opens it, and lets no frame pass until it is attached. The reply: PortFacts. */
  | { readonly type: 'open-port'; readonly port: PortRequest }
  | { readonly type: 'discard-port' }
  /** To the others, once worker 0 has numbered it. `sockets`: AF_XDP sockets of the port that are this worker's to use. */
  | { readonly type: 'attach-port'; readonly id: number; readonly spec: string; readonly port: PortRequest; readonly places: readonly HandoffPlace[]; readonly share: XdpShare | undefined }
  /** The other workers let go of it, then worker 0 removes it, then they take their buffers back. */
  | { readonly type: 'detach-port'; readonly id: number }
  | { readonly type: 'reclaim-port'; readonly id: number }
  /** What worker 0 saw of its interface. */
  | { readonly type: 'set-link'; readonly id: number; readonly up: boolean }
  | { readonly type: 'remove-port'; readonly id: number; readonly gone?: string }
  /** All of it at once; `snap` 0: all bytes; `chosen`: whose frames are kept, of a policy that is by port. */
  | { readonly type: 'set-keep'; readonly keep: KeepPolicy; readonly snap: number; readonly chosen: readonly { readonly id: number; readonly received: boolean; readonly sent: boolean }[] }
  /** Seconds; 0: never. The reply: whether the switching logic has a table that ages. */
  | { readonly type: 'set-ageing'; readonly seconds: number }
  | { readonly type: 'freeze'; readonly frozen: boolean }
  | { readonly type: 'hold'; readonly held: boolean }
  | { readonly type: 'fdb-show'; readonly from: number; readonly slots: number }
  /** Learned entries; the static ones stay. */
  | { readonly type: 'fdb-flush'; readonly port: number }
  /** The key's words, as `keyOf` makes them. The reply: whether it was there, or fitted. */
  | { readonly type: 'fdb-set'; readonly low: number; readonly high: number; readonly port: number }
  | { readonly type: 'fdb-delete'; readonly low: number; readonly high: number }
  | { readonly type: 'set-port'; readonly id: number; readonly forwarding?: boolean; readonly keeping?: boolean }
  | { readonly type: 'stop' };

export interface PortOpened { readonly id: number; readonly note: string; readonly advice: readonly string[]; readonly spec: string; readonly share: XdpShare | undefined }
/** What is known of a port that was opened. */
export interface PortFacts { readonly note: string; readonly advice: readonly string[]; readonly mac: Uint8Array; readonly mtu: number }
export interface Started { readonly boot: number; readonly medium: string; readonly promise: string; readonly durability: string; readonly zeroCopy: boolean; readonly slots: number; readonly chunk: number; readonly recovered: number; readonly gaps: number; readonly torn: number; readonly findings: readonly string[]; readonly lanes: number }
/** What worker 0 tells the others' start by. */
export interface Found { readonly started: Started; readonly lanes: readonly { readonly firstBuffer: number; readonly buffers: number }[]; readonly begun: Begun }
/** Some slots' entries, as `ForwardingTable.copy` gives them; `slots`: how many the table has in all, 0 when the logic has none. */
export interface FdbShown { readonly words: Uint32Array; readonly now: number; readonly ageing: number; readonly slots: number }

export interface WireError { readonly code: string; readonly message: string; readonly remedy: string }
/** What another thread is told of something thrown. */
export function wireError(thrown: unknown): WireError {
  if (thrown instanceof FramekeepError) return { code: thrown.code, message: thrown.message, remedy: thrown.remedy };
  return { code: 'E_INTERNAL', message: (thrown as Error).message, remedy: '' };
}

export type Answer =
  | { readonly type: 'started'; readonly found: Found }
  | { readonly type: 'ready' }
  | { readonly type: 'reply'; readonly id: number; readonly value: unknown }
  | { readonly type: 'refused'; readonly id: number; readonly error: WireError }
  /** A port of this worker's is gone for good; it is to be removed everywhere. */
  | { readonly type: 'lost'; readonly id: number; readonly why: string }
  | { readonly type: 'event'; readonly event: SwitchEvent };

/** What happens by itself; for the log. */
export type SwitchEvent =
  | { readonly kind: 'port-warning'; readonly port: number; readonly spec: string; readonly text: string }
  | { readonly kind: 'port-down' | 'port-up' | 'port-gone' | 'port-finished'; readonly port: number; readonly spec: string; readonly text: string }
  | { readonly kind: 'port-added' | 'port-removed' | 'port-changed'; readonly port: number; readonly spec: string; readonly text: string }
  /** `moves`: the first few of `count`. */
  | { readonly kind: 'moves'; readonly count: number; readonly moves: readonly (Move & { readonly fromName: string; readonly toName: string })[]; readonly text: string }
  | { readonly kind: 'overload'; readonly port: number; readonly spec: string; readonly count: number; readonly text: string }
  | { readonly kind: 'fdb-full' | 'floods'; readonly count: number; readonly text: string }
  | { readonly kind: 'keep-changed' | 'keeping-frozen' | 'keeping-resumed' | 'keeping-stopped'; readonly text: string }
  | { readonly kind: 'stopped' };
