import { duplexPair, PassThrough, type Duplex } from 'node:stream';
import { BerthError } from '#base/errors';
import type {
  Attachment,
  AttachOptions,
  ExecOptions,
  ProcessStreams,
  RunningExec,
  StreamChoice,
  TerminalSize,
} from './streams.ts';

/** The process's side of a conversation, for a test to play. */
export class FakeProcess {
  readonly containerId: string;
  readonly options: StreamChoice & Partial<ExecOptions>;
  readonly stdin: PassThrough | undefined;
  readonly stdout: PassThrough | undefined;
  readonly stderr: PassThrough | undefined;
  readonly sizes: TerminalSize[] = [];
  disposed = false;
  killed = false;

  constructor(containerId: string, options: StreamChoice & Partial<ExecOptions>) {
    this.containerId = containerId;
    this.options = options;
    this.stdin = options.stdin ? new PassThrough() : undefined;
    this.stdout = options.stdout ? new PassThrough() : undefined;
    this.stderr = options.stderr && !options.tty ? new PassThrough() : undefined;
  }

  get streams(): ProcessStreams {
    return { stdin: this.stdin, stdout: this.stdout, stderr: this.stderr };
  }

  /** Ends both outputs, as the end of the last process that holds them does. */
  endOutput(): void {
    this.stdout?.end();
    this.stderr?.end();
  }

  dispose(): void {
    this.disposed = true;
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream?.destroy();
  }

  protected resize(size: TerminalSize): void {
    if (this.options.tty) this.sizes.push(size);
  }
}

const gone = (): BerthError => new BerthError('SHIM_DIED', 'the shim is gone');

export class FakeExec extends FakeProcess {
  readonly #exited = Promise.withResolvers<{ readonly exitCode: number }>();

  /** Ends it with its output; `leaveOutput`: a child of it holds on to that. */
  exit(exitCode: number, options: { readonly leaveOutput?: boolean } = {}): void {
    this.#exited.resolve({ exitCode });
    if (!options.leaveOutput) this.endOutput();
  }

  loseShim(): void {
    this.#exited.reject(gone());
  }

  /** Its container has ended, and all its processes. */
  containerEnded(): void {
    this.exit(137);
  }

  override dispose(): void {
    super.dispose();
    this.loseShim();
  }

  handle(): RunningExec {
    this.#exited.promise.catch(() => undefined);
    return {
      streams: this.streams,
      exited: this.#exited.promise,
      resize: async (size) => this.resize(size),
      kill: async () => {
        this.killed = true;
        this.exit(137);
      },
      [Symbol.asyncDispose]: async () => this.dispose(),
    };
  }
}

export class FakeAttachment extends FakeProcess {
  readonly #ended = Promise.withResolvers<{ readonly slow: boolean }>();

  end(slow = false): void {
    this.#ended.resolve({ slow });
    this.endOutput();
  }

  loseShim(): void {
    this.#ended.reject(gone());
  }

  containerEnded(): void {
    this.end();
  }

  override dispose(): void {
    super.dispose();
    this.loseShim();
  }

  handle(): Attachment {
    this.#ended.promise.catch(() => undefined);
    return {
      streams: this.streams,
      ended: this.#ended.promise,
      resize: async (size) => this.resize(size),
      [Symbol.asyncDispose]: async () => this.dispose(),
    };
  }
}

/** Processes and listeners that a test plays. */
export class FakeStreams {
  /** Every exec and attachment there ever was. */
  readonly execs: FakeExec[] = [];
  readonly attachments: FakeAttachment[] = [];
  /** Who listens in pods, by port: is given the server's end of each connection. */
  readonly listeners = new Map<number, (socket: Duplex) => void>();
  /** The clients' ends of all connections. */
  readonly connections: Duplex[] = [];
  /** Plays each exec from its start. */
  onExec: (exec: FakeExec) => void = () => undefined;
  onAttach: (attachment: FakeAttachment) => void = () => undefined;

  exec(containerId: string, options: ExecOptions): FakeExec {
    const exec = new FakeExec(containerId, options);
    this.execs.push(exec);
    this.onExec(exec);
    return exec;
  }

  attach(containerId: string, options: AttachOptions): FakeAttachment {
    const attachment = new FakeAttachment(containerId, options);
    this.attachments.push(attachment);
    this.onAttach(attachment);
    return attachment;
  }

  dial(podId: string, port: number): Duplex {
    const listener = this.listeners.get(port);
    if (!listener) throw new BerthError('UNAVAILABLE', `nobody listens on port ${port} of pod ${podId}`);
    const [client, server] = duplexPair();
    this.connections.push(client);
    listener(server);
    return client;
  }

  /** What was opened and not closed again. */
  get open(): number {
    const processes = [...this.execs, ...this.attachments].filter(({ disposed }) => !disposed).length;
    return processes + this.connections.filter(({ destroyed }) => !destroyed).length;
  }
}
