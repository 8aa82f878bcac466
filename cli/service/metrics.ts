/**
 * The counters as Prometheus metrics (https://prometheus.io/docs/practices/naming/), taken from shared memory when somebody asks: the
 * data plane has no part in it. A port that was removed keeps its series; one that came back goes on with it.
 */
import { Counter, Gauge, Registry } from 'prom-client';
import { windowOf } from '../../switch/counters.js';
import type { CountersSnapshot, PortSnapshot } from '../../switch/index.js';

type Global = CountersSnapshot['global'];

const PORT_COUNTERS: readonly (readonly [name: string, help: string, of: (p: PortSnapshot) => number])[] = [
  ['received_frames', 'Frames that came in.', (p) => p.received],
  ['received_bytes', 'Bytes of the frames that came in, without preamble and FCS.', (p) => p.receivedBytes],
  ['sent_frames', 'Frames given to the port for sending.', (p) => p.sent],
  ['sent_bytes', 'Bytes of the frames given to the port for sending.', (p) => p.sentBytes],
  ['forwarded_frames', 'Frames received here that went to one port.', (p) => p.forwarded],
  ['flooded_frames', 'Frames received here that went to several ports.', (p) => p.flooded],
  ['kept_frames', 'Frames received here that were kept in the pool.', (p) => p.kept],
  ['kept_bytes', 'Bytes kept of frames received here.', (p) => p.keptBytes],
  ['not_selected_frames', 'Frames received here that were not to be kept.', (p) => p.notSelected],
  ['lost_frames', 'Frames received here that were to be kept and could not be.', (p) => p.lost],
  ['tx_full', 'Copies of frames that this port could not take: its ring was full.', (p) => p.txFull],
  ['tx_errors', 'Frames that the system refused to send.', (p) => p.txErrors],
  ['checksums_completed', 'Frames received here whose checksum the switch completed.', (p) => p.checksums],
];

/** XDP_STATISTICS, linux/if_xdp.h. */
const XDP: readonly (readonly [event: string, of: (p: PortSnapshot) => number])[] = [
  ['rx_dropped', (p) => p.xdpRxDropped], ['rx_invalid_descriptor', (p) => p.xdpRxInvalid], ['tx_invalid_descriptor', (p) => p.xdpTxInvalid],
  ['rx_ring_full', (p) => p.xdpRxRingFull], ['fill_ring_empty', (p) => p.xdpFillEmpty], ['tx_ring_empty', (p) => p.xdpTxEmpty],
];

const GLOBAL_COUNTERS: readonly (readonly [name: string, help: string, of: (g: Global) => number])[] = [
  ['data_plane_turns', 'Turns of the data plane.', (g) => g.turns],
  ['data_plane_bursts', 'Bursts of frames taken.', (g) => g.bursts],
  ['data_plane_sleeps', 'Times the data plane slept in the kernel for want of work.', (g) => g.sleeps],
  ['pool_commits', 'Batches made durable.', (g) => g.commits],
  ['pool_committed_frames', 'Frames made durable.', (g) => g.committed],
  ['pool_committed_bytes', 'Bytes of the frames made durable.', (g) => g.keptBytes],
  ['pool_flushed_lines', 'Cache lines flushed.', (g) => g.lines],
  ['pool_fences', 'Fences.', (g) => g.fences],
  ['fdb_learned', 'Addresses learned.', (g) => g.learned],
  ['fdb_moved', 'Addresses seen at another port than before.', (g) => g.moved],
  ['fdb_aged', 'Addresses forgotten for not being seen.', (g) => g.aged],
  ['fdb_full', 'Addresses not learned because the table was full.', (g) => g.fdbFull],
  ['fdb_group_sources', 'Frames whose source address was a group.', (g) => g.groupSources],
];

