/**
 * The data plane: one turn takes a burst from every queue, decides, selects, puts descriptors on TX rings, commits.
 *
 *   take back what was sent ─▶ gather ─▶ decide ─▶ select ─▶ dispatch ─▶ publish TX, kick ─▶ commit ─▶ give back, refill
 *                                                                         └── commit first, in commit-before-forward mode ──┘
 *
 * TypeScript decides: what is learned, where a frame goes, what is dropped and why, what is kept, and it counts. Native passes carry
 * out, one call a burst each: read headers, look up, list what goes where, put onto TX rings, take back, refill, append, commit
 * (native/src/gather.cc, probe.cc, buffers.cc, persist.cc). In the per-frame loops here (dispatch, settle, the logic's and selection's
 * own): no allocation, no closure, no exception, no BigInt, no Map, no subarray, no Atomics. 27 ns a frame (64 bytes, 1,024 MACs, written by
 * another core; 2-core x86-64 VM, Node 20), 48 with every frame kept and flushed (docs/decisions/2026-11-21-the-hot-loop.md).
 */
import { buffersGive, buffersPut, buffersTakeBack, burstGather, burstList, completeChecksums, clockRead, errnoName, FramekeepError, type Mapping } from '../native/index.js';
import { ENTRY_WORDS, type Log } from '../logger/log.js';
import {
  DROP_DISABLED, DROP_LOGIC, DROP_NO_EGRESS, DROP_OVERSIZE, DROP_REASONS, DROP_RUNT, DROP_TX_FULL, FLAG_CHECKSUM_COMPLETED, FLAG_SWITCH_TIME, MAX_PORTS,
  VERDICT_DROPPED,
} from '../logger/format.js';
import type { Buffers } from './buffers.js';
import { HOLDERS } from './buffers.js';
import { ASK, ASK_CHECKSUMS, ASK_STAMPED, Burst, BURST, FLOOD, MEASURED, SEVERAL, UNDECIDED } from './burst.js';
import { GLOBAL, PORT, type Counters } from './counters.js';
import type { SwitchLogic } from './lookup/logic.js';
import { PlanePort } from './plane_port.js';
import { SUPER_HEADROOM, type PortDriver } from './ports/driver.js';
import type { Inlet } from './ports/handoff.js';
import type { RingSet } from './ring.js';
import type { Selection } from './selection.js';

const VERDICTS_END = VERDICT_DROPPED + DROP_REASONS.length;
/** Entries of a completion ring that one native call takes. */
const TAKEN_BACK = 1024;

export interface PlaneOptions {
  readonly umem: Mapping;
  readonly chunk: number;
  readonly buffers: Buffers;
  readonly log: Log;
  readonly logic: SwitchLogic;
  readonly selection: Selection;
  readonly counters: Counters;
  readonly commitBeforeForward: boolean;
  readonly minFrame: number;
  readonly maxFrame: number;
}

export class Plane {
  readonly options: PlaneOptions;
  /** By port number; null where there is none. */
  readonly ports: (PlanePort | null)[] = new Array<PlanePort | null>(MAX_PORTS).fill(null);
  /** The ports that there are, for loops. */
  live: PlanePort[] = [];
  /** ns, CLOCK_MONOTONIC, as of the last reading; and the same in seconds. */
  now = 0;
  seconds = 0;
  private readonly burst: Burst;
  /** By verdict: 1 for a port that frames may go out of. */
  private readonly open = new Uint8Array(256);
  /** What of the burst in hand goes out of port p, in order, and how many. */
  private readonly listMemory = new Uint8Array(MAX_PORTS * BURST);
  private readonly lists = Array.from({ length: MAX_PORTS }, (_, p) => this.listMemory.subarray(p * BURST, (p + 1) * BURST));
  private readonly listed = new Uint16Array(MAX_PORTS);
  /** Addresses of sent frames that are another worker's. */
  private readonly others = new Uint32Array(2 * TAKEN_BACK);
  private readonly chunkShift: number;
  private readonly clockWords = new Uint32Array(2);
  private readonly clockSeconds = new Float64Array(1);
  private readonly drops = new Uint32Array(32);
  /** Most bytes kept of a frame. */
  snap = 0xffff;
  /** Why keeping has stopped for good: the medium refused a commit, or the format is used up. */
  keepingStopped: FramekeepError | undefined;
  private bursts = 0;
  private commits = 0;
  /** Buffers that one queue may have to receive into. */
  private fillTarget = 0;

