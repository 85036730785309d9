import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, createServer as createNetServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { serverCertPem, serverKeyPem } from './tls-pems.fixture.ts';

export interface ProxyOptions {
  readonly kind?: 'http' | 'https' | 'socks5';
  /** "user:password"; default: nobody need say who they are. */
  readonly credentials?: string;
  /** Says this instead of leading anywhere: a status, or a reply of SOCKS5. */
  readonly refusal?: number;
}

/** A proxy on a port of loopback. Whatever it is asked for, it leads to the target. */
export class ProxyDouble implements AsyncDisposable {
  /** "host:port" of tunnels, URLs of requests. */
  readonly asked: string[] = [];
  /** Who they said they are. */
  readonly shown: (string | undefined)[] = [];
  /** "127.0.0.1:port". */
  target = '';
  readonly host: string;
  readonly #options: ProxyOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, options: ProxyOptions) {
    this.#server = server;
    this.#options = options;
    this.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(options: ProxyOptions = {}): Promise<ProxyDouble> {
    const { kind = 'http' } = options;
    const tls = { key: serverKeyPem, cert: serverCertPem };
    const server = kind === 'socks5' ? createNetServer() : kind === 'https' ? createTlsServer(tls) : createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const double = new ProxyDouble(server, options);
    server.on('connection', (socket: Socket) => double.#own(socket));
    if (kind === 'socks5')
      server.on('connection', (socket: Socket) => void double.#socks(socket).catch(() => undefined));
    server.on('connect', (asking: IncomingMessage, socket: Socket) => double.#tunnel(asking, socket));
    server.on('request', (asking: IncomingMessage, response: ServerResponse) => double.#forward(asking, response));
    return double;
  }

  /** With credentials in front: "user:password@127.0.0.1:port". */
  as(credentials: string): string {
    return `${credentials}@${this.host}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #own(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  /** Undefined: it may pass. */
  #refusal(asking: IncomingMessage): number | undefined {
    const shown = asking.headers['proxy-authorization'];
    this.shown.push(shown);
    this.asked.push(asking.url ?? '');
    const { credentials, refusal } = this.#options;
    const wanted = credentials && `Basic ${Buffer.from(credentials).toString('base64')}`;
    return wanted !== undefined && shown !== wanted ? 407 : refusal;
  }

  #tunnel(asking: IncomingMessage, socket: Socket): void {
    const refusal = this.#refusal(asking);
    if (refusal !== undefined) socket.end(`HTTP/1.1 ${refusal} No\r\ncontent-length: 0\r\n\r\n`);
    else this.#join(socket, () => socket.write('HTTP/1.1 200 Connection established\r\n\r\n'));
  }

  #join(socket: Socket, joined: () => void): void {
    const [host = '', port] = this.target.split(':');
    const up = connect(Number(port), host, () => {
      joined();
      up.pipe(socket).pipe(up);
    });
    this.#own(up);
    up.once('close', () => socket.destroy());
    socket.once('close', () => up.destroy());
  }

  #forward(asking: IncomingMessage, response: ServerResponse): void {
    const refusal = this.#refusal(asking);
    if (refusal !== undefined) {
      response.writeHead(refusal).end();
      return;
    }
    const { pathname, search } = new URL(asking.url ?? '');
    const [host = '', port] = this.target.split(':');
    const { 'proxy-authorization': _, ...headers } = asking.headers;
    const up = request({ host, port, path: pathname + search, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 0, answer.headers);
      answer.pipe(response);
    });
    up.end();
  }

  async #socks(socket: Socket): Promise<void> {
    const take = reader(socket);
    const { credentials, refusal } = this.#options;
    const [version, count = 0] = await take(2);
    if (version !== 5) {
      socket.destroy();
      return;
    }
    const methods = await take(count);
    const method = credentials === undefined ? 0 : 2;
    socket.write(Buffer.from([5, methods.includes(method) ? method : 255]));
    if (method === 2) {
      const [, length = 0] = await take(2);
      const username = await take(length);
      const password = await take((await take(1))[0] ?? 0);
      this.shown.push(`${username.toString()}:${password.toString()}`);
      socket.write(Buffer.from([1, this.shown.at(-1) === credentials ? 0 : 1]));
    }
    const [, , , kind = 0] = await take(4);
    const place =
      kind === 3 ? (await take((await take(1))[0] ?? 0)).toString() : addressOf(await take(kind === 1 ? 4 : 16));
    this.asked.push(`${place}:${(await take(2)).readUInt16BE()}`);
    const reply = (code: number): void => void socket.write(Buffer.from([5, code, 0, 1, 127, 0, 0, 1, 0, 9]));
    if (refusal === undefined) this.#join(socket, () => reply(0));
    else reply(refusal);
  }
}

function addressOf(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  return (bytes.toString('hex').match(/.{4}/g) ?? []).join(':');
}

/** Gives what comes in pieces of the wanted length. */
function reader(socket: Socket): (count: number) => Promise<Buffer> {
  return async (count) => {
    if (count === 0) return Buffer.of();
    for (;;) {
      const bytes = socket.read(count) as Buffer | null;
      if (bytes) return bytes;
      await once(socket, 'readable');
    }
  };
}
