/** Datagrams to Unix sockets: a service's manager and the journal (native/src/notify.cc). */
import { addon } from './addon.js';

/**
 * Sends one datagram. Waits 200 ms at most for a receiver that does not keep up.
 * @param address  a path, or `@name` in the abstract namespace
 * @returns 0 or a negative errno (-2: nobody is there, -111: nobody listens, -11: it took no more)
 */
export const datagramSend: (address: string, bytes: Uint8Array) => number = addon['datagramSend'] as any;
