import type httpTypes from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { readBounded, UnfitFile } from '#base/bounded-file';
import type { Clock } from '#base/clock';
import { Deadline } from '#base/deadline';
import { BerthError, messageOf, toBerthError } from '#base/errors';
import type { Logger } from '#base/log';
import type { CounterMetric, Metrics } from '#base/metrics';
import { http } from '#base/node-http';
import { unattended } from '#base/unattended';
import type { StreamingConfig } from '#config/slices';
import { BoundedConnections, listenBacklog } from '../bounded-connections.ts';
import type { Conversations, StreamOffer, StreamUrls } from './offers.ts';
import { serve } from './serve.ts';
import { Sessions } from './sessions.ts';
import { TokenTable } from './tokens.ts';
import { refuse, type Upgrade } from './upgrade.ts';

export interface StreamingServerOptions {
  /** With an address. */
  readonly config: StreamingConfig;
  readonly conversations: Conversations;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

/** URLs that wait for their client. */
const tokenLimit = 1000;
/** Connections that have shown no URL of ours: the oldest is closed for one more. */
const strangerLimit = 256;
/** For a client to say what it wants; clients are on this node, and say it at once. */
const headerTimeoutMs = 5_000;
const maxPemBytes = 1024 * 1024;
/** Finds out that a machine at the other end is gone. */
const keepAliveMs = 60_000;

/**
 * Where the kubelet, or crictl, comes with the URL that Exec, Attach or PortForward gave it: HTTP that turns into SPDY/3.1
 * or a WebSocket. Whoever has the URL may use it, once.
 */
export class StreamingServer implements StreamUrls {
  readonly #server: httpTypes.Server;
  readonly #options: StreamingServerOptions;
  readonly #tokens: TokenTable<StreamOffer>;
  readonly #sessions: Sessions;
  readonly #refused: CounterMetric<'reason'>;
  readonly #strangers = new BoundedConnections(strangerLimit);
  /** All connections, those in their handshake too. */
  readonly #sockets = new Set<Duplex>();
  #closing = false;

