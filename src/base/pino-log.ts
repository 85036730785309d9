import { Writable } from 'node:stream';
import { pino } from 'pino';
import { messageOf } from './errors.ts';
import type { LogFields, Logger } from './log.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface PinoLogOptions {
  readonly level: LogLevel;
  /** Where lines go; process.stderr by default. */
  readonly stream?: LogStream;
  /** Lines for people instead of JSON; by default when the stream is a terminal. */
  readonly pretty?: boolean;
  /** Bytes that may wait for a slow reader; lines beyond it are dropped and counted. */
  readonly maxPendingBytes?: number;
}

/** What of a stream is needed: its back-pressure counts. */
export interface LogStream {
  readonly isTTY?: boolean;
  readonly writableLength: number;
  write(text: string, done?: (error?: Error | null) => void): boolean;
}

export interface PinoLog extends Logger {
  /** Lines that were not written because the reader was too slow. */
  readonly dropped: number;
  setLevel(level: LogLevel): void;
  /** Waits until what was logged is with the kernel, but no longer than `ms`. */
  flush(ms: number): Promise<void>;
}

const defaultPending = 1024 * 1024;

/**
 * The log of berthd: one JSON line a message on stderr, asynchronous, and bounded: a reader that stands still costs log
 * lines, never memory or a blocked call.
 */
export function createPinoLog(options: PinoLogOptions): PinoLog {
  const stream = options.stream ?? process.stderr;
  const sink = new BoundedSink(stream, options.maxPendingBytes ?? defaultPending);
  const pretty = options.pretty ?? stream.isTTY === true;
  const root = pino(
    {
      level: options.level,
      base: null,
      serializers: { err: errorFields },
      formatters: { level: (label) => ({ level: label }) },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
    },
    { write: (line: string) => sink.write(pretty ? prettyLine(line) : line) },
  );
  return {
    ...wrap(root),
    get dropped() {
      return sink.dropped;
    },
    setLevel: (level) => {
      root.level = level;
    },
    flush: (ms) => sink.flush(ms),
  };
}

function wrap(logger: pino.Logger): Logger {
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    child: (fields) => new ChildLogger(logger, fields),
  };
}

/**
 * A child that costs nothing until it is used: most requests log nothing below their level. Children made of children
 * share the root's level, so setLevel reaches them all.
 */
class ChildLogger implements Logger {
  readonly #root: pino.Logger;
  readonly #fields: LogFields;

  constructor(root: pino.Logger, fields: LogFields) {
    this.#root = root;
    this.#fields = fields;
  }

  debug(fields: LogFields, message: string): void {
    if (this.#root.isLevelEnabled('debug')) this.#root.debug({ ...this.#fields, ...fields }, message);
  }

  info(fields: LogFields, message: string): void {
    if (this.#root.isLevelEnabled('info')) this.#root.info({ ...this.#fields, ...fields }, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#root.warn({ ...this.#fields, ...fields }, message);
  }

  error(fields: LogFields, message: string): void {
    this.#root.error({ ...this.#fields, ...fields }, message);
  }

  child(fields: LogFields): Logger {
    return new ChildLogger(this.#root, { ...this.#fields, ...fields });
  }
}

class BoundedSink {
  dropped = 0;
  readonly #stream: LogStream;
  readonly #limit: number;
  #reported = 0;

  constructor(stream: LogStream, limit: number) {
    this.#stream = stream;
    this.#limit = limit;
    // A reader that went away must not end berthd.
    if (stream instanceof Writable) stream.on('error', () => undefined);
  }

  write(line: string): void {
    if (this.#stream.writableLength + line.length > this.#limit) {
      this.dropped += 1;
      return;
    }
    if (this.dropped > this.#reported) {
      const lost = this.dropped - this.#reported;
      this.#reported = this.dropped;
      const time = new Date().toISOString();
      this.#stream.write(`{"level":"warn","time":"${time}","lines":${lost},"msg":"log lines were dropped"}\n`);
    }
    this.#stream.write(line);
  }

  async flush(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const written = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
      this.#stream.write('', () => resolve());
    });
    await written;
    clearTimeout(timer);
  }
}

const causeLimit = 5;

/** An error as fields: its code and details, and its causes' sentences; the stack only where no code says what it is. */
function errorFields(error: unknown): unknown {
  if (!(error instanceof Error)) return messageOf(error);
  const { code, details } = error as { readonly code?: unknown; readonly details?: unknown };
  const causes: string[] = [];
  for (let cause = error.cause; cause !== undefined && causes.length < causeLimit;) {
    causes.push(messageOf(cause));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  const known = typeof code === 'string' && code !== 'INTERNAL';
  return {
    message: error.message,
    ...(code === undefined ? {} : { code }),
    ...(details === undefined ? {} : { details }),
    ...(causes.length === 0 ? {} : { causes }),
    ...(known ? {} : { stack: error.stack }),
  };
}

/** "12:42:07.120 info  pod runs  podId=0123 ms=12" */
export function prettyLine(line: string): string {
  const { time, level, msg, err, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const fields = Object.entries(rest).map(
    ([key, value]) => `${key}=${typeof value === 'string' && !/[\s"=]/.test(value) ? value : JSON.stringify(value)}`,
  );
  const failure = prettyError(err);
  const clock = String(time).slice(11, 23);
  const head = `${clock} ${String(level).padEnd(5)} ${String(msg)}`;
  return `${[head, ...fields, ...(failure === '' ? [] : [failure])].join('  ')}\n`;
}

function prettyError(err: unknown): string {
  if (typeof err === 'string') return `err=${JSON.stringify(err)}`;
  if (typeof err !== 'object' || err === null) return '';
  const { message, code, stack, causes } = err as Record<string, unknown>;
  const because = Array.isArray(causes) ? ` (${causes.join(': ')})` : '';
  const trace = typeof stack === 'string' ? `\n${stack}` : '';
  return `err=${typeof code === 'string' ? `${code} ` : ''}${JSON.stringify(message)}${because}${trace}`;
}
