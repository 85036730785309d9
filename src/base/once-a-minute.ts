import type { Clock } from './clock.ts';

const minuteMs = 60_000;

/** Keeps lines that can come thousands of times a second to one a minute, which says how many there were. */
export class OnceAMinute {
  readonly #clock: Clock;
  #lastMs = -Infinity;
  #times = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param write gets how often this was called since it wrote the last time */
  say(write: (times: number) => void): void {
    this.#times += 1;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#lastMs < minuteMs) return;
    const times = this.#times;
    this.#lastMs = nowMs;
    this.#times = 0;
    write(times);
  }
}
