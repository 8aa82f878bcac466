/**
 * The other end of a control socket, for commands and programs:
 *
 *     const control = await connectControl('sw0');
 *     const { ports } = await control.call('ports.list');
 *     control.on('event', (event) => …);
 *     await control.call('events.subscribe');
 *     control.close();
 */
import { EventEmitter } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { FramekeepError } from '../../native/error.js';
import { controlPath, runBase } from '../run_directory.js';
import { fromRpcError, type ControlEvent, type Method, type Methods, type RpcError } from './protocol.js';

const CONNECT_MS = 5000, LONGEST_ANSWER = 64 << 20;
/** Opening ports and stopping take as long as interfaces do. */
const ANSWER_MS = 60_000;

interface Waiting { resolve(value: unknown): void; reject(error: Error): void; readonly timer: NodeJS.Timeout }
interface Events { event: [ControlEvent]; close: [] }

/** A connection. `event` comes after `events.subscribe`; `close` when the switch ended or the connection was lost. */
export class ControlClient extends EventEmitter<Events> {
  private readonly socket: Socket;
  private readonly path: string;
  private readonly waiting = new Map<number, Waiting>();
  private parts: string[] = [];
  private length = 0;
  private nextId = 1;

  constructor(socket: Socket, path: string) {
    super();
    this.socket = socket;
    this.path = path;
    socket.setEncoding('utf8');
    socket.on('data', (text: unknown) => this.take(text as string));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      for (const { reject, timer } of this.waiting.values()) {
        clearTimeout(timer);
        reject(lost(this.path));
      }
      this.waiting.clear();
      this.emit('close');
    });
  }

  /**
   * @param timeoutMs how long the answer may take
   * @throws FramekeepError as the switch said it; E_CONTROL_LOST, E_CONTROL_TIMEOUT
   */
  call<M extends Method>(method: M, params?: Methods[M]['params'], timeoutMs = ANSWER_MS): Promise<Methods[M]['result']> {
    if (this.socket.destroyed || !this.socket.writable) return Promise.reject(lost(this.path));
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        reject(new FramekeepError('E_CONTROL_TIMEOUT', `the switch did not answer ${method} within ${timeoutMs / 1000} s`, 'it may be busy opening a port, or stopped by a debugger: try again'));
      }, timeoutMs);
      this.waiting.set(id, { resolve: resolve as (value: unknown) => void, reject, timer });
      this.socket.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, ...(params !== undefined && { params }) })}\n`);
    });
  }

  /** What is being waited for is refused. */
  close(): void { this.socket.destroy(); }

  private take(text: string): void {
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      this.hear(this.parts.length === 0 ? text.slice(start, end) : this.parts.join('') + text.slice(start, end));
      this.parts = [];
      this.length = 0;
      start = end + 1;
    }
    if (start < text.length) this.parts.push(text.slice(start));
    this.length += text.length - start;
    if (this.length > LONGEST_ANSWER) this.socket.destroy();
  }

  private hear(line: string): void {
    let message: { id?: unknown; method?: unknown; params?: unknown; result?: unknown; error?: Partial<RpcError> };
    try {
      message = JSON.parse(line) as typeof message;
    } catch {
      this.socket.destroy();  // whoever listens there is no switch
      return;
    }
    if (message.method === 'event') this.emit('event', message.params as ControlEvent);
    const waiting = this.waiting.get(message.id as number) ?? (message.id === null ? this.waiting.values().next().value : undefined);
    if (waiting === undefined) return;
    this.waiting.delete(message.id as number);
    clearTimeout(waiting.timer);
    if (message.error !== undefined) waiting.reject(fromRpcError(message.error));
    else waiting.resolve(message.result);
  }
}

/**
 * @param target a switch's name, or the path of a control socket (has a slash); undefined: the only switch that runs
 * @throws FramekeepError E_NO_SWITCH, E_SWITCH_AMBIGUOUS, E_PERMISSION
 */
export async function connectControl(target?: string): Promise<ControlClient> {
  if (target === undefined) {
    const running = await runningSwitches();
    if (running.length === 0) throw noSwitch('no switch of yours is running');
    if (running.length > 1) throw new FramekeepError('E_SWITCH_AMBIGUOUS', `several switches are running: ${running.join(', ')}`, 'say which: --name NAME');
    target = running[0];
  }
  const path = target.includes('/') ? target : controlPath(join(runBase(), target));
  return new ControlClient(await open(path, target), path);
}

/** Names of this user's switches that answer, in order. */
export async function runningSwitches(): Promise<string[]> {
  const base = runBase();
  if (!existsSync(base)) return [];
  const names = readdirSync(base).filter((name) => existsSync(controlPath(join(base, name)))).sort();
  const answers = await Promise.all(names.map((name) => open(controlPath(join(base, name)), name).then((socket) => { socket.destroy(); return true; }, () => false)));
  return names.filter((_, i) => answers[i]);
}

function open(path: string, target: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const timer = setTimeout(() => { socket.destroy(); reject(new FramekeepError('E_CONTROL_TIMEOUT', `the switch at ${path} does not take the connection`, 'it may be stopped by a debugger: try again')); }, CONNECT_MS);
    socket.once('connect', () => { clearTimeout(timer); socket.removeAllListeners('error'); resolve(socket); });
    socket.once('error', (cause: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      if (cause.code === 'EACCES' || cause.code === 'EPERM') {
        reject(new FramekeepError('E_PERMISSION', `the switch '${target}' is somebody else's: ${path} is not yours to open`, 'use sudo, or the user who started it', { cause }));
      } else if (cause.code === 'ENOENT' || cause.code === 'ENOTDIR' || cause.code === 'ECONNREFUSED' || cause.code === 'ENOTSOCK') {
        reject(noSwitch(target.includes('/') ? `no switch listens at ${path}` : `no switch named '${target}' is running`, cause));
      } else reject(new FramekeepError('E_CONTROL', `the control socket ${path} cannot be opened: ${cause.message}`, 'check the path', { cause }));
    });
  });
}

function noSwitch(what: string, cause?: Error): FramekeepError {
  const roots = process.getuid?.() !== 0 && runBase() !== '/run/framekeep' && existsSync('/run/framekeep');
  return new FramekeepError('E_NO_SWITCH', what, roots ? "start one: framekeep up; root's switches are seen with sudo" : 'start one: framekeep up', cause && { cause });
}

const lost = (path: string): FramekeepError => new FramekeepError('E_CONTROL_LOST', `the connection to ${path} ended before the answer came`, 'the switch may have stopped: framekeep status');
