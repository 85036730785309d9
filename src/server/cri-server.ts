import type net from 'node:net';
import * as grpc from '@grpc/grpc-js';
import type { Clock } from '#base/clock';
import { Deadline, raceSignal } from '#base/deadline';
import type { Logger } from '#base/log';
import type { CriConfig } from '#config/slices';
import type { BoundService } from './bind-service.ts';
import { grpcRefusal } from './refuse-grpc.ts';
import {
  type ConnectionMetrics,
  mostOpen,
  ServedConnections,
  type ServedConnectionsOptions,
} from './served-connections.ts';
import { UnixListener } from './unix-listener.ts';

export interface CriServerOptions {
  readonly socket: string;
  readonly services: readonly BoundService[];
  readonly allowPeer: (socket: net.Socket) => boolean;
  readonly config: CriConfig;
  readonly log: Logger;
  readonly clock: Clock;
  readonly connectionMetrics: ConnectionMetrics;
  /** For tests: otherwise as ServedConnections has it. */
  readonly waiting?: ServedConnectionsOptions['waiting'];
}

/** As containerd has it. A config has at most 12 MiB: see request-limits.ts. */
const receiveLimit = 16 * 1024 * 1024;
/** The preface of HTTP/2 and the head of a SETTINGS frame (RFC 9113, 3.4). */
const handshakeBytes = 24 + 9;
/** As grpc-go has it. */
const handshakeMs = 120_000;
/** Of one connection; a client waits with more. A kubelet that drains a node stops all its containers at once, in one. */
const maxConcurrentCalls = 10_000;

/** gRPC on the CRI's unix socket. The socket is our own: grpc-js would leave it open to everybody. */
export class CriServer {
  readonly #grpc: grpc.Server;
  readonly #injector: ReturnType<grpc.Server['createConnectionInjector']>;
  readonly #connections: ServedConnections;
  #listener: UnixListener | undefined;

  private constructor({ services, config, log, clock, connectionMetrics, waiting }: CriServerOptions) {
    this.#grpc = new grpc.Server({
      'grpc.enable_channelz': 0,
      'grpc.max_receive_message_length': receiveLimit,
      'grpc.max_concurrent_streams': maxConcurrentCalls,
      'grpc.max_connection_idle_ms': config.idleTimeoutMs,
    });
    for (const { definition, implementation } of services) this.#grpc.addService(definition, implementation);
    this.#injector = this.#grpc.createConnectionInjector(grpc.ServerCredentials.createInsecure());
    this.#connections = new ServedConnections({
      server: 'cri',
      limit: config.maxConnections,
      remedy: 'close some, or raise cri.max_connections',
      serve: (socket) => this.#injector.injectConnection(socket),
      refuse: grpcRefusal(),
      ...{ log, clock, metrics: connectionMetrics },
      handshake: { bytes: handshakeBytes, ms: handshakeMs },
      ...(waiting ? { waiting } : {}),
    });
  }

  /** Listens at once. What must come before: the lock of the state directory. */
  static async start(options: CriServerOptions): Promise<CriServer> {
    const server = new CriServer(options);
    server.#listener = await UnixListener.open({
      path: options.socket,
      maxConnections: mostOpen(options.config.maxConnections),
      allowPeer: options.allowPeer,
      onConnection: (socket) => server.#connections.add(socket),
      log: options.log,
      clock: options.clock,
    });
    return server;
  }

  /** Takes no new call, lets those that run end for at most `graceMs`, and cuts the rest. */
  async close(graceMs: number): Promise<void> {
    await this.#listener?.close();
    this.#connections.end();
    // Tells clients to go. grpc-js says that it is done while calls still run: the connections' own ends are waited for.
    this.#grpc.tryShutdown(() => undefined);
    using grace = new Deadline(graceMs, 'closing the server');
    await raceSignal(this.#allClosed(), grace.signal).catch(() => undefined);
    this.#grpc.forceShutdown();
    for (const socket of this.#connections.served) socket.destroy();
    await this.#allClosed();
  }

  async #allClosed(): Promise<void> {
    await Promise.all(
      [...this.#connections.served].map(
        (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
      ),
    );
  }
}
