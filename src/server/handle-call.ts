import { randomBytes } from 'node:crypto';
import * as grpc from '@grpc/grpc-js';
import type { Clock } from '#base/clock';
import { createCtx, type Ctx } from '#base/ctx';
import { Deadline, raceSignal } from '#base/deadline';
import { BerthError, isBerthError, toBerthError } from '#base/errors';
import type { LogFields, Logger } from '#base/log';
import type { CounterMetric, HistogramMetric, Metrics } from '#base/metrics';
import { unattended } from '#base/unattended';
import { callPolicies, type CallPolicy, type CriCall } from './call-policies.ts';
import { tellFullDisks } from './disk-note.ts';
import type { StreamHandler, UnaryHandler } from './handler.ts';
import { loggedIds } from './logged-ids.ts';
import type { ReadyGate } from './ready-gate.ts';
import { RunningCalls, type RunningCall } from './running-calls.ts';
import { statusName, toStatus, type CallStatus } from './status-codes.ts';
import { RefusedRequest } from './unknown-fields.ts';

export interface CallHandlerOptions {
  readonly gate: ReadyGate;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** See `tellFullDisks`. */
  readonly fullDisks: () => string;
  /** Names a call in the log; random by default. */
  readonly newRequestId?: () => string;
}

/** What is common to grpc-js's unary and streaming calls. */
interface AnyCall {
  cancelled: boolean;
  getDeadline(): Date | number;
  on(event: 'cancelled', listener: () => void): unknown;
  off(event: 'cancelled', listener: () => void): unknown;
}

type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly status: CallStatus };

/**
 * The one wrapper of every call: ready gate, deadline, cancellation, log line, metrics, and the only place where an
 * error becomes a status.
 *
 * A caller that leaves is answered at once; its handler is told through `ctx.signal`, and counts as running until it
 * has really ended.
 */
export class CallHandler {
  readonly #options: CallHandlerOptions;
  readonly #running: RunningCalls;
  readonly #seconds: HistogramMetric<'method' | 'code'>;
  readonly #unknown: CounterMetric<'method'>;
  /** Aborts what would never end by itself. */
  readonly #watches = new AbortController();

