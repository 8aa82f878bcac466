/** The network interfaces a switch could take, and how AF_XDP would likely reach them. */
import { release } from 'node:os';
import type { Check } from './doctor.js';
import { asFramekeepError, whatFailed } from './exit.js';
import type { InterfaceInfo } from '../native/netif.js';

export interface InterfaceReport {
  name: string;
  driver: string;
  /** Receive queues in use. */
  queues: number;
  mtu: number;
  up: boolean;
  defaultRoute: boolean;
  /** By what is known of the driver; only opening the port tells. */
  mode: 'zero-copy' | 'native copy' | 'generic';
  note: string;
}

// First Linux whose driver runs XDP itself, and first whose driver takes frames straight into an AF_XDP socket's memory, by
// the name `ethtool -i` shows (drivers/net; the dates are the commits' releases). Firmware and settings still have a word.
const DRIVERS: Readonly<Record<string, readonly [native: number, zeroCopy?: number]>> = {
  mlx4_en: [4.08], mlx5_core: [4.09, 5.03], qede: [4.10], nfp: [4.10, 5.18], virtio_net: [4.10, 6.11], bnxt_en: [4.11], ixgbe: [4.12, 4.20],
  i40e: [4.13, 4.20], tun: [4.14], ixgbevf: [4.17], veth: [4.19], fsl_dpaa2_eth: [5.00, 6.02], sfc: [5.05], ice: [5.05, 5.05], mvneta: [5.05],
  ena: [5.06], hv_netvsc: [5.06], mvpp2: [5.09], igb: [5.10, 6.14], igc: [5.13, 5.14], st_gmac: [5.13, 5.13], bonding: [5.15], mana: [5.17],
  atlantic: [5.19], tsnep: [6.03, 6.04], gve: [6.04, 6.04], vmxnet3: [6.06], ionic: [6.09],
};

/** 6.1.0-18-amd64 → 6.01, so that 6.10 is later than 6.9. */
const kernelVersion = Number(release().replace(/^(\d+)\.(\d+).*$/, (_, major: string, minor: string) => `${major}.${minor.padStart(2, '0')}`));

export async function interfaces(): Promise<{ interfaces: InterfaceReport[]; checks: Check[] }> {
  try {
    const native = await import('../native/netif.js');
    const found = native.interfaces();
    const routes = new Map(native.defaultRouteInterfaces().map(({ name, how }) => [name, how]));
    return { interfaces: found.map((one) => describe(one, routes.get(one.name))), checks: [] };
  } catch (thrown) {
    const error = asFramekeepError(thrown);
    if (/^E_ADDON_/.test(error.code)) return { interfaces: [], checks: [] };   // a check of its own says so
    return { interfaces: [], checks: [{ id: 'interfaces', title: 'Interfaces', ok: false, found: whatFailed(error), remedy: error.remedy || 'see: ip link' }] };
  }
}

function describe(one: InterfaceInfo, how: string | undefined): InterfaceReport {
  const notes = [
    how === undefined ? '' : `${how}: refused unless --force`,
    one.name === 'lo' ? 'loopback: no frame of it goes anywhere' : '',
    one.xdp === 'none' ? '' : 'an XDP program is attached: xdp: will be refused',
  ];
  return {
    name: one.name, driver: one.driver, queues: one.rxQueues, mtu: one.mtu, up: one.up, defaultRoute: how !== undefined,
    mode: likelyMode(one.driver),
    note: notes.filter((note) => note !== '').join('; '),
  };
}

function likelyMode(driver: string): InterfaceReport['mode'] {
  const [native = Infinity, zeroCopy = Infinity] = DRIVERS[driver] ?? [];
  return kernelVersion >= zeroCopy ? 'zero-copy' : kernelVersion >= native ? 'native copy' : 'generic';
}
