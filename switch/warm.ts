/**
 * A data-plane thread that loads its code while the control thread still loads its own: of a start's 560 ms, 60 were waiting for
 * a thread to come up. Nothing else is in here, so that a program can begin with it.
 */
import { Worker } from 'node:worker_threads';

/** What a thread is born with. Its options are the first message. */
export interface ThreadData {
  /** Int32 [0]: how many messages wait. */
  readonly waiting: SharedArrayBuffer;
}
export interface NewThread extends ThreadData { readonly thread: Worker }

let warm: NewThread | undefined;

/** The next `takeThread` finds one that is under way. It keeps no process from ending. */
export function warmThread(): void {
  const made = warm ??= newThread();
  made.thread.unref();
  made.thread.once('error', forget);  // the next one says why
}

export function takeThread(): NewThread {
  const taken = warm ?? newThread();
  taken.thread.off('error', forget);
  taken.thread.ref();
  warm = undefined;
  return taken;
}

function forget(): void { warm = undefined; }

function newThread(): NewThread {
  const waiting = new SharedArrayBuffer(4);
  return { waiting, thread: new Worker(new URL('./thread.js', import.meta.url), { workerData: { waiting } satisfies ThreadData }) };
}
