import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Ctx } from '#base/ctx';
import { raceSignal } from '#base/deadline';
import { messageOf } from '#base/errors';
import { forward } from '../port-forward.ts';
import type { Session } from '../sessions.ts';
import { WebSocketChannels } from './channels.ts';
import type { ChannelProtocol } from './protocols.ts';

export interface PortForwardChannelsOptions {
  readonly session: Session;
  readonly socket: WebSocket;
  readonly protocol: ChannelProtocol;
  readonly ports: readonly number[];
  readonly dial: (ctx: Ctx, port: number) => Promise<Duplex>;
}

/**
 * The form that predates SPDY in a WebSocket: for each port that the request names a channel of data and one of errors,
 * whose first message is the port. Ends with the last of them. Never fails.
 */
export async function servePortForwardChannels(options: PortForwardChannelsOptions): Promise<void> {
  const { session, socket, protocol, ports, dial } = options;
  const channels = new WebSocketChannels({ socket, meter: session, protocol });
  const forwards = ports.map(async (port, index) => {
    const data = channels.open(2 * index);
    const error = channels.open(2 * index + 1);
    error.resume();
    const hello = Buffer.alloc(2);
    hello.writeUInt16LE(port);
    data.write(hello);
    error.write(hello);
    await forward(session.ctx, { port, data, error, dial });
  });
  channels.start();
  session.note({ forwards: ports.length });
  try {
    const done = Promise.all(forwards).then(() => 'all connections have ended');
    session.note({ end: await raceSignal(Promise.race([done, channels.closed]), session.signal) });
  } catch (reason) {
    session.note({ end: messageOf(reason) });
  }
  await channels.close();
}
