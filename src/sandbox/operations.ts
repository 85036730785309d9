import { isDeepStrictEqual } from 'node:util';
import { createCtx, type Ctx } from '#base/ctx';
import { Deadline, raceSignal } from '#base/deadline';
import { BerthError, messageOf } from '#base/errors';
import type { Logger } from '#base/log';
import type { GaugeMetric, Metrics } from '#base/metrics';

/** A piece of work that runs to its own end, whoever waits for it. */
export interface Operation<T> {
  /** The same key is the same work: later callers join it. */
  readonly key: string;
  /** The verb, for metrics: "run pod". */
  readonly verb: string;
  /** Callers of one key must ask for the same. */
  readonly config?: unknown;
  readonly deadlineMs: number;
  readonly run: (ctx: Ctx) => Promise<T>;
  /** Undoes a result that nobody took. */
  readonly undo?: (ctx: Ctx, result: T) => Promise<void>;
}

export interface OperationsOptions {
  readonly log: Logger;
  readonly metrics: Metrics;
  /** How long a result that nobody took waits for the retry. */
  readonly parkMs: number;
  /** An operation this long in one step counts as stalled. */
  readonly stalledMs?: number;
}

interface Entry {
  readonly operation: Operation<unknown>;
  readonly promise: Promise<unknown>;
  readonly progress: { stage: string; since: number };
  waiters: number;
  parked: NodeJS.Timeout | undefined;
}

/**
 * "Retry joins": a caller that goes away (its deadline, its connection) detaches only itself; the work runs on, and the
 * next identical request waits for the same work or takes its finished result. Nobody ever hears that a name is taken.
 */
export class Operations {
  readonly #entries = new Map<string, Entry>();
  readonly #options: OperationsOptions;
  readonly #stalled: GaugeMetric<'operation' | 'stage'>;
  #stalledBefore = new Map<string, { operation: string; stage: string }>();

  constructor(options: OperationsOptions) {
    this.#options = options;
    this.#stalled = options.metrics.gauge(
      'operations_stalled',
      'Operations that have been in one step for more than ten seconds',
      ['operation', 'stage'],
    );
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Starts the operation or joins the one under way; waits no longer than the caller's signal lives. */
  async join<T>(ctx: Ctx, operation: Operation<T>): Promise<T> {
    ctx.signal.throwIfAborted();
    let entry = this.#entries.get(operation.key);
    if (entry && !isDeepStrictEqual(entry.operation.config, operation.config)) {
      throw new BerthError('ALREADY_EXISTS', `${operation.key}: another request with a different config is under way`);
    }
    entry ??= this.#start(ctx, operation as Operation<unknown>);
    entry.waiters++;
    try {
      const result = await raceSignal(entry.promise, ctx.signal);
      this.claim(operation.key);
      return result as T;
    } finally {
      entry.waiters--;
    }
  }

  /** Somebody uses what the operation made: it is not undone any more. */
  claim(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry?.parked) return;
    clearTimeout(entry.parked);
    this.#entries.delete(key);
  }

  /** Sets the gauge of stalled operations; called before each scrape. */
  publish(): void {
    const { stalledMs = 10_000 } = this.#options;
    const before = performance.now() - stalledMs;
    const counts = new Map<string, { operation: string; stage: string; count: number }>();
    for (const { operation, progress, parked } of this.#entries.values()) {
      if (parked || progress.since > before) continue;
      const { stage } = progress;
      const label = `${operation.verb}/${stage}`;
      const count = (counts.get(label)?.count ?? 0) + 1;
      counts.set(label, { operation: operation.verb, stage, count });
    }
    for (const [label, gone] of this.#stalledBefore) if (!counts.has(label)) this.#stalled.set(gone, 0);
    for (const { operation, stage, count } of counts.values()) this.#stalled.set({ operation, stage }, count);
    this.#stalledBefore = counts;
  }

  /** Waits for all work under way, no longer than the signal lives; parked results stay as they are. */
  async settle(signal: AbortSignal): Promise<void> {
    const running = [...this.#entries.values()].filter((entry) => !entry.parked).map((entry) => entry.promise);
    await raceSignal(Promise.allSettled(running), signal);
  }

  #start(ctx: Ctx, operation: Operation<unknown>): Entry {
    const deadline = new Deadline(operation.deadlineMs, operation.key);
    const progress = { stage: '', since: performance.now() };
    const own = createCtx({
      signal: deadline.signal,
      log: ctx.log,
      requestId: ctx.requestId,
      onStage: (stage) => {
        progress.stage = stage;
        progress.since = performance.now();
        ctx.stage(stage);
      },
    });
    const promise = operation.run(own).finally(() => deadline[Symbol.dispose]());
    const entry: Entry = { operation, promise, progress, waiters: 0, parked: undefined };
    this.#entries.set(operation.key, entry);
    promise.then(
      (result) => this.#finished(own, entry, result),
      (error: unknown) => this.#failed(ctx, entry, error),
    );
    return entry;
  }

  #finished(ctx: Ctx, entry: Entry, result: unknown): void {
    const { key, undo } = entry.operation;
    if (entry.waiters > 0) {
      this.#entries.delete(key);
      return;
    }
    ctx.log.info({ operation: key }, 'finished after its caller had gone; the result waits for the retry');
    entry.parked = setTimeout(() => {
      this.#entries.delete(key);
      if (undo) void this.#undo(ctx, entry.operation, result);
    }, this.#options.parkMs);
    entry.parked.unref();
  }

  #failed(ctx: Ctx, entry: Entry, error: unknown): void {
    this.#entries.delete(entry.operation.key);
    // With a waiter the error is returned, and the server logs it.
    if (entry.waiters > 0) return;
    ctx.log.warn({ operation: entry.operation.key, err: error }, 'failed after its caller had gone');
  }

  async #undo(ctx: Ctx, operation: Operation<unknown>, result: unknown): Promise<void> {
    using deadline = new Deadline(operation.deadlineMs, `undo ${operation.key}`);
    try {
      await operation.undo?.(ctx.detach(deadline.signal), result);
      ctx.log.warn({ operation: operation.key }, 'nobody asked for the result: undone');
    } catch (error) {
      ctx.log.error({ operation: operation.key, err: messageOf(error) }, 'could not undo what nobody asked for');
    }
  }
}
