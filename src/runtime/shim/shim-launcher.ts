import { constants } from 'node:fs';
import { Socket } from 'node:net';
import { BerthError, errnoOf, messageOf } from '#base/errors';
import type { Addon } from '#linux/addon';
import { connectSocket } from '#linux/connect-socket';
import { Fd } from '#linux/fd';
import { headerBytes } from './frame.ts';
import { shimLog, shimSocket } from './pod-directory.ts';

const backlog = 128;
/** What goes into a socket's buffer at once, whatever net.core.wmem_max says. */
const sentAtOnce = 64 * 1024;

/** Starts shim processes and connects to them. */
export class ShimLauncher implements Disposable {
  readonly #addon: Addon;
  readonly #binary: string;
  /** A detached read-only mount of the binary: no container can write to it through /proc/<pid>/exe (CVE-2019-5736). */
  readonly #executable: Fd;
  readonly #devNull: Fd;

  constructor(addon: Addon, binary: string) {
    this.#addon = addon;
    this.#binary = binary;
    this.#executable = this.#own(addon.cloneExecutable(binary));
    this.#devNull = this.#own(addon.open('/dev/null', constants.O_RDWR, 0));
  }

  /** A descriptor of /dev/null, lent. */
  get devNull(): number {
    return this.#devNull.number;
  }

  /**
   * Starts a shim for the pod whose directory this is. The socket listens before the shim exists, so that connecting
   * needs no waiting; a shim that fails at once closes it.
   */
  start(podId: string, directory: Fd, netns: Fd | undefined): void {
    using listener = this.#own(this.#addon.listenUnix(directory.number, shimSocket, backlog));
    const logFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;
    using log = this.#own(this.#addon.open(`/proc/self/fd/${directory.number}/${shimLog}`, logFlags, 0o600));
    const { pidfd } = this.#addon.spawn({
      path: this.#binary,
      executableFd: this.#executable.number,
      argv: ['berth-shim', podId],
      env: [],
      cwdFd: directory.number,
      fds: [this.#devNull.number, log.number, log.number, listener.number, directory.number, netns?.number ?? null],
    });
    // The process we started ends at once: the shim is its child, adopted by init.
    void this.#addon.waitPidfd(pidfd).then(
      () => this.#addon.close(pidfd),
      () => this.#addon.close(pidfd),
    );
  }

  /** Connects to the shim in this directory. Throws SHIM_DIED when nobody listens, RESOURCE_EXHAUSTED as below. */
  connect(podId: string, directory: Fd): Socket {
    try {
      return connectSocket(this.#addon, directory.number, shimSocket);
    } catch (cause) {
      throw notConnected(podId, cause);
    }
  }

  /** A connection whose only request (in `frame`) carries file descriptors, which stay ours. */
  connectWith(podId: string, directory: Fd, frame: Uint8Array, fds: readonly number[]): Socket {
    try {
      // The descriptors belong to the first byte; what may not fit behind it follows as the shim reads.
      const first = frame.length > sentAtOnce ? frame.subarray(0, headerBytes) : frame;
      const fd = this.#addon.connectUnixWithFds(directory.number, shimSocket, first, fds);
      const socket = new Socket({ fd, readable: true, writable: true });
      if (first.length < frame.length) socket.write(frame.subarray(first.length));
      return socket;
    } catch (cause) {
      throw notConnected(podId, cause);
    }
  }

  [Symbol.dispose](): void {
    this.#executable[Symbol.dispose]();
    this.#devNull[Symbol.dispose]();
  }

  #own(fd: number): Fd {
    return new Fd(fd, (number) => this.#addon.close(number));
  }
}

const queueFull = new Set(['EAGAIN', 'EWOULDBLOCK']);
const berthdIsFull = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS', 'EMSGSIZE']);

/** Only who does not listen is gone. */
function notConnected(podId: string, cause: unknown): BerthError {
  const errno = errnoOf(cause) ?? '';
  if (queueFull.has(errno)) {
    const waiting = `${backlog} connections wait for the shim of pod ${podId}, which is the limit: try again`;
    return new BerthError('RESOURCE_EXHAUSTED', waiting, { cause, details: { errno } });
  }
  if (berthdIsFull.has(errno)) {
    const why = `cannot speak to the shim of pod ${podId}: ${messageOf(cause)}`;
    return new BerthError('RESOURCE_EXHAUSTED', why, { cause, details: { errno } });
  }
  return new BerthError('SHIM_DIED', `the shim of pod ${podId} does not answer`, { cause });
}
