import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { BerthError } from '#base/errors';
import type { Fd } from '#linux/fd';

/** Chunks of 64 KiB waiting for a slow reader: enough to keep both sides busy. */
const highWaterMark = 512 * 1024;

/**
 * A stream into a pipe whose reader sets the pace. It is a socket because writes to a pipe by `fs` hold a thread of the
 * pool for as long as the reader sleeps. The stream owns the descriptor.
 */
export function pipeWriter(sink: Fd): Writable {
  const fd = sink.take();
  // One descriptor, one owner: net.Socket closes it, also if the reader has gone.
  return new Socket({ fd, readable: false, writable: true, writableHighWaterMark: highWaterMark } as SocketOptions);
}

type SocketOptions = ConstructorParameters<typeof Socket>[0] & { readonly writableHighWaterMark: number };

/** The reader of a pipe has gone: its process died, or it does not want the rest. */
export function readerGone(what: string, cause: unknown): BerthError {
  return new BerthError('CANCELLED', `the reader of ${what} went away`, { cause });
}
