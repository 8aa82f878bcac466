/** Which privileges a switch keeps once its ports are open, and why (docs/security.md). */
import { statSync } from 'node:fs';
import { dropPrivileges, type Capability } from '../native/index.js';
import type { PORT_KINDS } from './ports/open.js';
import { runBase } from './run_directory.js';

/** What it takes to open a port of a kind; sending and receiving takes none of it. */
export const PORT_NEEDS: Readonly<Record<(typeof PORT_KINDS)[number], readonly Capability[]>> = {
  // Offloads and attaching the program; AF_XDP's and the promiscuous socket; loading the program; UMEM above the limit of locked memory.
  xdp: ['NET_ADMIN', 'NET_RAW', 'BPF', 'IPC_LOCK'],
  tap: ['NET_ADMIN'],
  cap: ['NET_RAW'],
  pipe: [], replay: [], gen: [], sink: [],
};

/**
 * Gives up all but what ports of any kind need to be opened later, or all but `only`; in every thread of the process.
 * @returns what is left
 */
export function giveUpPrivileges(only: readonly Capability[] = Object.values(PORT_NEEDS).flat()): Capability[] {
  const keep = new Set(only);
  // Records of changed offloads are taken away at the end; in somebody else's directory root needs this to do so.
  if (keep.has('NET_ADMIN') && statSync(runBase()).uid !== process.getuid?.()) keep.add('DAC_OVERRIDE');
  return dropPrivileges(keep);
}
