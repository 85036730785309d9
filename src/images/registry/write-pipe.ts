import { closeSync, constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { BerthError } from '#base/errors';

/** Chunks of 64 KiB waiting for a slow reader: enough to keep both sides busy. */
const highWaterMark = 512 * 1024;

/**
 * A stream into a pipe whose reader sets the pace. It is a socket because writes to a pipe by `fs` hold a thread of the
 * pool for as long as the reader sleeps. The stream owns the descriptor, also when it cannot be made.
 */
export function pipeWriter(fd: number): Writable {
  try {
    return new Socket({ fd, readable: false, writable: true, writableHighWaterMark: highWaterMark } as SocketOptions);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

type SocketOptions = ConstructorParameters<typeof Socket>[0] & { readonly writableHighWaterMark: number };

/**
 * The pipe behind a descriptor of another thread, opened once more: that thread keeps and closes its own, and neither
 * can close the other's by mistake.
 *
 * @throws ENXIO when nobody reads any more
 */
export function reopenPipe(fd: number): number {
  return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
}

/** The reader of a pipe has gone: its process died, or it does not want the rest. */
export function readerGone(what: string, cause: unknown): BerthError {
  return new BerthError('CANCELLED', `the reader of ${what} went away`, { cause });
}
