import type { Clock } from '#base/clock';
import type { GaugeMetric, Metrics } from '#base/metrics';

/** One call that has not ended, the work of a caller that left included. */
export interface RunningCall extends Disposable {
  /** Where it is. */
  readonly stage: string;
  enter(stage: string): void;
}

/**
 * Counts the calls that run, by method and stage: what is stuck shows where it is stuck, and since when the oldest one
 * runs. Calls that are meant to last are counted, but never the oldest.
 */
export class RunningCalls {
  readonly #gauge: GaugeMetric<'method' | 'stage'>;
  readonly #counts = new Map<string, number>();
  readonly #started = new Set<{ readonly since: number }>();
  readonly #clock: Clock;

  constructor(metrics: Metrics, clock: Clock) {
    this.#clock = clock;
    this.#gauge = metrics.gauge('calls_running', 'Calls that have not ended, by where they are.', ['method', 'stage']);
    metrics.gaugeOf('oldest_call_seconds', 'Age of the oldest running call; event streams do not count.', () =>
      this.oldestSeconds(),
    );
  }

  oldestSeconds(): number {
    // Insertion order is start order.
    for (const { since } of this.#started) return (this.#clock.monotonicMs() - since) / 1000;
    return 0;
  }

  start(method: string, lasting: boolean): RunningCall {
    const entry = { since: this.#clock.monotonicMs() };
    if (!lasting) this.#started.add(entry);
    let stage = 'begin';
    this.#count(method, stage, 1);
    return {
      get stage() {
        return stage;
      },
      enter: (next) => {
        if (next === stage) return;
        this.#count(method, stage, -1);
        stage = next;
        this.#count(method, stage, 1);
      },
      [Symbol.dispose]: () => {
        this.#started.delete(entry);
        this.#count(method, stage, -1);
      },
    };
  }

  #count(method: string, stage: string, change: number): void {
    const key = `${method} ${stage}`;
    const count = (this.#counts.get(key) ?? 0) + change;
    this.#counts.set(key, count);
    this.#gauge.set({ method, stage }, count);
  }
}