  private constructor(options: StreamingServerOptions, server: httpTypes.Server) {
    const { config, clock, metrics, log } = options;
    this.#options = options;
    this.#server = server;
    this.#tokens = new TokenTable({ ttlMs: config.tokenTtlMs, limit: tokenLimit, clock });
    this.#sessions = new Sessions({ log, metrics, clock, idleTimeoutMs: config.idleTimeoutMs });
    this.#refused = metrics.counter('stream_tokens_refused_total', 'URLs of streams that could not be made or used.', [
      'reason',
    ]);
    metrics.gaugeOf('stream_tokens', 'URLs of streams that wait for their client.', () => this.#tokens.size);
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      this.#strangers.add(socket);
      socket.setKeepAlive(true, keepAliveMs).setNoDelay(true);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    server.on('request', (request, response) => {
      const known = this.#kindAndToken(request.url) !== undefined;
      response.writeHead(known ? 400 : 404, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
      response.end(
        known ? 'this is for SPDY/3.1 or a WebSocket: the request asks for no upgrade\n' : 'no such stream\n',
      );
    });
    server.on('upgrade', (request, socket, head) => {
      // At once: it may break before anybody has looked at it.
      socket.on('error', () => undefined);
      unattended(log, 'a stream', this.#take({ request, socket, head }));
    });
  }

  /** @throws KERNEL when the address cannot be had, CONFIG_INVALID when certificate and key cannot be used */
  static async start(options: StreamingServerOptions): Promise<StreamingServer> {
    const { address } = options.config;
    if (address === undefined) throw new BerthError('INTERNAL', 'a streaming server needs an address');
    const server = await createServer(options.config);
    const started = new StreamingServer(options, server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) =>
        reject(toBerthError(error, `serve streams on ${address.host}:${address.port} (streaming.address)`)),
      );
      server.listen({ port: address.port, host: address.host, backlog: listenBacklog }, () => {
        server.removeAllListeners('error');
        resolve();
      });
    });
    // Out of descriptors or memory it cannot take a connection; the next one it can.
    server.on('error', (err) => options.log.error({ err }, 'a connection for streams could not be taken'));
    return started;
  }

  urlOf(offer: StreamOffer): string {
    if (this.#closing) throw new BerthError('UNAVAILABLE', 'berthd is shutting down');
    try {
      return `${this.#base}/${offer.kind}/${this.#tokens.add(offer)}`;
    } catch (error) {
      this.#refused.add({ reason: 'full' });
      throw error;
    }
  }

  /** Clients that are connected. */
  get sessions(): number {
    return this.#sessions.size;
  }

  /** URLs that wait. */
  get waiting(): number {
    return this.#tokens.size;
  }

  /** Tells every client why, and waits until they have left, but not longer than that. Processes go on. */
  async close(patienceMs: number): Promise<void> {
    this.#closing = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    using patience = new Deadline(patienceMs, 'ending streams');
    await this.#sessions.endAll('berthd is shutting down; the process goes on', patience.signal);
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  get #base(): string {
    const { config } = this.#options;
    const bound = this.#server.address();
    const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
    return `${config.tls ? 'https' : 'http'}://${reachable(config.address?.host ?? '')}:${port}`;
  }

  async #take(upgrade: Upgrade): Promise<void> {
    const offer = this.#redeem(upgrade.request.url);
    if (offer === undefined) {
      this.#refused.add({ reason: 'unknown' });
      refuse(upgrade, 404, 'no such stream: its URL works once, and not for long');
      return;
    }
    const { config, conversations, log } = this.#options;
    if (this.#sessions.size >= config.maxConnections) {
      this.#refused.add({ reason: 'busy' });
      refuse(
        upgrade,
        503,
        `${config.maxConnections} clients are connected: no more are taken (streaming.max_connections)`,
      );
      return;
    }
    this.#strangers.remove(upgrade.request.socket);
    using session = this.#sessions.open(offer);
    try {
      await serve({ offer, session, conversations, handshakeTimeoutMs: config.handshakeTimeoutMs }, upgrade);
    } catch (err) {
      session.note({ end: messageOf(err) });
      log.debug({ err, kind: offer.kind }, 'stream failed');
    }
    upgrade.socket.destroy();
  }

  /** Undefined also when the token was given for another kind of stream. */
  #redeem(url: string | undefined): StreamOffer | undefined {
    const found = this.#kindAndToken(url);
    if (found === undefined || this.#closing) return undefined;
    const offer = this.#tokens.take(found.token);
    return offer?.kind === found.kind ? offer : undefined;
  }

  #kindAndToken(url = ''): { readonly kind: string; readonly token: string } | undefined {
    const match = /^\/(exec|attach|portforward)\/([A-Za-z0-9_-]{1,64})(?:\?|$)/.exec(url);
    return match?.[1] !== undefined && match[2] !== undefined ? { kind: match[1], token: match[2] } : undefined;
  }
}

async function createServer({ tls }: StreamingConfig): Promise<httpTypes.Server> {
  const timeouts = {
    headersTimeout: headerTimeoutMs,
    requestTimeout: headerTimeoutMs,
    connectionsCheckingInterval: headerTimeoutMs / 5,
  };
  if (tls === undefined) return http.createServer(timeouts);
  // Only those who use it pay for it.
  const https = await import('node:https');
  try {
    const files = { cert: await pem(tls.cert), key: await pem(tls.key) };
    return https.createServer({ ...timeouts, handshakeTimeout: headerTimeoutMs, ...files, minVersion: 'TLSv1.2' });
  } catch (error) {
    throw new BerthError('CONFIG_INVALID', `streaming.tls_cert and streaming.tls_key: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

async function pem(file: string): Promise<Buffer> {
  try {
    return await readBounded(file, maxPemBytes);
  } catch (error) {
    throw error instanceof UnfitFile ? new Error(`${file} ${error.message}`, { cause: error }) : error;
  }
}

/** Clients are on this node: where it listens everywhere, they go to the loopback. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
