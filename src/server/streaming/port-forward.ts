import type { Duplex, Writable } from 'node:stream';
import type { Ctx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import { messageOf } from '#base/errors';

export interface Forward {
  readonly port: number;
  /** The client's bytes; it is closed in each direction by itself. */
  readonly data: Duplex;
  /** Where the client reads why it cannot be; ends when the forward does. */
  readonly error: Writable;
  readonly dial: (ctx: Ctx, port: number) => Promise<Duplex>;
}

const dialTimeoutMs = 30_000;
/** For a pod to read what a client sent before it left. */
const lingerMs = 10_000;

/**
 * Connects one stream of a client with a port of the pod until both directions have ended. Never fails: that nobody
 * listens is said on the error stream, and a connection that breaks ends its own stream and no other (a client takes
 * anything on an error stream for the end of everything).
 */
export async function forward(ctx: Ctx, { port, data, error, dial }: Forward): Promise<void> {
  data.on('error', () => undefined);
  error.on('error', () => undefined);
  let remote: Duplex;
  try {
    using deadline = new Deadline(dialTimeoutMs, `connecting to port ${port}`, ctx.signal);
    remote = await dial(ctx.detach(deadline.signal), port);
  } catch (failure) {
    ctx.log.debug({ port, err: failure }, 'port could not be forwarded');
    error.end(`port ${port} cannot be forwarded: ${messageOf(failure)}`, () => data.destroy());
    return;
  }
  await join(data, remote);
  error.end();
}

/** Resolves when both are closed. */
async function join(data: Duplex, remote: Duplex): Promise<void> {
  if (data.destroyed) {
    // The client has left while the port was dialled: no event will tell of it any more.
    remote.on('error', () => undefined).destroy();
    return;
  }
  const closed = Promise.all([closing(data), closing(remote)]);
  let late: NodeJS.Timeout | undefined;
  remote.on('error', () => {
    data.destroy();
    remote.destroy();
  });
  data.once('close', () => {
    // All was said in both directions, but the pod may still have to read the last of it.
    if (data.writableFinished && remote.writableEnded) late = setTimeout(() => remote.destroy(), lingerMs);
    else remote.destroy();
  });
  remote.once('close', () => {
    clearTimeout(late);
    // Its end was passed on: the client may still read it, and what it sends is read and dropped until it stops.
    if (data.writableEnded) data.resume();
    else data.destroy();
  });
  data.pipe(remote);
  remote.pipe(data);
  await closed;
}

async function closing(stream: Duplex): Promise<void> {
  if (stream.closed) return;
  await new Promise<void>((resolve) => stream.once('close', () => resolve()));
}
