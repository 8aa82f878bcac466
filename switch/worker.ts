/** A data-plane thread as the control thread has it: asked, heard, and waited for. */
import type { Worker } from 'node:worker_threads';
import { eventSignal, FramekeepError } from '../native/index.js';
import type { Answer, Found, Request, SwitchEvent, ThreadOptions, WireError } from './messages.js';
import { takeThread } from './warm.js';

interface Pending { resolve(value: unknown): void; reject(error: Error): void }

/** What it says by itself. */
export interface Heard {
  event(event: SwitchEvent): void;
  /** A port of its own is gone. */
  lost(id: number, why: string): void;
  /** It has ended; with an error unless it was asked to. */
  ended(failure: FramekeepError | undefined): void;
}

export class PlaneWorker {
  readonly number: number;
  /** Resolves when it has ended. */
  readonly ended: Promise<void>;
  private readonly thread: Worker;
  private readonly waiting: Int32Array;
  private readonly wakeFd: number;
  private readonly pending = new Map<number, Pending>();
  private nextId = 1;
  private hasEnded = false;
  private failure: FramekeepError | undefined;

  /** @returns once it stands; worker 0 with what it found. @throws FramekeepError; nothing is left behind then */
  static async start(options: Omit<ThreadOptions, 'waiting'>, heard: Heard): Promise<{ worker: PlaneWorker; found: Found | undefined }> {
    const { thread, waiting } = takeThread(), count = new Int32Array(waiting);
    try {
      thread.postMessage(options);
      Atomics.add(count, 0, 1);
      Atomics.notify(count, 0);
      const found = await new Promise<Found | undefined>((resolve, reject) => {
        thread.once('message', (m: Answer) => {
          if (m.type === 'started') resolve(m.found);
          else if (m.type === 'ready') resolve(undefined);
          else if (m.type === 'refused') reject(asError(m.error));
        });
        thread.once('error', reject);
        thread.once('exit', () => reject(new FramekeepError('E_INTERNAL', 'the data-plane thread ended before it began', 'please report this')));
      });
      return { worker: new PlaneWorker(thread, options, count, heard), found };
    } catch (error) {
      await thread.terminate();
      throw error;
    }
  }

  private constructor(thread: Worker, { worker, wakeFds }: Omit<ThreadOptions, 'waiting'>, waiting: Int32Array, heard: Heard) {
    this.number = worker;
    this.thread = thread;
    this.waiting = waiting;
    this.wakeFd = wakeFds[worker];
    thread.on('message', (m: Answer) => this.hear(m, heard));
    thread.on('error', (error) => {
      this.failure = new FramekeepError('E_INTERNAL', `the data plane failed: ${error.stack ?? error.message}`, 'what was kept is safe; please report this');
    });
    this.ended = new Promise((resolve) => {
      thread.once('exit', () => {
        this.hasEnded = true;
        for (const { reject } of this.pending.values()) reject(stopped());
        this.pending.clear();
        heard.ended(this.failure);
        resolve();
      });
    });
  }

  /** @throws what it answers; E_STOPPED once it has ended */
  async ask<T = unknown>(request: Request): Promise<T> {
    if (this.hasEnded) throw stopped();
    const id = this.nextId++;
    const answer = new Promise((resolve, reject) => this.pending.set(id, { resolve, reject }));
    this.thread.postMessage({ id, request });
    Atomics.add(this.waiting, 0, 1);
    eventSignal(this.wakeFd);
    return await answer as T;
  }

  /** It drains, commits and ends by itself. */
  async stop(): Promise<void> {
    void this.ask({ type: 'stop' }).catch(() => undefined);
    await this.ended;
  }

  private hear(m: Answer, heard: Heard): void {
    switch (m.type) {
      case 'event': heard.event(m.event); break;
      case 'lost': heard.lost(m.id, m.why); break;
      case 'reply': this.settle(m.id)?.resolve(m.value); break;
      case 'refused':
        if (m.id === 0) this.failure = asError(m.error);
        else this.settle(m.id)?.reject(asError(m.error));
    }
  }

  private settle(id: number): Pending | undefined {
    const pending = this.pending.get(id);
    this.pending.delete(id);
    return pending;
  }
}

export const stopped = (): FramekeepError => new FramekeepError('E_STOPPED', 'the switch has stopped', '');
const asError = (e: WireError): FramekeepError => new FramekeepError(e.code, e.remedy === '' ? e.message : e.message.replace(`\n  ${e.remedy}`, ''), e.remedy);
