/** `framekeep create`: an empty pool of a chosen geometry. What was there stays there, unless --force is given and it is a pool or a devdax device. */
import { existsSync, statSync } from 'node:fs';
import { thousands } from '../logger/words.js';
import { FramekeepError } from '../native/error.js';
import { create, Pool } from '../logger/pool.js';
import { EXIT } from './exit.js';
import type { Io } from './io.js';
import type { CreateOptions } from './options.js';

const DEFAULT_BYTES = 256 * 1024 ** 2;

export async function run(options: CreateOptions, io: Io): Promise<number> {
  const { pool: path, size, chunk, lanes, boots, force } = options;
  const device = existsSync(path) && statSync(path).isCharacterDevice();
  if (force && existsSync(path) && !device) refuseForeign(path);
  const bytes = size > 0 ? size : device ? undefined : DEFAULT_BYTES;
  create(path, { chunk, lanes, force, ...bytes !== undefined && { bytes }, ...boots !== undefined && { boots } });

  const pool = Pool.open(path);
  const { geometry, medium } = pool;
  pool.close();
  const frames = geometry.lanes.reduce((sum, lane) => sum + lane.slots, 0);
  if (options.json) {
    io.printJson({
      path, bytes: geometry.fileBytes, chunk: geometry.chunk, lanes: geometry.lanes.length, boots: geometry.boots, frames,
      medium: medium.kind, durability: medium.durability, zeroCopy: medium.zeroCopy, promise: medium.promise,
    });
  } else {
    io.print(`${path}: ${(geometry.fileBytes / 1024 ** 2).toFixed(1)} MiB, room for ${thousands(frames)} frames in buffers of ${geometry.chunk} bytes`);
    io.print(medium.promise);
  }
  return EXIT.ok;
}

/**
 * --force is for pools: old, damaged or newer ones as well, but not for somebody's file. A devdax device is no file: it begins with what its
 * memory held before, and nothing else would make it blank.
 */
function refuseForeign(path: string): void {
  try {
    Pool.open(path).close();
  } catch (error) {
    if (error instanceof FramekeepError && error.code === 'E_POOL_FOREIGN') throw error;
  }
}
