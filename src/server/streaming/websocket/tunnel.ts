import { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';

const normalClosure = 1000;
const buffer = 64 * 1024;

/** A WebSocket as the stream of bytes in its binary messages, for SPDY to run in. Its end is a normal closure. */
export class WebSocketTunnel extends Duplex {
  readonly #socket: WebSocket;
  #full = false;

  /** The socket is paused. */
  constructor(socket: WebSocket) {
    super({ readableHighWaterMark: buffer, writableHighWaterMark: buffer });
    this.#socket = socket;
    socket.on('message', (data) => {
      if (this.destroyed || this.push(data)) return;
      this.#full = true;
      socket.pause();
    });
    socket.once('close', () => this.destroy());
    socket.resume();
  }

  override _read(): void {
    if (!this.#full) return;
    this.#full = false;
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#socket.send(chunk, { binary: true }, callback);
  }

  /** A frame's header and its data are one message. */
  override _writev(chunks: readonly { readonly chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    this.#socket.send(Buffer.concat(chunks.map(({ chunk }) => chunk)), { binary: true }, callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#socket.close(normalClosure);
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#socket.terminate();
    callback(error);
  }
}
