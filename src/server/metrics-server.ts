import type httpTypes from 'node:http';
import { http } from '#base/node-http';
import { toBerthError } from '#base/errors';
import type { Logger } from '#base/log';
import { unattended } from '#base/unattended';
import type { Metrics } from '#base/metrics';
import type { ReadyGate } from './ready-gate.ts';

export interface MetricsServerOptions {
  readonly host: string;
  readonly port: number;
  readonly metrics: Metrics;
  readonly gate: ReadyGate;
  readonly log: Logger;
}

const maxConnections = 64;
const headerTimeoutMs = 10_000;

/** `/metrics` for Prometheus and `/healthz` over plain HTTP. */
export class MetricsServer {
  readonly #server: httpTypes.Server;

  private constructor(server: httpTypes.Server) {
    this.#server = server;
  }

  static async start(options: MetricsServerOptions): Promise<MetricsServer> {
    const { host, port } = options;
    const server = http.createServer({ headersTimeout: headerTimeoutMs, requestTimeout: headerTimeoutMs });
    server.maxConnections = maxConnections;
    server.on('request', (request, response) => {
      unattended(options.log, 'an answer to a reader of metrics', answer(request, response, options));
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(toBerthError(error, `serve metrics on ${host}:${port}`)));
      server.listen(port, host, () => {
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
