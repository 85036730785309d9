import { randomBytes } from 'node:crypto';
import type { Clock } from '#base/clock';
import { BerthError } from '#base/errors';

export interface TokenTableOptions {
  readonly ttlMs: number;
  readonly limit: number;
  readonly clock: Clock;
}

/** 128 bits: nobody guesses one in its minute. */
const tokenBytes = 16;

/** Requests that wait for their client, each under a random token that works once and not for long. */
export class TokenTable<T> {
  readonly #options: TokenTableOptions;
  /** In the order of their ends, because all live equally long. */
  readonly #waiting = new Map<string, { readonly value: T; readonly endsMs: number }>();

  constructor(options: TokenTableOptions) {
    this.#options = options;
  }

  /** @throws RESOURCE_EXHAUSTED when too many wait */
  add(value: T): string {
    const { ttlMs, limit, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#dropExpired(nowMs);
    if (this.#waiting.size >= limit) {
      throw new BerthError(
        'RESOURCE_EXHAUSTED',
        `${limit} exec, attach and port-forward URLs wait for their clients: use them, or try again in ${ttlMs} ms`,
      );
    }
    const token = randomBytes(tokenBytes).toString('base64url');
    this.#waiting.set(token, { value, endsMs: nowMs + ttlMs });
    return token;
  }

  /** What was added under this token, which is then used up; undefined when it never was, was used or is too old. */
  take(token: string): T | undefined {
    this.#dropExpired(this.#options.clock.monotonicMs());
    const entry = this.#waiting.get(token);
    this.#waiting.delete(token);
    return entry?.value;
  }

  /** Those that can still be used. */
  get size(): number {
    this.#dropExpired(this.#options.clock.monotonicMs());
    return this.#waiting.size;
  }

  #dropExpired(nowMs: number): void {
    for (const [token, { endsMs }] of this.#waiting) {
      if (endsMs > nowMs) return;
      this.#waiting.delete(token);
    }
  }
}
