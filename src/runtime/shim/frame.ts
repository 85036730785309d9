import { BerthError } from '#base/errors';

/** Header of every message: payload length and stream id (u32, big endian), type, flags. See native/protocol/shim.proto. */
export const headerBytes = 10;
/** Bytes of an answer or event, and of a request to a shim that does not say `largeRequests`. Both sides refuse more. */
export const maxPayload = 4 * 1024 * 1024;
/**
 * Bytes of a request to a shim that says `largeRequests`. What execve(2) takes at most, 6 MiB of arguments and
 * environment, fits in with everything else that a container may ask for.
 */
export const maxRequest = 16 * 1024 * 1024;
export const largeRequests = 'large-requests';

export const frameType = { request: 1, response: 2, event: 3 } as const;

export interface Frame {
  readonly stream: number;
  readonly type: number;
  readonly payload: Buffer;
}

/** @throws INVALID_ARGUMENT when the payload is over the limit: what was asked for is too much for one request */
export function encodeFrame(type: number, stream: number, payload: Uint8Array, limit = maxPayload): Buffer {
  if (payload.length > limit) {
    throw new BerthError(
      'INVALID_ARGUMENT',
      `what is asked for takes ${payload.length} bytes of a message to the pod's shim, which takes at most ${limit}`,
    );
  }
  const frame = Buffer.allocUnsafe(headerBytes + payload.length);
  frame.writeUInt32BE(payload.length, 0);
  frame.writeUInt32BE(stream, 4);
  frame.writeUInt8(type, 8);
  frame.writeUInt8(0, 9);
  frame.set(payload, headerBytes);
  return frame;
}

/** Cuts a byte stream into frames. Keeps at most one unfinished frame. */
export class FrameReader {
  readonly #limit: number;
  #pending: Buffer = Buffer.alloc(0);

  constructor(limit = maxPayload) {
    this.#limit = limit;
  }

  /** The frames completed by `chunk`. Throws when the peer announces more than the limit: the connection is then useless. */
  push(chunk: Buffer): Frame[] {
    let data = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const frames: Frame[] = [];
    while (data.length >= headerBytes) {
      const length = data.readUInt32BE(0);
      if (length > this.#limit) throw new BerthError('INTERNAL', `shim announced a message of ${length} bytes`);
      if (data.length < headerBytes + length) break;
      frames.push({
        stream: data.readUInt32BE(4),
        type: data.readUInt8(8),
        payload: data.subarray(headerBytes, headerBytes + length),
      });
      data = data.subarray(headerBytes + length);
    }
    this.#pending = Buffer.from(data);
    return frames;
  }
}
