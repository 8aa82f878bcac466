/** The other end of a `pipe:` port, gone bad: takes its lock, then writes anything into the shared memory and rings, without a pause. */
import { constants, openSync, writeSync } from 'node:fs';
import { lockFile, mapFile, pipeBytes } from '../native/index.js';

const [, , path] = process.argv;
if (process.send !== undefined && path !== undefined) {
  const fd = openSync(path, 'r+'), bell = openSync(`${path}.a`, constants.O_RDWR | constants.O_NONBLOCK);
  if (!lockFile(fd, 2)) throw new Error('the end is taken');
  const words = new Uint32Array(mapFile(fd, pipeBytes(), { writable: true }).segments[0]);
  process.send('here');
  process.on('disconnect', () => process.exit(0));
  const ring = 1024, ringWords = (4096 + 512 * 4096) >>> 2, values = [0, 60, 1514, 1792, 1793, 4088, 4089, 0x7fffffff, 0xffffffff];
  let x = 7;
  const roll = (below: number): number => { x ^= x << 13; x >>>= 0; x ^= x >>> 17; x ^= x << 5; x >>>= 0; return x % below; };
  const storm = (): void => {
    for (let i = 0; i < 200_000; i++) {
      const base = ring + roll(2) * ringWords;
      // Lengths change under the reader's eyes; indices mostly go on, so that it always has something to read.
      words[base + 1024 + roll(512) * 1024] = values[roll(values.length)];
      words[base + 1024 + roll(512 * 1024)] = x;
      if (i % 16 === 0) words[base] = (words[base + 16] + roll(i % 64 === 0 ? 0xffffffff : 400)) >>> 0;
      if (i % 256 === 0) words[base + 16] = x;
    }
    try { writeSync(bell, new Uint8Array(4096)); } catch { /* it is full: it has been rung */ }
    setImmediate(storm);
  };
  storm();
}
