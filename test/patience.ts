/** Waiting for what has to come: as long as a busy or slow machine needs, and no longer than it takes where the machine is fast. */
import { setTimeout as sleep } from 'node:timers/promises';

/** How long a test waits for what has to come, before it fails: less than AVA lets it be silent. */
export const PATIENCE_MS = 90_000;

/**
 * What `look` gives once it gives anything but undefined or false. @param what  a sentence for the failure, or what was there instead
 * @throws when it does not within PATIENCE_MS
 */
export async function eventually<T>(what: string | (() => string), look: () => T | undefined | false | Promise<T | undefined | false>, everyMs = 10): Promise<T> {
  for (const end = performance.now() + PATIENCE_MS; ; await sleep(everyMs)) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end) throw new Error(`in ${PATIENCE_MS / 1000} s it never came: ${typeof what === 'string' ? what : what()}`);
  }
}

/** What `look` gives once what `of` takes of it has been the same for `quietMs`, or at last what it gives. */
export async function steady<T>(look: () => T | Promise<T>, of: (found: T) => unknown = (found) => found, quietMs = 300): Promise<T> {
  let found = await look(), last = JSON.stringify(of(found)), since = performance.now();
  for (const end = since + PATIENCE_MS; performance.now() - since < quietMs && performance.now() < end;) {
    await sleep(Math.min(50, quietMs / 4));
    found = await look();
    const now = JSON.stringify(of(found));
    if (now !== last) { last = now; since = performance.now(); }
  }
  return found;
}
