import type { WebSocket } from 'ws';
import { BerthError } from '#base/errors';
import { ExitWith } from './failure.ts';
import { DetachKeys, RawTerminal } from './terminal.ts';

export interface StreamChoice {
  /** Hand over standard input, to its end. */
  readonly stdin: boolean;
  readonly tty: boolean;
}

const channels = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;
const longestStatus = 64 * 1024;

/**
 * Joins this command's terminal, or its standard streams, with the stream at the URL that Exec or Attach gave. Gives the
 * exit code; undefined when the user detached.
 *
 * @throws START_ERROR with berthd's words when there was nothing to join, UNAVAILABLE when the connection broke
 */
export async function converse(url: string, { stdin, tty }: StreamChoice): Promise<number | undefined> {
  const socket = await connect(url);
  using _connection = { [Symbol.dispose]: () => socket.terminate() };
  using _terminal = tty ? beginTerminal(socket) : undefined;
  using signals = new EndingSignals(() => socket.terminate());
  const status: Buffer[] = [];
  socket.on('message', (data) => {
    const message = data as Buffer;
    const bytes = message.subarray(1);
    if (message[0] === channels.stdout) show(socket, process.stdout, bytes);
    else if (message[0] === channels.stderr) show(socket, process.stderr, bytes);
    else if (message[0] === channels.error && bytes.length < longestStatus) status.push(bytes);
  });
  let detached = false;
  const leave = (): void => {
    detached = true;
    socket.close(1000);
  };
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  if (stdin) sendInput(socket, tty ? new DetachKeys() : undefined, leave).catch(leave);
  await closed;
  // An input that nobody reads any more would keep this command alive.
  if (stdin) process.stdin.destroy();
  if (signals.caught !== undefined) throw new ExitWith(128 + signals.caught);
  if (detached) return undefined;
  return exitCodeOf(Buffer.concat(status).toString());
}

async function connect(url: string): Promise<WebSocket> {
  // Only those who need it pay for it.
  const { WebSocket } = await import('ws');
  // The URL came over berthd's own socket; its certificate is for others.
  const socket = new WebSocket(url.replace(/^http/, 'ws'), 'v5.channel.k8s.io', {
    perMessageDeflate: false,
    rejectUnauthorized: false,
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('open', () => resolve());
    socket.once('error', (error) =>
      reject(new BerthError('UNAVAILABLE', `connect to ${new URL(url).host}: ${error.message}`, { cause: error })),
    );
  });
  socket.on('error', () => undefined);
  return socket;
}

function beginTerminal(socket: WebSocket): RawTerminal {
  const terminal = new RawTerminal(({ columns, rows }) => {
    send(socket, channels.resize, Buffer.from(JSON.stringify({ Width: columns, Height: rows })));
  });
  terminal.announce();
  return terminal;
}

/** No faster than whoever reads our output. */
function show(socket: WebSocket, output: NodeJS.WriteStream, bytes: Buffer): void {
  if (bytes.length === 0 || output.write(bytes)) return;
  socket.pause();
  output.once('drain', () => socket.resume());
}

/** No faster than the process reads. */
async function sendInput(socket: WebSocket, keys: DetachKeys | undefined, leave: () => void): Promise<void> {
  try {
    for await (const typed of process.stdin as AsyncIterable<Buffer>) {
      const bytes = keys ? keys.filter(typed) : typed;
      if (bytes === undefined) {
        leave();
        return;
      }
      if (bytes.length > 0) await new Promise<void>((resolve) => send(socket, channels.stdin, bytes, resolve));
    }
  } catch {
    // Destroyed because the other side has ended, or not readable: then there is no more of it.
  }
  socket.send(Buffer.of(channels.close, channels.stdin), () => undefined);
}

function send(socket: WebSocket, channel: number, bytes: Buffer, done: () => void = () => undefined): void {
  socket.send(Buffer.concat([Buffer.of(channel), bytes]), () => done());
}

interface Status {
  readonly status?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: { readonly causes?: readonly { readonly reason?: string; readonly message?: string }[] };
}

function exitCodeOf(text: string): number {
  if (text === '') throw new BerthError('UNAVAILABLE', 'the connection broke before the end; the process may go on');
  const { status, reason, message = '', details } = JSON.parse(text) as Status;
  if (status === 'Success') return 0;
  const code = Number(details?.causes?.find((cause) => cause.reason === 'ExitCode')?.message);
  if (reason === 'NonZeroExitCode' && Number.isInteger(code)) return code & 0xff;
  throw new BerthError('START_ERROR', message, Number.isInteger(code) ? { details: { exitCode: code } } : {});
}

const endingSignals = { SIGHUP: 1, SIGTERM: 15 } as const;

/** Ends the conversation at a signal, so that the terminal is given back. */
class EndingSignals implements Disposable {
  caught: number | undefined;
  readonly #listeners: readonly (readonly [NodeJS.Signals, () => void])[];

  constructor(end: () => void) {
    this.#listeners = Object.entries(endingSignals).map(([name, number]) => {
      const listener = (): void => {
        this.caught = number;
        end();
      };
      process.on(name as NodeJS.Signals, listener);
      return [name as NodeJS.Signals, listener];
    });
  }

  [Symbol.dispose](): void {
    for (const [name, listener] of this.#listeners) process.off(name, listener);
  }
}
