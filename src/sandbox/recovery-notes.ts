import type { Ctx } from '#base/ctx';
import { Deadline, raceSignal } from '#base/deadline';
import { messageOf } from '#base/errors';
import { unattended } from '#base/unattended';
import { background, type SandboxParts } from './parts.ts';

const firstPauseMs = 1_000;
const longestPauseMs = 60_000;
/** What waits for processes to go does not hold up those who want to be served: all of it together, at a start. */
const patienceMs = 1_000;
const leastPatienceMs = 100;

/** What recovery did that an owner should know, and what it has not done yet. */
export class RecoveryNotes {
  readonly #ended: string[] = [];
  readonly #unfinished = new Map<string, { readonly why: string; readonly needed: () => boolean }>();
  /** performance.now() at which the start has waited long enough; undefined: berthd does not start just now. */
  #waitsUntil: number | undefined;

  /** From here on until it is disposed, waiting for what goes on by itself has one end in common. */
  start(): Disposable {
    this.#waitsUntil = performance.now() + patienceMs;
    return { [Symbol.dispose]: () => void (this.#waitsUntil = undefined) };
  }

  /** Milliseconds. What is done at once is waited for all the same. */
  patienceLeft(): number {
    return this.#waitsUntil === undefined
      ? patienceMs
      : Math.max(leastPatienceMs, this.#waitsUntil - performance.now());
  }

  /** Something that no source could identify was ended. Shown until it is forgotten, or berthd starts anew. */
  ended(what: string): void {
    this.#ended.push(what);
  }

  /** It is tried again until it succeeds; shown as long, and while it is needed. */
  unfinished(what: string, why: string, needed: () => boolean): void {
    this.#unfinished.set(what, { why, needed });
  }

  finished(what: string): void {
    this.#unfinished.delete(what);
  }

  /** Lines for `berth check`. */
  list(): readonly string[] {
    return [
      ...this.#ended.map((what) => `ended at the start of berthd, because nothing said what it was: ${what}`),
      ...[...this.#unfinished]
        .filter(([, { needed }]) => needed())
        .map(([what, { why }]) => `not done yet: ${what}: ${why}`),
    ];
  }

  forget(): void {
    this.#ended.length = 0;
  }
}

/** Does what one record needs; a failure is that record's alone. */
export async function attempt(ctx: Ctx, what: string, work: () => Promise<void> | void): Promise<void> {
  try {
    await work();
  } catch (error) {
    ctx.log.error({ err: error, what }, 'recovery could not set this right; it goes on');
  }
}

/**
 * Does what must not be left: tries again, with growing pauses, until it is done, somebody else has done it (`needed`), or
 * berthd ends. Never rejects; ends after the first try.
 */
export async function insist(
  parts: SandboxParts,
  what: string,
  work: (ctx: Ctx) => Promise<void>,
  needed = (): boolean => true,
): Promise<void> {
  const tryOnce = async (): Promise<boolean> => {
    using own = background(parts, what, parts.timeouts.removeMs);
    try {
      if (needed()) await work(own.ctx);
      parts.notes.finished(what);
      return true;
    } catch (error) {
      parts.notes.unfinished(what, messageOf(error), needed);
      parts.log.error({ err: error, what }, 'recovery could not do this yet; it is tried again');
      return false;
    }
  };
  if (await tryOnce()) return;
  const again = async (): Promise<void> => {
    for (let pause = firstPauseMs; !parts.stopping.aborted; pause = Math.min(2 * pause, longestPauseMs)) {
      await new Promise((resolve) => setTimeout(resolve, pause).unref());
      if (parts.stopping.aborted || (await tryOnce())) return;
    }
  };
  unattended(parts.log, what, again());
}

/** Waits a moment for work that goes on by itself; at a start no longer than all such work together may hold it up. */
export async function patiently(parts: SandboxParts, work: Promise<void>): Promise<void> {
  using patience = new Deadline(parts.notes.patienceLeft(), 'recovery');
  await raceSignal(work, patience.signal).catch(() => undefined);
}
