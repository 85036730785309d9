import { BerthError } from '#base/errors';

/** Header of every message: payload length and stream id (u32, big endian), type, flags. See native/protocol/shim.proto. */
const headerBytes = 10;
/** Both sides refuse more. */
export const maxPayload = 4 * 1024 * 1024;

export const frameType = { request: 1, response: 2, event: 3 } as const;

export interface Frame {
  readonly stream: number;
  readonly type: number;
  readonly payload: Buffer;
}

export function encodeFrame(type: number, stream: number, payload: Uint8Array): Buffer {
  if (payload.length > maxPayload) {
    throw new BerthError(
      'RESOURCE_EXHAUSTED',
      `message to the shim has ${payload.length} bytes, the limit is ${maxPayload}`,
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
  #pending: Buffer = Buffer.alloc(0);

  /** The frames completed by `chunk`. Throws when the peer announces more than the limit: the connection is then useless. */
  push(chunk: Buffer): Frame[] {
    let data = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const frames: Frame[] = [];
    while (data.length >= headerBytes) {
      const length = data.readUInt32BE(0);
      if (length > maxPayload) throw new BerthError('INTERNAL', `shim announced a message of ${length} bytes`);
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
