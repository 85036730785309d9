import type { Readable, Writable } from 'node:stream';

/**
 * Carries one output of a process to its client, no faster than the client reads. When the client's stream is gone the
 * process's end is closed, so that the process learns of it as it would at a pipe.
 */
export class OutputPump {
  readonly #source: Readable;
  readonly #sink: Writable;
  readonly #ended = Promise.withResolvers<void>();
  #blocked = false;
  #quiet: NodeJS.Timeout | undefined;

  constructor(source: Readable, sink: Writable) {
    this.#source = source;
    this.#sink = sink;
    source.on('data', (chunk: Buffer) => this.#take(chunk));
    source.on('error', () => this.#ended.resolve());
    source.once('end', () => {
      sink.end();
      this.#ended.resolve();
    });
    source.once('close', () => this.#ended.resolve());
    sink.on('drain', () => {
      this.#blocked = false;
      this.#quiet?.refresh();
      source.resume();
    });
    sink.on('error', () => source.destroy());
    sink.once('close', () => source.destroy());
  }

  /**
   * After the process has ended: waits for the rest of its output. A child it left behind may hold the pipe for ever
   * (CVE-2026-53495), so silence of `quietMs` is an end as well; waiting for the client is no silence.
   */
  async drain(quietMs: number): Promise<void> {
    const silent = new Promise<void>((resolve) => {
      this.#quiet = setTimeout(() => {
        if (this.#blocked) this.#quiet?.refresh();
        else resolve();
      }, quietMs);
    });
    await Promise.race([this.#ended.promise, silent]);
    clearTimeout(this.#quiet);
    this.#quiet = undefined;
  }

  #take(chunk: Buffer): void {
    this.#quiet?.refresh();
    if (this.#sink.writableEnded || this.#sink.write(chunk)) return;
    this.#blocked = true;
    this.#source.pause();
  }
}
