import { BerthError, isBerthError } from '#base/errors';
import type { Logger } from '#base/log';
import { unattended } from '#base/unattended';

/** A call may wait so long before the shim is asked whether it is there at all: its event loop never waits. */
const patienceMs = 2_000;
/** For the answer; a machine that is busy needs its time. */
const answerMs = 3_000;

export interface ShimWatchOptions {
  readonly podId: string;
  /** 0: not known yet. */
  readonly pid: () => number;
  /** Any question that a shim answers at once; rejects when the connection is gone. */
  readonly ask: () => Promise<unknown>;
  readonly log: Logger;
}

/** Finds out that a shim which is connected does not answer, and says so: once in the log, and in the errors of calls. */
export class ShimWatch {
  readonly #options: ShimWatchOptions;
  #waiting = 0;
  #timer: NodeJS.Timeout | undefined;
  #asking: Promise<boolean> | undefined;
  /** performance.now() of the question that it has not answered. */
  #silentSince: number | undefined;

  constructor(options: ShimWatchOptions) {
    this.#options = options;
  }

  /** A sentence about a shim that does not answer; undefined for one of which nothing is known to be wrong. */
  get silence(): string | undefined {
    if (this.#silentSince === undefined) return undefined;
    const seconds = Math.round((performance.now() - this.#silentSince) / 1000);
    return silentShim(this.#options.podId, this.#options.pid(), `for ${seconds} s`);
  }

  /** Waits for a call, and watches the shim as long as any call waits. */
  async during<T>(call: Promise<T>): Promise<T> {
    if (this.#waiting++ === 0) this.#plan();
    try {
      return await call;
    } catch (error) {
      throw this.explain(error);
    } finally {
      if (--this.#waiting === 0) clearTimeout(this.#timer);
    }
  }

  /** The error of a call that was cut short while the shim does not answer says so. */
  explain(error: unknown): unknown {
    const { silence } = this;
    if (silence === undefined || !isBerthError(error, 'DEADLINE_EXCEEDED')) return error;
    return new BerthError('DEADLINE_EXCEEDED', `${error.message}: ${silence}`, { cause: error });
  }

  /** Whether it answers now. Never rejects; a shim that is gone is no silent one. */
  async answers(): Promise<boolean> {
    if (this.#silentSince !== undefined) return false;
    this.#asking ??= this.#ask().finally(() => (this.#asking = undefined));
    return await this.#asking;
  }

  #plan(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const asked = this.answers().then((answers) => {
        if (answers && this.#waiting > 0) this.#plan();
      });
      unattended(this.#options.log, 'asking a shim', asked);
    }, patienceMs);
    this.#timer.unref();
  }

  async #ask(): Promise<boolean> {
    const since = performance.now();
    let answered = false;
    const answer = this.#options.ask().then(
      () => this.#heard((answered = true)),
      () => this.#heard(!(answered = true)),
    );
    await Promise.race([answer, overdue()]);
    if (answered) return true;
    this.#silentSince = since;
    const { podId, pid, log } = this.#options;
    log.error({ podId, shimPid: pid() }, this.silence ?? '');
    return false;
  }

  #heard(alive: boolean): void {
    if (this.#silentSince === undefined) return;
    const { podId, pid, log } = this.#options;
    const seconds = Math.round((performance.now() - this.#silentSince) / 1000);
    this.#silentSince = undefined;
    if (alive) log.warn({ podId, shimPid: pid(), seconds }, 'the shim of a pod answers again');
    if (alive && this.#waiting > 0) this.#plan();
  }
}

/** The time is over, and what had come in by then has been read: the loop may have been late itself. */
function overdue(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(() => setImmediate(resolve), answerMs).unref();
  });
}

/** @param since "for 12 s", "since berthd started" */
export function silentShim(podId: string, pid: number, since: string): string {
  const named = pid > 0 ? ` (pid ${pid})` : '';
  const who = pid > 0 ? `${pid}` : 'PID';
  return (
    `the shim of pod ${podId}${named} has not answered ${since}: it is stopped, frozen, hangs in the kernel or is very busy ` +
    `(/proc/${who}/status tells); calls to the pod wait for it; kill -CONT ${who} lets a stopped one go on, ` +
    `kill -KILL ${who} ends the pod`
  );
}

export function unreachableShim(podId: string, pid: number): string {
  const named = pid > 0 ? ` (pid ${pid})` : '';
  return (
    `the shim of pod ${podId}${named} lives, but its socket is gone, so that nobody can reach it: its containers go on and ` +
    'can no longer be started, stopped or entered; stopping or removing the pod ends all of it'
  );
}
