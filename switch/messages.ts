/** What the control thread and the data-plane thread say to each other. */
import type { CreateOptions } from '../logger/pool.js';
import type { Durability } from '../native/index.js';
import type { Move } from './lookup/logic.js';
import type { PortRequest } from './ports/request.js';

/** What a data-plane thread is started with. */
export interface ThreadOptions {
  readonly name: string;
  readonly pool: string;
  readonly create: CreateOptions;
  readonly durability?: Durability;
  readonly countersPath: string;
  /** eventfd that wakes the thread from poll(2). */
  readonly wakeFd: number;
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
  | { readonly type: 'add-port'; readonly port: PortRequest }
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

export interface PortOpened { readonly id: number; readonly note: string; readonly advice: readonly string[]; readonly spec: string }
export interface Started { readonly boot: number; readonly medium: string; readonly promise: string; readonly durability: string; readonly zeroCopy: boolean; readonly slots: number; readonly chunk: number; readonly recovered: number; readonly gaps: number; readonly torn: number; readonly findings: readonly string[] }
/** Some slots' entries, as `ForwardingTable.copy` gives them; `slots`: how many the table has in all, 0 when the logic has none. */
export interface FdbShown { readonly words: Uint32Array; readonly now: number; readonly ageing: number; readonly slots: number }

export interface WireError { readonly code: string; readonly message: string; readonly remedy: string }
export type Answer =
  | { readonly type: 'started'; readonly started: Started }
  | { readonly type: 'reply'; readonly id: number; readonly value: unknown }
  | { readonly type: 'refused'; readonly id: number; readonly error: WireError }
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
