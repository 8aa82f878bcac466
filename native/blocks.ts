/** Frames of a reader's window as blocks of a pcapng file (native/src/blocks.cc). */
import { addon } from './addon.js';

/** Words of a job, f64 each; the last two are results, and so are `at` and `position`. */
export const JOB_AT = 0, JOB_END = 1, JOB_POSITION = 2, JOB_LIMIT = 3, JOB_LONGEST = 4, JOB_FIRST_ID = 5, JOB_BOOT = 6, JOB_UNTIL_HIGH = 7, JOB_UNTIL_LOW = 8,
  JOB_MOST = 9, JOB_FRAMES = 10, JOB_BYTES = 11, JOB_WORDS = 12;

/** Where a run's tables have what: interfaces by port, i16 (-1: none yet); comments by verdict and 256 more, u32 place and bytes; their texts. */
export const TABLE_INTERFACES = 0, TABLE_COMMENTS = 512, TABLE_TEXTS = 4608;

/**
 * Hot, one call a window: writes frames from entry `at` on as Enhanced Packet Blocks, inbound, with packet id and comment, up to the first one
 * that needs more than that: a frame of several buffers, one that was replaced, of another run, later than `until`, from a port without
 * interface, without a comment, or without room.
 * @param job  set up anew for each call; afterwards says how far it came
 * @returns 0 or a negative errno
 */
export const blocksOfWindow: (records: Uint32Array, places: Uint32Array, staging: Uint8Array, tables: Uint8Array, job: Float64Array, out: Uint8Array) => number
  = addon['blocksOfWindow'] as any;
