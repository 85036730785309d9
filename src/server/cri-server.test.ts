import { chmodSync, linkSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import path from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '#base/clock';
import { sleep } from '#base/deadline';
import { silentLogger } from '#base/log';
import { createMetrics } from '#base/metrics';
import type { ImageServiceClient } from '#cri-api/gen/runtime/v1/ImageService';
import type { ListImagesResponse__Output } from '#cri-api/gen/runtime/v1/ListImagesResponse';
import { loadCriProto } from './cri-proto.ts';
import { scratchDirectory, startTestServer } from './cri-server.fixture.ts';
import { CriServer } from './cri-server.ts';
import { anImage, imageStoreOf } from './images.fixture.ts';
import { connectionMetrics } from './served-connections.ts';

function modeOf(file: string): string {
  return (statSync(file).mode & 0o777).toString(8);
}

function openServer(socket: string): Promise<CriServer> {
  return CriServer.start({
    ...{ socket, services: [], allowPeer: () => true, log: silentLogger, clock: systemClock },
    config: { maxConnections: 16, idleTimeoutMs: 60_000 },
    connectionMetrics: connectionMetrics(createMetrics()),
  });
}

describe('the socket', () => {
  test('is 0600 in a directory of 0700, and the umask is as it was', async () => {
    const before = process.umask(0o027);
    await using server = await startTestServer();
    expect([modeOf(server.socket), modeOf(path.dirname(server.socket))]).toEqual(['600', '700']);
    expect(process.umask(before)).toBe(0o027);
  });

  test('leaves a directory that was there as it is', async () => {
    const directory = scratchDirectory();
    chmodSync(directory, 0o755);
    const server = await openServer(path.join(directory, 's'));
    expect(modeOf(directory)).toBe('755');
    await server.close(0);
  });

  test('replaces what a killed process left', async () => {
    const socket = path.join(scratchDirectory(), 's');
    await leaveStaleSocket(socket);
    const server = await openServer(socket);
    await server.close(0);
    expect(statSync(socket, { throwIfNoEntry: false })).toBeUndefined();
  });

  test('does not take over from a process that still listens', async () => {
    await using server = await startTestServer();
    await expect(openServer(server.socket)).rejects.toMatchObject({
      code: 'STATE_LOCKED',
      message: expect.stringContaining(server.socket),
    });
    await expect(server.client.images.listImages({})).resolves.toEqual({ images: [] });
  });

  test('does not remove what is not a socket', async () => {
    const file = path.join(scratchDirectory(), 's');
    writeFileSync(file, 'precious');
    await expect(openServer(file)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(statSync(file).size).toBe(8);
  });

  test('refuses by name a path the kernel would not take', async () => {
    const directory = path.join(scratchDirectory(), 'd'.repeat(100));
    mkdirSync(directory);
    const socket = path.join(directory, 'berth.sock');
    await expect(openServer(socket)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(socket),
    });
  });

  test('cuts a peer that is not allowed', async () => {
    let peers = 0;
    await using server = await startTestServer({
      allowPeer: () => {
        peers += 1;
        return false;
      },
    });
    await expect(server.client.images.listImages({}, { timeoutMs: 300 })).rejects.toThrow(/UNAVAILABLE|DEADLINE/);
    expect(peers).toBeGreaterThan(0);
    expect(server.lines).toContainEqual(
      expect.objectContaining({ message: 'a peer that is not allowed here was cut' }),
    );
  });
});

test('a peer that cannot be asked about is cut, and nobody else suffers', async () => {
  let asked = 0;
  await using server = await startTestServer({
    allowPeer: () => {
      asked += 1;
      if (asked === 1) throw new Error('bad file descriptor');
      return true;
    },
  });
  const first = net.connect(server.socket);
  await new Promise((resolve) => first.once('close', resolve));
  await expect(server.client.images.listImages({})).resolves.toEqual({ images: [] });
});

/** A socket file nobody listens on: bound under another name, which alone is removed at close. */
async function leaveStaleSocket(socket: string): Promise<void> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(`${socket}.first`, resolve));
  linkSync(`${socket}.first`, socket);
  await new Promise((resolve) => server.close(resolve));
}

