import type { Ctx } from './ctx.ts';
import { Deadline } from './deadline.ts';

interface Undo {
  readonly what: string;
  readonly run: (ctx: Ctx) => Promise<void> | void;
}

/** What could not be undone: it stays recorded, and a later stop, remove or recovery finishes it. */
export interface UndoFailure {
  readonly what: string;
  readonly error: unknown;
}

const cleanupMs = 10_000;

/**
 * The undo stack of one long operation. Push the undo on the line after the do; call `commit()` last. `rollBack()` runs
 * what was pushed, newest first, on a deadline of its own (the caller's signal may be the very reason for it).
 */
export class Rollback {
  readonly #undos: Undo[] = [];

  push(what: string, run: (ctx: Ctx) => Promise<void> | void): void {
    this.#undos.push({ what, run });
  }

  /** The operation succeeded: nothing will be undone. */
  commit(): void {
    this.#undos.length = 0;
  }

  /** Undoes everything, each step tried twice. Never throws; gives what is left. */
  async rollBack(ctx: Ctx, deadlineMs = cleanupMs): Promise<UndoFailure[]> {
    using deadline = new Deadline(deadlineMs, 'roll back');
    const cleanup = ctx.detach(deadline.signal);
    const failures: UndoFailure[] = [];
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop()) {
      const error = await attempt(undo, cleanup);
      if (error === undefined) continue;
      failures.push({ what: undo.what, error });
      ctx.log.warn({ undo: undo.what, err: error }, 'could not undo a step; recovery will');
    }
    return failures;
  }
}

async function attempt(undo: Undo, ctx: Ctx): Promise<unknown> {
  try {
    await undo.run(ctx);
    return undefined;
  } catch {
    try {
      await undo.run(ctx);
      return undefined;
    } catch (error) {
      return error ?? new Error('undo failed');
    }
  }
}
