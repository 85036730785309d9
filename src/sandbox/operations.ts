import { isDeepStrictEqual } from 'node:util';
import { createCtx, type Ctx } from '#base/ctx';
import { Deadline, raceSignal } from '#base/deadline';
import { BerthError, messageOf } from '#base/errors';
import type { Logger } from '#base/log';
import { unattended } from '#base/unattended';
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
}

interface Entry {
  readonly operation: Operation<unknown>;
  readonly promise: Promise<unknown>;
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
  readonly #running: GaugeMetric<'operation' | 'stage'>;
  readonly #counts = new Map<string, number>();
  /** When each began, in that order. */
  readonly #begun = new Set<{ readonly since: number }>();

  constructor(options: OperationsOptions) {
    const { metrics } = (this.#options = options);
    const labels = ['operation', 'stage'] as const;
    this.#running = metrics.gauge('operations_running', 'Operations under way, whoever waits, by step', labels);
    metrics.gaugeOf('oldest_operation_seconds', 'Age of the oldest operation under way', () => this.oldestSeconds());
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

  oldestSeconds(): number {
    for (const { since } of this.#begun) return (performance.now() - since) / 1000;
    return 0;
  }

  /** Waits for all work under way, no longer than the signal lives; parked results stay as they are. */
  async settle(signal: AbortSignal): Promise<void> {
    const running = [...this.#entries.values()].filter((entry) => !entry.parked).map((entry) => entry.promise);
    await raceSignal(Promise.allSettled(running), signal);
  }

  #start(ctx: Ctx, operation: Operation<unknown>): Entry {
    const deadline = new Deadline(operation.deadlineMs, operation.key);
    const steps = this.#follow(operation.verb);
    const own = createCtx({
      signal: deadline.signal,
      log: ctx.log,
      requestId: ctx.requestId,
      onStage: (stage) => {
        steps.enter(stage);
        ctx.stage(stage);
      },
    });
    const promise = operation.run(own).finally(() => {
      deadline[Symbol.dispose]();
      steps.end();
    });
    const entry: Entry = { operation, promise, waiters: 0, parked: undefined };
    this.#entries.set(operation.key, entry);
    promise.then(
      (result) => this.#finished(own, entry, result),
      (error: unknown) => this.#failed(ctx, entry, error),
    );
    return entry;
  }

  /** Counts an operation by the step it is in. */
  #follow(operation: string): { enter(stage: string): void; end(): void } {
    let stage = 'begin';
    const begun = { since: performance.now() };
    const count = (change: number): void => {
      const key = `${operation}/${stage}`;
      const next = (this.#counts.get(key) ?? 0) + change;
      this.#counts.set(key, next);
      this.#running.set({ operation, stage }, next);
    };
    this.#begun.add(begun);
    count(1);
    return {
      enter: (next) => {
        count(-1);
        stage = next;
        count(1);
      },
      end: () => {
        this.#begun.delete(begun);
        count(-1);
      },
    };
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
      if (undo) unattended(ctx.log, `undoing ${key}`, this.#undo(ctx, entry.operation, result));
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
