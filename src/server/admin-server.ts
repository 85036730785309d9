import type httpTypes from 'node:http';
import { http } from '#base/node-http';
import type net from 'node:net';
import type { Clock } from '#base/clock';
import { createCtx, type Ctx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import { BerthError, toBerthError } from '#base/errors';
import type { Logger } from '#base/log';
import { unattended } from '#base/unattended';
import type { AdminActions } from './admin-actions.ts';
import { findRoute, type Route } from './admin-routes.ts';
import { tellFullDisks } from './disk-note.ts';
import { readJsonBody } from './json-body.ts';
import { errorLine, JsonLines } from './json-lines.ts';
import type { ReadyGate } from './ready-gate.ts';
import { type ConnectionMetrics, mostOpen, ServedConnections } from './served-connections.ts';
import { UnixListener } from './unix-listener.ts';

export interface AdminServerOptions {
  readonly socket: string;
  readonly actions: AdminActions;
  readonly gate: ReadyGate;
  readonly allowPeer: (socket: net.Socket) => boolean;
  readonly log: Logger;
  readonly clock: Clock;
  readonly connectionMetrics: ConnectionMetrics;
  /** See `tellFullDisks`. */
  readonly fullDisks: () => string;
}

/** A `berth` command has one. */
const maxConnections = 64;
/** For the request to come in; an answer takes as long as it takes. */
const requestTimeoutMs = 30_000;
/** For a client without a place to read why. */
const farewellMs = 1_000;

/**
 * What the CRI has no words for, over HTTP/1.1 on a unix socket of our own. Every answer is JSON, one object a line;
 * the last line of one that failed is `{"error":{"code":…,"message":…}}`, and its status is not 200 unless lines were
 * sent before.
 */
export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #http: httpTypes.Server;
  readonly #connections: ServedConnections;
  readonly #closing = new AbortController();
  #listener: UnixListener | undefined;

  private constructor(options: AdminServerOptions) {
    this.#options = options;
    this.#http = http.createServer();
    this.#connections = new ServedConnections({
      server: 'admin',
      limit: maxConnections,
      remedy: 'wait until other berth commands have ended',
      serve: (socket) => this.#serve(socket),
      refuse,
      ...{ log: options.log, clock: options.clock, metrics: options.connectionMetrics },
    });
    this.#http.on('request', (request, response) => {
      unattended(options.log, 'an answer to an admin call', this.#answer(request, response));
    });
  }

  static async start(options: AdminServerOptions): Promise<AdminServer> {
    const server = new AdminServer(options);
    server.#listener = await UnixListener.open({
      path: options.socket,
      maxConnections: mostOpen(maxConnections),
      allowPeer: options.allowPeer,
      onConnection: (socket) => server.#connections.add(socket),
      log: options.log,
      clock: options.clock,
    });
    return server;
  }

  /** Cancels what runs. An answer that is complete still reaches its reader. */
  async close(): Promise<void> {
    await this.#listener?.close();
    this.#closing.abort(new BerthError('UNAVAILABLE', 'berthd is shutting down'));
    this.#http.close();
    this.#connections.end();
    for (const socket of this.#connections.served) socket.destroySoon();
  }

  #serve(socket: net.Socket): void {
    this.#http.emit('connection', socket);
    // Node watches over slow requests only where it listens itself.
    socket.setTimeout(requestTimeoutMs);
  }

  async #answer(request: httpTypes.IncomingMessage, response: httpTypes.ServerResponse): Promise<void> {
    const { gate, clock } = this.#options;
    const log = this.#options.log.child({ admin: `${request.method ?? ''} ${request.url ?? ''}` });
    const since = clock.monotonicMs();
    const lines = new JsonLines(response);
    let route: Route | undefined;
    let failure: BerthError | undefined;
    using leave = new Deadline(Infinity, 'admin call', this.#closing.signal);
    response.once('close', () => leave.abort(new BerthError('CANCELLED', 'the caller went away')));
    try {
      route = findRoute(request.method, request.url);
      if (!route.beforeReady) gate.pass();
      const body = route.method === 'POST' ? await readJsonBody(request) : {};
      request.socket.setTimeout(0);
      await route.answer(this.#ctx(leave.signal, log), body, lines, this.#options.actions);
    } catch (error) {
      failure = tellFullDisks(toBerthError(error, 'admin call'), this.#options.fullDisks);
      lines.fail(failure);
    }
    const ms = Math.round(clock.monotonicMs() - since);
    if (failure?.code === 'CANCELLED')
      log.debug({ ms, err: failure }, 'an admin client left before its answer was complete');
    else if (failure) log.warn({ ms, err: failure }, 'admin call failed');
    else if (route?.method === 'POST') log.info({ ms }, 'admin call answered');
    else log.debug({ ms }, 'admin call answered');
    await lines.end();
    if (!failure) route?.afterwards?.(this.#options.actions);
  }

  #ctx(signal: AbortSignal, log: Logger): Ctx {
    return createCtx({ signal, log });
  }
}

/** Before anybody has read a request, and closes the connection when the client has had time to read it. */
function refuse(socket: net.Socket, why: string): void {
  const head = ['HTTP/1.1 503 Service Unavailable', 'content-type: application/jsonl', 'connection: close', '', ''];
  const late = setTimeout(() => socket.destroy(), farewellMs);
  socket.once('close', () => clearTimeout(late));
  // What it has sent is read: a socket closed with unread bytes is a broken connection to the other side.
  socket.resume();
  socket.end(head.join('\r\n') + errorLine(new BerthError('RESOURCE_EXHAUSTED', why)));
}
