import type { Duplex } from 'node:stream';
import { sleep } from '#base/deadline';
import { messageOf } from '#base/errors';
import type { Meter } from '../sessions.ts';
import { FrameParser, type Frame } from './frame-parser.ts';
import {
  dataHeader,
  flagFin,
  frameTypes,
  goAway,
  goAwayStatus,
  maxLength,
  ping,
  resetStatus,
  rstStream,
  synReply,
  windowUpdate,
  type ResetStatus,
} from './frames.ts';
import { HeaderInflater } from './header-inflater.ts';
import { SpdyStream, type StreamOwner } from './spdy-stream.ts';
import { SpdyViolation } from './violation.ts';

export interface SpdyConnectionOptions {
  /** The socket after its upgrade, or what carries SPDY in its place. */
  readonly socket: Duplex;
  /** Open at the same time; one more is refused. */
  readonly maxStreams: number;
  /** What a stream holds for a consumer that does not read; then the whole connection waits. */
  readonly streamBuffer: number;
  /**
   * False refuses it. The answer that opens it is written after this, and clients drop what comes before that: write to it
   * later, not at once.
   */
  readonly onStream: (stream: SpdyStream) => boolean;
  readonly meter: Meter;
}

/** Our answers that the peer has not taken: a peer that only asks and never reads is not read any more. */
const answersLimit = 64 * 1024;
/** Finds out that a peer is gone while nothing is read from it. */
const pingEveryMs = 30_000;
/** For the peer to close its side after our last word. */
const lingerMs = 5_000;

/**
 * The server's side of a SPDY/3.1 connection. Frames are handled one after the other, so that a consumer that is slow slows
 * the peer through its socket. The peer's windows are not heeded: the usual client never opens them, and what is sent is
 * bounded by what its socket takes.
 */
export class SpdyConnection implements StreamOwner {
  readonly #options: SpdyConnectionOptions;
  readonly #socket: Duplex;
  readonly #streams = new Map<number, SpdyStream>();
  readonly #inflater = new HeaderInflater();
  readonly #closed = Promise.withResolvers<string>();
  readonly #pings: NodeJS.Timeout;
  #lastStreamId = 0;
  #replied = false;
  #answers = 0;
  #answersTaken: (() => void) | undefined;
  #nextPing = 2;
  /** We have said, or heard, that nothing new is to come. */
  #leaving = false;

  constructor(options: SpdyConnectionOptions) {
    this.#options = options;
    this.#socket = options.socket;
    this.#socket.on('error', () => undefined);
    this.#socket.once('close', () => this.#over('the client has left'));
    this.#pings = setInterval(() => this.#ping(), pingEveryMs);
    this.#read().catch((error: unknown) => this.#socket.destroy(error instanceof Error ? error : undefined));
  }

  /** Resolves when it is closed, with the reason. */
  get closed(): Promise<string> {
    return this.#closed.promise;
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  /** Says goodbye after all that was written, and waits for the peer to close, but not for long. */
  async close(): Promise<void> {
    await this.#leave(goAwayStatus.ok);
  }

  // What its streams ask for.

  send(streamId: number, bytes: Buffer, fin: boolean, done: (error?: Error | null) => void): void {
    if (bytes.length > maxLength) {
      this.send(streamId, bytes.subarray(0, maxLength), false, () => undefined);
      this.send(streamId, bytes.subarray(maxLength), fin, done);
      return;
    }
    if (!this.#socket.writable) {
      done(new Error('the connection is closed'));
      return;
    }
    this.#options.meter.sent(bytes.length);
    this.#socket.cork();
    const header = dataHeader(streamId, bytes.length, fin);
    if (bytes.length === 0) {
      this.#socket.write(header, done);
    } else {
      this.#socket.write(header);
      this.#socket.write(bytes, done);
    }
    this.#socket.uncork();
  }

  consumed(streamId: number, bytes: number): void {
    // A window for the stream, and one for all of them.
    this.#answer(Buffer.concat([windowUpdate(streamId, bytes), windowUpdate(0, bytes)]));
  }

  forget(stream: SpdyStream, reset: boolean): void {
    this.#streams.delete(stream.id);
    if (reset) this.#reset(stream.id, resetStatus.cancel);
  }

  // The peer's frames.

  async #read(): Promise<void> {
    const parser = new FrameParser();
    try {
      for await (const chunk of this.#socket as AsyncIterable<Buffer>) {
        for (const frame of parser.parse(chunk)) await this.#handle(frame);
      }
      this.#over('the client has left');
    } catch (error) {
      if (error instanceof SpdyViolation) {
        this.#over(`the client broke the protocol: ${error.message}`);
        this.#write(goAway(this.#lastStreamId, goAwayStatus.protocolError));
      } else {
        this.#over(`the connection failed: ${messageOf(error)}`);
      }
    }
    this.#socket.destroy();
  }

