import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { BerthError, isBerthError } from '#base/errors';
import { repositoryOf } from '../reference.ts';
import { withEndpoints, type Call } from './attempts.ts';
import { codingError } from './content-coding.ts';
import type { Endpoint } from './endpoint.ts';
import { drop, headerOf, type Answer } from './follow.ts';
import { judgeRange } from './range.ts';
import type { BlobDescriptor, OnBytes } from './registry.ts';
import { Setback, toSetback } from './setback.ts';
import { shownUrl } from './shown-url.ts';
import type { Source } from './source.ts';
import { StallWatch } from './stall-watch.ts';
import { readerGone } from './write-pipe.ts';

/** The stall watch looks this often in a window. */
const ticksInWindow = 8;

/**
 * Streams a blob into `sink`, from whichever endpoints have it, each going on where the one before broke off. On return
 * the sink has everything and is closed; on an error the caller destroys it.
 *
 * @throws BerthError; IMAGE_INVALID for more bytes than the descriptor says
 */
export async function fetchBlob(
  call: Call,
  source: Source,
  blob: BlobDescriptor,
  sink: Writable,
  onProgress: OnBytes,
): Promise<void> {
  await new BlobFetch(call, source, blob, sink, onProgress).run();
}

class BlobFetch {
  readonly #call: Call;
  readonly #source: Source;
  readonly #blob: BlobDescriptor;
  readonly #sink: Writable;
  readonly #onProgress: OnBytes;
  readonly #what: string;
  /** Bytes that the sink has been given. */
  #offset = 0;
  /** What the last host called these bytes, for asking it again. */
  #seen: { readonly origin: string; readonly etag: string } | undefined;
  #readerError: unknown;
  /** Origins that refuse to send a rest. */
  readonly #wholeOnly = new Set<string>();

  constructor(call: Call, source: Source, blob: BlobDescriptor, sink: Writable, onProgress: OnBytes) {
    this.#call = call;
    this.#source = source;
    this.#blob = blob;
    this.#sink = sink;
    this.#onProgress = onProgress;
    this.#what = `${repositoryOf(source.reference)}: blob ${blob.digest}`;
  }

  async run(): Promise<void> {
    const { config, endpoints, backOffMs } = this.#source;
    const onSinkError = (error: unknown): void => {
      this.#readerError = error;
    };
    this.#sink.on('error', onSinkError);
    const options = {
      ...{ attempts: config.attempts, backOffMs, what: this.#what, progress: () => this.#offset },
      endpoints: endpoints.filter(({ canPull }) => canPull),
    };
    if (this.#blob.size > 0) {
      await withEndpoints(this.#call, options, (endpoint) => this.#attempt(endpoint)).catch((error: unknown) => {
        throw this.#blob.hasUrls === true ? outside(error) : error;
      });
    }
    await this.#finish();
  }