  constructor(options: PlaneOptions) {
    this.options = options;
    this.chunkShift = Math.log2(options.chunk);
    this.burst = new Burst(options.umem.segments.map((s) => new Uint8Array(s)));
    const { asked } = this.burst;
    asked.set([options.minFrame, options.maxFrame, this.chunkShift, options.buffers.first], ASK.minFrame);
    asked.set([options.logic.table?.seed ?? 0, VERDICT_DROPPED + DROP_RUNT, VERDICT_DROPPED + DROP_OVERSIZE, UNDECIDED, FLAG_CHECKSUM_COMPLETED, FLAG_SWITCH_TIME, options.buffers.count], ASK.seed);
  }

  addPort(id: number, driver: PortDriver): PlanePort {
    const port = new PlanePort(id, driver, this.options.buffers.count, this.options.counters.port(id), this.open);
    this.ports[id] = port;
    this.portsChanged();
    this.options.logic.portAdded?.(id);
    for (const queue of driver.queues) this.refill(port, queue);
    return port;
  }

  /** Forgets the port; its driver is closed, so that nothing reads or writes its rings any more. */
  removePort(id: number): void {
    const port = this.detachPort(id);
    if (port !== null) this.reclaimPort(port);
  }

  /** Takes the port out of the turn and lets its rings go. Its buffers are not to be used until nobody has those rings any more. */
  detachPort(id: number): PlanePort | null {
    const port = this.ports[id];
    if (port === null) return null;
    this.flushLog();
    port.driver.close();
    port.inlets = [];
    this.ports[id] = null;
    this.open[id] = 0;
    this.portsChanged();
    return port;
  }

  /** Takes back the buffers of a port that was detached. */
  reclaimPort({ id, flooded }: PlanePort): void {
    this.options.buffers.reclaim(id, flooded);
    this.options.logic.portRemoved?.(id);
    this.options.selection.forgetPort(id);
  }

  private portsChanged(): void {
    this.live = this.ports.filter((p) => p !== null);
    const queues = this.live.reduce((n, p) => n + (p.driver.handsOver === true ? 0 : p.driver.queues.length), 0);
    // What waits in a fill ring stays there until a frame comes, also when ports are added later. A quarter of what circulates,
    // shared among at least three: 64 ports added one by one take 0.98 of it together, so that the last still gets its share.
    this.fillTarget = Math.max(1, Math.floor(this.circulating() / 4 / Math.max(queues, 3)));
    const most = Math.max(1, Math.floor(this.circulating() / 2 / Math.max(this.live.length, 2)));
    // Super-frames are cut by who receives them: how long the whole is says nothing, as long as a buffer holds it.
    const all = this.live.every((p) => p.driver.superFrames !== undefined), { chunk, maxFrame } = this.options;
    this.burst.asked[ASK.maxFrame] = all ? Math.max(maxFrame, chunk - SUPER_HEADROOM) : maxFrame;
    for (const port of this.live) {
      port.spare = Math.max(1, port.tx.size - most + 1);
      port.driver.superFrames?.(all);
    }
  }

  /** Buffers that records can never take. */
  private circulating(): number {
    const { log, buffers } = this.options;
    return log.copies ? buffers.count : buffers.count - log.slotBuffer.length;
  }

  /** While held, no frame is taken from any port: for opening several ports before traffic begins. */
  held = false;

