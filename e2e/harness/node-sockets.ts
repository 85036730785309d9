import type { ChildProcess } from 'node:child_process';
import { Server, Socket } from 'node:net';
import path from 'node:path';
import type { TestNode } from './node.ts';
import { within } from './wait.ts';

export interface SocketOrder {
  readonly id: number;
  readonly kind: 'listen' | 'connect';
  readonly port: number;
}

/** The socket itself travels beside it. Id 0: ready for orders. */
export interface SocketReport {
  readonly id: number;
  readonly error?: string;
}

type Receiver = (error: Error | undefined, handle: unknown) => void;

/**
 * Sockets of the test's own process on the loopback of a test node: a socket stays in the network namespace that it was
 * made in, whoever holds it. So servers that a test plays, and its requests, are plain code in the test.
 */
export class NodeSockets {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Receiver>();
  readonly #servers: Server[] = [];
  #lastId = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', ({ id, error }: SocketReport, handle: unknown) => {
      const receiver = this.#waiting.get(id);
      this.#waiting.delete(id);
      receiver?.(error === undefined ? undefined : new Error(error), handle);
    });
    child.once('exit', () => {
      for (const receiver of this.#waiting.values()) receiver(new Error('the maker of sockets has ended'), undefined);
      this.#waiting.clear();
      this.close();
    });
  }

  static async open(node: TestNode): Promise<NodeSockets> {
    const program = path.join(import.meta.dirname, 'node-sockets-child.ts');
    const sockets = new NodeSockets(
      node.spawn([process.execPath, '-C', 'berth-src', program], ['ignore', 'inherit', 'inherit', 'ipc']),
    );
    const ready = new Promise<void>((resolve, reject) =>
      sockets.#waiting.set(0, (error) => (error ? reject(error) : resolve())),
    );
    await within('the maker of sockets is ready', 30_000, ready);
    return sockets;
  }

  /** A server on 127.0.0.1 of the node; port 0 takes a free one. Closed with this. */
  async listen(port = 0): Promise<Server> {
    const server = await this.#order('listen', port);
    if (!(server instanceof Server)) throw new Error(`no server came for port ${port}`);
    this.#servers.push(server);
    return server;
  }

  /** A connection to 127.0.0.1 of the node. */
  async connect(port: number): Promise<Socket> {
    const socket = await this.#order('connect', port);
    if (!(socket instanceof Socket)) throw new Error(`no connection came for port ${port}`);
    return socket;
  }

  close(): void {
    for (const server of this.#servers) server.close();
    if (this.#child.connected) this.#child.disconnect();
  }

  #order(kind: SocketOrder['kind'], port: number): Promise<unknown> {
    const id = ++this.#lastId;
    const answer = new Promise<unknown>((resolve, reject) =>
      this.#waiting.set(id, (error, handle) => (error ? reject(error) : resolve(handle))),
    );
    this.#child.send({ id, kind, port } satisfies SocketOrder);
    return within(`${kind} on port ${port} of the node`, 10_000, answer);
  }
}
