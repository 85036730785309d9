import type { Ctx } from '#base/ctx';
import { raceSignal } from '#base/deadline';
import { BerthError, toBerthError } from '#base/errors';
import type { Addon } from '#linux/addon';
import { Fd } from '#linux/fd';

export interface NetnsPoolOptions {
  /** For work nobody waits for. */
  readonly ctx: Ctx;
  readonly addon: Pick<Addon, 'createNetns' | 'close'>;
  /** How many are kept ready. */
  readonly size: number;
}

/**
 * Network namespaces made before a pod needs them: making one takes 0.5 ms, and tens when the kernel is busy with
 * others. They exist only by their descriptors, so none outlives berthd.
 */
export class NetnsPool implements AsyncDisposable {
  readonly #options: NetnsPoolOptions;
  readonly #ready: Fd[] = [];
  #filling: Promise<void> | undefined;
  #closed = false;

  constructor(options: NetnsPoolOptions) {
    this.#options = options;
  }

  /** How many are ready now. */
  get size(): number {
    return this.#ready.length;
  }

  /** A ready one, else a fresh one. The caller owns it. */
  async take(ctx: Ctx): Promise<Fd> {
    if (this.#closed) throw new BerthError('UNAVAILABLE', 'the network is shutting down');
    ctx.signal.throwIfAborted();
    const ready = this.#ready.shift();
    if (ready !== undefined) return ready;
    const fresh = this.#create();
    try {
      return await raceSignal(fresh, ctx.signal);
    } catch (error) {
      // The caller went away, but the namespace may still come.
      void fresh.then((fd) => this.#keep(fd)).catch(() => undefined);
      throw toBerthError(error, 'make a network namespace');
    }
  }

  /**
   * Fills up in the background. Not done by take() itself: the pod that took one is about to need the addon's network
   * thread. A failure is logged; the next call tries again.
   */
  refill(): void {
    if (this.#closed || this.#filling !== undefined) return;
    this.#filling = this.#fill().finally(() => {
      this.#filling = undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#filling;
    for (const fd of this.#ready.splice(0)) fd[Symbol.dispose]();
  }

  async #fill(): Promise<void> {
    try {
      while (!this.#closed && this.#ready.length < this.#options.size) this.#keep(await this.#create());
    } catch (error) {
      this.#options.ctx.log.warn({ err: error }, 'could not make a network namespace in advance');
    }
  }

  async #create(): Promise<Fd> {
    const { addon } = this.#options;
    return new Fd(await addon.createNetns(), (fd) => addon.close(fd));
  }

  #keep(fd: Fd): void {
    if (this.#closed || this.#ready.length >= this.#options.size) fd[Symbol.dispose]();
    else this.#ready.push(fd);
  }
}
