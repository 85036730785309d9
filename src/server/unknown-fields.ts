import { isUtf8 } from 'node:buffer';
import protobuf from 'protobufjs';
import { BerthError, messageOf } from '#base/errors';

/** What invalid UTF-8 is read as. */
const replacement = '\ufffd';

/**
 * Tags, lengths and numbers of one request. An entry of a list has at least two, and becomes an object of many times its
 * size on the wire: as many as there could be in a message would hold up everybody else.
 */
const readsLimit = 500_000;

/** Stands for a request that cannot be read, or not to its end: grpc-js itself would only say INTERNAL, and not why. */
export class RefusedRequest {
  readonly why: BerthError;

  constructor(why: BerthError) {
    this.why = why;
  }
}

/**
 * Reads as protobufjs does, and counts what it reads, and what it skips. It is stricter with strings, as other
 * implementations are: protobufjs cuts one that goes on after the message's end, and makes another one of what is not
 * UTF-8, such as a path.
 */
class CountingReader extends protobuf.BufferReader {
  skipped = 0;
  #reads = 0;

  /** Of everything that is not a string's bytes and not a number of fixed width. @throws RESOURCE_EXHAUSTED */
  override uint32(): number {
    this.#countRead();
    return super.uint32();
  }

  /** @throws RESOURCE_EXHAUSTED */
  override int64(): protobuf.Long {
    this.#countRead();
    return super.int64();
  }

  #countRead(): void {
    this.#reads += 1;
    if (this.#reads > readsLimit)
      throw new BerthError(
        'RESOURCE_EXHAUSTED',
        `the request has more than ${readsLimit} fields, lengths and numbers, which is the limit: its lists are too long`,
      );
  }

  override skipType(wireType: number, depth?: number): protobuf.Reader {
    const before = this.skipped;
    super.skipType(wireType, depth);
    // What lies in a group is skipped with it: one field.
    this.skipped = before + 1;
    return this;
  }

  /** @throws RangeError, TypeError */
  override string(): string {
    const begin = this.pos;
    const length = this.uint32();
    const bytes = this.pos;
    if (bytes + length > this.len) throw new RangeError(`index out of range: ${bytes} + ${length} > ${this.len}`);
    this.pos = begin;
    const text = super.string();
    if (text.includes(replacement) && !isUtf8(this.buf.subarray(bytes, bytes + length)))
      throw new TypeError('a string is not UTF-8');
    return text;
  }
}

/**
 * Decodes as `decode`, a deserializer of @grpc/proto-loader, and tells of fields that our version of the protocol does not
 * have. They are accepted, as protobuf asks: a newer kubelet sends them to whoever answers. At any depth of the message
 * each occurrence is one, in lists and maps as well; `found` is called only when there are some.
 */
export function countingUnknown<T>(
  decode: (bytes: Buffer) => T,
  found: (fields: number) => void,
): (bytes: Buffer) => T | RefusedRequest {
  return (bytes) => {
    const reader = new CountingReader(bytes);
    try {
      // proto-loader hands its argument to protobufjs' decode as it is, which takes a reader for bytes.
      const message = decode(reader as unknown as Buffer);
      if (reader.skipped > 0) found(reader.skipped);
      return message;
    } catch (error) {
      return new RefusedRequest(error instanceof BerthError ? error : unreadable(error));
    }
  };
}

function unreadable(cause: unknown): BerthError {
  return new BerthError('INVALID_ARGUMENT', `the request is no message of CRI v1: ${messageOf(cause)}`, { cause });
}
