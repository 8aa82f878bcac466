/**
 * The control socket's server: runs in the control thread, which touches no frame. What a client can take of it is bounded:
 *
 *   a line            64 KiB, then the connection is closed
 *   requests          one at a time a connection; while it is carried out nothing more is read from that client
 *   answers unread    1 MiB, then nothing more is read from that client; 30 s later the connection is closed
 *   events unread     256 KiB, then they are counted instead, and the client is told how many it missed
 *   connections       64, then the one that has been quiet longest and waits for nothing is closed for the new one
 *   the data plane    asked at most 100 times a second by all clients together, for some 30 µs each time; a page of its table is up to eight times that
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { FramekeepError } from '../../native/error.js';
import type { SwitchEvent } from '../messages.js';
import { controlPath } from '../run_directory.js';
import type { Switch } from '../switch.js';
import { carryOut } from './methods.js';
import {
  checkParams, INVALID_PARAMS, INVALID_REQUEST, LONGEST_LINE, METHOD_NOT_FOUND, METHODS, PARSE_ERROR, rpcError, toRpcError, type ControlEvent, type Method, type RpcError,
} from './protocol.js';

const MOST_CONNECTIONS = 64, ANSWERS_UNREAD = 1 << 20, EVENTS_UNREAD = 1 << 18, PATIENCE_MS = 30_000, PACE_MS = 10, MOST_PARTS = 64;
/** sockaddr_un.sun_path, with its 0 (linux/un.h). */
const LONGEST_PATH = 107;

export class ControlServer {
  readonly path: string;
  /** @internal */ readonly sw: Switch;
  private readonly server: Server;
  private readonly connections = new Set<Connection>();
  private nextTurn = 0;
  private closed = false;

  /**
   * Listens, as `control` (0600) in the switch's run directory. That directory is claimed for this process: a socket that is there is a dead one's.
   * It ends with the switch, after the answers that are due.
   * @throws FramekeepError E_CONTROL
   */
  static async listen(sw: Switch): Promise<ControlServer> {
    const path = controlPath(sw.directory);
    if (Buffer.byteLength(path) > LONGEST_PATH) {
      throw new FramekeepError('E_CONTROL', `the control socket's path is longer than ${LONGEST_PATH} bytes: ${path}`, 'set FRAMEKEEP_RUN to a directory with a shorter path');
    }
    const server = createServer({ allowHalfOpen: true });
    rmSync(path, { force: true });
    const umask = process.umask(0o177);  // never, not for a moment, anybody else's to connect to
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', (cause) => reject(new FramekeepError('E_CONTROL', `the control socket ${path} cannot be made: ${cause.message}`, 'set FRAMEKEEP_RUN to a directory on a file system that has sockets', { cause })));
        server.listen(path, resolve);  // bound before it returns
        process.umask(umask);
      });
    } finally { process.umask(umask); }
    chmodSync(path, 0o600);
    return new ControlServer(sw, server, path);
  }

  private constructor(sw: Switch, server: Server, path: string) {
    this.sw = sw;
    this.server = server;
    this.path = path;
    server.removeAllListeners('error');
    server.on('error', () => undefined);  // accept(2) out of descriptors: the next one may succeed
    server.on('connection', (socket) => this.admit(socket));
    sw.on('event', (event) => this.tell(event));
    sw.once('ending', () => this.stopListening());
    sw.once('stopped', () => this.close());
  }

  /** @internal waits for a turn to ask the data plane */
  async turn(): Promise<void> {
    const now = performance.now();
    this.nextTurn = Math.max(now, this.nextTurn + PACE_MS);
    if (this.nextTurn > now) await new Promise((resolve) => setTimeout(resolve, this.nextTurn - now));
  }

  /** @internal */
  forget(connection: Connection): void { this.connections.delete(connection); }

  private admit(socket: Socket): void {
    if (this.connections.size >= MOST_CONNECTIONS) {
      let quiet: Connection | undefined;
      for (const one of this.connections) if (one.idle && (quiet === undefined || one.heard < quiet.heard)) quiet = one;
      if (quiet === undefined) {
        socket.on('error', () => undefined);
        socket.end(`${JSON.stringify({ jsonrpc: '2.0', id: null, error: rpcError(INVALID_REQUEST, `${MOST_CONNECTIONS} clients are being served`, 'try again') })}\n`);
        socket.destroySoon();
        return;
      }
      quiet.drop();
    }
    this.connections.add(new Connection(this, socket));
  }

  private tell(event: SwitchEvent): void {
    const told: ControlEvent = { time: Date.now() / 1000, ...event };
    const line = `${JSON.stringify({ jsonrpc: '2.0', method: 'event', params: told })}\n`;
    for (const connection of this.connections) connection.tell(line);
  }

  /** Before the switch's name is another's to claim: its socket would be at this path. */
  private stopListening(): void {
    if (this.closed) return;
    this.closed = true;
    this.server.close();
    rmSync(this.path, { force: true });
  }

  private close(): void {
    this.stopListening();
    for (const connection of this.connections) connection.finish();
  }
}

class Connection {
  /** When the client last said something, ms. */
  heard = performance.now();
  private readonly server: ControlServer;
  private readonly socket: Socket;
  private readonly lines: Buffer[] = [];
  private readonly half: Buffer[] = [];
  private halfBytes = 0;
  private busy = false;
  private clientEnded = false;
  private finishing = false;
  private subscribed = false;
  private lost = 0;

