export type MetricKind = 'counter' | 'gauge' | 'histogram';

export interface MetricName {
  readonly kind: MetricKind;
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
}

/** Of the words of a name: units that are none of Prometheus' base units, and kinds of metrics. */
const wrongWords = new Map([
  ...[
    'ms',
    'us',
    'ns',
    'millis',
    'milliseconds',
    'microseconds',
    'nanoseconds',
    'minutes',
    'hours',
    'days',
    'sec',
    's',
  ].map((word) => [word, 'seconds'] as const),
  ...['kb', 'mb', 'gb', 'kib', 'mib', 'gib', 'kilobytes', 'megabytes', 'gigabytes', 'bits'].map(
    (word) => [word, 'bytes'] as const,
  ),
  ...['percent', 'percents'].map((word) => [word, 'ratio'] as const),
  ...['counter', 'gauge', 'histogram', 'summary'].map((word) => [word, 'no kind'] as const),
]);

/** What is wrong by Prometheus' rules for names (prometheus.io/docs/practices/naming), as `promtool check metrics` says. */
export function faultsOfMetric({ kind, name, help, labels }: MetricName): readonly string[] {
  const faults: string[] = [];
  if (help.trim() === '') faults.push('it has no help');
  if (!/^[a-z][a-z0-9_]*$/.test(name)) faults.push('it is not in lower case with underscores');
  if ((kind === 'counter') !== name.endsWith('_total'))
    faults.push('_total is the end of counters, and of nothing else');
  if (/_(count|sum|bucket|info_total)$/.test(name)) faults.push('its end is one that histograms add');
  for (const word of name.split('_')) {
    const instead = wrongWords.get(word);
    if (instead !== undefined) faults.push(`"${word}" in its name: ${instead} is wanted`);
  }
  for (const label of labels) {
    if (!/^[a-z][a-z0-9_]*$/.test(label) || label === 'le' || label === 'quantile') faults.push(`its label ${label}`);
  }
  return faults;
}

/** @throws Error for a name that breaks the rules: names are written in the code */
export function checkMetric(metric: MetricName): void {
  const faults = faultsOfMetric(metric);
  if (faults.length > 0) throw new Error(`metric ${metric.name}: ${faults.join('; ')}`);
}
