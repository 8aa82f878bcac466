/** A data-plane thread: waits for what it is to do, opens a session, says so, and runs it to its end. */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { Follower } from './follower.js';
import { Leader } from './leader.js';
import './lookup/learning.js';  // the usual logic: loaded before it is known that it is wanted
import { wireError, type Answer, type ThreadOptions } from './messages.js';
import type { ThreadData } from './warm.js';

const port = parentPort!, { waiting } = workerData as ThreadData, count = new Int32Array(waiting);
try {
  Atomics.wait(count, 0, 0);
  const options = { ...(receiveMessageOnPort(port)!.message as Omit<ThreadOptions, 'waiting'>), waiting };
  Atomics.sub(count, 0, 1);
  const session = options.worker === 0 ? await Leader.open(options, port) : await Follower.open(options, port);
  port.postMessage((session instanceof Leader ? { type: 'started', found: session.found } : { type: 'ready' }) satisfies Answer);
  session.run();
} catch (error) {
  port.postMessage({ type: 'refused', id: 0, error: wireError(error) } satisfies Answer);
  if (!(error instanceof Error && 'code' in error)) throw error;
} finally {
  port.close();
}
