import type { IncomingMessage } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';
import { chooseProtocol, listOf, refuse, type Upgrade } from '../upgrade.ts';

/** The longest message a client may send; clients send what they read at once, 32 KiB. */
const maxMessage = 1024 * 1024;
/** For a client to answer our goodbye. */
const closeTimeout = 5_000;

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
  const protocol = chosen.get(request);
  if (protocol) headers.push(`Sec-WebSocket-Protocol: ${protocol}`);
});

/**
 * Switches to a WebSocket with the first of the client's protocols that is one of ours, "" for a client that names none;
 * it is paused. Undefined: it was refused, or the client has left.
 */
export async function acceptWebSocket(
  upgrade: Upgrade,
  ours: readonly string[],
): Promise<{ readonly socket: WebSocket; readonly protocol: string } | undefined> {
  const { request, socket, head } = upgrade;
  const wanted = request.headers['sec-websocket-protocol'];
  const protocol = listOf(wanted).length === 0 ? ours.find((name) => name === '') : chooseProtocol(wanted, ours);
  if (protocol === undefined) {
    const theirs = listOf(wanted).join(', ') || 'none';
    const spoken = ours.map((name) => name || 'none').join(', ');
    refuse(upgrade, 403, `no protocol in common: you offer ${theirs}, we speak ${spoken}`);
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
