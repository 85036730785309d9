import type net from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { Deadline, raceSignal } from '#base/deadline';
import type { Logger } from '#base/log';
import type { BoundService } from './bind-service.ts';
import { UnixListener } from './unix-listener.ts';

export interface CriServerOptions {
  readonly socket: string;
  readonly services: readonly BoundService[];
  readonly allowPeer: (socket: net.Socket) => boolean;
  readonly log: Logger;
}

const maxConnections = 256;
const receiveLimit = 64 * 1024 * 1024;
const maxConcurrentCalls = 1000;

/** gRPC on the CRI's unix socket. The socket is our own: grpc-js would leave it open to everybody. */
export class CriServer {
  readonly #grpc: grpc.Server;
  readonly #injector: ReturnType<grpc.Server['createConnectionInjector']>;
  readonly #connections = new Set<net.Socket>();
  #listener: UnixListener | undefined;

  private constructor(services: readonly BoundService[]) {
    this.#grpc = new grpc.Server({
      'grpc.enable_channelz': 0,
      'grpc.max_receive_message_length': receiveLimit,
      'grpc.max_concurrent_streams': maxConcurrentCalls,
    });
    for (const { definition, implementation } of services) this.#grpc.addService(definition, implementation);
    this.#injector = this.#grpc.createConnectionInjector(grpc.ServerCredentials.createInsecure());
  }

  /** Listens at once. What must come before: the lock of the state directory. */
  static async start(options: CriServerOptions): Promise<CriServer> {
    const server = new CriServer(options.services);
    server.#listener = await UnixListener.open({
      path: options.socket,
      maxConnections,
      allowPeer: options.allowPeer,
      onConnection: (socket) => server.#serve(socket),
      log: options.log,
    });
    return server;
  }

  #serve(socket: net.Socket): void {
    this.#connections.add(socket);
    socket.once('close', () => this.#connections.delete(socket));
    this.#injector.injectConnection(socket);
  }

  /** Takes no new call, lets those that run end for at most `graceMs`, and cuts the rest. */
  async close(graceMs: number): Promise<void> {
    await this.#listener?.close();
    // Tells clients to go. grpc-js says that it is done while calls still run: the connections' own ends are waited for.
    this.#grpc.tryShutdown(() => undefined);
    using grace = new Deadline(graceMs, 'closing the server');
    await raceSignal(this.#allClosed(), grace.signal).catch(() => undefined);
    this.#grpc.forceShutdown();
    for (const socket of this.#connections) socket.destroy();
    await this.#allClosed();
  }

  async #allClosed(): Promise<void> {
    await Promise.all(
      [...this.#connections].map((socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()))),
    );
  }
}
