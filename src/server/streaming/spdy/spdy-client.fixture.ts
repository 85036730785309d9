import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import zlib from 'node:zlib';
import { dictionary } from './dictionary.ts';
import { FrameParser } from './frame-parser.ts';
import { controlFrame, dataHeader, flagFin, frameTypes } from './frames.ts';

/** A stream as its client sees it. */
export class SpdyTestStream {
  readonly id: number;
  readonly #client: SpdyTestClient;
  readonly chunks: Buffer[] = [];
  replied = false;
  ended = false;
  reset: number | undefined;
  /** What the server says it has read. */
  window = 0;

  constructor(client: SpdyTestClient, id: number) {
    this.#client = client;
    this.id = id;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  get text(): string {
    return this.bytes.toString();
  }

  write(data: string | Buffer, fin = false): void {
    const bytes = Buffer.from(data);
    this.#client.raw(Buffer.concat([dataHeader(this.id, bytes.length, fin), bytes]));
  }

  end(): void {
    this.write('', true);
  }

  cancel(): void {
    this.#client.control(frameTypes.rstStream, uint32(this.id, 5));
  }
}

/** A SPDY/3.1 client for tests: it compresses its headers as the usual one does, and sends anything it is told to. */
export class SpdyTestClient {
  readonly socket: Duplex;
  readonly streams = new Map<number, SpdyTestStream>();
  readonly pings: number[] = [];
  goAway: number | undefined;
  closed = false;
  sessionWindow = 0;
  readonly #deflate = zlib.createDeflate({ dictionary });
  readonly #inflate = zlib.createInflate({ dictionary });
  readonly #parser = new FrameParser();
  #nextId = 1;
  #opening: Promise<unknown> = Promise.resolve();

  constructor(socket: Duplex, head: Buffer = Buffer.alloc(0)) {
    this.socket = socket;
    socket.on('error', () => undefined);
    socket.once('close', () => (this.closed = true));
    socket.once('end', () => socket.end());
    this.#inflate.on('error', (error) => socket.destroy(error));
    if (head.length > 0) this.#take(head);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
  }

  /** Opens a stream and waits until its frame is on its way. */
  open(headers: Readonly<Record<string, string>>, flags = 0): Promise<SpdyTestStream> {
    // One after the other: they share a compressor, and their numbers rise.
    const opening = this.#opening.then(() => this.#open(headers, flags));
    this.#opening = opening;
    return opening;
  }

  async #open(headers: Readonly<Record<string, string>>, flags: number): Promise<SpdyTestStream> {
    const stream = new SpdyTestStream(this, this.#nextId);
    this.#nextId += 2;
    this.streams.set(stream.id, stream);
    const block = await this.compress(headerBlock(headers));
    this.control(frameTypes.synStream, Buffer.concat([uint32(stream.id, 0), Buffer.from([0, 0]), block]), flags);
    return stream;
  }

  async compress(block: Buffer): Promise<Buffer> {
    const chunks: Buffer[] = [];
    const onData = (chunk: Buffer): void => void chunks.push(chunk);
    this.#deflate.on('data', onData);
    this.#deflate.write(block);
    await new Promise<void>((resolve) => this.#deflate.flush(zlib.constants.Z_SYNC_FLUSH, () => resolve()));
    this.#deflate.off('data', onData);
    return Buffer.concat(chunks);
  }

  control(type: number, payload: Buffer, flags = 0): void {
    this.raw(controlFrame(type, payload, flags));
  }

  ping(id: number): void {
    this.control(frameTypes.ping, uint32(id));
  }

  raw(bytes: Buffer): void {
    this.socket.write(bytes);
  }

  end(): void {
    this.socket.destroy();
  }

  #take(chunk: Buffer): void {
    for (const frame of this.#parser.parse(chunk)) {
      if (frame.kind === 'control') {
        this.#control(frame.type, frame.flags, frame.payload);
        continue;
      }
      const stream = this.streams.get(frame.streamId);
      if (!stream?.replied) throw new Error(`data for stream ${frame.streamId} before its answer`);
      if (stream.ended) throw new Error(`data for stream ${frame.streamId} after its end`);
      if (frame.bytes.length > 0) stream.chunks.push(frame.bytes);
      if (frame.fin) stream.ended = true;
    }
  }

