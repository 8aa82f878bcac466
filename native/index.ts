/** The typed face of the native layer. Nothing outside this folder loads the addon. */
export * from './error.js';
export * from './memory.js';
export * from './persist.js';
export * from './read.js';
export * from './poll.js';
export * from './medium.js';
export * from './xdp.js';
export * from './pcap_filter.js';
export * from './pipe.js';
export * from './notify.js';
export * from './tap.js';
export { packageRoot } from './addon.js';
export * from './netif.js';
export * from './checksum.js';
export * from './gather.js';
export * from './buffers.js';
export * from './privileges.js';
