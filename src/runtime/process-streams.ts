import { Socket } from 'node:net';
import { Readable, Writable } from 'node:stream';
import type { Addon } from '#linux/addon';
import { Fd } from '#linux/fd';
import type { ProcessStreams, StreamChoice } from './streams.ts';

const bufferBytes = 64 * 1024;

/** What a pipe can hold at most: more than this after its writer has ended was written by somebody else. */
const pipeBytes = 1024 * 1024;

/**
 * The pipes between berthd and a process, both ends until the shim has the process's. What was not asked for is
 * /dev/null there and undefined here.
 */
export class StreamPipes implements ProcessStreams, Disposable {
  readonly stdin: Input | undefined;
  readonly stdout: Output | undefined;
  readonly stderr: Output | undefined;
  readonly #devNull: number;
  readonly #remote: (Fd | undefined)[] = [undefined, undefined, undefined];

  constructor(addon: Addon, choice: StreamChoice, devNull: number) {
    this.#devNull = devNull;
    const own = (fd: number): Fd => new Fd(fd, (number) => addon.close(number));
    const input = (): Input => {
      const { read, write } = addon.pipe();
      this.#remote[0] = own(read);
      return new Input(write);
    };
    const output = (at: 1 | 2): Output => {
      const { read, write } = addon.pipe();
      this.#remote[at] = own(write);
      return new Output(read);
    };
    try {
      this.stdin = choice.stdin ? input() : undefined;
      this.stdout = choice.stdout ? output(1) : undefined;
      this.stderr = choice.stderr && !choice.tty ? output(2) : undefined;
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** stdin, stdout and stderr as the process gets them, lent. */
  remoteEnds(): number[] {
    return this.#remote.map((fd) => fd?.number ?? this.#devNull);
  }

  /** The shim has them now: without this nobody would see the end of the output. */
  closeRemoteEnds(): void {
    for (const fd of this.#remote) fd?.[Symbol.dispose]();
  }

  /** The process has ended: so does its output, when nothing has come for `idleMs` although it could. */
  drain(idleMs: number): void {
    for (const output of [this.stdout, this.stderr]) output?.drain(idleMs);
  }

  /** When all output has been read from the pipes, or nobody wants it any more. */
  async ended(): Promise<void> {
    await Promise.all([this.stdout?.whenGone, this.stderr?.whenGone]);
  }

  [Symbol.dispose](): void {
    this.closeRemoteEnds();
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream?.destroy();
  }
}

/** The write end of a process's stdin. A reader that is gone is no error but the stream's end. */
class Input extends Writable {
  readonly #socket: Socket;

  constructor(fd: number) {
    super({ highWaterMark: bufferBytes });
    this.#socket = new Socket({ fd, readable: false, writable: true });
    this.#socket.on('error', () => this.destroy());
    this.#socket.on('close', () => this.destroy());
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, (error) => {
      if (!error) done();
    });
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}

/** The read end of a process's output. */
class Output extends Readable {
  readonly whenGone: Promise<void>;
  readonly #socket: Socket;
  #drainMs = 0;
  #drained = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(fd: number) {
    super({ highWaterMark: bufferBytes });
    const socket = new Socket({ fd, readable: true, writable: false });
    this.#socket = socket;
    this.whenGone = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.pause();
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('close', () => this.#end());
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#timer);
    this.#socket.destroy();
    done(error);
  }

  /** A child that the process left behind may hold the pipe for ever (CVE-2026-53495). */
  drain(idleMs: number): void {
    if (this.destroyed || this.#socket.destroyed) return;
    this.#drainMs = idleMs;
    this.#watchIdle();
  }

  #onData(chunk: Buffer): void {
    if (this.#drainMs > 0) {
      this.#drained += chunk.length;
      this.#watchIdle();
    }
    if (!this.push(chunk)) this.#socket.pause();
    if (this.#drained > pipeBytes) this.#socket.destroy();
  }

  #watchIdle(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      // Whoever reads slowly has not had all of it yet.
      if (this.#socket.isPaused()) this.#watchIdle();
      else this.#socket.destroy();
    }, this.#drainMs);
  }

  #end(): void {
    clearTimeout(this.#timer);
    this.push(null);
  }
}