  /** @returns how many frames were handled */
  turn(): number {
    let handled = 0;
    this.readClock();
    for (let p = 0; p < this.live.length; p++) {
      const port = this.live[p];
      this.complete(port);
      for (let k = 0; k < port.inlets.length; k++) handled += this.admit(port, port.inlets[k]);
      if (this.held) continue;
      port.driver.receive(this.now);
      const { queues } = port.driver;
      for (let q = 0; q < queues.length; q++) {
        const n = queues[q].rx.available();
        if (n > 0) handled += this.take(port, q, n < BURST ? n : BURST);
      }
    }
    if (this.options.commitBeforeForward) this.flushLog();
    for (let p = 0; p < this.live.length; p++) this.send(this.live[p]);
    this.flushLog();
    for (let p = 0; p < this.live.length; p++) {
      const { queues } = this.live[p].driver;
      for (let q = 0; q < queues.length; q++) this.refill(this.live[p], queues[q]);
    }
    return handled;
  }

  readClock(): void {
    clockRead(this.clockWords, this.clockSeconds);
    this.seconds = this.clockSeconds[0];
    this.now = this.clockWords[1] * 4294967296 + this.clockWords[0];
  }

  /** One burst of one queue, from ring to rings. */
  private take(port: PlanePort, q: number, n: number): number {
    const { burst, options } = this, { rx } = port.driver.queues[q];
    burst.count = n;
    burst.ingress = port.id;
    if (port.driver.partialChecksums) {
      port.counters[PORT.checksums] += completeChecksums(options.umem.id, rx.words, rx.entries, rx.next, n, rx.mask, burst.completed);
    }
    this.bursts++;
    this.gather(port, q, n);
    if (port.forwarding) options.logic.decide(burst);
    else for (let i = 0; i < n; i++) if (burst.egress[i] === UNDECIDED) burst.egress[i] = VERDICT_DROPPED + DROP_DISABLED;
    let kept = 0;
    if (port.keeping) kept = options.selection.select(burst);
    else burst.keep.fill(0, 0, n);
    this.dispatch(port, n, kept);
    return n;
  }

  /** Reads each frame's descriptor, first 16 bytes and stamp into the burst's arrays, before anything else is done with them. */
  private gather(port: PlanePort, q: number, n: number): void {
    const { burst } = this, { asked, measured } = burst, { driver, counters } = port, { rx } = driver.queues[q], { checker, first } = this.options.buffers;
    asked[ASK.entries] = rx.entries;
    asked[ASK.first] = rx.next;
    asked[ASK.count] = n;
    asked[ASK.mask] = rx.mask;
    asked[ASK.options] = (driver.stamped ? ASK_STAMPED : 0) | (driver.partialChecksums ? ASK_CHECKSUMS : 0);
    measured[MEASURED.lastStamp] = port.lastStamp[q];
    const result = burstGather(this.options.umem.id, burst.memory, rx.words);
    if (result !== 0) throw new FramekeepError('E_DESCRIPTOR', `port ${port.id} gave a frame that lies outside of the buffers: ${errnoName(result)}`, 'this is a bug in framekeep, or in the port\'s peer: please report it');
    port.lastStamp[q] = measured[MEASURED.lastStamp];
    this.now = measured[MEASURED.now];
    this.seconds = measured[MEASURED.seconds];
    burst.now = this.seconds | 0;
    rx.next = (rx.next + n) >>> 0;
    rx.publish();
    if (checker !== null) for (let i = 0; i < n; i++) checker.move(burst.buffer[i] + first, 'FILL', 'SWITCH');
    counters[PORT.received] += n;
    counters[PORT.receivedBytes] += measured[MEASURED.bytes];
  }

  /**
   * Carries the burst's decisions out: lists for each port what goes there, puts the lists onto TX rings, then settles each
   * frame: kept ones join the log's batch, and a buffer that nobody holds is free.
   */
  private dispatch(port: PlanePort, n: number, kept: number): void {
    const { burst, open, lists, listed, live } = this, { egress } = burst, asDecided = burstList(burst.memory, open, this.listMemory, listed);
    let forOne = asDecided, placed = true;
    for (let i = asDecided; i < n; i++) {
      const to = egress[i];
      if (open[to] === 1) {
        lists[to][listed[to]++] = i;
        forOne++;
      } else if (to >= SEVERAL) {
        if (this.listSeveral(i) === 0) egress[i] = VERDICT_DROPPED + DROP_NO_EGRESS;
      } else if (to >= VERDICTS_END || to < VERDICT_DROPPED) egress[i] = VERDICT_DROPPED + (to < VERDICT_DROPPED ? DROP_NO_EGRESS : DROP_LOGIC);
    }
    for (let p = 0; p < live.length; p++) if (listed[live[p].id] > 0 && !this.put(live[p])) placed = false;
    if (placed && forOne === n) this.settleForwarded(port, n, kept);
    else this.settle(port, n, kept);
  }

