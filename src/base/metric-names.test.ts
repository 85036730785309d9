import { describe, expect, test } from '@jest/globals';
import { faultsOfMetric, type MetricKind } from './metric-names.ts';
import { createMetrics } from './metrics.ts';

describe('names by the rules of Prometheus', () => {
  test.each<[MetricKind, string, string]>([
    ['counter', 'berth_stream_bytes', '_total'],
    ['gauge', 'berth_pods_total', '_total'],
    ['histogram', 'berth_calls_total', '_total'],
    ['gauge', 'berth_call_count', 'histograms'],
    ['histogram', 'berth_call_ms', 'seconds is wanted'],
    ['counter', 'berth_read_kib_total', 'bytes is wanted'],
    ['gauge', 'berth_used_percent', 'ratio is wanted'],
    ['gauge', 'berth_pods_gauge', 'no kind'],
    ['gauge', 'berth_openFiles', 'lower case'],
  ])('a %s %s is wrong: %s', (kind, name, why) => {
    expect(faultsOfMetric({ kind, name, help: 'Help.', labels: [] }).join()).toContain(why);
  });

  test('help and labels are looked at too', () => {
    expect(faultsOfMetric({ kind: 'gauge', name: 'berth_pods', help: ' ', labels: ['le'] })).toHaveLength(2);
    expect(faultsOfMetric({ kind: 'gauge', name: 'berth_pods', help: 'Pods.', labels: ['state'] })).toEqual([]);
  });

  test('one that breaks them cannot be made', () => {
    const metrics = createMetrics();
    expect(() => metrics.counter('starts', 'Starts.')).toThrow('berth_starts: _total is the end of counters');
    expect(() => metrics.gaugeOf('pods_total', 'Pods.', () => 0)).toThrow('_total');
  });
});

test('Node’s own metrics keep them as well', async () => {
  const text = await createMetrics({ processMetrics: true }).text();
  const help = new Map([...text.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name = '', words = '']) => [name, words]));
  const metrics = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', kind]) => ({
    ...{ name, kind: kind as MetricKind, help: help.get(name) ?? '', labels: [] },
  }));
  expect(metrics.length).toBeGreaterThan(20);
  expect(metrics.flatMap((metric) => faultsOfMetric(metric).map((fault) => `${metric.name}: ${fault}`))).toEqual([]);
});
