import { describe, expect, test } from '@jest/globals';
import { systemClock } from '#base/clock';
import { http } from '#base/node-http';
import { connectSpdy, openCommand, upgradeToSpdy } from './spdy/spdy-client.fixture.ts';
import { startStreaming, until } from './streaming.fixture.ts';

async function statusOf(url: string, protocols = ['v4.channel.k8s.io']): Promise<number> {
  const { status, socket } = await upgradeToSpdy(url, protocols);
  socket.destroy();
  return status;
}

/** Without asking for another protocol. */
async function plainStatus(url: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    http.get(url, (response) => resolve(response.resume().statusCode)).once('error', reject);
  });
}

describe('a URL', () => {
  test('works once', async () => {
    await using streaming = await startStreaming();
    const url = streaming.exec();
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/exec\/[A-Za-z0-9_-]{22}$/);
    expect(await statusOf(url)).toBe(101);
    expect(await statusOf(url)).toBe(404);
    expect(await streaming.metrics.text()).toMatch(/^berth_stream_tokens_refused\{reason="unknown"\} 1$/m);
  });

  test('works only for what it was given for, and is used up by another attempt', async () => {
    await using streaming = await startStreaming();
    const url = streaming.exec();
    expect(await statusOf(url.replace('/exec/', '/attach/'))).toBe(404);
    expect(await statusOf(url)).toBe(404);
  });

  test('does not work after its time', async () => {
    const time = { ms: 0 };
    await using streaming = await startStreaming({ clock: { ...systemClock, monotonicMs: () => time.ms } });
    const url = streaming.exec();
    time.ms = 60_000;
    expect(await statusOf(url)).toBe(404);
    expect(streaming.server.waiting).toBe(0);
  });

  test('is refused when a thousand wait', async () => {
    await using streaming = await startStreaming();
    for (let count = 0; count < 1000; count++) streaming.exec();
    expect(() => streaming.exec()).toThrow(expect.objectContaining({ code: 'RESOURCE_EXHAUSTED' }));
    expect(await streaming.metrics.text()).toMatch(/^berth_stream_tokens 1000$/m);
  });

  test.each(['/', '/exec/', '/exec/unknown', '/exec/a/b', '/other/x'])('%s is none', async (path) => {
    await using streaming = await startStreaming();
    expect(await statusOf(new URL(path, streaming.exec()).href)).toBe(404);
  });

  test('is not for a browser, which does not use it up', async () => {
    await using streaming = await startStreaming();
    const url = streaming.exec();
    expect(await plainStatus(url)).toBe(400);
    expect(await plainStatus(new URL('/', url).href)).toBe(404);
    expect(await statusOf(url)).toBe(101);
  });
});

test('a connection on which nothing moves is ended, and told why', async () => {
  await using streaming = await startStreaming({ config: { idleTimeoutMs: 200 } });
  const client = await connectSpdy(streaming.exec({ stdout: true }));
  const { error } = await openCommand(client, ['error', 'stdout']);
  await until(() => client.closed);
  expect(JSON.parse(error.text)).toMatchObject({ status: 'Failure', message: expect.stringMatching(/nothing moved/) });
  await until(() => streaming.server.sessions === 0);
});

test('more connections than configured are not taken', async () => {
  await using streaming = await startStreaming({ config: { maxConnections: 1 } });
  const client = await connectSpdy(streaming.exec());
  await expect(statusOf(streaming.exec())).rejects.toThrow();
  client.end();
});

test('an ended berthd gives no URL', async () => {
  await using streaming = await startStreaming();
  await streaming.server.close(100);
  expect(() => streaming.exec()).toThrow(expect.objectContaining({ code: 'UNAVAILABLE' }));
});

test('a certificate that cannot be read is named', async () => {
  const tls = { cert: '/no/such/cert', key: '/no/such/key' };
  await expect(startStreaming({ config: { tls } })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(/streaming\.tls_cert.*\/no\/such\/cert/),
  });
});
