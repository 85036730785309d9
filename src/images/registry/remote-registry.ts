import type { Ctx } from '#base/ctx';
import { BerthError } from '#base/errors';
import type { RegistryConfig } from '#config/slices';
import type { Fd } from '#linux/fd';
import { fromPlainError, type FromWorker, type ToWorker } from './messages.ts';
import { sentenceOf, type UnknownKeys } from './owner-files.ts';
import type { BlobDescriptor, OnBytes, Registry, RemoteImage, RemoteRequest } from './registry.ts';
import type { Session } from './source.ts';
import { WorkerLink, type WorkerLinkOptions } from './worker-link.ts';

const defaultIdleMs = 30_000;
const maxCalls = 512;
const maxWarned = 512;

export interface RemoteRegistryOptions {
  readonly config: RegistryConfig;
  /** How long the worker lives without work. */
  readonly idleMs?: number;
  /** Default: a WorkerLink. */
  readonly startWorker?: (options: WorkerLinkOptions) => WorkerLink;
}

interface Pending {
  readonly ctx: Ctx;
  /** Who is to answer it. */
  readonly link: WorkerLink;
  readonly onBytes?: OnBytes | undefined;
  settle(outcome: { readonly image?: Omit<RemoteImage, 'session'> } | { readonly error: BerthError }): void;
}

type Answer = { readonly image?: Omit<RemoteImage, 'session'> };

/**
 * Registries over HTTP. All of it happens in one worker thread, which is started by the first call and ended when there
 * has been none for a while; if it dies, its calls fail with UNAVAILABLE and the next call starts another.
 */
export class RemoteRegistry implements Registry {
  #config: RegistryConfig;
  readonly #idleMs: number;
  readonly #startWorker: (options: WorkerLinkOptions) => WorkerLink;
  readonly #pending = new Map<number, Pending>();
  #link: WorkerLink | undefined;
  #idle: NodeJS.Timeout | undefined;
  /** The mark of the file that was warned of last, by its name. */
  readonly #warned = new Map<string, string>();
  #lastCall = 0;
  #closed = false;

  constructor(options: RemoteRegistryOptions) {
    this.#config = options.config;
    this.#idleMs = options.idleMs ?? defaultIdleMs;
    this.#startWorker = options.startWorker ?? ((link) => new WorkerLink(link));
  }

  async resolve(ctx: Ctx, request: RemoteRequest): Promise<RemoteImage> {
    const { reference, platform, credentials, knownConfig } = request;
    const session: Session = { reference, credentials, config: this.#config };
    const { image } = await this.#call(ctx, (call) => ({
      kind: 'resolve',
      call,
      session,
      wanted: { platform, knownConfig },
    }));
    if (!image) throw new BerthError('INTERNAL', 'registry worker: an answer of another kind');
    return { session, ...image };
  }

  async fetchBlob(ctx: Ctx, image: RemoteImage, blob: BlobDescriptor, sink: Fd, onBytes?: OnBytes): Promise<void> {
    // Ours until the worker has answered, that is, until it has closed its own end of the same pipe.
    using owned = sink;
    // Made by `resolve` and opaque to everybody else.
    const session = image.session as Session;
    await this.#call(ctx, (call) => ({ kind: 'fetch', call, session, blob, fd: owned.number }), onBytes);
  }

  reconfigure(config: RegistryConfig): void {
    this.#config = config;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#idle);
    await this.#link?.end();
  }

  async #call(ctx: Ctx, message: (call: number) => ToWorker, onBytes?: OnBytes): Promise<Answer> {
    ctx.signal.throwIfAborted();
    if (this.#closed) throw new BerthError('UNAVAILABLE', 'berthd is shutting down');
    if (this.#pending.size >= maxCalls) {
      throw new BerthError('RESOURCE_EXHAUSTED', `${maxCalls} downloads are running already: try again later`);
    }
    const call = (this.#lastCall += 1);
    const link = this.#liveLink();
    const cancel = (): void => link.say({ kind: 'cancel', call });
    const answered = new Promise<Answer>((resolve, reject) => {
      this.#pending.set(call, {
        ...{ ctx, link, onBytes },
        settle: (outcome) => ('error' in outcome ? reject(outcome.error) : resolve(outcome)),
      });
    });
    ctx.signal.addEventListener('abort', cancel, { once: true });
    try {
      link.say(message(call));
      return await answered;
    } catch (error) {
      ctx.signal.throwIfAborted();
      throw error;
    } finally {
      ctx.signal.removeEventListener('abort', cancel);
      this.#pending.delete(call);
      this.#restIfIdle();
    }
  }

  #liveLink(): WorkerLink {
    clearTimeout(this.#idle);
    this.#link ??= this.#start();
    this.#link.busy = true;
    return this.#link;
  }

  #start(): WorkerLink {
    const link: WorkerLink = this.#startWorker({
      onMessage: (message) => this.#take(message),
      onEnd: (error) => {
        if (this.#link === link) this.#link = undefined;
        for (const pending of this.#pending.values()) if (pending.link === link) pending.settle({ error });
      },
    });
    return link;
  }

  #take(message: FromWorker): void {
    const pending = this.#pending.get(message.call);
    if (!pending) return;
    switch (message.kind) {
      case 'progress':
        pending.onBytes?.(message.bytes);
        return;
      case 'note':
        pending.ctx.log.info(message.fields, message.message);
        return;
      case 'unknown-keys':
        this.#warn(pending.ctx, message.found);
        return;
      case 'resolved':
        pending.settle({ image: message.image });
        return;
      case 'fetched':
        pending.settle({});
        return;
      case 'failed':
        pending.settle({ error: fromPlainError(message.error) });
        return;
      default:
        message satisfies never;
    }
  }

  /** Once for what a file has now: each worker reads the files for itself. */
  #warn(ctx: Ctx, found: UnknownKeys): void {
    const { file, mark } = found;
    if (this.#warned.get(file) === mark) return;
    this.#warned.delete(file);
    this.#warned.set(file, mark);
    for (const oldest of this.#warned.keys()) if (this.#warned.size > maxWarned) this.#warned.delete(oldest);
    ctx.log.warn({ file }, sentenceOf(found));
  }

  #restIfIdle(): void {
    if (this.#pending.size > 0 || !this.#link) return;
    const link = this.#link;
    link.busy = false;
    this.#idle = setTimeout(() => {
      // The next call starts another, also while this one is still ending.
      this.#link = undefined;
      link.end().catch(() => undefined);
    }, this.#idleMs);
    this.#idle.unref();
  }
}
