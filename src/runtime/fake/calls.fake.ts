import type { Ctx } from '#base/ctx';
import { raceSignal } from '#base/deadline';

/** The calls a test can delay or make fail, by name. */
export type FakeCall =
  | 'runPod'
  | 'endPod'
  | 'killSilent'
  | 'createContainer'
  | 'startContainer'
  | 'signalContainer'
  | 'removeContainer'
  | 'endContainer'
  | 'execSync'
  | 'exec'
  | 'attach'
  | 'dial'
  | 'reopenLog'
  | 'acknowledgeExit'
  | 'sample'
  | 'updateContainer';

/** What a test orders for calls, and what was called. */
export class FakeCalls {
  /** Every call, as "runPod <id>". */
  readonly made: string[] = [];
  readonly #failures = new Map<FakeCall, unknown[]>();
  readonly #holds = new Map<FakeCall, Promise<void>>();

  /** The next call of that name throws this. */
  failNext(call: FakeCall, error: unknown): void {
    this.#failures.set(call, [...(this.#failures.get(call) ?? []), error]);
  }

  /** Calls of that name wait until the result is disposed (or their signal aborts). */
  hold(call: FakeCall): Disposable {
    const held = Promise.withResolvers<void>();
    this.#holds.set(call, held.promise);
    return {
      [Symbol.dispose]: () => {
        this.#holds.delete(call);
        held.resolve();
      },
    };
  }

  /** @throws what a test has ordered, or the reason why the caller has gone */
  async enter(ctx: Ctx, call: FakeCall, what: string): Promise<void> {
    this.made.push(`${call} ${what}`);
    const hold = this.#holds.get(call);
    if (hold) await raceSignal(hold, ctx.signal);
    ctx.signal.throwIfAborted();
    const failures = this.#failures.get(call);
    if (failures?.length) throw failures.shift();
  }
}