  constructor(options: CallHandlerOptions) {
    this.#options = options;
    this.#running = new RunningCalls(options.metrics, options.clock);
    this.#seconds = options.metrics.histogram('call_seconds', 'CRI calls, by method and gRPC status.', [
      'method',
      'code',
    ]);
    this.#unknown = options.metrics.counter(
      'call_unknown_fields_total',
      'Fields of requests that this version does not know, by method.',
      ['method'],
    );
  }

  /** A request had fields that this version of the protocol does not have; they were skipped. */
  countUnknown(method: CriCall, fields: number): void {
    this.#unknown.add({ method }, fields);
  }

  /** Ends the calls that last as long as their client likes, for shutdown. */
  endWatches(): void {
    this.#watches.abort(new BerthError('UNAVAILABLE', 'berthd is shutting down'));
  }

  unary<Request extends object, Response extends object, Deps>(
    method: CriCall,
    handler: UnaryHandler<Request, Response, Deps>,
    deps: Deps,
  ): grpc.handleUnaryCall<Request, Response> {
    return (call, callback) => {
      const work = async (ctx: Ctx): Promise<Response> => handler(ctx, call.request, deps);
      const answered = this.#run(method, call, call.request, work).then((outcome) =>
        outcome.ok ? callback(null, outcome.value) : callback(outcome.status),
      );
      unattended(this.#options.log, `the answer to ${method}`, answered);
    };
  }

  stream<Request extends object, Message extends object, Deps>(
    method: CriCall,
    handler: StreamHandler<Request, Message, Deps>,
    deps: Deps,
  ): grpc.handleServerStreamingCall<Request, Message> {
    return (call) => {
      const work = async (ctx: Ctx): Promise<object> => {
        for await (const message of handler(ctx, call.request, deps)) {
          ctx.signal.throwIfAborted();
          if (!call.write(message)) await drained(call, ctx.signal);
        }
        return {};
      };
      const answered = this.#run(method, call, call.request, work).then((outcome) =>
        outcome.ok ? call.end() : call.emit('error', outcome.status),
      );
      unattended(this.#options.log, `the answer to ${method}`, answered);
    };
  }

  /** Never rejects. */
  async #run<T extends object>(
    method: CriCall,
    call: AnyCall,
    request: object,
    work: (ctx: Ctx) => Promise<T>,
  ): Promise<Outcome<T>> {
    const { clock, gate } = this.#options;
    const policy = callPolicies[method];
    const requestId = (this.#options.newRequestId ?? randomRequestId)();
    const log = this.#options.log.child({ method, requestId, ...loggedIds(request) });
    const since = clock.monotonicMs();
    const running = this.#running.start(method, policy.kind === 'watch');
    using deadline = new CallDeadline(method, call, policy, policy.kind === 'watch' ? this.#watches.signal : undefined);
    const ctx = createCtx({ signal: deadline.signal, log, requestId, onStage: (stage) => running.enter(stage) });
    let working: Promise<T> | undefined;
    let outcome: Outcome<T>;
    let failure: BerthError | undefined;
    try {
      if (request instanceof RefusedRequest) throw request.why;
      if (!policy.beforeReady) gate.pass();
      working = work(ctx);
      outcome = { ok: true, value: await raceSignal(working, deadline.signal) };
    } catch (error) {
      const told = error === deadline.signal.reason ? await inOwnWords(working, error) : error;
      failure = tellFullDisks(describe(told, deadline.signal, method, running), this.#options.fullDisks);
      outcome = { ok: false, status: toStatus(failure) };
    }
    const ms = clock.monotonicMs() - since;
    const code = statusName(outcome.ok ? grpc.status.OK : outcome.status.code);
    this.#seconds.observe({ method, code }, ms / 1000);
    writeLine(log, policy, failure, {
      code,
      ms: Math.round(ms * 10) / 10,
      ...(outcome.ok ? loggedIds(outcome.value) : { stage: running.stage }),
    });
    // The caller has its answer; what still works for it stays visible until it ends.
    unattended(
      log,
      `what ${method} still did`,
      settled(working).then(() => running[Symbol.dispose]()),
    );
    return outcome;
  }
}

const idBytes = 6;
/** Asking the kernel for six bytes costs as much as for a kilobyte. */
let idPool = Buffer.alloc(0);

function randomRequestId(): string {
  if (idPool.length < idBytes) idPool = randomBytes(170 * idBytes);
  const id = idPool.toString('hex', 0, idBytes);
  idPool = idPool.subarray(idBytes);
  return id;
}

/** Aborts at the client's deadline, else at the method's own, and when the client goes away. */
class CallDeadline implements Disposable {
  readonly #method: CriCall;
  readonly #call: AnyCall;
  readonly #deadline: Deadline;
  /** Milliseconds since the epoch; Infinity for none. */
  readonly #clients: number;
  readonly #isWatch: boolean;
  readonly #onCancelled = (): void => this.#deadline.abort(this.#whyCancelled());

  constructor(method: CriCall, call: AnyCall, policy: CallPolicy, parent: AbortSignal | undefined) {
    this.#method = method;
    this.#call = call;
    this.#clients = Number(call.getDeadline());
    this.#isWatch = policy.kind === 'watch';
    const ms = Number.isFinite(this.#clients) ? Math.max(0, Math.ceil(this.#clients - Date.now())) : policy.deadlineMs;
    // A watch has nothing to finish: its client's deadline is when it leaves, which grpc-js tells.
    this.#deadline = new Deadline(this.#isWatch ? Infinity : ms, method, parent);
    if (call.cancelled) this.#onCancelled();
    else call.on('cancelled', this.#onCancelled);
  }

  get signal(): AbortSignal {
    return this.#deadline.signal;
  }

  /** grpc-js has a timer of its own for the client's deadline, and cancels then: that is not a caller who left. */
  #whyCancelled(): BerthError {
    return Date.now() >= this.#clients && !this.#isWatch
      ? new BerthError('DEADLINE_EXCEEDED', `${this.#method} did not finish before its caller's deadline`)
      : new BerthError('CANCELLED', `the caller of ${this.#method} went away`);
  }

  [Symbol.dispose](): void {
    // grpc-js says "cancelled" after every call's end, too.
    this.#call.off('cancelled', this.#onCancelled);
    this.#deadline[Symbol.dispose]();
  }
}

/** The handler has heard of the same end, and may know what it waited for: what it says at once is better than "too late". */
async function inOwnWords(working: Promise<unknown> | undefined, reason: unknown): Promise<unknown> {
  const nothing = new Promise<unknown>((resolve) => setImmediate(resolve, reason));
  const own = working?.then(
    () => reason,
    (error: unknown) => (isBerthError(error) && isBerthError(reason, 'DEADLINE_EXCEEDED') ? error : reason),
  );
  return await Promise.race([nothing, own ?? nothing]);
}

/** The failure with its code; one that came from the deadline says where the call was. */
function describe(error: unknown, signal: AbortSignal, method: string, running: RunningCall): BerthError {
  const failure = toBerthError(error, method);
  if (!signal.aborted || failure.code !== 'DEADLINE_EXCEEDED') return failure;
  return new BerthError('DEADLINE_EXCEEDED', `${failure.message}; it was at "${running.stage}"`, { cause: failure });
}

function writeLine(log: Logger, policy: CallPolicy, failure: BerthError | undefined, fields: LogFields): void {
  if (failure === undefined) {
    if (policy.kind === 'change') log.info(fields, 'call answered');
    else log.debug(fields, 'call answered');
    return;
  }
  const line = { ...fields, err: failure };
  // What lasts as long as its caller likes has not failed when he has had enough, or his command was over its time.
  const outlasted = policy.deadlineMs === Infinity && failure.code === 'DEADLINE_EXCEEDED';
  if (failure.code === 'INTERNAL') log.error(line, 'call failed');
  else if (failure.side === 'system' && failure.code !== 'UNAVAILABLE' && !outlasted) log.warn(line, 'call failed');
  else if (policy.kind === 'change') log.info(line, 'call failed');
  else log.debug(line, 'call failed');
}

/** Waits until the stream takes the next message; throws when the caller leaves first. */
async function drained(call: grpc.ServerWritableStream<object, object>, signal: AbortSignal): Promise<void> {
  let onDrain: (() => void) | undefined;
  const drain = new Promise<void>((resolve) => {
    onDrain = resolve;
    call.once('drain', resolve);
  });
  try {
    await raceSignal(drain, signal);
  } finally {
    if (onDrain) call.off('drain', onDrain);
  }
}

async function settled(working: Promise<unknown> | undefined): Promise<void> {
  try {
    await working;
  } catch {
    // Its caller, if there still was one, has this error already.
  }
}