  /** A frame for several ports joins the list of each. @returns how many those are */
  private listSeveral(i: number): number {
    const { burst, live, open, lists, listed } = this, all = burst.egress[i] === FLOOD, { set, ingress } = burst;
    let ports = 0;
    for (let p = 0; p < live.length; p++) {
      const { id } = live[p];
      if (open[id] === 0 || (all ? id === ingress : (set[2 * i + (id >>> 5)] & (1 << (id & 31))) === 0)) continue;
      lists[id][listed[id]++] = i;
      ports++;
    }
    return ports;
  }

  /** Puts a port's list onto its TX ring, as far as there is room, and notes it as a holder of those buffers. @returns whether all found room */
  private put(out: PlanePort): boolean {
    const { id, tx } = out, { listed } = this, { buffers } = this.options, wanted = listed[id];
    const room = tx.room(wanted + out.spare - 1) - out.spare + 1, count = wanted < room ? wanted : room > 0 ? room : 0;
    listed[id] = 0;
    out.counters[PORT.txFull] += wanted - count;
    if (count === 0) return false;
    const bytes = buffersPut(buffers.memory, this.burst.memory, this.lists[id], count, id, out.flooded, tx.words, tx.entries, tx.mask, tx.next);
    if (bytes < 0) buffers.expectDone(bytes);
    tx.next = (tx.next + count) >>> 0;
    out.unpublishedBytes += bytes;
    return count === wanted;
  }

  /** Settles a burst of which every frame went to one port and found room, as nearly all do: nobody's state has to be looked at. */
  private settleForwarded(port: PlanePort, n: number, kept: number): void {
    const { buffer, keepWords } = this.burst, { state, first, checker } = this.options.buffers, c = port.counters;
    if (kept === n) for (let i = 0; i < n; i++) state[buffer[i]]++;
    else if (kept > 0) {
      for (let w = 0; w < n; w += 4) {
        let four = keepWords[w >>> 2];
        for (let i = w; four !== 0; i++, four >>>= 8) if ((four & 1) !== 0) state[buffer[i]]++;
      }
    }
    if (checker !== null) for (let i = 0; i < n; i++) checker.move(buffer[i] + first, 'SWITCH', 'HELD');
    c[PORT.forwarded] += n;
    c[PORT.kept] += kept;
    c[PORT.notSelected] += n - kept;
    if (kept > 0) this.keep(c, n);
  }

  /** After the TX rings were filled: counts, says which frames found no room, frees what nobody holds. */
  private settle(port: PlanePort, n: number, kept: number): void {
    const { burst, drops } = this, { buffers } = this.options, { state, free, first, checker } = buffers, { buffer, egress, keep } = burst;
    let flooded = 0, dropped = 0, { freeCount } = buffers;
    for (let i = 0; i < n; i++) {
      const b = buffer[i], to = egress[i];
      let held = state[b] & HOLDERS;
      if (held === 0) {
        const verdict = to < VERDICT_DROPPED || to >= SEVERAL ? VERDICT_DROPPED + DROP_TX_FULL : to;
        egress[i] = verdict;
        drops[verdict - VERDICT_DROPPED]++;
        dropped++;
        state[b] = 0;
      } else if (to >= SEVERAL) flooded++;
      if (keep[i] === 1) {
        // One-copy: the commit still reads from this buffer, so the log holds it until then.
        state[b]++;
        held++;
      }
      if (checker !== null) checker.move(b + first, 'SWITCH', held > 0 ? 'HELD' : 'FREE');
      if (held === 0) free[freeCount++] = b + first;
    }
    buffers.freeCount = freeCount;
    const c = port.counters;
    c[PORT.forwarded] += n - flooded - dropped;
    c[PORT.flooded] += flooded;
    c[PORT.kept] += kept;
    c[PORT.notSelected] += n - kept;
    if (dropped > 0) {
      for (let r = 0; r < drops.length; r++) if (drops[r] > 0) { c[PORT.dropped + r] += drops[r]; drops[r] = 0; }
    }
    if (kept > 0) this.keep(c, n);
  }

