import { messageOf } from '#base/errors';
import type { AttachRequest } from '#sandbox/attach';
import type { ExecRequest } from '#sandbox/exec';
import type { PortForwardRequest } from '#sandbox/port-forward';
import type { Conversations, StreamOffer } from './offers.ts';
import { type CommandClient, runAttach, runExec } from './remote-command.ts';
import type { Session } from './sessions.ts';
import { acceptSpdy, commandProtocols, portForwardProtocols } from './spdy/accept-spdy.ts';
import { spdyCommandClient } from './spdy/command-client.ts';
import { serveSpdyPortForward } from './spdy/serve-port-forward.ts';
import { listOf, refuse, type Upgrade } from './upgrade.ts';

export interface Serving {
  readonly offer: StreamOffer;
  readonly session: Session;
  readonly conversations: Conversations;
  readonly handshakeTimeoutMs: number;
}

/** Does what the offer says with a client that has come for it, to its end. */
export async function serve(serving: Serving, upgrade: Upgrade): Promise<void> {
  const { offer, session, conversations } = serving;
  const transport = transportOf(upgrade);
  session.note({ transport: transport ?? 'none' });
  if (transport === undefined) {
    session.note({ end: 'it asked for another protocol' });
    refuse(upgrade, 400, 'this is for SPDY/3.1 or a WebSocket: the request asks for another upgrade');
    return;
  }
  if (offer.kind === 'portforward') {
    const accepted = await servePortForward[transport](serving, upgrade, offer.request);
    if (!accepted) session.note({ end: 'the handshake failed' });
    return;
  }
  const client = await commandClient[transport](serving, upgrade, offer.request);
  if (client === undefined) session.note({ end: 'the handshake failed' });
  else if (offer.kind === 'exec') await runExec(conversations, session, client, offer.request);
  else await runAttach(conversations, session, client, offer.request);
}

type Transport = 'spdy' | 'websocket';

function transportOf({ request }: Upgrade): Transport | undefined {
  const wanted = listOf(request.headers.upgrade).map((name) => name.toLowerCase());
  if (wanted.includes('websocket')) return 'websocket';
  return wanted.includes('spdy/3.1') ? 'spdy' : undefined;
}

/** What ws costs at start is for those who use it. */
const webSockets = {
  protocols: () => import('./websocket/protocols.ts'),
  accept: () => import('./websocket/accept-websocket.ts'),
  command: () => import('./websocket/command-client.ts'),
  portForward: () => import('./websocket/serve-port-forward.ts'),
  tunnel: () => import('./websocket/tunnel.ts'),
};

const commandClient: Readonly<
  Record<
    Transport,
    (serving: Serving, upgrade: Upgrade, request: ExecRequest | AttachRequest) => Promise<CommandClient | undefined>
  >
> = {
  spdy: async ({ session, handshakeTimeoutMs }, upgrade, request) => {
    const accepted = acceptSpdy(upgrade, commandProtocols);
    if (accepted === undefined) return undefined;
    try {
      return await spdyCommandClient({ ...accepted, session, streams: request, timeoutMs: handshakeTimeoutMs });
    } catch (error) {
      session.ctx.log.debug({ err: error }, 'the client did not open its streams');
      session.note({ reason: messageOf(error) });
      return undefined;
    }
  },
  websocket: async ({ session }, upgrade, request) => {
    const [{ commandProtocols: protocols }, { acceptWebSocket }, { webSocketCommandClient }] = await Promise.all([
      webSockets.protocols(),
      webSockets.accept(),
      webSockets.command(),
    ]);
    const accepted = await acceptWebSocket(upgrade, [...protocols.keys()]);
    const protocol = accepted && protocols.get(accepted.protocol);
    return protocol && webSocketCommandClient({ socket: accepted.socket, protocol, session, streams: request });
  },
};

/** False: there was nothing to serve. */
const servePortForward: Readonly<
  Record<Transport, (serving: Serving, upgrade: Upgrade, request: PortForwardRequest) => Promise<boolean>>
> = {
  spdy: async (serving, upgrade, request) => {
    const accepted = acceptSpdy(upgrade, portForwardProtocols);
    if (accepted === undefined) return false;
    await serveSpdyPortForward({ ...forwardOptions(serving, request), socket: accepted.socket });
    return true;
  },
  websocket: async (serving, upgrade, request) => {
    // All before the socket is ours: nobody would see it close while something is loaded.
    const [{ tunnelProtocol, portProtocols }, { acceptWebSocket }, { servePortForwardChannels }, { WebSocketTunnel }] =
      await Promise.all([webSockets.protocols(), webSockets.accept(), webSockets.portForward(), webSockets.tunnel()]);
    const ports = request.ports.length > 0 ? request.ports : portsOf(upgrade);
    // Without ports there is nothing to do in the old form.
    const accepted = await acceptWebSocket(upgrade, [
      tunnelProtocol,
      ...(ports.length > 0 ? portProtocols.keys() : []),
    ]);
    if (accepted === undefined) return false;
    const options = forwardOptions(serving, request);
    const protocol = portProtocols.get(accepted.protocol);
    if (protocol === undefined) {
      await serveSpdyPortForward({ ...options, socket: new WebSocketTunnel(accepted.socket) });
    } else {
      await servePortForwardChannels({ ...options, socket: accepted.socket, protocol, ports });
    }
    return true;
  },
};

function forwardOptions({ session, conversations, handshakeTimeoutMs }: Serving, { podId }: PortForwardRequest) {
  return {
    session,
    timeoutMs: handshakeTimeoutMs,
    dial: (...[ctx, port]: [Parameters<Conversations['dialPod']>[0], number]) =>
      conversations.dialPod(ctx, podId, port),
  };
}

const queryPorts = 64;

/** `?port=80&port=443`, or with commas; what is none is left out. */
function portsOf({ request }: Upgrade): readonly number[] {
  const query = new URLSearchParams(request.url?.split('?', 2)[1] ?? '');
  return query
    .getAll('port')
    .flatMap((list) => list.split(','))
    .filter((text) => /^[1-9][0-9]{0,4}$/.test(text) && Number(text) <= 65_535)
    .slice(0, queryPorts)
    .map(Number);
}
