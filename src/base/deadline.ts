import { BerthError } from './errors.ts';

/**
 * A signal that aborts at a deadline or with its parent, and that lets go of the parent when disposed. AbortSignal.any
 * keeps a reference from a long-lived parent to every child (hence the lint rule); this one does not.
 */
export class Deadline implements Disposable {
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #onParentAbort = (): void => this.abort(this.#parent?.reason);

  /**
   * @param ms milliseconds until abort; Infinity for none
   * @param what names the operation in the abort reason
   */
  constructor(ms: number, what: string, parent?: AbortSignal) {
    this.#parent = parent;
    if (parent?.aborted) {
      this.abort(parent.reason);
      return;
    }
    parent?.addEventListener('abort', this.#onParentAbort, { once: true });
    if (Number.isFinite(ms)) {
      // setTimeout overflows at 2^31 ms and fires at once; a longer deadline is as good as 24 days.
      this.#timer = setTimeout(
        () => this.abort(new BerthError('DEADLINE_EXCEEDED', `${what} did not finish in ${ms} ms`)),
        Math.min(ms, 0x7fff_ffff),
      );
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason?: unknown): void {
    this.#controller.abort(reason ?? new BerthError('CANCELLED', 'cancelled'));
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#parent?.removeEventListener('abort', this.#onParentAbort);
  }
}

/**
 * Waits for `promise`, but no longer than `signal` lives. The work behind the promise goes on: pass the signal to it as
 * well if it should stop.
 */
export async function raceSignal<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // Nobody waits for it then: its failure must not end the process.
  if (signal.aborted) promise.catch(() => undefined);
  signal.throwIfAborted();
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    if (onAbort) signal.removeEventListener('abort', onAbort);
  }
}

/** Sleeps, or rejects with the signal's reason. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const slept = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  try {
    await (signal ? raceSignal(slept, signal) : slept);
  } finally {
    clearTimeout(timer);
  }
}
