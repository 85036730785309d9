import { finished } from 'node:stream/promises';
import type { Duplex } from 'node:stream';
import { Deadline, raceSignal } from '#base/deadline';
import { BerthError } from '#base/errors';
import type { CommandClient } from '../remote-command.ts';
import { statusJson, statusText, type Outcome } from '../outcome.ts';
import type { Session } from '../sessions.ts';
import type { CommandProtocol } from './accept-spdy.ts';
import { SpdyConnection } from './spdy-connection.ts';
import type { SpdyStream } from './spdy-stream.ts';

export interface CommandClientOptions {
  readonly session: Session;
  readonly socket: Duplex;
  readonly protocol: CommandProtocol;
  readonly streams: {
    readonly stdin: boolean;
    readonly stdout: boolean;
    readonly stderr: boolean;
    readonly tty: boolean;
  };
  /** For the client to open them. */
  readonly timeoutMs: number;
}

const names = ['error', 'stdin', 'stdout', 'stderr', 'resize'] as const;
type StreamName = (typeof names)[number];

const streamBuffer = 256 * 1024;

/**
 * A client of exec or attach over SPDY: each of its streams is a stream of the connection, named by a header.
 *
 * @throws DEADLINE_EXCEEDED when it does not open what it asked for, CANCELLED when it leaves before
 */
export async function spdyCommandClient(options: CommandClientOptions): Promise<CommandClient> {
  const { session, socket, protocol, timeoutMs } = options;
  const opened = new Map<StreamName, SpdyStream>();
  const complete = Promise.withResolvers<void>();
  const expected = expectedStreams(options);
  const connection = new SpdyConnection({
    socket,
    meter: session,
    maxStreams: names.length,
    streamBuffer,
    onStream: (stream) => {
      const name = names.find((one) => one === stream.headers.get('streamtype'));
      if (name === undefined || opened.has(name)) return false;
      opened.set(name, stream);
      // What the client says where it only has to listen is nobody's.
      if (name !== 'stdin' && name !== 'resize') stream.resume();
      if (expected.every((one) => opened.has(one))) complete.resolve();
      return true;
    },
  });
  try {
    using deadline = new Deadline(timeoutMs, `waiting for the client to open ${expected.join(', ')}`, session.signal);
    const left = connection.closed.then((reason) => {
      throw new BerthError('CANCELLED', reason);
    });
    await raceSignal(Promise.race([complete.promise, left]), deadline.signal);
  } catch (error) {
    await connection.close();
    throw error;
  }
  return {
    stdin: opened.get('stdin'),
    stdout: opened.get('stdout'),
    stderr: opened.get('stderr'),
    resize: opened.get('resize'),
    gone: connection.closed,
    finish: async (outcome) => {
      await finish(opened, statusOf(protocol, outcome));
      await connection.close();
    },
  };
}

function expectedStreams({ streams, protocol }: CommandClientOptions): readonly StreamName[] {
  const { stdin, stdout, stderr, tty } = streams;
  const resizes = protocol === 'v4.channel.k8s.io' || protocol === 'v3.channel.k8s.io';
  const wanted = { error: true, stdin, stdout, stderr, resize: tty && resizes };
  return names.filter((name) => wanted[name]);
}

function statusOf(protocol: CommandProtocol, outcome: Outcome): string {
  return protocol === 'v4.channel.k8s.io' ? statusJson(outcome) : statusText(outcome);
}

/** The output to its end, then the status; the client waits for the end of each stream, stdin's too. */
async function finish(opened: ReadonlyMap<StreamName, SpdyStream>, status: string): Promise<void> {
  const end = async (stream: SpdyStream | undefined, text = ''): Promise<void> => {
    if (stream === undefined || stream.destroyed) return;
    if (!stream.writableEnded) stream.end(text);
    await finished(stream, { readable: false }).catch(() => undefined);
  };
  await Promise.all([end(opened.get('stdout')), end(opened.get('stderr'))]);
  await end(opened.get('error'), status);
  await Promise.all([end(opened.get('stdin')), end(opened.get('resize'))]);
}