  /** One request: from where we are to the end, or to where it breaks. */
  async #attempt(endpoint: Endpoint): Promise<void> {
    const { config, exchange } = this.#source;
    this.#throwIfReaderGone();
    const login = await this.#source.login(endpoint);
    const answer = await exchange
      .get({
        ...{ endpoint, path: `/blobs/${this.#blob.digest}`, what: this.#what, login, silentMs: config.stallMs },
        ...{ headers: this.#rangeHeaders(endpoint), byDigest: true, plainHttp: config.plainHttp },
        signal: this.#call.signal,
      })
      .catch((error: unknown) => {
        throw this.#judgeRefusal(error, endpoint);
      });
    const shown = shownUrl(answer.url);
    try {
      const skip = this.#judge(endpoint, answer, shown);
      await this.#pour(answer, skip);
    } catch (error) {
      this.#call.signal.throwIfAborted();
      const setback = toSetback(error, this.#what, shown);
      // With all bytes here it does not matter that the answer's end was lost, and there is no rest to ask for.
      if (!setback.retry || this.#offset < this.#blob.size) throw setback;
    } finally {
      drop(answer);
    }
    if (this.#offset < this.#blob.size) {
      const error = new BerthError('UNAVAILABLE', `${this.#what}: ${shown}: ended after ${this.#offset} bytes`);
      throw new Setback(error, true);
    }
  }

  /** A host that cannot send the rest may send all of it once more. */
  #judgeRefusal(error: unknown, endpoint: Endpoint): unknown {
    const status = error instanceof Setback ? error.error.details['status'] : undefined;
    if (!(error instanceof Setback) || status !== 416 || this.#wholeOnly.has(endpoint.origin)) return error;
    this.#wholeOnly.add(endpoint.origin);
    return new Setback(error.error, true);
  }

  #rangeHeaders(endpoint: Endpoint): Record<string, string> {
    if (this.#offset === 0 || this.#wholeOnly.has(endpoint.origin)) return {};
    const range = { range: `bytes=${this.#offset}-` };
    // Bytes are named by digest, so another host's tag is no reason to start over.
    return this.#seen?.origin === endpoint.origin ? { ...range, 'if-range': this.#seen.etag } : range;
  }

  /** @returns how many bytes at the start of the body we have already */
  #judge(endpoint: Endpoint, answer: Answer, shown: string): number {
    // Storage may keep a name for the coding of what it stores: of the right length it is the blob itself.
    const rest = answer.status === 206 ? this.#blob.size - this.#offset : this.#blob.size;
    const coded = codingError(answer, `${this.#what}: ${shown}`);
    if (coded && headerOf(answer, 'content-length') !== String(rest)) throw coded;
    const judged = judgeRange(
      {
        status: answer.status,
        contentRange: headerOf(answer, 'content-range'),
        contentLength: headerOf(answer, 'content-length'),
      },
      this.#offset,
      this.#blob.size,
    );
    if (!judged.ok) throw new BerthError('IMAGE_INVALID', `${this.#what}: ${shown}: ${judged.why}`);
    const etag = headerOf(answer, 'etag');
    // A weak one does not promise the same bytes.
    const strong = etag !== undefined && /^"[^"\r\n]{0,256}"$/.test(etag);
    this.#seen = strong ? { origin: endpoint.origin, etag } : undefined;
    return judged.skip;
  }

  /** From the body into the sink, at the pace of the slower of the two. */
  async #pour(answer: Answer, skip: number): Promise<void> {
    const { body } = answer;
    const sink = this.#sink;
    let toSkip = skip;
    let waiting = false;
    const watch = this.#watch(
      () => waiting,
      (error) => body.destroy(error),
    );
    const resume = (): void => {
      waiting = false;
      body.resume();
    };
    const gone = (): void => void body.destroy(this.#gone());
    sink.on('drain', resume);
    sink.once('close', gone);
    body.on('data', (chunk: Buffer) => {
      watch.received(chunk.length);
      const skipped = Math.min(toSkip, chunk.length);
      toSkip -= skipped;
      const room = this.#blob.size - this.#offset;
      const fresh = chunk.length - skipped;
      const part = skipped === 0 && fresh <= room ? chunk : chunk.subarray(skipped, skipped + room);
      if (part.length > 0 && !this.#write(part)) {
        waiting = true;
        watch.heldUp();
        body.pause();
      }
      if (fresh > room) body.destroy(this.#tooLong());
    });
    try {
      await ended(body);
    } finally {
      watch.stop();
      sink.off('drain', resume);
      sink.off('close', gone);
    }
  }

  #write(part: Buffer): boolean {
    this.#offset += part.length;
    this.#onProgress(part.length);
    return this.#sink.destroyed || this.#sink.write(part);
  }

  #watch(
    waiting: () => boolean,
    onStall: (error: Error) => void,
  ): { received(bytes: number): void; heldUp(): void; stop(): void } {
    const { stallMs: windowMs, minimumBytesPerSecond: bytesPerSecond } = this.#source.config;
    const watch = new StallWatch({ windowMs, bytesPerSecond });
    const tickMs = Math.max(1, Math.round(windowMs / ticksInWindow));
    const timer = setInterval(() => {
      if (!watch.tick(tickMs, waiting())) return;
      const error = new BerthError(
        'UNAVAILABLE',
        `${this.#what}: stalled at ${this.#offset} of ${this.#blob.size} bytes`,
      );
      onStall(new Setback(error, true));
    }, tickMs);
    return {
      received: (bytes) => watch.received(bytes),
      heldUp: () => watch.heldUp(),
      stop: () => clearInterval(timer),
    };
  }

  async #finish(): Promise<void> {
    const sink = this.#sink;
    this.#throwIfReaderGone();
    sink.end();
    if (!sink.closed) await onceClosed(sink, this.#call.signal);
    this.#throwIfReaderGone();
  }

  #throwIfReaderGone(): void {
    if (this.#readerError !== undefined || (this.#sink.destroyed && !this.#sink.writableFinished)) throw this.#gone();
  }

  #gone(): BerthError {
    return readerGone(this.#what, this.#readerError);
  }

  #tooLong(): BerthError {
    return new BerthError(
      'IMAGE_INVALID',
      `${this.#what} is longer than the ${this.#blob.size} bytes of its descriptor`,
    );
  }
}

/** Where an image's author says that a layer lies is no place for a node to send requests to. */
function outside(error: unknown): unknown {
  if (!isBerthError(error, 'NOT_FOUND')) return error;
  const why = 'the layer may lie outside the registry (its descriptor has urls), where nothing is fetched from';
  return new BerthError(error.code, `${error.message}: ${why}`, { cause: error, details: error.details });
}

/** Until a stream has ended; rejects with what it was destroyed with. */
async function ended(body: Answer['body']): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    body.once('end', resolve);
    body.once('error', reject);
    body.once('close', () => reject(new Setback(new BerthError('UNAVAILABLE', 'connection broken'), true)));
  });
}

async function onceClosed(sink: Writable, signal: AbortSignal): Promise<void> {
  try {
    await once(sink, 'close', { signal });
  } catch (error) {
    signal.throwIfAborted();
    // An error of the sink: `#throwIfReaderGone` knows it.
    if (!sink.destroyed) throw error;
  }
}
