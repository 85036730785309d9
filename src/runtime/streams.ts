import type { Duplex, Readable, Writable } from 'node:stream';
import type { Ctx } from '#base/ctx';
import type { OciSpec } from './spec/oci.ts';

/** Conversations with processes: what Exec, Attach and PortForward need of the runtime. */
export interface RuntimeStreams {
  /**
   * Starts a command with the streams that were asked for. `ctx` covers the start alone.
   *
   * @throws START_ERROR when it could not be started, SHIM_DIED
   */
  exec(ctx: Ctx, podId: string, containerId: string, options: ExecOptions): Promise<RunningExec>;
  /**
   * Joins the streams of a running container's first process. Output from now on; a client that does not read fast
   * enough is cut off, the container never waits for it.
   */
  attach(ctx: Ctx, podId: string, containerId: string, options: AttachOptions): Promise<Attachment>;
  /**
   * Connects to a TCP port on the loopback of the pod's network: 127.0.0.1, then ::1.
   *
   * @throws UNAVAILABLE when nobody listens, SHIM_DIED when the pod is gone
   */
  dial(ctx: Ctx, podId: string, port: number): Promise<Duplex>;
}

export interface ExecOptions extends StreamChoice {
  /** Latin-1 strings: one character a byte. */
  readonly args: readonly string[];
  /** The container's spec, whose process the exec resembles. */
  readonly spec: OciSpec;
  readonly size?: TerminalSize;
}

export interface StreamChoice {
  readonly stdin: boolean;
  readonly stdout: boolean;
  /** Never with a terminal: it has one output. */
  readonly stderr: boolean;
  readonly tty: boolean;
}

export type AttachOptions = StreamChoice;

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** What was not asked for is undefined. Errors of a stream whose other end is gone (EPIPE) are no events but its end. */
export interface ProcessStreams {
  /** Its end closes the process's stdin (for a terminal: hangs nothing up). */
  readonly stdin: Writable | undefined;
  readonly stdout: Readable | undefined;
  readonly stderr: Readable | undefined;
}

/** Disposing closes the streams and forgets the process, which lives on if it can live without them. */
export interface RunningExec extends AsyncDisposable {
  readonly streams: ProcessStreams;
  /** 128 + n for a signal. Rejects with SHIM_DIED. Output may still come for a moment after it. */
  readonly exited: Promise<{ readonly exitCode: number }>;
  /** Without a terminal: no effect. Never throws for a process that is gone. */
  resize(size: TerminalSize): Promise<void>;
  /** Its whole tree. */
  kill(): Promise<void>;
}

/** Disposing leaves; the container goes on. With stdin_once the end of the first attach that had stdin closes it. */
export interface Attachment extends AsyncDisposable {
  readonly streams: ProcessStreams;
  /** Resolves when the container has ended or this client was cut off for being slow (`slow`). Rejects with SHIM_DIED. */
  readonly ended: Promise<{ readonly slow: boolean }>;
  resize(size: TerminalSize): Promise<void>;
}
