import { chmod, lstat, unlink } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import type { Clock } from '#base/clock';
import { BerthError, errnoOf, toBerthError } from '#base/errors';
import type { Logger } from '#base/log';
import { makeDirectories } from '#base/make-directories';
import { OnceAMinute } from '#base/once-a-minute';
import { listenBacklog } from './bounded-connections.ts';

/** The kernel has 108 bytes for the path and its closing zero; libuv would cut a longer one without a word. */
const longestPath = 107;

export interface UnixListenerOptions {
  readonly path: string;
  /** All that are open: those beyond it are dropped without a word. */
  readonly maxConnections: number;
  readonly clock: Clock;
  /** Whether this connection's peer may talk to us; its credentials are the kernel's, not its own claim. */
  readonly allowPeer: (socket: net.Socket) => boolean;
  readonly onConnection: (socket: net.Socket) => void;
  readonly log: Logger;
}

/** Listens on a unix socket that only its owner reaches. */
export class UnixListener {
  readonly #server: net.Server;
  readonly #options: UnixListenerOptions;

  private constructor(server: net.Server, options: UnixListenerOptions) {
    this.#server = server;
    this.#options = options;
  }

  /**
   * Makes the directory (0700) if it is missing, removes the socket a dead process left, and listens (0600).
   *
   * @throws STATE_LOCKED when somebody answers on that socket; CONFIG_INVALID when the path cannot be one
   */
  static async open(options: UnixListenerOptions): Promise<UnixListener> {
    const { path: file, log } = options;
    checkLength(file);
    try {
      await makeDirectories(path.dirname(file), 0o700);
      await removeStale(file);
    } catch (error) {
      throw toBerthError(error, `prepare the socket ${file}`);
    }
    const server = net.createServer((socket) => accept(socket, options));
    server.maxConnections = options.maxConnections;
    const dropped = new OnceAMinute(options.clock);
    server.on('drop', () =>
      dropped.say((times) =>
        log.warn(
          { socket: file, max: options.maxConnections, times },
          'too many connections: dropped without an answer',
        ),
      ),
    );
    await listen(server, file);
    // Out of descriptors or memory it cannot take a connection; the next one it can.
    const notTaken = new OnceAMinute(options.clock);
    server.on('error', (err) =>
      notTaken.say((times) => log.error({ socket: file, err, times }, 'connections could not be taken')),
    );
    // The umask has made it so already; this is for file systems with default ACLs.
    await chmod(file, 0o600);
    return new UnixListener(server, options);
  }

  /** Takes no new connection and removes the socket; connections that are open stay. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    // Node removes the socket's path itself when it closes the server.
    this.#server.close();
    this.#options.log.debug({ socket: this.#options.path }, 'socket closed');
  }
}

function checkLength(file: string): void {
  const bytes = Buffer.byteLength(file);
  if (bytes <= longestPath) return;
  throw new BerthError('CONFIG_INVALID', `socket path ${file} has ${bytes} bytes; at most ${longestPath} are possible`);
}

async function removeStale(file: string): Promise<void> {
  try {
    const stat = await lstat(file);
    if (!stat.isSocket()) throw new BerthError('CONFIG_INVALID', `${file} is there and is not a socket: remove it`);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  if (await answers(file)) {
    throw new BerthError('STATE_LOCKED', `another process listens on ${file}: is berthd running already?`);
  }
  await unlink(file);
}

function answers(file: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = net.connect(file);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error) => {
      const errno = errnoOf(error);
      if (errno === 'ECONNREFUSED' || errno === 'ENOENT') resolve(false);
      // Its queue is full: somebody is there.
      else if (errno === 'EAGAIN') resolve(true);
      else reject(error);
    });
  });
}

function listen(server: net.Server, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(toBerthError(error, `listen on ${file}`)));
    server.once('listening', () => {
      server.removeAllListeners('error');
      resolve();
    });
    // bind(2) happens within listen(): the socket is never open to others, not even for a moment.
    const before = process.umask(0o077);
    try {
      server.listen({ path: file, backlog: listenBacklog });
    } finally {
      process.umask(before);
    }
  });
}

function accept(socket: net.Socket, { allowPeer, onConnection, log, path: file }: UnixListenerOptions): void {
  // An error ends this connection, and only this one; who uses it sees its close.
  socket.on('error', (error) => log.debug({ socket: file, err: error }, 'connection failed'));
  try {
    if (allowPeer(socket)) {
      onConnection(socket);
      return;
    }
    log.warn({ socket: file }, 'a peer that is not allowed here was cut');
  } catch (err) {
    // It may be gone again before we could ask who it is.
    log.warn({ socket: file, err }, 'a connection could not be accepted');
  }
  socket.destroy();
}
