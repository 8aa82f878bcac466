/** The pool, its log, recovery, frame selection, readers and capture formats. Knows nothing of ports. */
export * from './format.js';
export * from './geometry.js';
export * from './pool.js';
export * from './recover.js';
export * from './index_view.js';
export * from './log.js';
export { PoolReader, readerBytes, WHOLE } from './reader.js';
export * from './frame_access.js';
export * from './report.js';
export * from './verify.js';
export * from './select_frames.js';
export * from './export.js';
export type { FollowNews } from './export_follow.js';
