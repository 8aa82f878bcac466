/** A running switch from another process (`framekeep/control`). docs/control.md has the protocol. */
export * from './client.js';
export * from './protocol.js';
