import { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { maxPieces } from '../pieces.ts';
import type { Meter } from '../sessions.ts';
import type { Framing } from './framing.ts';
import type { ChannelProtocol } from './protocols.ts';

export interface ChannelsOptions {
  /** Paused. */
  readonly socket: WebSocket;
  readonly meter: Meter;
  readonly protocol: Pick<ChannelProtocol, 'framing' | 'closeSignal'>;
}

const closeSignal = 255;
const channelBuffer = 256 * 1024;
/** Keeps what lies between us awake, and finds out that a client is gone while nothing is read from it. */
const pingEveryMs = 30_000;
const normalClosure = 1000;
const wrongBytes = 1007;

/** A WebSocket whose messages begin with the number of the channel they belong to. */
export class WebSocketChannels {
  readonly #socket: WebSocket;
  readonly #meter: Meter;
  readonly #framing: Framing;
  readonly #channels = new Map<number, Channel>();
  /** Whose consumers have to read first. */
  readonly #full = new Set<Channel>();
  readonly #closed = Promise.withResolvers<string>();

  constructor({ socket, meter, protocol }: ChannelsOptions) {
    this.#socket = socket;
    this.#meter = meter;
    this.#framing = protocol.framing;
    // Text or binary: clients send either in every protocol.
    socket.on('message', (data) => this.#take(data as Buffer, protocol.closeSignal));
    socket.on('ping', () => meter.alive());
    const pings = setInterval(() => {
      if (socket.readyState === socket.OPEN && socket.bufferedAmount === 0) socket.ping();
    }, pingEveryMs);
    socket.once('close', (code) => {
      clearInterval(pings);
      for (const channel of this.#channels.values()) channel.destroy();
      this.#closed.resolve(`the client has left (${code})`);
    });
  }

  /** Resolves when it is closed, with the reason. */
  get closed(): Promise<string> {
    return this.#closed.promise;
  }

  /** One channel. What comes for channels that nobody asked for is dropped. */
  open(number: number): Channel {
    const channel = new Channel({
      send: (bytes, done) => this.#send(number, bytes, done),
      read: () => this.#roomIn(channel),
      forget: () => {
        this.#channels.delete(number);
        this.#roomIn(channel);
      },
    });
    this.#channels.set(number, channel);
    return channel;
  }

  /** Begins to read: the channels are there. */
  start(): void {
    this.#socket.resume();
  }

  /** Says goodbye after all that was written, and waits for the client's answer, but not for long. */
  async close(): Promise<void> {
    for (const channel of this.#channels.values()) channel.destroy();
    // Its answer comes after what it was still sending.
    this.#socket.resume();
    this.#socket.close(normalClosure);
    await this.#closed.promise;
  }

  #take(message: Buffer, hasCloseSignal: boolean): void {
    this.#meter.alive();
    // What comes while it is being closed belongs to nothing any more.
    if (message.length === 0 || this.#socket.readyState !== this.#socket.OPEN) return;
    if (hasCloseSignal && message[0] === closeSignal) {
      this.#channels.get(message[1] ?? closeSignal)?.receiveEnd();
      return;
    }
    const channel = this.#channels.get(this.#framing.channelOf(message));
    if (channel === undefined) return;
    const bytes = this.#framing.bytesOf(message);
    if (bytes === undefined) {
      this.#socket.close(wrongBytes, 'a message is not a digit and base64');
      return;
    }
    this.#meter.received(bytes.length);
    if (channel.receive(bytes)) return;
    this.#full.add(channel);
    this.#socket.pause();
  }

  #roomIn(channel: Channel): void {
    if (this.#full.delete(channel) && this.#full.size === 0) this.#socket.resume();
  }

  #send(number: number, bytes: Buffer, done: (error?: Error | null) => void): void {
    this.#meter.sent(bytes.length);
    this.#socket.send(this.#framing.encode(number, bytes), done);
  }
}

interface ChannelOwner {
  send(bytes: Buffer, done: (error?: Error | null) => void): void;
  /** Its consumer has read. */
  read(): void;
  forget(): void;
}

/** One channel; our end of it is its end, because only the client can say that it has ended. */
export class Channel extends Duplex {
  readonly #owner: ChannelOwner;
  #ended = false;
  /** Held since it was empty last. */
  #pieces = 0;

  constructor(owner: ChannelOwner) {
    super({ readableHighWaterMark: channelBuffer, writableHighWaterMark: 64 * 1024 });
    this.#owner = owner;
    this.on('error', () => undefined);
  }

  /** False: it is full. */
  receive(bytes: Buffer): boolean {
    if (this.#ended || this.destroyed || bytes.length === 0) return true;
    const room = this.push(bytes);
    this.#pieces = this.readableLength === 0 ? 0 : this.#pieces + 1;
    return room && this.#pieces < maxPieces;
  }

  receiveEnd(): void {
    if (this.#ended || this.destroyed) return;
    this.#ended = true;
    this.push(null);
  }

  override read(size?: number): unknown {
    const chunk: unknown = super.read(size);
    if (this.#pieces >= maxPieces && this.readableLength === 0) {
      this.#pieces = 0;
      this.#owner.read();
    }
    return chunk;
  }

  override _read(): void {
    if (this.#pieces < maxPieces) this.#owner.read();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#owner.send(chunk, callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    callback();
    this.receiveEnd();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#owner.forget();
    callback(error);
  }
}
