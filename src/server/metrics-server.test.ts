import net from 'node:net';
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

/** Connections that say so much and no more, the first first. */
async function crowdAt(server: MetricsServer, count: number, words: string): Promise<readonly net.Socket[]> {
  const crowd: net.Socket[] = [];
  for (let made = 0; made < count; made++) {
    const socket = net.connect(server.port, '127.0.0.1');
    socket.on('error', () => undefined).resume();
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.write(words);
    crowd.push(socket);
  }
  return crowd;
}

const closedOf = (crowd: readonly net.Socket[]): number => crowd.filter(({ closed }) => closed).length;

test('connections that never end their request keep nobody from asking, nor from an answer', async () => {
  const gate = new ReadyGate();
  gate.open();
  const text = Promise.withResolvers<string>();
  const metrics = { ...createMetrics(), contentType: 'text/plain', text: () => text.promise };
  const server = await MetricsServer.start({ host: '127.0.0.1', port: 0, metrics, gate, log: silentLogger });
  let crowd: readonly net.Socket[] = [];
  try {
    const slow = get(server, '/metrics');
    crowd = await crowdAt(server, 65, 'GET /healthz HTTP/1.1\r\nHost: x\r\n');
    expect(await get(server, '/healthz')).toEqual([200, 'ok\n']);
    text.resolve('here\n');
    expect(await slow).toEqual([200, 'here\n']);
    expect(closedOf(crowd)).toBeLessThanOrEqual(4);
  } finally {
    crowd.forEach((socket) => socket.destroy());
    await server.close();
  }
});

test('requests that wait for their answer are bounded too: the oldest goes for one more', async () => {
  const never = new Promise<string>(() => undefined);
  const metrics = { ...createMetrics(), contentType: 'text/plain', text: () => never };
  const options = { host: '127.0.0.1', port: 0, metrics, gate: new ReadyGate(), log: silentLogger };
  const server = await MetricsServer.start(options);
  let crowd: readonly net.Socket[] = [];
  try {
    crowd = await crowdAt(server, 65, 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n');
    await new Promise((resolve) => (crowd[0]?.closed ? resolve(undefined) : crowd[0]?.once('close', resolve)));
    expect(closedOf(crowd)).toBe(1);
  } finally {
    crowd.forEach((socket) => socket.destroy());
    await server.close();
  }
});