describe('what clients say', () => {
  test.each([
    ['localhost', 'OK'],
    ['%2Frun%2Fberth%2Fberth.sock', 'OK'],
    // Node's HTTP/2 refuses these before any of our code runs.
    ['/run/berth/berth.sock', 'INTERNAL'],
  ])(':authority %s: %s', async (authority, expected) => {
    await using server = await startTestServer();
    const client = rawClient(server.socket, { 'grpc.default_authority': authority });
    const outcome = await listImages(client);
    client.close();
    expect(outcome).toBe(expected);
  });

  test('an empty :authority is refused too', async () => {
    await using server = await startTestServer();
    expect(await bareRequest(server.socket, '')).toBe('reset');
    expect(await bareRequest(server.socket, 'localhost')).toBe('status 200');
  });

  test('a message over 16 MiB is RESOURCE_EXHAUSTED, one of 15 MiB is not', async () => {
    await using server = await startTestServer();
    const client = rawClient(server.socket, { 'grpc.max_send_message_length': -1 });
    const name = (mebibytes: number): string => 'x'.repeat(mebibytes * 1024 * 1024);
    expect(await listImages(client, name(15))).toBe('OK');
    expect(await listImages(client, name(17))).toBe('RESOURCE_EXHAUSTED');
    client.close();
  }, 30_000);

  test('a call the protocol does not have is UNIMPLEMENTED', async () => {
    await using server = await startTestServer();
    await expect(server.client.runtime.version({})).rejects.toMatchObject({ status: 'UNIMPLEMENTED' });
  });
});

/** A request without grpc-js, which has no way to leave the authority empty. */
function bareRequest(socket: string, authority: string): Promise<string> {
  return new Promise((resolve) => {
    const session = http2.connect('http://localhost', { createConnection: () => net.connect(socket) });
    const request = session.request({
      ':method': 'POST',
      ':path': '/runtime.v1.ImageService/ListImages',
      ':authority': authority,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    request.on('response', (headers) => resolve(`status ${headers[':status'] ?? 0}`));
    request.on('error', () => resolve('reset'));
    request.on('close', () => session.destroy());
    request.end(Buffer.alloc(5));
    request.resume();
  });
}

function rawClient(socket: string, options: grpc.ClientOptions): ImageServiceClient {
  const { ImageService } = loadCriProto();
  return new ImageService(`unix://${socket}`, grpc.credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_http_proxy': 0,
    ...options,
  });
}

function listImages(client: ImageServiceClient, image = ''): Promise<string> {
  return new Promise((resolve) => {
    const done = (error: grpc.ServiceError | null, _response?: ListImagesResponse__Output): void =>
      resolve(grpc.status[error?.code ?? grpc.status.OK] ?? '');
    client.listImages({ filter: { image: { image } } }, { deadline: Date.now() + 10_000 }, done);
  });
}

describe('close', () => {
  test('waits for a call that runs and takes no new one', async () => {
    let finish: (() => void) | undefined;
    const removing = new Promise<void>((resolve) => {
      finish = resolve;
    });
    await using server = await startTestServer({ images: imageStoreOf([], { remove: () => removing }) });
    const removed = server.client.images.removeImage({ image: { image: 'a' } });
    await server.client.images.listImages({});
    const closed = server.server.close(10_000);
    finish?.();
    await expect(removed).resolves.toEqual({});
    await closed;
    await expect(server.client.images.listImages({}, { timeoutMs: 300 })).rejects.toThrow();
  });

  test('cuts what does not end in time', async () => {
    const cut = Promise.withResolvers<unknown>();
    const images = imageStoreOf([anImage(1)], {
      remove: (ctx) => sleep(60_000, ctx.signal).catch((error: unknown) => cut.resolve(error)),
    });
    await using server = await startTestServer({ images });
    const removed = server.client.images.removeImage({ image: { image: 'a' } });
    await server.client.images.listImages({});
    const began = performance.now();
    const [outcome] = await Promise.allSettled([removed, server.server.close(100)]);
    expect(outcome.status).toBe('rejected');
    expect(performance.now() - began).toBeLessThan(2000);
    expect(await cut.promise).toMatchObject({ code: 'CANCELLED' });
  });
});
