import type { IncomingMessage } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';
import { chooseProtocol, listOf, refuse, type Upgrade } from '../upgrade.ts';

/** The longest message a client may send; clients send what they read at once, 32 KiB. */
const maxMessage = 1024 * 1024;
/** For a client to answer our goodbye. */
const closeTimeout = 5_000;

/** Newest first: version 5 can close one stream, version 4 only all. */
export const commandProtocols = ['v5.channel.k8s.io', 'v4.channel.k8s.io'] as const;
/** The second is of clients that predate SPDY in a WebSocket. */
export const portForwardProtocols = ['SPDY/3.1+portforward.k8s.io', 'v4.channel.k8s.io'] as const;

const options = {
  noServer: true,
  clientTracking: false,
  perMessageDeflate: false,
  maxPayload: maxMessage,
  closeTimeout,
};
const acceptor = new WebSocketServer(options);
const chosen = new WeakMap<IncomingMessage, string>();
acceptor.on('headers', (headers, request) => {
  headers.push(`Sec-WebSocket-Protocol: ${chosen.get(request) ?? ''}`);
});

/**
 * Switches to a WebSocket with the first of the client's protocols that we know; it is paused. Undefined: it was refused,
 * or the client has left.
 */
export async function acceptWebSocket<P extends string>(
  upgrade: Upgrade,
  ours: readonly P[],
): Promise<{ readonly socket: WebSocket; readonly protocol: P } | undefined> {
  const { request, socket, head } = upgrade;
  const wanted = request.headers['sec-websocket-protocol'];
  const protocol = chooseProtocol(wanted, ours) as P | undefined;
  if (protocol === undefined) {
    const theirs = listOf(wanted).join(', ') || 'none';
    refuse(upgrade, 403, `no protocol in common: you offer ${theirs}, we speak ${ours.join(', ')}`);
    return undefined;
  }
  // The name of Kubernetes' tunnel has a slash, which ws knows to be wrong: it shall not see it.
  delete request.headers['sec-websocket-protocol'];
  chosen.set(request, protocol);
  // It may have left while this module was loaded; then nothing tells of it any more.
  if (socket.destroyed) return undefined;
  return new Promise((resolve) => {
    // A handshake that is wrong is answered, and the socket closed.
    socket.once('close', () => resolve(undefined));
    acceptor.handleUpgrade(request, socket, head, (accepted) => {
      accepted.pause();
      accepted.on('error', () => undefined);
      resolve({ socket: accepted, protocol });
    });
  });
}