const GLOBAL_GAUGES: readonly (readonly [name: string, help: string, of: (g: Global, s: CountersSnapshot) => number])[] = [
  ['start_time_seconds', 'When the switch started, in seconds since 1970.', (_, s) => s.startSeconds],
  ['data_plane_heartbeat_age_seconds', 'Time since the data plane last wrote its counters; at most 0.35 s while it is well.', (g) => Math.max(0, Number(process.hrtime.bigint()) / 1e9 - g.heartbeat)],
  ['workers', 'Data-plane threads that run.', (_, s) => s.workers.length],
  ['pool_boot', 'Number of the present run in the pool.', (g) => g.boot],
  ['pool_slots', 'Frames the pool has room for.', (g) => g.slots],
  ['pool_window_frames', 'Frames in the pool, of this and earlier runs.', (_, s) => windowOf(s).frames],
  ['pool_next_sequence', 'Number that the next kept frame gets; with several workers, the sum over their lanes.', (g) => g.nextSequence],
  ['pool_largest_batch_frames', 'Frames that one commit may hold: so many of the oldest in the window are not promised.', (g) => g.maxBatch],
  ['pool_frozen', '1 while nothing new is kept: frozen by request, or because the medium refused.', (g) => g.frozen],
  ['buffers', 'Buffers in circulation.', (g) => g.buffers],
  ['buffers_free', 'Buffers that nobody holds.', (g) => g.freeBuffers],
  ['fdb_entries', 'Addresses in the forwarding table.', (g) => g.fdbEntries],
];

/**
 * @param snapshot  the counters as of now
 * @param about     labels of framekeep_info
 */
export function metricsOf(snapshot: () => CountersSnapshot, about: Readonly<Record<string, string>>): Registry {
  const registry = new Registry(), registers = [registry];
  let s = snapshot(), last: Promise<unknown> = Promise.resolve();
  new Gauge({ name: 'framekeep_info', help: 'What runs here; always 1.', labelNames: Object.keys(about), registers, collect() { this.set({ ...about }, 1); } });
  const begin = registry.metrics.bind(registry);
  // One look at the counters for all metrics of a scrape; and one scrape after the other, so that none gets half of the next one's.
  registry.metrics = (): Promise<string> => {
    const text = last.then(() => { s = snapshot(); return begin(); });
    last = text.catch(() => undefined);
    return text;
  };

  for (const [name, help, of] of GLOBAL_GAUGES) new Gauge({ name: `framekeep_${name}`, help, registers, collect() { this.set(of(s.global, s)); } });
  for (const [name, help, of] of GLOBAL_COUNTERS) {
    new Counter({ name: `framekeep_${name}_total`, help, registers, collect() { this.reset(); this.inc(of(s.global)); } });
  }
  new Gauge({ name: 'framekeep_port_up', help: '1 while the port is there and its link is up.', labelNames: ['port'], registers, collect() {
    this.reset();
    for (const p of s.ports) if (p.state !== 'removed') this.set({ port: p.spec }, s.ports.some((o) => o.spec === p.spec && o.state === 'up') ? 1 : 0);
  } });
  for (const [name, help, of] of PORT_COUNTERS) {
    new Counter({ name: `framekeep_port_${name}_total`, help, labelNames: ['port'], registers, collect() {
      this.reset();
      for (const p of s.ports) this.inc({ port: p.spec }, of(p));
    } });
  }
  new Counter({ name: 'framekeep_port_dropped_frames_total', help: 'Frames received here that were not forwarded, by reason.', labelNames: ['port', 'reason'], registers, collect() {
    this.reset();
    for (const p of s.ports) for (const [reason, n] of Object.entries(p.dropped)) this.inc({ port: p.spec, reason }, n);
  } });
  new Counter({ name: 'framekeep_port_xdp_events_total', help: 'What the kernel counted on the sockets of an xdp port (XDP_STATISTICS).', labelNames: ['port', 'event'], registers, collect() {
    this.reset();
    for (const p of s.ports) if (isXdp(p)) for (const [event, of] of XDP) this.inc({ port: p.spec, event }, of(p));
  } });
  return registry;
}

const isXdp = (p: PortSnapshot): boolean => p.note.startsWith('AF_XDP');
