/** What the control thread asks the data plane to open: structured-cloneable, everything found out beforehand. */
import type { XdpInterface } from './xdp.js';

export interface PortRequest {
  /** As the user wrote it. */
  readonly spec: string;
  /** What the port is called: in counters, in the pool, in an export. */
  readonly label: string;
  readonly kind: string;
  readonly name: string;
  readonly options: Readonly<Record<string, string>>;
  /** For `replay:`: its filter, compiled in the control thread, since libpcap may ask a name server. */
  readonly filter?: Uint32Array;
  /** For `xdp:`. */
  readonly xdp?: XdpInterface;
  /** For `pipe:` and `cap:`: the shared file and which end to take. */
  readonly pipe?: { readonly path: string };
  /** The interface underneath, to follow its state; 0: none. */
  readonly ifindex: number;
  /** Whether received (sent) frames of this port are kept; undefined: no restriction was asked for. */
  readonly keep?: { readonly received: boolean; readonly sent: boolean };
}
