import { parentPort, type MessagePort } from 'node:worker_threads';
import { BerthError, errnoOf, toBerthError } from '#base/errors';
import type { Call } from './attempts.ts';
import { toPlainError, type FromWorker, type ToWorker } from './messages.ts';
import { RegistryClient } from './registry-client.ts';
import { pipeWriter, readerGone, reopenPipe } from './write-pipe.ts';

// The thread in which bytes, TLS and JSON of registries are handled, so that none of it holds up berthd. Started and
// ended by worker-link.ts; messages.ts is the conversation.

/** Progress is told at most this often, in milliseconds. */
const progressMs = 100;

type Fetch = Extract<ToWorker, { kind: 'fetch' }>;

/** An answer that cannot be given: the thread ends with it, and its calls fail. */
function fail(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}

class Calls {
  readonly #port: MessagePort;
  readonly #client = new RegistryClient();
  readonly #running = new Map<number, AbortController>();

  constructor(port: MessagePort) {
    this.#port = port;
  }

  take(message: ToWorker): void {
    switch (message.kind) {
      case 'cancel':
        this.#running.get(message.call)?.abort(new BerthError('CANCELLED', 'cancelled'));
        return;
      case 'resolve':
        this.#answer(message.call, async (call) => {
          const image = await this.#client.resolve(call, message.session, message.wanted);
          this.#say({ kind: 'resolved', call: message.call, image: detached(image) });
        }).catch(fail);
        return;
      case 'fetch':
        this.#answer(message.call, async (call) => {
          await this.#fetch(call, message);
          this.#say({ kind: 'fetched', call: message.call });
        }).catch(fail);
        return;
      default:
        message satisfies never;
    }
  }

  async #answer(id: number, work: (call: Call) => Promise<void>): Promise<void> {
    const stop = new AbortController();
    this.#running.set(id, stop);
    try {
      await work({
        signal: stop.signal,
        note: (message, fields) => this.#say({ kind: 'note', call: id, message, fields }),
        unknownKeys: (found) => this.#say({ kind: 'unknown-keys', call: id, found }),
      });
    } catch (error) {
      this.#say({ kind: 'failed', call: id, error: toPlainError(error) });
    } finally {
      this.#running.delete(id);
    }
  }

  async #fetch(call: Call, message: Fetch): Promise<void> {
    const sink = openSink(message);
    let untold = 0;
    const tell = (): void => {
      if (untold > 0) this.#say({ kind: 'progress', call: message.call, bytes: untold });
      untold = 0;
    };
    const timer = setInterval(tell, progressMs);
    try {
      await this.#client.fetchBlob(call, message.session, message.blob, sink, (bytes) => {
        untold += bytes;
      });
    } finally {
      clearInterval(timer);
      tell();
      // The answer says that the pipe is closed, so it must be.
      await closed(sink);
    }
  }

  #say(message: FromWorker): void {
    this.#port.postMessage(message);
  }
}

type Image = Extract<FromWorker, { kind: 'resolved' }>['image'];

/** Small Buffers share their memory with others, all of which would be sent along. */
function detached(image: Image): Image {
  const { manifests, config } = image;
  return { ...image, manifests: manifests.map((bytes) => new Uint8Array(bytes)), config: new Uint8Array(config) };
}

function openSink({ fd, blob }: Fetch): ReturnType<typeof pipeWriter> {
  try {
    return pipeWriter(reopenPipe(fd));
  } catch (error) {
    if (errnoOf(error) === 'ENXIO') throw readerGone(`blob ${blob.digest}`, error);
    throw toBerthError(error, `open the pipe for blob ${blob.digest}`);
  }
}

async function closed(sink: ReturnType<typeof pipeWriter>): Promise<void> {
  if (sink.closed) return;
  await new Promise<void>((resolve) => {
    // What it was destroyed with has been told already.
    sink.on('error', () => undefined);
    sink.once('close', resolve);
    sink.destroy();
  });
}

if (parentPort) {
  const calls = new Calls(parentPort);
  parentPort.on('message', (message: ToWorker) => calls.take(message));
}
