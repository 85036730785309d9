import type httpTypes from 'node:http';
import type { Socket } from 'node:net';
import { http } from '#base/node-http';
import { toBerthError } from '#base/errors';
import type { Logger } from '#base/log';
import { unattended } from '#base/unattended';
import type { Metrics } from '#base/metrics';
import { BoundedConnections, listenBacklog } from './bounded-connections.ts';
import type { ReadyGate } from './ready-gate.ts';

export interface MetricsServerOptions {
  readonly host: string;
  readonly port: number;
  readonly metrics: Metrics;
  readonly gate: ReadyGate;
  readonly log: Logger;
}

/** Connections without a whole request, and as many that are being answered: the oldest is closed for one more. */
const connectionLimit = 64;
const headerTimeoutMs = 5_000;

/** `/metrics` for Prometheus and `/healthz` over plain HTTP. */
export class MetricsServer {
  readonly #server: httpTypes.Server;

  private constructor(server: httpTypes.Server) {
    this.#server = server;
  }

  static async start(options: MetricsServerOptions): Promise<MetricsServer> {
    const { host, port } = options;
    const server = http.createServer({
      headersTimeout: headerTimeoutMs,
      requestTimeout: headerTimeoutMs,
      connectionsCheckingInterval: headerTimeoutMs / 5,
    });
    const silent = new BoundedConnections(connectionLimit);
    const answered = new BoundedConnections(connectionLimit);
    server.on('connection', (socket: Socket) => silent.add(socket));
    server.on('request', (request, response) => {
      const { socket } = request;
      silent.remove(socket);
      answered.add(socket);
      response.once('close', () => {
        answered.remove(socket);
        if (!socket.destroyed) silent.add(socket);
      });
      unattended(options.log, 'an answer to a reader of metrics', answer(request, response, options));
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(toBerthError(error, `serve metrics on ${host}:${port}`)));
      server.listen({ port, host, backlog: listenBacklog }, () => {
        server.removeAllListeners('error');
        resolve();
      });
    });
    // Out of descriptors or memory it cannot take a connection; the next one it can.
    server.on('error', (err) => options.log.error({ err }, 'a connection for metrics could not be taken'));
    return new MetricsServer(server);
  }

  /** The port it got, where 0 was asked for. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

async function answer(
  request: httpTypes.IncomingMessage,
  response: httpTypes.ServerResponse,
  options: MetricsServerOptions,
): Promise<void> {
  const { status, type, text } = await answerOf(request, options);
  response.writeHead(status, { 'content-type': type });
  response.end(request.method === 'HEAD' ? undefined : text);
}

async function answerOf(
  request: httpTypes.IncomingMessage,
  { metrics, gate, log }: MetricsServerOptions,
): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return plain(405, 'only GET');
  switch (request.url?.split('?', 1)[0]) {
    case '/metrics':
      try {
        return { status: 200, type: metrics.contentType, text: await metrics.text() };
      } catch (err) {
        log.error({ err }, 'metrics could not be collected');
        return plain(500, 'metrics could not be collected');
      }
    case '/healthz':
      return gate.closedBecause === undefined ? plain(200, 'ok') : plain(503, gate.closedBecause);
    default:
      return plain(404, 'there is /metrics and /healthz');
  }
}

function plain(status: number, sentence: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', text: `${sentence}\n` };
}
