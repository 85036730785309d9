/** Figures about one kind of sample. */
export interface Summary {
  readonly count: number;
  readonly min: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** Nearest rank: always a value that was measured. `samples` need not be sorted. */
export function percentile(samples: readonly number[], fraction: number): number {
  if (samples.length === 0) return NaN;
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = Math.ceil(fraction * sorted.length);
  return sorted[Math.min(sorted.length, Math.max(1, rank)) - 1]!;
}

export function summarize(samples: readonly number[]): Summary {
  return {
    count: samples.length,
    min: percentile(samples, 0),
    p50: percentile(samples, 0.5),
    p95: percentile(samples, 0.95),
    p99: percentile(samples, 0.99),
    max: percentile(samples, 1),
  };
}

export function mean(samples: readonly number[]): number {
  return samples.reduce((sum, sample) => sum + sample, 0) / samples.length;
}

/** The median of the ratios of samples that were taken one after the other: what drifts with the machine cancels out. */
export function pairedRatio(dividends: readonly number[], divisors: readonly number[]): number {
  const pairs = Math.min(dividends.length, divisors.length);
  const ratios = Array.from({ length: pairs }, (_, i) => dividends[i]! / divisors[i]!);
  return percentile(ratios, 0.5);
}
