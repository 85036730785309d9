import type { Duplex } from 'node:stream';
import type { Ctx } from '#base/ctx';
import { raceSignal } from '#base/deadline';
import { messageOf } from '#base/errors';
import { unattended } from '#base/unattended';
import { isPort } from '#sandbox/port-forward';
import { forward } from '../port-forward.ts';
import type { Session } from '../sessions.ts';
import { SpdyConnection } from './spdy-connection.ts';
import type { SpdyStream } from './spdy-stream.ts';

export interface PortForwardOptions {
  readonly session: Session;
  /** The socket after its upgrade, or what carries SPDY in its place. */
  readonly socket: Duplex;
  readonly dial: (ctx: Ctx, port: number) => Promise<Duplex>;
  /** For the second stream of a pair. */
  readonly timeoutMs: number;
}

/** Connections of the client’s users at a time; each is a pair of streams that may hold a full buffer: 64 MiB at most. */
const maxPairs = 256;
/** A stream whose pod does not read stops all streams of its client when this is full. */
const streamBuffer = 256 * 1024;

/** Forwards ports for one client until it leaves, or berthd wants an end. Never fails. */
export async function serveSpdyPortForward(options: PortForwardOptions): Promise<void> {
  const { session, socket } = options;
  const pairs = new Pairs(options);
  const connection = new SpdyConnection({
    socket,
    meter: session,
    maxStreams: 2 * maxPairs,
    streamBuffer,
    onStream: (stream) => pairs.add(stream),
  });
  try {
    session.note({ end: await raceSignal(connection.closed, session.signal) });
  } catch (reason) {
    session.note({ end: messageOf(reason) });
    await connection.close();
  }
  pairs[Symbol.dispose]();
  session.note({ forwards: pairs.served });
}

interface Half {
  readonly stream: SpdyStream;
  readonly timer: NodeJS.Timeout;
}

/** Puts the two streams of each connection together: one for data, one for what went wrong. */
class Pairs implements Disposable {
  readonly #options: PortForwardOptions;
  /** Streams without their other half, by request. */
  readonly #halves = new Map<string, Half>();
  served = 0;

  constructor(options: PortForwardOptions) {
    this.#options = options;
  }

  /** False: not a stream of a forward. */
  add(stream: SpdyStream): boolean {
    const type = typeOf(stream);
    const request = type && requestOf(stream, type);
    if (request === undefined || portOf(stream) === undefined) return false;
    const half = this.#halves.get(request);
    if (half === undefined) {
      this.#wait(request, stream);
      return true;
    }
    if (typeOf(half.stream) === type) return false;
    clearTimeout(half.timer);
    this.#halves.delete(request);
    if (type === 'data') this.#begin(stream, half.stream);
    else this.#begin(half.stream, stream);
    return true;
  }

  [Symbol.dispose](): void {
    for (const { timer } of this.#halves.values()) clearTimeout(timer);
    this.#halves.clear();
  }

  #wait(request: string, stream: SpdyStream): void {
    const { timeoutMs } = this.#options;
    const timer = setTimeout(() => {
      this.#halves.delete(request);
      if (typeOf(stream) === 'error')
        stream.end(`the other stream of request ${request} did not come in ${timeoutMs} ms`);
      else stream.destroy();
    }, timeoutMs);
    this.#halves.set(request, { stream, timer });
    stream.once('close', () => {
      if (this.#halves.get(request)?.stream !== stream) return;
      clearTimeout(timer);
      this.#halves.delete(request);
    });
  }

  #begin(data: SpdyStream, error: SpdyStream): void {
    const { session, dial } = this.#options;
    const port = portOf(data);
    if (port === undefined) return;
    this.served += 1;
    // The client has nothing to say on it.
    error.resume();
    unattended(session.ctx.log, `forwarding port ${port}`, forward(session.ctx, { port, data, error, dial }));
  }
}

function typeOf(stream: SpdyStream): 'data' | 'error' | undefined {
  const type = stream.headers.get('streamtype');
  return type === 'data' || type === 'error' ? type : undefined;
}

function portOf(stream: SpdyStream): number | undefined {
  const text = stream.headers.get('port') ?? '';
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  return isPort(port) ? port : undefined;
}

/** Old clients do not number their requests; they open the error stream first, and the data stream right after it. */
function requestOf(stream: SpdyStream, type: 'data' | 'error'): string {
  return stream.headers.get('requestid') ?? `stream ${type === 'error' ? stream.id : stream.id - 2}`;
}