  constructor(server: ControlServer, socket: Socket) {
    this.server = server;
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.take(chunk));
    socket.on('end', () => { this.clientEnded = true; this.endWhenDone(); });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => { this.lines.length = 0; server.forget(this); });
    socket.on('drain', () => this.tellLost());
  }

  get idle(): boolean { return !this.busy && !this.subscribed; }

  drop(): void {
    this.socket.destroy();
    this.server.forget(this);
  }

  tell(line: string): void {
    if (!this.subscribed || this.socket.destroyed) return;
    if (this.socket.writableLength > EVENTS_UNREAD) { this.lost++; return; }
    this.tellLost();
    this.socket.write(line);
  }

  private tellLost(): void {
    if (this.lost === 0 || this.socket.destroyed) return;
    const params: ControlEvent = { time: Date.now() / 1000, kind: 'events-lost', count: this.lost, text: `${this.lost} event(s) were not told: this client reads too slowly` };
    this.lost = 0;
    this.socket.write(`${JSON.stringify({ jsonrpc: '2.0', method: 'event', params })}\n`);
  }

  /** The switch has ended: what is being answered is, then the connection ends. */
  finish(): void {
    this.finishing = true;
    this.subscribed = false;
    this.lines.length = 0;
    this.endWhenDone();
  }

  private endWhenDone(): void {
    if (this.busy || this.lines.length > 0 || !(this.finishing || (this.clientEnded && !this.subscribed))) return;
    this.socket.end();
    // A client that reads nothing does not hold the process up.
    setTimeout(() => this.socket.destroy(), this.finishing ? 500 : PATIENCE_MS).unref();
  }

  private take(chunk: Buffer): void {
    this.heard = performance.now();
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      this.half.push(chunk.subarray(start, end));
      if (this.halfBytes + end - start >= LONGEST_LINE) return this.tooLong();
      this.lines.push(this.half.length === 1 ? this.half[0] : Buffer.concat(this.half));
      this.half.length = this.halfBytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) {
      this.half.push(chunk.subarray(start));
      this.halfBytes += chunk.length - start;
      // A byte at a time, each with an object of its own, would be megabytes.
      if (this.half.length === MOST_PARTS) this.half.splice(0, MOST_PARTS, Buffer.concat(this.half));
      if (this.halfBytes >= LONGEST_LINE) return this.tooLong();
    }
    if (this.lines.length > 0 && !this.busy) void this.work();
  }

  private tooLong(): void {
    this.half.length = this.lines.length = 0;
    this.reply(null, { error: rpcError(PARSE_ERROR, `a line of ${LONGEST_LINE} bytes or more`, 'send one request a line') });
    this.socket.pause();
    this.socket.destroySoon();
  }

  private async work(): Promise<void> {
    this.busy = true;
    this.socket.pause();
    for (let line = this.lines.shift(); line !== undefined && !this.socket.destroyed; line = this.lines.shift()) {
      await this.answer(line.toString('utf8').trim());
      if (this.socket.writableLength > ANSWERS_UNREAD && !await this.drained()) this.socket.destroy();
    }
    this.busy = false;
    this.socket.resume();
    this.endWhenDone();
  }

  private drained(): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (yes: boolean) => (): void => {
        clearTimeout(timer);
        this.socket.off('drain', drain).off('close', close);
        resolve(yes);
      };
      const drain = done(true), close = done(false), timer = setTimeout(close, PATIENCE_MS);
      this.socket.on('drain', drain).on('close', close);
    });
  }

  private async answer(line: string): Promise<void> {
    if (line === '') return;
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch (error) {
      return this.reply(null, { error: rpcError(PARSE_ERROR, `that line is no JSON: ${(error as Error).message.slice(0, 200)}`) });
    }
    if (typeof message !== 'object' || message === null || Array.isArray(message)) {
      return this.reply(null, { error: rpcError(INVALID_REQUEST, 'a request is one JSON object', 'send each request on a line of its own, not a list of them') });
    }
    const { jsonrpc, id, method, params } = message as Record<string, unknown>;
    const isNotification = !Object.hasOwn(message, 'id'), knownId = typeof id === 'string' || typeof id === 'number' || id === null ? id : undefined;
    const answer = (body: { result: unknown } | { error: RpcError }): void => { if (!isNotification) this.reply(knownId ?? null, body); };
    if (jsonrpc !== '2.0' || typeof method !== 'string' || (knownId === undefined && !isNotification)) {
      return this.reply(knownId ?? null, { error: rpcError(INVALID_REQUEST, 'a request has "jsonrpc":"2.0", an "id" that is a string or number, and a "method"') });
    }
    if (!Object.hasOwn(METHODS, method)) return answer({ error: rpcError(METHOD_NOT_FOUND, `there is no method ${JSON.stringify(method.slice(0, 60))}`, `there are ${Object.keys(METHODS).join(', ')}`) });
    if (params !== undefined && (typeof params !== 'object' || params === null || Array.isArray(params))) {
      return answer({ error: rpcError(INVALID_PARAMS, '"params" is an object: parameters have names') });
    }
    try {
      answer({ result: await this.carryOut(method as Method, (params ?? {}) as Record<string, unknown>) });
    } catch (thrown) {
      answer({ error: toRpcError(thrown) });
    }
  }

  private async carryOut(method: Method, params: Record<string, unknown>): Promise<unknown> {
    checkParams(method, params);
    if (method === 'events.subscribe' || method === 'events.unsubscribe') {
      this.subscribed = method === 'events.subscribe';
      return { subscribed: this.subscribed };
    }
    if (METHODS[method].asks) await this.server.turn();
    return carryOut(this.server.sw, method, params);
  }

  private reply(id: string | number | null, body: { result: unknown } | { error: RpcError }): void {
    if (!this.socket.destroyed && this.socket.writable) this.socket.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...body })}\n`);
  }
}
