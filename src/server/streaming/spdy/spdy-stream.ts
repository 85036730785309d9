import { Duplex } from 'node:stream';
import { maxPieces } from '../pieces.ts';

/** What a stream needs of its connection. */
export interface StreamOwner {
  /** Calls back when the connection has taken it. */
  send(streamId: number, bytes: Buffer, fin: boolean, done: (error?: Error | null) => void): void;
  /** So many bytes were read by whoever wanted them: the other side may send as many again. */
  consumed(streamId: number, bytes: number): void;
  /** It is over. `reset`: the other side has to be told. */
  forget(stream: SpdyStream, reset: boolean): void;
}

/** Windows of peers that have any are 64 KiB: told of half of it, they never stand still. */
const updateEvery = 32 * 1024;
const noBytes = Buffer.alloc(0);

/**
 * One stream of a connection. Half-closed in both directions; destroyed before both have ended, it is reset. It never
 * fails: a stream whose connection is gone is closed.
 */
export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly #owner: StreamOwner;
  #received = 0;
  #acknowledged = 0;
  #remoteOver = false;
  #localOver = false;
  #room: (() => void) | undefined;
  /** Held since it was empty last. */
  #pieces = 0;

  constructor(owner: StreamOwner, id: number, headers: ReadonlyMap<string, string>, buffer: number) {
    super({ readableHighWaterMark: buffer, writableHighWaterMark: 64 * 1024, decodeStrings: true });
    this.#owner = owner;
    this.id = id;
    this.headers = headers;
    this.on('error', () => undefined);
  }

  /** False: it is full, wait for `room` before giving it more. */
  receive(bytes: Buffer, fin: boolean): boolean {
    if (this.#remoteOver || this.destroyed) return true;
    this.#received += bytes.length;
    const room = bytes.length === 0 || this.push(bytes);
    this.#pieces = this.readableLength === 0 ? 0 : this.#pieces + 1;
    if (!fin) return room && this.#pieces < maxPieces;
    this.#remoteOver = true;
    this.push(null);
    return true;
  }

  /** Resolves when there is room again, or no need of it any more. */
  async room(): Promise<void> {
    if (this.destroyed) return;
    await new Promise<void>((resolve) => {
      this.#room = resolve;
    });
  }

  /** The other side has reset it, or the connection is gone: nobody is to be told. */
  abandon(): void {
    this.#remoteOver = true;
    this.#localOver = true;
    this.destroy();
  }

  override read(size?: number): unknown {
    const chunk: unknown = super.read(size);
    if (this.#pieces >= maxPieces && this.readableLength === 0) {
      this.#pieces = 0;
      this.#room?.();
    }
    return chunk;
  }

  override _read(): void {
    if (this.#pieces < maxPieces) this.#room?.();
    const unread = this.#received - this.readableLength - this.#acknowledged;
    if (unread < updateEvery) return;
    this.#acknowledged += unread;
    this.#owner.consumed(this.id, unread);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#owner.send(this.id, chunk, false, callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#localOver = true;
    this.#owner.send(this.id, noBytes, true, callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#room?.();
    this.#owner.forget(this, !(this.#remoteOver && this.#localOver));
    callback(error);
  }
}
