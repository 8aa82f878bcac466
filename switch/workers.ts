/**
 * All data-plane threads of a switch as one. Worker 0 leads; every worker has every port, but one of them owns it: an `xdp:`
 * port with several queues has its queues shared out, any other port receives and sends at its owner, and the others hand
 * their frames for it over (ports/handoff.ts).
 *
 *   added     the owner opens it, worker 0 numbers it and writes it into the pool, then the others get it
 *   removed   the others let go of it, worker 0 removes it, then the others take their buffers back
 */
import { ftruncateSync } from 'node:fs';
import { closeFd, eventCreate, memoryFile, type FramekeepError } from '../native/index.js';
import { tableMemory } from './fdb.js';
import { gateMemory } from './gate.js';
import type { Found, PortFacts, PortOpened, Request, Started, SwitchEvent, ThreadOptions } from './messages.js';
import { HANDOFF_BYTES, type HandoffPlace } from './ports/handoff.js';
import type { PortRequest } from './ports/request.js';
import { buffersBeside } from './session.js';
import { PlaneWorker, type Heard } from './worker.js';

export type WorkersOptions = Omit<ThreadOptions, 'worker' | 'waiting' | 'wakeFds' | 'asleep' | 'gate' | 'table' | 'begun'>;

export interface WorkersHeard {
  event(event: SwitchEvent): void;
  /** A port has gone by itself, from every worker. */
  gone(id: number): void;
  ended(failure: FramekeepError | undefined): void;
}

interface OwnedPort { readonly owner: number; readonly places: readonly HandoffPlace[] }

export class Workers {
  readonly started: Started;
  private readonly lanes: Found['lanes'];
  private readonly all: PlaneWorker[] = [];
  private readonly wakeFds: readonly number[];
  private readonly heard: WorkersHeard;
  private readonly ports = new Map<number, OwnedPort>();
  /** Memory files of rings that are not used. */
  private readonly spare: number[] = [];
  /** Ports come and go one after the other. */
  private turn: Promise<unknown> = Promise.resolve();
  private failure: FramekeepError | undefined;
  private running = 0;
  private stopping = false;

  /** @param options.workers how many are wanted: no more run than the pool has lanes. @throws FramekeepError; nothing is left behind then */
  static async start(options: WorkersOptions, heard: WorkersHeard): Promise<Workers> {
    const wakeFds = Array.from({ length: options.workers }, () => eventCreate());
    const common = { ...options, wakeFds, asleep: new SharedArrayBuffer(4 * options.workers), gate: gateMemory(options.workers), table: tableMemory(options.fdbSize) };
    let workers: Workers | undefined;
    const listener = (worker: number): Heard => ({
      event: (event) => workers!.hear(event), lost: (id, why) => void workers!.removePort(id, why).catch(() => undefined), ended: (failure) => workers!.ended(worker, failure),
    });
    try {
      const { worker, found } = await PlaneWorker.start({ ...common, worker: 0 }, listener(0));
      workers = new Workers(worker, found!, wakeFds, heard);
      const count = Math.min(options.workers, found!.lanes.length);
      for (let n = 1; n < count; n++) {
        const { worker } = await PlaneWorker.start({ ...common, worker: n, begun: found!.begun }, listener(n));
        workers.all.push(worker);
        workers.running++;
      }
      return workers;
    } catch (error) {
      await workers?.stop();
      if (workers === undefined) for (const fd of wakeFds) closeFd(fd);
      throw error;
    }
  }

  private constructor(leader: PlaneWorker, found: Found, wakeFds: readonly number[], heard: WorkersHeard) {
    this.all.push(leader);
    this.running = 1;
    this.started = found.started;
    this.lanes = found.lanes;
    this.wakeFds = wakeFds;
    this.heard = heard;
  }

  get count(): number { return this.all.length; }

  /** Asks worker 0. */
  ask<T = unknown>(request: Request): Promise<T> { return this.all[0].ask<T>(request); }

  /** Asks every worker, worker 0 first: what it refuses the others are not asked. @returns worker 0's answer */
  async askAll<T = unknown>(request: Request): Promise<T> {
    const answer = await this.ask<T>(request);
    await Promise.all(this.all.slice(1).map((worker) => worker.ask(request)));
    return answer;
  }

