import { WebSocket } from 'ws';
import { base64Framing, binaryFraming, type Framing } from './framing.ts';

/** A client of channels in a WebSocket, as kubectl is one. */
export class WebSocketTestClient {
  readonly socket: WebSocket;
  readonly #output = new Map<number, Buffer[]>();
  readonly #closed = Promise.withResolvers<number>();
  closeCode: number | undefined;
  protocol: string | undefined;
  readonly #framing: Framing;
  /** Of each message that came: whether it was text. */
  readonly texts = new Set<boolean>();

  private constructor(socket: WebSocket, framing: Framing) {
    this.socket = socket;
    this.#framing = framing;
    socket.on('error', () => undefined);
    socket.on('message', (data, isBinary) => {
      const message = data as Buffer;
      this.texts.add(!isBinary);
      const channel = framing.channelOf(message);
      this.#output.set(channel, [...(this.#output.get(channel) ?? []), framing.bytesOf(message) ?? Buffer.alloc(0)]);
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
    const names = [protocol].flat();
    const headers = names.length > 0 ? { 'Sec-WebSocket-Protocol': names.join(', ') } : {};
    const socket = new WebSocket(url.replace(/^http/, 'ws'), { headers });
    const client = new WebSocketTestClient(socket, names[0]?.includes('base64') ? base64Framing : binaryFraming);
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
    this.socket.send(this.#framing.encode(channel, Buffer.from(data)));
  }

  closeChannel(channel: number): void {
    this.socket.send(Buffer.of(255, channel));
  }

  output(channel: number): Buffer {
    return Buffer.concat(this.#output.get(channel) ?? []);
  }

  /** Messages that came, empty ones too. */
  messages(channel: number): number {
    return this.#output.get(channel)?.length ?? 0;
  }

  text(channel: number): string {
    return this.output(channel).toString();
  }

  get closed(): Promise<number> {
    return this.#closed.promise;
  }
}
