/** Answers Prometheus: GET /metrics, and nothing else. It listens before the switch starts, so that a taken port is said first. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FramekeepError } from '../../native/index.js';

export interface Endpoint { readonly host: string; readonly port: number }
/** Text and its type; undefined while there is nothing to tell yet. */
export interface Answer { readonly type: string; readonly text: string }

export class MetricsServer {
  /** Where it listens, `http://127.0.0.1:9719/metrics`. */
  readonly url: string;
  private readonly server: Server;

  /** @throws FramekeepError E_METRICS when the address cannot be had */
  static async listen(at: Endpoint, answer: () => Promise<Answer | undefined>): Promise<MetricsServer> {
    const server = createServer((request, response) => { void respond(request, response, answer); });
    server.maxConnections = 16;
    server.requestTimeout = server.headersTimeout = 5000;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause: NodeJS.ErrnoException) => {
        const why = cause.code === 'EADDRINUSE' ? 'another program has it' : cause.code === 'EADDRNOTAVAIL' ? 'this machine has no such address' : cause.message;
        reject(new FramekeepError('E_METRICS', `metrics cannot be served at ${at.host}:${at.port}: ${why}`, 'name another one: --metrics [HOST:]PORT', { cause }));
      });
      server.listen(at.port, at.host, resolve);
    });
    server.unref();
    return new MetricsServer(server);
  }

  private constructor(server: Server) {
    this.server = server;
    const { address, family, port } = server.address() as AddressInfo;
    this.url = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/metrics`;
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}

async function respond(request: IncomingMessage, response: ServerResponse, answer: () => Promise<Answer | undefined>): Promise<void> {
  const end = (status: number, type: string, text: string, headers: Record<string, string> = {}): void => {
    response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text), ...headers });
    response.end(request.method === 'HEAD' ? undefined : text);
  };
  try {
    const path = (request.url ?? '').split('?')[0];
    if (path !== '/metrics') return end(404, 'text/plain; charset=utf-8', 'framekeep: metrics are at /metrics\n');
    if (request.method !== 'GET' && request.method !== 'HEAD') return end(405, 'text/plain; charset=utf-8', 'framekeep: GET it\n', { allow: 'GET, HEAD' });
    const found = await answer();
    if (found === undefined) return end(503, 'text/plain; charset=utf-8', 'framekeep: the switch is starting\n', { 'retry-after': '1' });
    end(200, found.type, found.text);
  } catch (error) {
    if (!response.headersSent) end(500, 'text/plain; charset=utf-8', `framekeep: ${(error as Error).message}\n`);
  }
}