  addPort(port: PortRequest): Promise<Omit<PortOpened, 'share'>> {
    return this.inTurn(async () => {
      const owner = this.ownerOf(port), places = this.all.filter((w) => w !== owner).map((w) => this.placeOf(w.number, owner.number));
      const placesOf = (worker: PlaneWorker): HandoffPlace[] => worker === owner ? places : places.filter((place) => place.from === worker.number);
      const facts = owner === this.all[0] ? undefined : await owner.ask<PortFacts>({ type: 'open-port', port }).catch((error: unknown) => { this.release(places); throw error; });
      let opened: PortOpened | undefined;
      try {
        opened = await this.ask<PortOpened>({ type: 'add-port', port, ...(facts && { facts }), places: placesOf(this.all[0]) });
        this.ports.set(opened.id, { owner: owner.number, places });
        for (const worker of this.all.slice(1)) {
          await worker.ask({ type: 'attach-port', id: opened.id, spec: opened.spec, port, places: placesOf(worker), share: opened.share });
        }
        const { share: _, ...rest } = opened;
        return rest;
      } catch (error) {
        if (opened !== undefined) await this.remove(opened.id, undefined).catch(() => undefined);
        else { await owner.ask({ type: 'discard-port' }).catch(() => undefined); this.release(places); }
        throw error;
      }
    });
  }

  /** @param gone why, when it went by itself */
  removePort(id: number, gone?: string): Promise<void> {
    return this.inTurn(() => this.remove(id, gone));
  }

  private async remove(id: number, gone: string | undefined): Promise<void> {
    const others = this.all.slice(1);
    await Promise.all(others.map((worker) => worker.ask({ type: 'detach-port', id })));
    await this.ask({ type: 'remove-port', id, ...(gone !== undefined && { gone }) });
    await Promise.all(others.map((worker) => worker.ask({ type: 'reclaim-port', id })));
    this.release(this.ports.get(id)?.places ?? []);
    this.ports.delete(id);
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.all.slice(1).map((worker) => worker.stop()));
    await this.all[0].stop();
  }

  /** Queues are shared out; other ports go to whoever owns the fewest. */
  private ownerOf({ kind }: PortRequest): PlaneWorker {
    if (kind === 'xdp') return this.all[0];
    const owned = this.all.map((worker) => [...this.ports.values()].filter((p) => p.owner === worker.number).length);
    return this.all[owned.indexOf(Math.min(...owned))];
  }

  private placeOf(from: number, owner: number): HandoffPlace {
    const { zeroCopy, chunk } = this.started, beside = buffersBeside(chunk), lane = this.lanes[from];
    const [firstBuffer, buffers] = zeroCopy ? [lane.firstBuffer, lane.buffers] : [from * beside, beside];
    return { fd: this.handoffFile(), from, owner, firstBuffer, endBuffer: firstBuffer + buffers };
  }

  /** Rings that no port uses any more are the next one's: emptied, and still mapped where they were. */
  private handoffFile(): number {
    const fd = this.spare.pop();
    if (fd === undefined) return memoryFile('framekeep-handoff', HANDOFF_BYTES);
    ftruncateSync(fd, 0);
    ftruncateSync(fd, HANDOFF_BYTES);
    return fd;
  }

  private release(places: readonly HandoffPlace[]): void { this.spare.push(...places.map(({ fd }) => fd)); }

  private hear(event: SwitchEvent): void {
    if (event.kind === 'port-gone') {
      this.heard.gone(event.port);
      if (this.all.length === 1) this.ports.delete(event.port);  // otherwise `remove` is at it
    }
    if (event.kind === 'port-up' || event.kind === 'port-down') {
      for (const worker of this.all.slice(1)) void worker.ask({ type: 'set-link', id: event.port, up: event.kind === 'port-up' }).catch(() => undefined);
    }
    this.heard.event(event);
  }

  /** One that fails takes the others with it: the pool would have a lane that nobody writes. */
  private ended(worker: number, failure: FramekeepError | undefined): void {
    this.failure ??= failure;
    this.running--;
    if (this.running > 0 && !this.stopping && (failure !== undefined || worker === 0)) void this.stop();
    if (this.running > 0) return;
    for (const fd of this.wakeFds) closeFd(fd);
    for (const { places } of this.ports.values()) this.release(places);
    for (const fd of this.spare.splice(0)) closeFd(fd);
    this.heard.ended(this.failure);
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.turn.then(work);
    this.turn = next.catch(() => undefined);
    return next;
  }
}
