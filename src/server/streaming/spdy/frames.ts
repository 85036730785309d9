// SPDY/3.1 on the wire. A frame has eight bytes of header: for control frames 1 bit, version and type, for data frames 0 bit
// and stream; then eight flags and a length of 24 bits.

export const frameTypes = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const;

export const frameHeaderLength = 8;
export const version = 3;
export const flagFin = 1;
/** What a length of 24 bits can say. */
export const maxLength = 0xff_ffff;

/** Why a stream is reset. */
export const resetStatus = { protocolError: 1, invalidStream: 2, refused: 3, cancel: 5 } as const;
export type ResetStatus = (typeof resetStatus)[keyof typeof resetStatus];

/** Why a connection goes away. */
export const goAwayStatus = { ok: 0, protocolError: 1 } as const;
export type GoAwayStatus = (typeof goAwayStatus)[keyof typeof goAwayStatus];

export function dataHeader(streamId: number, length: number, fin: boolean): Buffer {
  const header = Buffer.alloc(frameHeaderLength);
  header.writeUInt32BE(streamId, 0);
  header.writeUInt32BE(((fin ? flagFin : 0) << 24) | length, 4);
  return header;
}

export function controlFrame(type: number, payload: Buffer, flags = 0): Buffer {
  const frame = Buffer.alloc(frameHeaderLength + payload.length);
  frame.writeUInt16BE(0x8000 | version, 0);
  frame.writeUInt16BE(type, 2);
  frame.writeUInt32BE(((flags << 24) | payload.length) >>> 0, 4);
  payload.copy(frame, frameHeaderLength);
  return frame;
}

/** A zlib stream without dictionary, and in it blocks that are not compressed. */
const zlibHeader = Buffer.from([0x78, 0x01]);
/**
 * Two such blocks: four bytes, which are the number 0, and none. Go's inflater gives out nothing before the empty one, which
 * is what a compressor ends a flush with.
 */
const noHeaders = Buffer.from([0x00, 0x04, 0x00, 0xfb, 0xff, 0, 0, 0, 0, 0x00, 0x00, 0x00, 0xff, 0xff]);

/**
 * Answers have no headers, so each header block is the same few bytes: that needs no compressor, only that the first block
 * of a connection begins its zlib stream.
 */
export function synReply(streamId: number, first: boolean): Buffer {
  const block = first ? [zlibHeader, noHeaders] : [noHeaders];
  return controlFrame(frameTypes.synReply, Buffer.concat([uint32(streamId), ...block]));
}

export function rstStream(streamId: number, status: ResetStatus): Buffer {
  return controlFrame(frameTypes.rstStream, uint32(streamId, status));
}

export function ping(id: number): Buffer {
  return controlFrame(frameTypes.ping, uint32(id));
}

export function goAway(lastStreamId: number, status: GoAwayStatus): Buffer {
  return controlFrame(frameTypes.goAway, uint32(lastStreamId, status));
}

/** Stream 0 is the connection. */
export function windowUpdate(streamId: number, bytes: number): Buffer {
  return controlFrame(frameTypes.windowUpdate, uint32(streamId, bytes));
}

function uint32(...values: readonly number[]): Buffer {
  const buffer = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => buffer.writeUInt32BE(value, 4 * index));
  return buffer;
}
