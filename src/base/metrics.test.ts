import { describe, expect, test } from '@jest/globals';
import { createMetrics } from './metrics.ts';

describe('createMetrics', () => {
  test('counters, histograms and gauges show up by their names and labels', async () => {
    const metrics = createMetrics();
    metrics.counter('events_dropped_total', 'Events.', ['kind']).add({ kind: 'oom' });
    metrics.histogram('call_seconds', 'Calls.', ['method', 'code']).observe({ method: 'Version', code: 'OK' }, 0.0015);
    metrics.gauge('pods', 'Pods.', ['state']).set({ state: 'ready' }, 3);
    let value = 1;
    metrics.gaugeOf('log_lines_dropped', 'Lines.', () => value);
    value = 7;
    const text = await metrics.text();
    expect(text).toContain('berth_events_dropped_total{kind="oom"} 1');
    expect(text).toContain('berth_call_seconds_bucket{le="0.002",method="Version",code="OK"} 1');
    expect(text).toContain('berth_pods{state="ready"} 3');
    expect(text).toContain('berth_log_lines_dropped 7');
    expect(text).not.toContain('process_cpu');
    expect(metrics.contentType).toContain('text/plain');
  });

  test('two instances do not know each other', () => {
    createMetrics().counter('a_total', 'A.');
    createMetrics().counter('a_total', 'A.');
  });

  test('a counter without labels needs none', async () => {
    const metrics = createMetrics();
    metrics.counter('starts_total', 'Starts.').add({}, 2);
    expect(await metrics.text()).toContain('berth_starts_total 2');
  });
});
