import { sleep } from '#base/deadline';
import { BerthError } from '#base/errors';
import type { Endpoint } from './endpoint.ts';
import type { UnknownKeys } from './owner-files.ts';
import { toSetback, type Setback } from './setback.ts';

/** What a call brings along below `RegistryClient`. */
export interface Call {
  readonly signal: AbortSignal;
  /** Tells the log what went otherwise than hoped: a retry, a mirror that failed. */
  note(message: string, fields: Readonly<Record<string, string | number>>): void;
  /** The same, of keys in the owner's files. */
  unknownKeys(found: UnknownKeys): void;
}

export interface AttemptOptions {
  readonly endpoints: readonly Endpoint[];
  /** Attempts without progress, over all endpoints. */
  readonly attempts: number;
  /** For sentences: "layer sha256:…". */
  readonly what: string;
  /** The first wait; it doubles. Milliseconds. */
  readonly backOffMs: number;
  /** Counts up while a blob comes in; enough more of it makes the attempts start anew. */
  readonly progress?: () => number;
}

/** A mirror that fails for the second time is left for the next; the last host has all that remain, and always one. */
const attemptsAtMirror = 2;
const longestWaitForMirrorMs = 1000;
const maxBackOffMs = 10_000;
const progressBytes = 1024 * 1024;

/**
 * Does `work` with the first endpoint that manages it. A failure that may pass is tried again after a while; any other one
 * leads to the next endpoint. The error is the last endpoint's, which is the registry itself.
 *
 * @throws BerthError, or the reason of the abort
 */
export async function withEndpoints<T>(
  call: Call,
  options: AttemptOptions,
  work: (endpoint: Endpoint) => Promise<T>,
): Promise<T> {
  const { endpoints, what } = options;
  const before: string[] = [];
  const budget = new Budget(options);
  for (const [index, endpoint] of endpoints.entries()) {
    const last = index === endpoints.length - 1;
    const outcome = await atOne(call, options, endpoint, budget, last, work);
    if ('value' in outcome) return outcome.value;
    const { error } = outcome.failed;
    // A reader that has gone is gone for every host, and the owner's mistakes are to be seen.
    if (error.code === 'CANCELLED' || error.code === 'CONFIG_INVALID') throw error;
    if (last) throw withHistory(error, before);
    before.push(`${endpoint.host}: ${error.code}`);
    call.note('mirror failed, trying the next host', { host: endpoint.host, what, error: error.message });
  }
  throw new BerthError('FAILED_PRECONDITION', `${what}: no configured host may serve it: see its capabilities`);
}

type Outcome<T> = { readonly value: T } | { readonly failed: Setback };

async function atOne<T>(
  call: Call,
  options: AttemptOptions,
  endpoint: Endpoint,
  budget: Budget,
  last: boolean,
  work: (endpoint: Endpoint) => Promise<T>,
): Promise<Outcome<T>> {
  const tries = last ? Infinity : attemptsAtMirror;
  let left = tries;
  for (;;) {
    try {
      return { value: await work(endpoint) };
    } catch (error) {
      call.signal.throwIfAborted();
      const setback = toSetback(error, options.what, endpoint.host);
      left = budget.count() ? tries - 1 : left - 1;
      if (!setback.retry || left <= 0 || budget.spent) return { failed: setback };
      // Who waits for a mirror could be served by the next host already.
      if (!last && setback.waitMs > longestWaitForMirrorMs) return { failed: setback };
      const waitMs = Math.max(setback.waitMs, budget.waitMs());
      call.note('trying again', { host: endpoint.host, what: options.what, error: setback.error.message, waitMs });
      await sleep(waitMs, call.signal);
    }
  }
}

/** How many attempts are left. Progress gives them all back: what is finite ends. */
class Budget {
  readonly #options: AttemptOptions;
  #used = 0;
  #mark = 0;

  constructor(options: AttemptOptions) {
    this.#options = options;
  }

  /** One more attempt has failed. True: it brought enough to count as none. */
  count(): boolean {
    const now = this.#options.progress?.() ?? 0;
    const moved = now - this.#mark >= progressBytes;
    this.#mark = moved ? now : this.#mark;
    this.#used = moved ? 1 : this.#used + 1;
    return moved;
  }

  get spent(): boolean {
    return this.#used >= this.#options.attempts;
  }

  waitMs(): number {
    const { backOffMs } = this.#options;
    const full = Math.min(backOffMs * 2 ** (this.#used - 1), maxBackOffMs);
    // Many nodes that were cut off at once shall not come back at once.
    return Math.round(full * (0.5 + Math.random() / 2));
  }
}

function withHistory(error: BerthError, before: readonly string[]): BerthError {
  if (before.length === 0) return error;
  const tried = `${error.message} (tried before: ${before.slice(0, 8).join(', ')})`;
  return new BerthError(error.code, tried, { cause: error, details: error.details });
}
