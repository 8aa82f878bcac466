/** What one measurement of the fabric is: the same for the TypeScript data plane (worker.ts) and for the C++ loop (reference/fabric.cc). */
import type { SourceWrites } from '../../native/bench_source.js';

export interface FabricOptions {
  readonly ports: number;
  readonly macs: number;
  /** Bytes a frame, without FCS; `mixed`: traffic.ts. */
  readonly size: number | 'mixed';
  /** Port 0 gives, the others take; otherwise every port does both. */
  readonly oneWay: boolean;
  readonly writes: SourceWrites;
  /** '': every frame; null: none; otherwise a pcap-filter. */
  readonly keep: string | null;
  /** One in so many of the selected. */
  readonly sample: number;
  /** Flushed with the CPU's best instruction, as on persistent memory, or left in the cache, as tmpfs promises. */
  readonly flush: boolean;
  readonly commitBeforeForward: boolean;
  readonly poolBytes: number;
  /** Entries of every ring, a power of two. */
  readonly ringSize: number;
  /** Frames that may wait on an RX ring: up to 256 it is the longest burst. */
  readonly most: number;
  readonly warmSeconds: number;
  readonly seconds: number;
  /** CPUs of the data plane and of the source; -1: not pinned. */
  readonly cpu: number;
  readonly sourceCpu: number;
}

export const FABRIC: FabricOptions = {
  ports: 2, macs: 1024, size: 64, oneWay: false, writes: 'each', keep: null, sample: 1, flush: false, commitBeforeForward: false, poolBytes: 1024 * 1024 ** 2,
  ringSize: 1024, most: 1024, warmSeconds: 0.7, seconds: 1.5, cpu: 1, sourceCpu: 0,
};

/**
 * It is measured in slices, and a slice counts if before and after it a cache line took less than this from CPU to CPU, in ns: on a virtual
 * machine the host says which CPUs these are, and changes its mind from second to second. Where they share no cache (160 to 180 ns on
 * Zen 4, against 25 to 45) a frame takes twice as long, in C++ as in TypeScript.
 */
export const NEAR_NS = 100;
export const SLICE_SECONDS = 0.02;
/** Times `seconds` that near slices are waited for; all those after it count. */
export const PATIENCE = 0.7;
/** Measurements that are made, at most, until one was near. */
export const TRIES = 3;
/** Share of the time from which on a measurement was near. */
export const NEAR_SHARE = 0.3;

/** What it measured. */
export interface FabricFigures {
  /** Million frames a second that were received, decided, sent, and whose buffers came back. */
  readonly mpps: number;
  readonly nsPerFrame: number;
  /** Median, over the turns that had frames, of what a turn took a frame: also on a busy machine, which takes the CPU away between turns. */
  readonly busyNs: number;
  readonly keptMpps: number;
  readonly droppedShare: number;
  /** Frames in a burst, on average. */
  readonly burst: number;
  /** Of the source's looks at a port: how often the RX ring was full (the data plane was behind), or no buffer was there. */
  readonly rxFullShare: number;
  readonly noBufferShare: number;
  /** Of the time that was measured and waited: how much of it the CPUs were near. */
  readonly nearShare: number;
  /** Measurements before this one during which they were not. */
  readonly repeated: number;
}
