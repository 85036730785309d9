import { raceSignal } from './deadline.ts';

/**
 * One queue per key: work on one pod or container runs one after another, different keys run at once. Nothing that
 * answers List or Status may take it.
 */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>();

  /** Waits for the key (no longer than `signal` lives) and holds it until the result is disposed. */
  async acquire(key: string, signal?: AbortSignal): Promise<Disposable> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    let release: () => void = () => undefined;
    const mine = new Promise<void>((resolve) => {
      release = resolve;
    });
    const tail = before.then(() => mine);
    this.#tails.set(key, tail);
    const done = (): void => {
      release();
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    };
    try {
      await (signal ? raceSignal(before, signal) : before);
    } catch (error) {
      // Our place in the queue stays, but opens as soon as it is reached.
      before.then(done, done);
      throw error;
    }
    return { [Symbol.dispose]: done };
  }

  get size(): number {
    return this.#tails.size;
  }
}
