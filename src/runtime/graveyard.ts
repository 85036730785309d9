import { createCtx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import { messageOf } from '#base/errors';
import { unattended } from '#base/unattended';
import type { Logger } from '#base/log';
import type { Cgroups } from './cgroup/cgroups.ts';

interface Grave {
  readonly cgroupPath: string;
  readonly because: string;
  readonly since: number;
}

const attemptMs = 200;
const firstPauseMs = 500;
const longestPauseMs = 30_000;

/**
 * Containers whose set-up hangs in the kernel (state D, on a volume that does not answer) and cannot even be killed. Nobody
 * waits for them: their cgroup is removed when the kernel lets go, tried again and again with growing pauses. Its name,
 * the container's id, is never used again. What is still here when berthd ends is found as a stray by the next one.
 */
export class Graveyard {
  readonly #cgroups: Cgroups;
  readonly #log: Logger;
  readonly #graves = new Map<string, Grave>();
  #timer: NodeJS.Timeout | undefined;
  #pauseMs = firstPauseMs;

  constructor(cgroups: Cgroups, log: Logger) {
    this.#cgroups = cgroups;
    this.#log = log;
  }

  /** @param because shown by `berth check`: names the path that does not answer */
  add(containerId: string, cgroupPath: string, because: string): void {
    this.#graves.set(containerId, { cgroupPath, because, since: Date.now() });
    this.#log.warn({ containerId, cgroup: cgroupPath, because }, 'a process cannot be killed; it is left behind');
    this.#pauseMs = firstPauseMs;
    this.#schedule();
  }

  has(containerId: string): boolean {
    return this.#graves.has(containerId);
  }

  /** A line for each. */
  list(): readonly string[] {
    return [...this.#graves.values()].map(
      ({ cgroupPath, because }) => `process that cannot be killed in ${cgroupPath}: ${because}`,
    );
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#graves.clear();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#graves.size === 0) return;
    this.#timer = setTimeout(
      () => unattended(this.#log, 'looking after what cannot be killed', this.#dig()),
      this.#pauseMs,
    ).unref();
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs);
  }

  async #dig(): Promise<void> {
    for (const [containerId, { cgroupPath, since }] of this.#graves) {
      using deadline = new Deadline(attemptMs, `removing ${cgroupPath}`);
      const ctx = createCtx({ signal: deadline.signal, log: this.#log });
      try {
        await this.#cgroups.kill(ctx, cgroupPath);
        await this.#cgroups.remove(ctx, cgroupPath);
        this.#graves.delete(containerId);
        this.#log.info({ containerId, ms: Date.now() - since }, 'a process that could not be killed is gone');
      } catch (error) {
        this.#log.debug({ containerId, err: messageOf(error) }, 'still there');
      }
    }
    this.#schedule();
  }
}
