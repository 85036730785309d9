import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { systemClock } from '#base/clock';
import { http } from '#base/node-http';
import { serverCertPem, serverKeyPem } from '#images/registry/tls-pems.fixture';
import { connectSpdy, openCommand, upgradeToSpdy } from './spdy/spdy-client.fixture.ts';
import { startStreaming, until } from './streaming.fixture.ts';

const directories: string[] = [];
afterAll(() => Promise.all(directories.map((directory) => rm(directory, { recursive: true }))));

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
    expect(await streaming.metrics.text()).toMatch(/^berth_stream_tokens_refused_total\{reason="unknown"\} 1$/m);
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

  test.each(['/', '/exec/', '/exec/unknown', '/exec/a/b', '/other/x'])('%s is none', async (other) => {
    await using streaming = await startStreaming();
    expect(await statusOf(new URL(other, streaming.exec()).href)).toBe(404);
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

test('more clients than configured are told so', async () => {
  await using streaming = await startStreaming({ config: { maxConnections: 1 } });
  const client = await connectSpdy(streaming.exec());
  expect(await statusOf(streaming.exec())).toBe(503);
  expect(await streaming.metrics.text()).toMatch(/^berth_stream_tokens_refused_total\{reason="busy"\} 1$/m);
  client.end();
});

async function certificate(): Promise<{ cert: string; key: string }> {
  const directory = await mkdtemp(path.join(tmpdir(), 'berth-streaming-'));
  directories.push(directory);
  const tls = { cert: path.join(directory, 'cert.pem'), key: path.join(directory, 'key.pem') };
  await writeFile(tls.cert, serverCertPem);
  await writeFile(tls.key, serverKeyPem);
  return tls;
}

/** Connections that say so much and no more, the first first. */
async function strangers(url: string, count: number, words: string): Promise<readonly net.Socket[]> {
  const sockets: net.Socket[] = [];
  for (let made = 0; made < count; made++) {
    const socket = net.connect(Number(new URL(url).port), '127.0.0.1');
    socket.on('error', () => undefined).resume();
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.write(words);
    sockets.push(socket);
  }
  return sockets;
}

describe('connections that show no URL', () => {
  test('keep no client out: the oldest of them goes for one more', async () => {
    await using streaming = await startStreaming({ config: { maxConnections: 1 } });
    const url = streaming.exec();
    const crowd = await strangers(url, 256, 'GET / HTTP/1.1\r\nHost: x\r\n');
    expect(await statusOf(url)).toBe(101);
    await until(() => crowd[0]?.closed === true, 'the oldest is closed');
    expect(crowd.filter(({ closed }) => closed)).toHaveLength(1);
    crowd.forEach((socket) => socket.destroy());
  });

  test.each(['http', 'https'])('end no client that has shown one, over %s', async (scheme) => {
    await using streaming = await startStreaming({ config: scheme === 'https' ? { tls: await certificate() } : {} });
    const client = await connectSpdy(streaming.exec({ stdin: true, stdout: true }));
    await until(() => streaming.server.sessions === 1);
    const crowd = await strangers(streaming.exec(), 257, '');
    await until(() => crowd[0]?.closed === true, 'the oldest is closed');
    expect(client.closed).toBe(false);
    expect(streaming.server.sessions).toBe(1);
    client.end();
    crowd.forEach((socket) => socket.destroy());
  });
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
