import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { checkMetric, type MetricKind } from './metric-names.ts';

type Labels<L extends string> = Readonly<Record<L, string>>;

export interface CounterMetric<L extends string> {
  add(labels: Labels<L>, value?: number): void;
}

export interface HistogramMetric<L extends string> {
  observe(labels: Labels<L>, value: number): void;
}

export interface GaugeMetric<L extends string> {
  set(labels: Labels<L>, value: number): void;
}

/** Where every metric is made; one instance a process, handed out by main. Names get the prefix `berth_`. */
export interface Metrics {
  counter<L extends string = never>(name: string, help: string, labels?: readonly L[]): CounterMetric<L>;
  /** Seconds, from half a millisecond to minutes, unless other buckets are given. */
  histogram<L extends string = never>(
    name: string,
    help: string,
    labels?: readonly L[],
    buckets?: readonly number[],
  ): HistogramMetric<L>;
  gauge<L extends string = never>(name: string, help: string, labels?: readonly L[]): GaugeMetric<L>;
  /** A gauge that is asked when it is scraped. */
  gaugeOf(name: string, help: string, read: () => number): void;
  /** The Prometheus text format and its content type. */
  text(): Promise<string>;
  readonly contentType: string;
}

const secondsBuckets = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 120];

/** Gauges with a counter's suffix: sums over `type` of those without it, which stay. */
const misnamed = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

export interface MetricsOptions {
  /** Node's own metrics too (memory, event loop, handles); berthd wants them, tests do not. */
  readonly processMetrics?: boolean;
  /** Of this berthd, for the metric that says so. */
  readonly version?: string;
}

export function createMetrics(options: MetricsOptions = {}): Metrics {
  const registry = new Registry();
  if (options.processMetrics) {
    // The default precision of 10 ms would wake an idle daemon a hundred times a second.
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 });
    for (const name of misnamed) registry.removeSingleMetric(name);
  }
  const common = <L extends string>(kind: MetricKind, name: string, help: string, labels: readonly L[]) => {
    checkMetric({ kind, name: `berth_${name}`, help, labels });
    return { name: `berth_${name}`, help, labelNames: labels, registers: [registry] };
  };
  if (options.version !== undefined) {
    const info = common('gauge', 'build_info', 'Always 1; its labels say which berthd this is.', ['version', 'node']);
    new Gauge(info).set({ version: options.version, node: process.version }, 1);
  }
  return {
    counter: (name, help, labels = []) => {
      const counter = new Counter(common('counter', name, help, labels));
      return { add: (values, value = 1) => counter.inc({ ...values }, value) };
    },
    histogram: (name, help, labels = [], buckets = secondsBuckets) => {
      const histogram = new Histogram({ ...common('histogram', name, help, labels), buckets: [...buckets] });
      return { observe: (values, value) => histogram.observe({ ...values }, value) };
    },
    gauge: <L extends string = never>(name: string, help: string, labels: readonly L[] = []): GaugeMetric<L> => {
      // Set many times a call and read once a scrape: prom-client, which hashes labels, sees only the last values.
      const latest = new Map<string, readonly [Labels<L>, number]>();
      new Gauge({
        ...common('gauge', name, help, labels),
        collect() {
          for (const [values, value] of latest.values()) this.set({ ...values }, value);
          latest.clear();
        },
      });
      return {
        set: (values, value) => {
          latest.set(labels.map((label) => values[label]).join('\0'), [values, value]);
        },
      };
    },
    gaugeOf: (name, help, read) => {
      // Registers itself; prom-client calls collect with the gauge as `this`.
      new Gauge({
        ...common('gauge', name, help, []),
        collect() {
          this.set(read());
        },
      });
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