  /** The kept frames of the burst join the log's batch. */
  private keep(counters: Float64Array, n: number): void {
    const { burst, snap } = this, { log } = this.options;
    for (let from = 0; from < n;) {
      if (log.pending > 0 && log.maxBatch - log.pending < Math.min(n - from, log.maxBatch)) this.flushLog();
      const to = Math.min(n, from + log.maxBatch - log.pending);
      log.append(burst.memory, from, to, burst.ingress, snap);
      counters[PORT.keptBytes] += burst.measured[MEASURED.bytes];
      from = to;
    }
  }

  /** Publishes what the turn put on a port's TX ring, and sees to it that it is sent. */
  private send(port: PlanePort): void {
    const { tx } = port, n = (tx.next - port.published) >>> 0;
    if (n > 0) {
      if (port.driver.handsOver !== true) {
        port.counters[PORT.sent] += n;
        port.counters[PORT.sentBytes] += port.unpublishedBytes;
      }
      port.unpublishedBytes = 0;
      port.published = tx.next;
      tx.publish();
    }
    if (n > 0 || tx.seen !== tx.next) {
      if (n > 0 || tx.outstanding() > 0) port.driver.transmit();
    }
  }

  /** Takes back the buffers that a port has sent. */
  private complete(port: PlanePort): void {
    const ring = port.driver.queues[0].completion, { memory } = this.options.buffers, { flooded, inlets } = port, { others } = this;
    let n = ring.available();
    if (n === 0) return;
    for (; n > 0; n -= TAKEN_BACK) {
      const count = n < TAKEN_BACK ? n : TAKEN_BACK, strangers = buffersTakeBack(memory, flooded, others, ring.words, ring.entries, ring.mask, ring.next, count);
      if (strangers < 0) this.options.buffers.expectDone(strangers);
      for (let i = 0; i < strangers; i++) this.giveBack(port, others[2 * i], others[2 * i + 1]);
      ring.next = (ring.next + count) >>> 0;
    }
    ring.publish();
    for (let k = 0; k < inlets.length; k++) inlets[k].handBack();
  }

  /** Another worker's buffer was sent. */
  private giveBack({ inlets }: PlanePort, low: number, high: number): void {
    const { chunkShift } = this, buffer = ((high << (32 - chunkShift)) | (low >>> chunkShift)) >>> 0;
    for (let k = 0; k < inlets.length; k++) {
      const inlet = inlets[k];
      if (buffer < inlet.firstBuffer || buffer >= inlet.endBuffer) continue;
      inlet.returns.pushAddress(low, high);
      inlet.inFlight--;
    }
  }

  /** Whether another worker has handed over what could be sent now: not the time to sleep. */
  hasInlet(): boolean {
    for (const { inlets, tx, spare } of this.live) {
      if (inlets.some((inlet) => inlet.available() > 0) && tx.room(spare) >= spare) return true;
    }
    return false;
  }

  /** Puts what another worker hands over for this port onto its TX ring, as far as there is room. @returns how many frames */
  private admit(port: PlanePort, inlet: Inlet): number {
    const waiting = inlet.available();
    if (waiting <= 0) return 0;
    const { tx, spare } = port, { frames } = inlet, room = tx.room(waiting + spare - 1) - spare + 1, n = Math.min(waiting, room);
    if (n <= 0) return 0;
    const from = frames.words;
    for (let i = 0; i < n; i++) {
      const d = frames.at(frames.next + i);
      tx.pushDescriptor(from[d], from[d + 1], from[d + 2]);
      port.unpublishedBytes += from[d + 2];
    }
    frames.next = (frames.next + n) >>> 0;
    frames.publish();
    inlet.inFlight += n;
    return n;
  }

