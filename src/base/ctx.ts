import type { Logger } from './log.ts';
import { silentLogger } from './log.ts';

/**
 * What every function below the server takes as its first argument. Context is passed, never conjured: there is no
 * AsyncLocalStorage in Berth.
 */
export interface Ctx {
  /** Aborts when this operation has to end: its deadline, its last caller leaving, or shutdown. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly requestId: string;
  /**
   * Names the step that runs now ("network", "shim create"). Shown in errors, in the stalled-at-stage metric and in the
   * time line of a pod.
   */
  stage(name: string): void;
  /**
   * The same context with a signal that only `signal` aborts, for work that outlives the caller: clean-up, joined
   * operations.
   */
  detach(signal: AbortSignal): Ctx;
  /** The same context with more log fields. */
  withFields(fields: Readonly<Record<string, unknown>>): Ctx;
}

export interface CtxOptions {
  readonly signal?: AbortSignal;
  readonly log?: Logger;
  readonly requestId?: string;
  readonly onStage?: (name: string) => void;
}

const never = new AbortController().signal;

export function createCtx(options: CtxOptions = {}): Ctx {
  const { signal = never, log = silentLogger, requestId = '', onStage = () => undefined } = options;
  return {
    signal,
    log,
    requestId,
    stage: onStage,
    detach: (other) => createCtx({ ...options, signal: other }),
    withFields: (fields) => createCtx({ ...options, log: log.child(fields) }),
  };
}
