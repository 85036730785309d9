import { expect, test } from '@jest/globals';
import { silentLogger } from '#base/log';
import { createMetrics } from '#base/metrics';
import { MetricsServer } from './metrics-server.ts';
import { ReadyGate } from './ready-gate.ts';

async function get(server: MetricsServer, path: string, method = 'GET'): Promise<[number, string]> {
  const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method, headers: { connection: 'close' } });
  return [response.status, await response.text()];
}

test('serves metrics and health', async () => {
  const metrics = createMetrics();
  metrics.counter('starts_total', 'Starts.').add({});
  const gate = new ReadyGate('recovering');
  const server = await MetricsServer.start({ host: '127.0.0.1', port: 0, metrics, gate, log: silentLogger });
  try {
    expect(await get(server, '/metrics')).toEqual([200, expect.stringContaining('berth_starts_total 1')]);
    expect(await get(server, '/healthz')).toEqual([503, 'recovering\n']);
    gate.open();
    expect(await get(server, '/healthz?x')).toEqual([200, 'ok\n']);
    expect(await get(server, '/healthz', 'HEAD')).toEqual([200, '']);
    expect(await get(server, '/metrics', 'POST')).toEqual([405, 'only GET\n']);
    expect(await get(server, '/')).toEqual([404, 'there is /metrics and /healthz\n']);
  } finally {
    await server.close();
  }
});

test('an address that is taken is named', async () => {
  const options = { host: '127.0.0.1', metrics: createMetrics(), gate: new ReadyGate(), log: silentLogger };
  const first = await MetricsServer.start({ ...options, port: 0 });
  await expect(MetricsServer.start({ ...options, port: first.port })).rejects.toMatchObject({
    code: 'KERNEL',
    message: expect.stringContaining(`127.0.0.1:${first.port}`),
  });
  await first.close();
});
