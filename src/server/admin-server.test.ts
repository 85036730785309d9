import { statSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '#base/clock';
import { sleep } from '#base/deadline';
import { BerthError } from '#base/errors';
import { silentLogger } from '#base/log';
import { createMetrics } from '#base/metrics';
import type { PullStatus } from '#images/image-store';
import type { AdminActions } from './admin-actions.ts';
import { AdminServer } from './admin-server.ts';
import { scratchDirectory } from './cri-server.fixture.ts';
import { anImage } from './images.fixture.ts';
import { ReadyGate } from './ready-gate.ts';
import { connectionMetrics } from './served-connections.ts';

interface TestAdmin extends AsyncDisposable {
  readonly socket: string;
  readonly server: AdminServer;
  readonly gate: ReadyGate;
}

async function startAdmin(actions: Partial<AdminActions> = {}, ready = true): Promise<TestAdmin> {
  const socket = path.join(scratchDirectory(), 'run/admin.sock');
  const gate = new ReadyGate();
  if (ready) gate.open();
  const refuse = (): never => {
    throw new BerthError('INTERNAL', 'not in this test');
  };
  const server = await AdminServer.start({
    socket,
    gate,
    allowPeer: () => true,
    log: silentLogger,
    clock: systemClock,
    connectionMetrics: connectionMetrics(createMetrics()),
    fullDisks: () => '',
    actions: {
      loadImage: refuse,
      pullImage: refuse,
      pulls: refuse,
      strays: refuse,
      forget: refuse,
      config: refuse,
      lastReload: () => undefined,
      reloadConfig: refuse,
      pods: refuse,
      removeAll: refuse,
      shutdown: refuse,
      ...actions,
    },
  });
  return { socket, server, gate, [Symbol.asyncDispose]: () => server.close() };
}

interface Answer {
  readonly status: number;
  readonly lines: readonly unknown[];
}

function ask(socketPath: string, method: string, target: string, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request({ socketPath, method, path: target, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('error', reject);
      response.on('end', () => {
        const lines = text.split('\n').filter((line) => line !== '');
        resolve({ status: response.statusCode ?? 0, lines: lines.map((line): unknown => JSON.parse(line)) });
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

const pullOf = (reference: string): PullStatus => ({
  ...{ reference, startedAt: '2026-01-01T00:00:00.000Z', stage: 'resolve', waiters: 1, layers: [] },
});

describe('pulls', () => {
  test('POST /images/pull shows progress and then the image; credentials are handed over', async () => {
    const requests: unknown[] = [];
    await using admin = await startAdmin({
      pullImage: async (_ctx, { onProgress, ...request }) => {
        requests.push(request);
        onProgress?.(pullOf(request.reference));
        return anImage(1);
      },
    });
    const body = JSON.stringify({ reference: 'a.test/b:1', username: 'me', password: 'secret' });
    const answer = await ask(admin.socket, 'POST', '/images/pull', body);
    expect(answer.lines).toEqual([
      { pull: pullOf('a.test/b:1') },
      { images: [{ id: anImage(1).id, repoTags: ['localhost/image:1'], repoDigests: [] }] },
    ]);
    await ask(admin.socket, 'POST', '/images/pull', '{"reference":"a.test/b:1"}');
    expect(requests).toEqual([
      expect.objectContaining({ credentials: expect.objectContaining({ username: 'me', password: 'secret' }) }),
      { reference: 'a.test/b:1' },
    ]);
  });

  test('POST /images/pull wants a name, and ends with its caller', async () => {
    const ended = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    await using admin = await startAdmin({
      pullImage: (ctx) =>
        new Promise((_resolve, reject) => {
          begun.resolve();
          ctx.signal.addEventListener('abort', () => {
            ended.resolve();
            reject(ctx.signal.reason as Error);
          });
        }),
    });
    expect(await ask(admin.socket, 'POST', '/images/pull', '{}')).toMatchObject({ status: 400 });
    const options = { socketPath: admin.socket, method: 'POST', path: '/images/pull', agent: false };
    const request = http.request(options).on('error', () => undefined);
    request.end('{"reference":"a.test/b:1"}');
    await begun.promise;
    request.destroy();
    await ended.promise;
  });

  test('GET /pulls lists them once, GET /pulls/follow until the caller leaves', async () => {
    await using admin = await startAdmin({ pulls: () => [pullOf('a.test/b:1')] });
    const expected = { pulls: [pullOf('a.test/b:1')] };
    expect(await ask(admin.socket, 'GET', '/pulls')).toEqual({ status: 200, lines: [expected] });
    const lines = await new Promise<string[]>((resolve, reject) => {
      const request = http.get({ socketPath: admin.socket, path: '/pulls/follow', agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
          const all = text.split('\n').slice(0, -1);
          if (all.length < 2) return;
          resolve(all);
          request.destroy();
        });
        response.on('error', () => undefined);
      });
      request.on('error', reject);
    });
    expect(lines.map((line): unknown => JSON.parse(line))).toEqual([expected, expected]);
  });
});

test('the socket is 0600 in a directory of 0700', async () => {
  await using admin = await startAdmin();
  expect(statSync(admin.socket).mode & 0o777).toBe(0o600);
  expect(statSync(path.dirname(admin.socket)).mode & 0o777).toBe(0o700);
});

describe('POST /images/load', () => {
  test('shows progress and then the images', async () => {
    const sources: unknown[] = [];
    await using admin = await startAdmin({
      loadImage: async (_ctx, { onProgress, ...source }) => {
        sources.push(source);
        onProgress?.({ layer: 'sha256:aa', bytes: 5, total: 10 });
        return [anImage(1)];
      },
    });
    const answer = await ask(admin.socket, 'POST', '/images/load', '{"path":"/a.tar","reference":"x:1"}');
    expect(sources).toEqual([{ path: '/a.tar', reference: 'x:1' }]);
    expect(answer).toEqual({
      status: 200,
      lines: [
        { progress: { layer: 'sha256:aa', bytes: 5, total: 10 } },
        { images: [{ id: anImage(1).id, repoTags: ['localhost/image:1'], repoDigests: [] }] },
      ],
    });
  });

  test('an error after progress is the last line', async () => {
    await using admin = await startAdmin({
      loadImage: async (_ctx, { onProgress }) => {
        onProgress?.({ layer: 'sha256:aa', bytes: 5, total: 10 });
        throw new BerthError('IMAGE_INVALID', 'layer 1 is truncated');
      },
    });
    const { status, lines } = await ask(admin.socket, 'POST', '/images/load', '{"path":"/a.tar"}');
    expect(status).toBe(200);
    expect(lines.at(-1)).toEqual({ error: { code: 'IMAGE_INVALID', message: 'layer 1 is truncated' } });
  });

  test('a caller that leaves cancels it', async () => {
    const cancelled = Promise.withResolvers<unknown>();
    const begun = Promise.withResolvers<void>();
    await using admin = await startAdmin({
      loadImage: async (ctx) => {
        begun.resolve();
        await sleep(60_000, ctx.signal).catch((error: unknown) => cancelled.resolve(error));
        return [];
      },
    });
    const socket = net.connect(admin.socket);
    socket.write('POST /images/load HTTP/1.1\r\nhost: a\r\ncontent-length: 13\r\n\r\n{"path":"/a"}');
    await begun.promise;
    socket.destroy();
    expect(await cancelled.promise).toMatchObject({ code: 'CANCELLED' });
  });

  test.each([
    ['', '"path" has to be'],
    ['{"path":"a.tar"}', '"path" has to be'],
    ['{"path":"/a","reference":7}', '"reference" has to be'],
    ['[]', 'not a JSON object'],
    ['{', 'not JSON'],
    [JSON.stringify({ path: `/${'x'.repeat(100_000)}` }), 'longer than'],
  ])('refuses %.40s', async (body, message) => {
    await using admin = await startAdmin();
    const answer = await ask(admin.socket, 'POST', '/images/load', body);
    expect(answer).toEqual({
      status: 400,
      lines: [{ error: { code: 'INVALID_ARGUMENT', message: expect.stringContaining(message) } }],
    });
  });
});

describe('the other questions', () => {
  test('GET /check, /config and /pods', async () => {
    await using admin = await startAdmin({
      strays: async () => ['mount /x'],
      config: () => ({ paths: { root: '/var/lib/berth' } }),
      pods: async () => [],
    });
    expect(await ask(admin.socket, 'GET', '/check')).toEqual({ status: 200, lines: [{ strays: ['mount /x'] }] });
    expect(await ask(admin.socket, 'GET', '/config')).toEqual({
      status: 200,
      lines: [{ config: { paths: { root: '/var/lib/berth' } } }],
    });
    expect(await ask(admin.socket, 'GET', '/pods')).toEqual({ status: 200, lines: [{ pods: [] }] });
  });

  test('anything else is NOT_FOUND and says what there is', async () => {
    await using admin = await startAdmin();
    for (const [method, target] of [
      ['GET', '/'],
      ['POST', '/check'],
      ['GET', '/shutdown'],
    ] as const) {
      expect(await ask(admin.socket, method, target)).toEqual({
        status: 404,
        lines: [{ error: { code: 'NOT_FOUND', message: expect.stringContaining('GET /pods') } }],
      });
    }
  });

  test('before recovery has ended only what needs no pods', async () => {
    await using admin = await startAdmin({ config: () => ({}) }, false);
    expect(await ask(admin.socket, 'GET', '/check')).toMatchObject({ status: 503 });
    expect(await ask(admin.socket, 'GET', '/config')).toMatchObject({ status: 200 });
  });
});

describe('POST /shutdown', () => {
  test('answers first and then ends, with the pods if asked', async () => {
    const done: string[] = [];
    await using admin = await startAdmin({
      removeAll: async () => void done.push('removed'),
      shutdown: () => {
        done.push('shutdown');
        void admin.server.close();
      },
    });
    const answer = await ask(admin.socket, 'POST', '/shutdown', '{"removeAll":true}');
    expect(answer).toEqual({ status: 200, lines: [{ stopping: true, pid: process.pid }] });
    expect(done).toEqual(['removed', 'shutdown']);
  });

  test('what could not be removed is said, and berthd stays', async () => {
    const done: string[] = [];
    await using admin = await startAdmin({
      removeAll: () => Promise.reject(new BerthError('KERNEL', 'umount /x: busy')),
      shutdown: () => void done.push('shutdown'),
    });
    expect(await ask(admin.socket, 'POST', '/shutdown', '{"removeAll":true}')).toMatchObject({ status: 500 });
    expect(done).toEqual([]);
  });
});

test('closing cancels what runs', async () => {
  const begun = Promise.withResolvers<void>();
  await using admin = await startAdmin({
    strays: async (ctx) => {
      begun.resolve();
      await sleep(60_000, ctx.signal);
      return [];
    },
  });
  const answer = ask(admin.socket, 'GET', '/check').catch(() => undefined);
  await begun.promise;
  await admin.server.close();
  await answer;
  await expect(ask(admin.socket, 'GET', '/config')).rejects.toThrow('ENOENT');
});
