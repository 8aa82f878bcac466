/**
 * What only the switch itself can say or do: its forwarding table, its events, freezing. Through its control socket, which may not be
 * there: then everything else of the dashboard works, and this says why it does not. Connects by itself, again after a loss.
 */
import { FramekeepError } from '../../native/error.js';
import { connectControl, type ControlClient } from '../../switch/control/client.js';
import type { ControlEvent, FdbShownEntry } from '../../switch/control/protocol.js';

export interface FdbState { readonly entries: readonly FdbShownEntry[]; readonly total: number; readonly problem: string }

/** Entries that are asked for: more than a screen has room for. */
const ENTRIES = 500;
const AGAIN_MS = 3000, ANSWER_MS = 5000;
/** The data plane is asked for its table no more often. */
const FDB_MS = 2000;

export class SwitchLink {
  fdb: FdbState = { entries: [], total: 0, problem: 'asking the switch …' };
  private readonly target: string;
  private readonly hear: (event: ControlEvent) => void;
  private client: ControlClient | undefined;
  /** One that is asked for events and has not answered yet: it may be stopped, and is not to be waited for at the end. */
  private joining: ControlClient | undefined;
  private join: Promise<ControlClient | undefined> | undefined;
  private isBusy = false;
  private triedAt = -Infinity;
  private askedAt = -Infinity;
  private isClosed = false;

  /** @param target a name, or the path of a control socket. @param hear is told of every event */
  constructor(target: string, hear: (event: ControlEvent) => void) {
    this.target = target;
    this.hear = hear;
  }

  /** Whether the switch tells of its events. */
  get isConnected(): boolean { return this.client !== undefined; }

  /** To be called once in a while: connects where that is due, asks for the forwarding table where it is to be seen. Never throws. */
  async look(isAlive: boolean, wantsFdb: boolean, total: number): Promise<void> {
    if (!isAlive) {
      this.drop('the forwarding table went with the switch');
      return;
    }
    if (this.isBusy) return;
    this.isBusy = true;
    try {
      const client = await this.connected();
      if (client === undefined || !wantsFdb || performance.now() - this.askedAt < FDB_MS - 500) return;
      this.askedAt = performance.now();
      const { entries } = await client.call('fdb.show', { limit: ENTRIES }, ANSWER_MS);
      this.fdb = { entries: [...entries].sort((a, b) => a.port - b.port || (a.mac < b.mac ? -1 : 1)), total: Math.max(total, entries.length), problem: '' };
    } catch (error) {
      this.drop(`not available: ${whatOf(error)}`);
    } finally { this.isBusy = false; }
  }

  /** Keeps nothing new, or goes on. @throws FramekeepError */
  async freeze(frozen: boolean): Promise<void> {
    const client = await this.connected(true);
    if (client === undefined) throw new FramekeepError('E_CONTROL_LOST', this.fdb.problem);
    await client.call(frozen ? 'keep.freeze' : 'keep.resume', {}, ANSWER_MS);
  }

  close(): void {
    this.isClosed = true;
    this.client?.close();
    this.joining?.close();
  }

  private async connected(now = false): Promise<ControlClient | undefined> {
    if (this.client !== undefined) return this.client;
    if (this.join !== undefined) return this.join;
    if (!now && performance.now() - this.triedAt < AGAIN_MS) return undefined;
    this.triedAt = performance.now();
    this.join = this.connect().finally(() => { this.join = undefined; });
    return this.join;
  }

  private async connect(): Promise<ControlClient | undefined> {
    const client = await connectControl(this.target);
    if (this.isClosed) {
      client.close();
      return undefined;
    }
    client.on('event', this.hear);
    client.on('close', () => { if (this.client === client) this.drop('not available: the connection to the switch was lost'); });
    this.joining = client;
    try {
      await client.call('events.subscribe', {}, ANSWER_MS);
    } catch (error) {
      client.close();
      throw error;
    } finally { this.joining = undefined; }
    return this.client = client;
  }

  private drop(problem: string): void {
    const { client } = this;
    this.client = undefined;
    this.fdb = { entries: [], total: 0, problem };
    client?.close();
  }
}

const whatOf = (error: unknown): string => (error as Error).message.split('\n')[0];
