/** How one message of a WebSocket carries the number of a channel and bytes of it. */
export interface Framing {
  /** A string becomes a text message, a buffer a binary one. */
  encode(channel: number, bytes: Buffer): Buffer | string;
  /** Of a message that is not empty. */
  channelOf(message: Buffer): number;
  /** What comes after the number; undefined: it is not written as it has to be. */
  bytesOf(message: Buffer): Buffer | undefined;
}

/** `channel.k8s.io` and its later versions: the first byte is the number, the others are as they are. */
export const binaryFraming: Framing = {
  encode: (channel, bytes) => Buffer.concat([Buffer.of(channel), bytes]),
  channelOf: (message) => message[0] ?? 0,
  bytesOf: (message) => message.subarray(1),
};

const zero = 0x30;
/** The first byte in UTF-8 of a character from 0x80 to 0xbf, whose second one is its code: the channels of port 41 to 64. */
const wide = 0xc2;
const digitBytes = (message: Buffer): number => (message[0] === wide ? 2 : 1);

/** `base64.channel.k8s.io`: the number as a digit (those above 9 as the characters after it), then base64 with padding. */
export const base64Framing: Framing = {
  encode: (channel, bytes) => String.fromCharCode(zero + channel) + bytes.toString('base64'),
  channelOf: (message) => ((message[digitBytes(message) - 1] ?? 0) - zero) & 0xff,
  bytesOf: (message) => decodeBase64(message.toString('latin1', digitBytes(message))),
};

/** Node reads over what is no base64; a client that sends such has lost something. Line ends are allowed, as in MIME. */
function decodeBase64(lines: string): Buffer | undefined {
  const text = lines.replace(/[\r\n]/g, '');
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  return Buffer.from(text, 'base64');
}
