import { WebSocket } from 'ws';

/** A client of channels in a WebSocket, as kubectl is one. */
export class WebSocketTestClient {
  readonly socket: WebSocket;
  readonly #output = new Map<number, Buffer[]>();
  readonly #closed = Promise.withResolvers<number>();
  closeCode: number | undefined;
  protocol: string | undefined;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('error', () => undefined);
    socket.on('message', (data) => {
      const message = data as Buffer;
      const chunks = this.#output.get(message[0] ?? 0) ?? [];
      chunks.push(message.subarray(1));
      this.#output.set(message[0] ?? 0, chunks);
    });
    socket.once('close', (code) => {
      this.closeCode = code;
      this.#closed.resolve(code);
    });
  }

  /** Rejects with the status of an HTTP answer in `message`. */
  static async connect(
    url: string,
    protocol: string | readonly string[] = 'v5.channel.k8s.io',
  ): Promise<WebSocketTestClient> {
    // ws knows that names have no slash, but Kubernetes' tunnel has one: it sees neither question nor answer.
    const headers = { 'Sec-WebSocket-Protocol': [protocol].flat().join(', ') };
    const socket = new WebSocket(url.replace(/^http/, 'ws'), { headers });
    const client = new WebSocketTestClient(socket);
    socket.once('upgrade', (response) => {
      client.protocol = response.headers['sec-websocket-protocol'];
      delete response.headers['sec-websocket-protocol'];
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('open', () => resolve());
      socket.once('error', reject);
    });
    return client;
  }

  send(channel: number, data: string | Buffer): void {
    this.socket.send(Buffer.concat([Buffer.of(channel), Buffer.from(data)]));
  }

  closeChannel(channel: number): void {
    this.socket.send(Buffer.of(255, channel));
  }

  output(channel: number): Buffer {
    return Buffer.concat(this.#output.get(channel) ?? []);
  }

  text(channel: number): string {
    return this.output(channel).toString();
  }

  get closed(): Promise<number> {
    return this.#closed.promise;
  }
}