  async #handle(frame: Frame): Promise<void> {
    if (frame.kind === 'data') await this.#takeData(frame.streamId, frame.bytes, frame.fin);
    else await this.#control(frame.type, frame.flags, frame.payload);
    if (this.#answers > answersLimit) {
      await new Promise<void>((resolve) => {
        this.#answersTaken = resolve;
      });
    }
  }

  async #takeData(streamId: number, bytes: Buffer, fin: boolean): Promise<void> {
    this.#options.meter.received(bytes.length);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      // What was on its way when the stream ended is dropped; a stream that never was is an error.
      if (streamId > this.#lastStreamId) throw new SpdyViolation(`data for stream ${streamId}, which was not opened`);
      return;
    }
    if (!stream.receive(bytes, fin)) await stream.room();
  }

  async #control(type: number, flags: number, payload: Buffer): Promise<void> {
    switch (type) {
      case frameTypes.synStream:
        this.#options.meter.alive();
        await this.#open(payload, flags);
        return;
      case frameTypes.headers:
        // Nobody has a use for them, but the blocks after this one depend on it.
        await this.#inflater.read(payload.subarray(4));
        return;
      case frameTypes.rstStream:
        this.#streams.get(uint32At(payload, 0))?.abandon();
        return;
      case frameTypes.ping:
        this.#pong(uint32At(payload, 0));
        return;
      case frameTypes.goAway:
        this.#leaving = true;
        return;
      case frameTypes.synReply:
        throw new SpdyViolation('an answer to a stream that was never opened');
      default:
        // SETTINGS and WINDOW_UPDATE change nothing here; what a later version adds is to be skipped.
        return;
    }
  }

  async #open(payload: Buffer, flags: number): Promise<void> {
    const id = uint32At(payload, 0) & 0x7fff_ffff;
    if (payload.length < 10) throw new SpdyViolation('a stream without headers');
    if (id % 2 === 0 || id <= this.#lastStreamId) throw new SpdyViolation(`stream ${id} after ${this.#lastStreamId}`);
    const headers = await this.#inflater.read(payload.subarray(10));
    this.#lastStreamId = id;
    if (this.#leaving || this.#streams.size >= this.#options.maxStreams) {
      this.#reset(id, resetStatus.refused);
      return;
    }
    const stream = new SpdyStream(this, id, headers, this.#options.streamBuffer);
    this.#streams.set(id, stream);
    if (!this.#options.onStream(stream)) {
      stream.destroy();
      return;
    }
    this.#answer(synReply(id, !this.#replied));
    this.#replied = true;
    if ((flags & flagFin) !== 0) stream.receive(Buffer.alloc(0), true);
  }

  #pong(id: number): void {
    // Even ones are ours, and this is the answer.
    if (id % 2 === 0) return;
    this.#options.meter.alive();
    this.#answer(ping(id));
  }

  #ping(): void {
    if (this.#answers > 0) return;
    this.#answer(ping(this.#nextPing));
    this.#nextPing = this.#nextPing >= 0x7fff_fffe ? 2 : this.#nextPing + 2;
  }

  #reset(streamId: number, status: ResetStatus): void {
    this.#answer(rstStream(streamId, status));
  }

  #answer(frame: Buffer): void {
    if (!this.#socket.writable) return;
    this.#answers += frame.length;
    this.#socket.write(frame, () => {
      this.#answers -= frame.length;
      if (this.#answers > answersLimit / 2 && !this.#socket.destroyed) return;
      this.#answersTaken?.();
      this.#answersTaken = undefined;
    });
  }

  #write(frame: Buffer): void {
    if (this.#socket.writable) this.#socket.write(frame);
  }

  async #leave(status: 0 | 1): Promise<void> {
    if (this.#socket.destroyed) return;
    this.#leaving = true;
    this.#write(goAway(this.#lastStreamId, status));
    this.#socket.end();
    for (const stream of this.#streams.values()) stream.abandon();
    // What still comes in is read and dropped: unread bytes at the end would turn it into a reset, and the client would
    // lose what it has not read yet.
    const linger = new AbortController();
    await Promise.race([
      this.#closed.promise.finally(() => linger.abort()),
      sleep(lingerMs, linger.signal).catch(() => undefined),
    ]);
    this.#over('closed');
    this.#socket.destroy();
  }

  #over(reason: string): void {
    this.#closed.resolve(reason);
    clearInterval(this.#pings);
    this.#inflater[Symbol.dispose]();
    for (const stream of this.#streams.values()) stream.abandon();
    this.#answersTaken?.();
  }
}

function uint32At(payload: Buffer, at: number): number {
  if (payload.length < at + 4) throw new SpdyViolation('a control frame that is too short');
  return payload.readUInt32BE(at);
}
