import { createCtx, type Ctx } from '#base/ctx';
import type { Clock } from '#base/clock';
import { BerthError } from '#base/errors';
import type { LogFields, Logger } from '#base/log';
import type { CounterMetric, GaugeMetric, Metrics } from '#base/metrics';
import { idsOf, type StreamKind, type StreamOffer } from './offers.ts';

/** Told of everything that moves on a connection. */
export interface Meter {
  /** Bytes of the user, without what the protocol adds. */
  received(bytes: number): void;
  sent(bytes: number): void;
  /** The other side shows that it is there. */
  alive(): void;
}

/** One connected client. Ends once; the first reason stays. */
export interface Session extends Meter, Disposable {
  readonly ctx: Ctx;
  /** Aborts with the reason why berthd wants it to end: nothing moves, or berthd itself ends. */
  readonly signal: AbortSignal;
  /** For the log line. */
  note(fields: LogFields): void;
}

export interface SessionsOptions {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly idleTimeoutMs: number;
}

/** The clients that are connected: counted, timed when idle, ended together. */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #open = new Set<OpenSession>();
  readonly #counts: Record<StreamKind, number> = { exec: 0, attach: 0, portforward: 0 };
  readonly #gauge: GaugeMetric<'kind'>;
  readonly #bytes: CounterMetric<'kind' | 'direction'>;
  #serial = 0;

  constructor(options: SessionsOptions) {
    const { metrics } = options;
    this.#options = options;
    this.#gauge = metrics.gauge('streams_open', 'Connected clients of exec, attach and port-forward.', ['kind']);
    this.#bytes = metrics.counter('stream_bytes_total', 'Bytes carried for exec, attach and port-forward.', [
      'kind',
      'direction',
    ]);
  }

  get size(): number {
    return this.#open.size;
  }

  /** Dispose it when its connection is closed: that writes the log line. */
  open(offer: StreamOffer): Session {
    const { log, clock, idleTimeoutMs } = this.#options;
    const { kind } = offer;
    const requestId = `stream-${++this.#serial}`;
    const since = clock.monotonicMs();
    const fields = { kind, requestId, ...idsOf(offer) };
    const session = new OpenSession(createCtx({ log: log.child(fields), requestId }), idleTimeoutMs, () => {
      this.#open.delete(session);
      this.#count(kind, -1);
      const { bytesIn, bytesOut, notes } = session;
      this.#bytes.add({ kind, direction: 'in' }, bytesIn);
      this.#bytes.add({ kind, direction: 'out' }, bytesOut);
      const ms = Math.round(clock.monotonicMs() - since);
      session.ctx.log.info({ ms, bytesIn, bytesOut, ...notes }, 'stream ended');
    });
    this.#open.add(session);
    this.#count(kind, 1);
    return session;
  }

  /** Asks every session to end, and waits until they have, or until `signal` aborts: then they are left. */
  async endAll(reason: string, signal: AbortSignal): Promise<void> {
    const error = new BerthError('UNAVAILABLE', reason);
    const all = [...this.#open];
    for (const session of all) session.abort(error);
    const late = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    await Promise.race([Promise.all(all.map(({ ended }) => ended)), late]);
  }

  #count(kind: StreamKind, change: number): void {
    this.#counts[kind] += change;
    this.#gauge.set({ kind }, this.#counts[kind]);
  }
}

class OpenSession implements Session {
  readonly ctx: Ctx;
  readonly #controller = new AbortController();
  readonly #idle: NodeJS.Timeout;
  readonly #ended = Promise.withResolvers<void>();
  readonly #onEnd: () => void;
  bytesIn = 0;
  bytesOut = 0;
  notes: LogFields = {};
  #over = false;

  constructor(ctx: Ctx, idleMs: number, onEnd: () => void) {
    this.ctx = ctx.detach(this.#controller.signal);
    this.#onEnd = onEnd;
    // setTimeout takes no more than 2^31 ms.
    this.#idle = setTimeout(
      () => this.abort(new BerthError('DEADLINE_EXCEEDED', `nothing moved on the connection for ${idleMs} ms`)),
      Math.min(idleMs, 0x7fff_ffff),
    );
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  received(bytes: number): void {
    this.bytesIn += bytes;
    this.alive();
  }

  sent(bytes: number): void {
    this.bytesOut += bytes;
    this.alive();
  }

  alive(): void {
    if (!this.#over) this.#idle.refresh();
  }

  note(fields: LogFields): void {
    this.notes = { ...this.notes, ...fields };
  }

  abort(reason: BerthError): void {
    this.#controller.abort(reason);
  }

  [Symbol.dispose](): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#idle);
    this.#onEnd();
    this.#ended.resolve();
  }
}
