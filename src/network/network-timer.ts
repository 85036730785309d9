import type { Clock } from '#base/clock';
import type { HistogramMetric, Metrics } from '#base/metrics';

export type NetworkVerb = 'ADD' | 'DEL' | 'CHECK' | 'GC';

/** Measures what is done to networks. */
export class NetworkTimer {
  readonly #seconds: HistogramMetric<'verb' | 'outcome'>;
  readonly #clock: Pick<Clock, 'monotonicMs'>;

  constructor(metrics: Metrics, clock: Pick<Clock, 'monotonicMs'>) {
    const help = 'Work on networks of pods that has ended, by the verb and whether it failed';
    this.#seconds = metrics.histogram('network_seconds', help, ['verb', 'outcome']);
    this.#clock = clock;
  }

  async measure<T>(verb: NetworkVerb, work: () => Promise<T>): Promise<T> {
    const startMs = this.#clock.monotonicMs();
    let outcome = 'failed';
    try {
      const value = await work();
      outcome = 'done';
      return value;
    } finally {
      this.#seconds.observe({ verb, outcome }, (this.#clock.monotonicMs() - startMs) / 1000);
    }
  }
}
