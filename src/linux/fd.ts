import { BerthError } from '#base/errors';

/**
 * A file descriptor with one owner. `take()` hands it on, dispose closes it; after either the object is empty. No
 * finalizer closes anything: an Fd that is dropped is a bug that the leak tests find.
 */
export class Fd implements Disposable {
  #fd: number;
  readonly #close: (fd: number) => void;

  constructor(fd: number, close: (fd: number) => void) {
    if (!Number.isInteger(fd) || fd < 0) throw new BerthError('INTERNAL', `not a file descriptor: ${fd}`);
    this.#fd = fd;
    this.#close = close;
  }

  /** The number, for a call that only borrows it. */
  get number(): number {
    if (this.#fd < 0) throw new BerthError('INTERNAL', 'file descriptor used after it was taken or closed');
    return this.#fd;
  }

  get open(): boolean {
    return this.#fd >= 0;
  }

  /** Gives the descriptor away: the caller owns it from now on. */
  take(): number {
    const fd = this.number;
    this.#fd = -1;
    return fd;
  }

  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    const fd = this.#fd;
    this.#fd = -1;
    this.#close(fd);
  }
}
