import { finished } from 'node:stream/promises';
import type { WebSocket } from 'ws';
import { statusJson, statusText } from '../outcome.ts';
import type { CommandClient } from '../remote-command.ts';
import type { Session } from '../sessions.ts';
import { type Channel, WebSocketChannels } from './channels.ts';
import type { ChannelProtocol } from './protocols.ts';

export interface WebSocketCommandOptions {
  readonly session: Session;
  readonly socket: WebSocket;
  readonly protocol: ChannelProtocol;
  readonly streams: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean };
}

const channelNumbers = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const;

/** A client of exec or attach over a WebSocket: each of its streams has a number. */
export function webSocketCommandClient({ session, socket, protocol, streams }: WebSocketCommandOptions): CommandClient {
  const channels = new WebSocketChannels({ socket, meter: session, protocol });
  const open = (name: keyof typeof channelNumbers): Channel => channels.open(channelNumbers[name]);
  const stdin = streams.stdin ? open('stdin') : undefined;
  const stdout = streams.stdout ? open('stdout') : undefined;
  const stderr = streams.stderr ? open('stderr') : undefined;
  const error = open('error');
  const resize = open('resize');
  for (const output of [stdout, stderr, error]) output?.resume();
  // Says that the connection stands, as clients expect.
  (stdout ?? stderr ?? error).write(Buffer.alloc(0));
  channels.start();
  return {
    ...{ stdin, stdout, stderr, resize },
    gone: channels.closed,
    finish: async (outcome) => {
      await Promise.all([end(stdout), end(stderr)]);
      await end(error, protocol.status === 'json' ? statusJson(outcome) : statusText(outcome));
      await channels.close();
    },
  };
}

async function end(channel: Channel | undefined, text = ''): Promise<void> {
  if (channel === undefined || channel.destroyed) return;
  // The end of an empty text would be a message of its own.
  if (!channel.writableEnded) channel.end(text === '' ? undefined : text);
  await finished(channel, { readable: false }).catch(() => undefined);
}
