import type { Socket } from 'node:net';

/** As many as may wait for the server's next look: with Node's 511, a crowd keeps everybody else from connecting. */
export const listenBacklog = 4096;

/**
 * Connections of which nobody is owed a place: where there is one too many, the oldest is closed for it. Who speaks at
 * once has been heard long before so many others have come; who says nothing keeps nobody out.
 */
export class BoundedConnections {
  readonly #limit: number;
  readonly #places = new Map<string, Place>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#places.size;
  }

  add(socket: Socket): void {
    const peer = peerOf(socket);
    if (peer === undefined) {
      socket.destroy();
      return;
    }
    this.#forget(peer);
    const onClose = (): void => this.#forget(peer);
    socket.once('close', onClose);
    this.#places.set(peer, { socket, onClose });
    const [oldest] = this.#places;
    if (this.#places.size <= this.#limit || oldest === undefined) return;
    this.#forget(oldest[0]);
    oldest[1].socket.destroy();
  }

  /** From now on it is somebody else's to bound. Takes the TLS connection that was made of it as well. */
  remove(socket: Socket): void {
    const peer = peerOf(socket);
    if (peer !== undefined) this.#forget(peer);
  }

  #forget(peer: string): void {
    const place = this.#places.get(peer);
    this.#places.delete(peer);
    place?.socket.off('close', place.onClose);
  }
}

interface Place {
  readonly socket: Socket;
  readonly onClose: () => void;
}

/** Undefined: it is broken already. */
function peerOf({ remoteAddress, remotePort }: Socket): string | undefined {
  return remoteAddress === undefined || remotePort === undefined ? undefined : `${remoteAddress} ${remotePort}`;
}
