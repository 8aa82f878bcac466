/** A switch for programs: start one, add ports, stop it; and the interfaces a switching logic of one's own implements. */
export * from './switch.js';
export * from './counters.js';
export * from './run_directory.js';
export type { SwitchEvent, Started, KeepPolicy, FdbShown } from './messages.js';
export * from './lookup/logic.js';
