import type { AddressInfo, Socket } from 'node:net';
import type { NodeSockets } from './node-sockets.ts';

/** What goes wrong on a connection, counted in bytes of answers. */
export type Fault =
  | { readonly kind: 'none' }
  /** The connection is reset after so many bytes. */
  | { readonly kind: 'break'; readonly afterBytes: number; readonly times?: number }
  /** Nothing more comes after so many bytes, and nothing ends. */
  | { readonly kind: 'stall'; readonly afterBytes: number; readonly times?: number }
  /** After so many bytes a few come at a time. */
  | { readonly kind: 'trickle'; readonly afterBytes: number; readonly bytes: number; readonly everyMs: number };

/** A TCP proxy before a registry on which transfers go wrong as told; changes hold for the next connections. */
export class FaultyProxy {
  fault: Fault = { kind: 'none' };
  /** Connections taken so far. */
  connections = 0;
  /** Bytes of answers passed on so far. */
  bytes = 0;
  /** How many connections the fault struck. */
  struck = 0;
  readonly port: number;
  readonly #sockets: NodeSockets;
  readonly #open = new Set<Socket>();

  private constructor(sockets: NodeSockets, port: number) {
    this.#sockets = sockets;
    this.port = port;
  }

  /** Listens on a free port of the node; what comes goes to port `to`. */
  static async start(sockets: NodeSockets, to: number): Promise<FaultyProxy> {
    const server = await sockets.listen();
    const proxy = new FaultyProxy(sockets, (server.address() as AddressInfo).port);
    server.on('connection', (client) => {
      proxy.#join(client, to).catch(() => client.destroy());
    });
    server.once('close', () => proxy.cut());
    return proxy;
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Ends every connection there is. */
  cut(): void {
    for (const socket of this.#open) socket.destroy();
  }

  async #join(client: Socket, to: number): Promise<void> {
    this.connections += 1;
    const fault = this.fault;
    this.#keep(client);
    client.pause();
    const server = await this.#sockets.connect(to);
    this.#keep(server);
    client.once('close', () => server.destroy());
    server.once('close', () => client.end());
    client.pipe(server);
    this.#passAnswers(server, client, fault);
  }

  #keep(socket: Socket): void {
    this.#open.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#open.delete(socket));
  }

  #passAnswers(server: Socket, client: Socket, fault: Fault): void {
    let passed = 0;
    let struck = false;
    const pass = (chunk: Buffer): void => {
      passed += chunk.length;
      this.bytes += chunk.length;
      if (!client.write(chunk)) server.pause();
    };
    client.on('drain', () => server.resume());
    server.on('data', (chunk: Buffer) => {
      if (fault.kind === 'none' || this.#isSpent(fault)) {
        pass(chunk);
        return;
      }
      const left = Math.max(fault.afterBytes - passed, 0);
      pass(chunk.subarray(0, left));
      if (chunk.length <= left) return;
      if (!struck) this.struck += 1;
      struck = true;
      this.#strike(fault, server, client, chunk.subarray(left), pass);
    });
  }

  #isSpent(fault: Fault): boolean {
    return 'times' in fault && fault.times !== undefined && this.struck >= fault.times;
  }

  #strike(fault: Fault, server: Socket, client: Socket, rest: Buffer, pass: (chunk: Buffer) => void): void {
    switch (fault.kind) {
      case 'break':
        client.resetAndDestroy();
        break;
      case 'trickle':
        server.pause();
        drip(rest, fault, client, pass, () => server.resume());
        break;
      default:
        server.removeAllListeners('data').pause();
    }
  }
}

/** Passes on `rest` in small pieces, then calls `done`. */
function drip(
  rest: Buffer,
  { bytes, everyMs }: { readonly bytes: number; readonly everyMs: number },
  client: Socket,
  pass: (chunk: Buffer) => void,
  done: () => void,
): void {
  if (rest.length === 0) {
    done();
    return;
  }
  if (client.destroyed) return;
  pass(rest.subarray(0, bytes));
  setTimeout(() => drip(rest.subarray(bytes), { bytes, everyMs }, client, pass, done), everyMs);
}
