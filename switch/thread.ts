/** The data-plane thread: opens a session, says so, and runs it to its end. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Answer, ThreadOptions } from './messages.js';
import { asFramekeepError } from './ports/xdp.js';
import { Session } from './session.js';

const port = parentPort!;
try {
  const session = await Session.open(workerData as ThreadOptions, port);
  port.postMessage({ type: 'started', started: session.started } satisfies Answer);
  session.run();
} catch (error) {
  const { code, message, remedy } = asFramekeepError(error);
  port.postMessage({ type: 'refused', id: 0, error: { code, message, remedy } } satisfies Answer);
  if (!(error instanceof Error && 'code' in error)) throw error;
} finally {
  port.close();
}
