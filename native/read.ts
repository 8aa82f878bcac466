/** Copies kept frames out of a pool that may be changing (native/src/read.cc). */
import { addon } from './addon.js';

/** What `places` says where no frame was copied. */
export const PLACE_NOTHING = 0xffffffff, PLACE_OVERTAKEN = 0xfffffffe;

/**
 * Hot: one call a burst. Copies the records of slots [firstSlot, firstSlot + count) and, one behind the other from
 * multiples of 8 on, the frames of those that `state` calls SLOT_VALID and that are of `generation`.
 * @param range    f64: chunkShift, buffers, firstSlot, count, generation, reach: of a frame that is one record, without a checksum over its bytes,
 *                 no more than so many bytes are copied
 * @param seed     what the lane's record CRCs start from
 * @param state    a byte a slot of the lane, as `indexScan` gives it
 * @param records  8 u32 words a slot of the range
 * @param places   u32 a slot of the range: where in `staging` its frame is; PLACE_NOTHING; PLACE_OVERTAKEN: replaced since
 * @returns slots dealt with: fewer than count when `staging` is full; or a negative errno
 */
export const framesRead: (indexId: number, indexOffset: number, buffersId: number, range: Float64Array, seed: Uint8Array, state: Uint8Array,
  records: Uint32Array, places: Uint32Array, staging: Uint8Array) => number = addon['framesRead'] as any;
