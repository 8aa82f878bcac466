/** Every case, in the order in which they run. */
import type { Case } from '../case.js';
import { fabric } from './fabric.js';
import { fabricKept } from './fabric_kept.js';
import { fabricDma } from './fabric_dma.js';
import { fabricFilter } from './fabric_filter.js';
import { fabricCommit } from './fabric_commit.js';
import { growth } from './growth.js';
import { soak } from './soak.js';
import { storage } from './storage.js';
import { superFrames } from './super_frames.js';
import { workers } from './workers.js';
import { xdpIdle } from './xdp_idle.js';
import { xdpKept } from './xdp_kept.js';
import { xdpLatency } from './xdp_latency.js';
import { xdpLossless } from './xdp_lossless.js';
import { xdpSaturated } from './xdp_saturated.js';
import { xdpTcp } from './xdp_tcp.js';

export const CASES: readonly Case[] = [
  fabric, fabricKept, fabricFilter, fabricCommit, fabricDma, workers, growth,
  xdpSaturated, xdpKept, xdpLossless, xdpTcp, superFrames, xdpLatency, xdpIdle, storage, soak,
];
