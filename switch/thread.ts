/** A data-plane thread: opens a session, says so, and runs it to its end. */
import { parentPort, workerData } from 'node:worker_threads';
import { Follower } from './follower.js';
import { Leader } from './leader.js';
import { wireError, type Answer, type ThreadOptions } from './messages.js';

const port = parentPort!, options = workerData as ThreadOptions;
try {
  const session = options.worker === 0 ? await Leader.open(options, port) : await Follower.open(options, port);
  port.postMessage((session instanceof Leader ? { type: 'started', found: session.found } : { type: 'ready' }) satisfies Answer);
  session.run();
} catch (error) {
  port.postMessage({ type: 'refused', id: 0, error: wireError(error) } satisfies Answer);
  if (!(error instanceof Error && 'code' in error)) throw error;
} finally {
  port.close();
}
