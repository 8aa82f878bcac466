/** The bench's stand-in for NICs (native/src/bench_source.h): a thread that fills RX rings and empties TX rings. Not part of `native/index.ts`. */
import { addon } from './addon.js';
import { errnoName } from './error.js';
import type { Mapping } from './memory.js';

/** How frames get into buffers: each written anew; each buffer once, when it is first seen; each written past the cache. */
export const SOURCE_WRITES = ['each', 'first', 'stream'] as const;
export type SourceWrites = (typeof SOURCE_WRITES)[number];
/** Bytes of one head and of one template in their arrays. */
export const HEAD_BYTES = 16, TEMPLATE_BYTES = 4096;
/** Indices of `counters`: frames given and taken, their bytes, passes, passes in which the RX ring was full or the fill ring empty. */
export const SOURCE = { given: 0, taken: 1, givenBytes: 2, takenBytes: 3, passes: 4, rxFull: 5, noBuffer: 6, badAddress: 7 } as const;

export interface SourcePortTraffic {
  /** Heads given once, before any port gives the rest: so that the table knows all stations. */
  readonly teach: number;
  /** Twelve bytes each, 16 apart: destination and source. Empty: the port gives nothing. */
  readonly heads: Uint8Array;
}

export interface SourceOptions {
  /** Four rings a port (softRings), all of `ringSize` entries. */
  readonly rings: readonly Mapping[];
  readonly ringSize: number;
  readonly umem: Mapping;
  readonly chunkShift: number;
  readonly headroom: number;
  readonly writes: SourceWrites;
  /** Most frames given between two looks at the ports. */
  readonly batch: number;
  /** Most frames waiting on an RX ring. */
  readonly most: number;
  /** -1: not pinned. */
  readonly cpu: number;
  readonly ports: readonly SourcePortTraffic[];
  /** TEMPLATE_BYTES each, gone through in order; `lengths[i]` bytes of them are the frame. */
  readonly templates: Uint8Array;
  readonly lengths: Uint32Array;
}

export interface NativeSource {
  readonly counters: Float64Array;
  /** What a cache line takes from this thread's CPU to the source's, in ns. Takes some hundred microseconds. */
  handover(): number;
  /** Returns when the thread has ended: before its rings or the UMEM are unmapped. */
  stop(): void;
}

export function startSource(o: SourceOptions): NativeSource {
  const heads = Buffer.concat(o.ports.map((p) => p.heads));
  const counts = Uint32Array.from(o.ports.flatMap((p) => [p.teach, p.heads.length / HEAD_BYTES]));
  const options = Float64Array.of(o.ringSize, o.chunkShift, o.headroom, SOURCE_WRITES.indexOf(o.writes), o.batch, o.most, o.cpu);
  const result = addon['benchSourceStart'](Uint32Array.from(o.rings, (m) => m.id), o.umem.id, options, counts, heads, o.templates, o.lengths);
  if (typeof result === 'number') throw new RangeError(`benchSourceStart: ${errnoName(result)}`);
  return { counters: new Float64Array(result.counters), handover: () => addon['benchSourceHandover'](result.handle) as number, stop: () => { addon['benchSourceStop'](result.handle); } };
}