  /** Gives a queue buffers to receive into. */
  private refill(port: PlanePort, queue: RingSet): void {
    const { fill } = queue, { buffers } = this.options, want = Math.min(this.fillTarget, fill.size);
    const room = fill.room(fill.size - (want >>> 1));
    const n = Math.min(want - (fill.size - room), buffers.freeCount);
    if (n < 1) return;
    buffers.expectDone(buffersGive(buffers.memory, port.id, fill.words, fill.entries, fill.mask, fill.next, n));
    fill.next = (fill.next + n) >>> 0;
    fill.publish();
    if (fill.needsWakeup()) port.driver.wakeReceive?.();
  }

  /** Commits the pending batch, and lets go of the buffers whose records it replaced. When that fails, forwarding goes on. */
  flushLog(): void {
    const { log, buffers } = this.options, { pending } = log;
    if (pending === 0) return;
    const { copies, evicted } = log;
    if (this.keepingStopped === undefined) {
      try {
        log.commit();
        this.commits++;
      } catch (error) {
        if (!(error instanceof FramekeepError)) throw error;
        this.keepingStopped = error;
        this.options.selection.frozen = true;
      }
    }
    if (this.keepingStopped !== undefined) this.lose(pending);
    else if (copies) this.releasePending(pending);
    else buffers.releaseAll(evicted, pending);
  }

  private releasePending(pending: number): void {
    const { buffers, log: { entries } } = this.options, { chunkShift } = this;
    for (let i = 0; i < pending; i++) {
      const e = i * ENTRY_WORDS;
      buffers.release(((entries[e + 1] << (32 - chunkShift)) | (entries[e] >>> chunkShift)) >>> 0);
    }
  }

  /** A batch that could not be committed: its frames were counted as kept, and are lost. */
  private lose(pending: number): void {
    const { counters, log } = this.options, { entries } = log;
    log.pending = 0;
    for (let i = 0; i < pending; i++) {
      const e = i * ENTRY_WORDS, c = counters.port(entries[e + 4] & 0xff);
      c[PORT.kept]--;
      c[PORT.keptBytes] -= entries[e + 2];
      c[PORT.lost]++;
    }
    // Of a zero-copy commit that broke off, nobody knows which record has which buffer: neither is used again.
    if (log.copies || this.keepingStopped!.code !== 'E_COMMIT') this.releasePending(pending);
  }

  /** What the whole switch counts, into shared memory; some ten times a second. */
  publishCounters(): void {
    const { counters, buffers, log, logic } = this.options, g = counters.global;
    g[GLOBAL.heartbeat] = this.seconds;
    g[GLOBAL.freeBuffers] = buffers.freeCount;
    g[GLOBAL.buffers] = buffers.count;
    g[GLOBAL.nextSequence] = log.nextSequence;
    g[GLOBAL.slots] = log.slotBuffer.length;
    g[GLOBAL.maxBatch] = log.maxBatch;
    g[GLOBAL.bursts] = this.bursts;
    g[GLOBAL.commits] = this.commits;
    g[GLOBAL.committed] = log.counters[1];
    g[GLOBAL.lines] = log.counters[2];
    g[GLOBAL.fences] = log.counters[3];
    g[GLOBAL.keptBytes] = log.counters[4];
    const c = logic.counters;
    if (c === undefined) return;
    g[GLOBAL.fdbEntries] = c['entries'] ?? 0;
    g[GLOBAL.learned] = c['learned'] ?? 0;
    g[GLOBAL.moved] = c['moved'] ?? 0;
    g[GLOBAL.aged] = c['aged'] ?? 0;
    g[GLOBAL.fdbFull] = c['full'] ?? 0;
    g[GLOBAL.groupSources] = c['groupSources'] ?? 0;
  }
}