  #control(type: number, flags: number, payload: Buffer): void {
    const first = payload.readUInt32BE(0);
    const stream = this.streams.get(first);
    if (type === frameTypes.synReply) {
      if (!stream) throw new Error(`an answer for stream ${first}`);
      // Whoever has a compressor at the other end must understand this.
      this.#inflate.write(payload.subarray(4));
      stream.replied = true;
      stream.ended = (flags & flagFin) !== 0;
    } else if (type === frameTypes.rstStream && stream) {
      stream.reset = payload.readUInt32BE(4);
      stream.ended = true;
    } else if (type === frameTypes.ping) {
      this.pings.push(first);
    } else if (type === frameTypes.goAway) {
      this.goAway = payload.readUInt32BE(4);
    } else if (type === frameTypes.windowUpdate) {
      if (stream) stream.window += payload.readUInt32BE(4);
      if (first === 0) this.sessionWindow += payload.readUInt32BE(4);
    }
  }
}

export interface HttpAnswer {
  readonly status: number;
  readonly head: string;
  readonly socket: Socket;
  readonly rest: Buffer;
}

/** Asks for SPDY with these protocols, whatever the answer is. */
export async function upgradeToSpdy(
  url: string,
  protocols: readonly string[],
  upgrade = 'SPDY/3.1',
): Promise<HttpAnswer> {
  const { protocol, hostname, port, pathname } = new URL(url);
  const socket: Socket =
    protocol === 'https:'
      ? connectTls({ port: Number(port), host: hostname, rejectUnauthorized: false })
      : connect(Number(port), hostname);
  socket.on('error', () => undefined);
  const lines = [
    `POST ${pathname} HTTP/1.1`,
    `Host: ${hostname}:${port}`,
    'Content-Length: 0',
    'Connection: Upgrade',
    `Upgrade: ${upgrade}`,
    ...protocols.map((protocol) => `X-Stream-Protocol-Version: ${protocol}`),
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  let received = Buffer.alloc(0);
  return new Promise((resolve, reject) => {
    socket.once('close', () => reject(new Error(`closed after ${received.toString()}`)));
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf('\r\n\r\n');
      if (end < 0) return;
      socket.off('data', onData);
      const head = received.toString('latin1', 0, end);
      resolve({ status: Number(head.split(' ')[1]), head, socket, rest: received.subarray(end + 4) });
    };
    socket.on('data', onData);
  });
}

export async function connectSpdy(url: string, protocol = 'v4.channel.k8s.io'): Promise<SpdyTestClient> {
  const { status, head, socket, rest } = await upgradeToSpdy(url, [protocol]);
  if (status !== 101 || !/^x-stream-protocol-version: /im.test(head)) throw new Error(head);
  return new SpdyTestClient(socket, rest);
}

/** What a client of exec opens, in the usual order. */
export async function openCommand<Name extends string>(
  client: SpdyTestClient,
  names: readonly Name[],
): Promise<Record<Name, SpdyTestStream>> {
  const opened: Partial<Record<Name, SpdyTestStream>> = {};
  for (const name of names) opened[name] = await client.open({ streamtype: name });
  return opened as Record<Name, SpdyTestStream>;
}

export function headerBlock(headers: Readonly<Record<string, string>>): Buffer {
  const entries = Object.entries(headers);
  const text = (value: string): Buffer[] => [uint32(Buffer.byteLength(value)), Buffer.from(value)];
  return Buffer.concat([
    uint32(entries.length),
    ...entries.flatMap(([name, value]) => [...text(name), ...text(value)]),
  ]);
}

export function uint32(...values: readonly number[]): Buffer {
  const buffer = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => buffer.writeUInt32BE(value >>> 0, 4 * index));
  return buffer;
}
