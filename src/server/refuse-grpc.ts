import http2 from 'node:http2';
import type { Socket } from 'node:net';
import * as grpc from '@grpc/grpc-js';

/** For a client to make its call, and to read the answer. */
const farewellMs = 1_000;

/** Answers whatever call comes first on a connection that nobody serves, and closes it: a client shows its call's error. */
export function grpcRefusal(): (socket: Socket, why: string) => void {
  const reasons = new WeakMap<object, string>();
  const server = http2.createServer();
  server.on('session', (session) => {
    const late = setTimeout(() => session.destroy(), farewellMs);
    session.once('close', () => clearTimeout(late));
    session.on('error', () => undefined);
  });
  server.on('stream', (stream) => {
    const { session } = stream;
    stream.on('error', () => undefined);
    stream.respond(
      {
        'content-type': 'application/grpc',
        'grpc-status': String(grpc.status.RESOURCE_EXHAUSTED),
        'grpc-message': encodeURI((session && reasons.get(session)) ?? ''),
      },
      { endStream: true },
    );
    // Lets the answers out that are under way.
    session?.close();
  });
  return (socket, why) => {
    server.once('session', (session) => reasons.set(session, why));
    // http2 makes the session at once, while this emits.
    server.emit('connection', socket);
  };
}
