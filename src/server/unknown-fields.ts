import protobuf from 'protobufjs';

/** Reads as protobufjs does, and counts what it skips. Where nothing is skipped it does nothing of its own. */
class CountingReader extends protobuf.BufferReader {
  skipped = 0;

  override skipType(wireType: number, depth?: number): protobuf.Reader {
    const before = this.skipped;
    super.skipType(wireType, depth);
    // What lies in a group is skipped with it: one field.
    this.skipped = before + 1;
    return this;
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
): (bytes: Buffer) => T {
  return (bytes) => {
    const reader = new CountingReader(bytes);
    // proto-loader hands its argument to protobufjs' decode as it is, which takes a reader for bytes.
    const message = decode(reader as unknown as Buffer);
    if (reader.skipped > 0) found(reader.skipped);
    return message;
  };
}
