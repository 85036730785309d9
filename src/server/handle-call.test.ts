import { describe, expect, test } from '@jest/globals';
import type { Ctx } from '#base/ctx';
import { sleep } from '#base/deadline';
import { BerthError } from '#base/errors';
import type { ImageStore } from '#images/image-store';
import { startTestServer, type LogLine } from './cri-server.fixture.ts';
import { anImage, imageStoreOf } from './images.fixture.ts';

const named = { image: { image: 'localhost/image:1' } };

/** A store whose `remove` waits until its caller leaves, and says with what reason. */
function waitingStore(): {
  readonly images: ImageStore;
  readonly begun: Promise<Ctx>;
  readonly left: Promise<unknown>;
} {
  const begun = Promise.withResolvers<Ctx>();
  const left = Promise.withResolvers<unknown>();
  const images = imageStoreOf([], {
    remove: async (ctx) => {
      ctx.stage('waiting');
      begun.resolve(ctx);
      await sleep(60_000, ctx.signal).catch((error: unknown) => {
        left.resolve(error);
        throw error;
      });
    },
  });
  return { images, begun: begun.promise, left: left.promise };
}

function failingStore(error: Error): ImageStore {
  return imageStoreOf([], {
    remove: async () => {
      throw error;
    },
  });
}

function answers(lines: readonly LogLine[]): readonly LogLine[] {
  return lines.filter(({ message }) => message.startsWith('call '));
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200 && !(await condition()); tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect(await condition()).toBe(true);
}

describe('the ready gate', () => {
  test('answers UNAVAILABLE with a sentence until it opens', async () => {
    await using server = await startTestServer({ ready: false });
    await expect(server.client.images.listImages({})).rejects.toMatchObject({
      status: 'UNAVAILABLE',
      details: expect.stringContaining('recovering'),
    });
    server.gate.open();
    await expect(server.client.images.listImages({})).resolves.toEqual({ images: [] });
    server.gate.close('berthd is shutting down');
    await expect(server.client.images.listImages({})).rejects.toMatchObject({ details: 'berthd is shutting down' });
  });

  test('holds for streams too', async () => {
    await using server = await startTestServer({ ready: false });
    const failed = new Promise<Error>((resolve) => server.client.rawImages.streamImages({}).on('error', resolve));
    expect(await failed).toMatchObject({ code: 14 });
  });
});

describe('a caller that leaves', () => {
  test('cancels ctx.signal', async () => {
    const { images, begun, left } = waitingStore();
    await using server = await startTestServer({ images });
    const abort = new AbortController();
    const removed = server.client.images.removeImage(named, { signal: abort.signal });
    const ctx = await begun;
    expect(ctx.signal.aborted).toBe(false);
    abort.abort();
    await expect(removed).rejects.toMatchObject({ status: 'CANCELLED' });
    expect(await left).toMatchObject({ code: 'CANCELLED', message: 'the caller of RemoveImage went away' });
  });

  test('reaches its deadline: ctx.signal says so, and the log where it was', async () => {
    const { images, left } = waitingStore();
    await using server = await startTestServer({ images });
    const removed = server.client.images.removeImage(named, { timeoutMs: 100 });
    await expect(removed).rejects.toMatchObject({ status: 'DEADLINE_EXCEEDED' });
    expect(await left).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    await until(async () => answers(server.lines).length > 0);
    expect(answers(server.lines)).toEqual([
      expect.objectContaining({ code: 'DEADLINE_EXCEEDED', stage: 'waiting', image: 'localhost/image:1' }),
    ]);
  });

  test('counts as running until its handler has ended', async () => {
    const end = Promise.withResolvers<void>();
    const images = imageStoreOf([], {
      remove: (ctx) => {
        ctx.stage('stuck');
        return end.promise;
      },
    });
    await using server = await startTestServer({ images });
    await expect(server.client.images.removeImage(named, { timeoutMs: 50 })).rejects.toThrow();
    const stuck = 'berth_calls_running{method="RemoveImage",stage="stuck"}';
    await until(async () => answers(server.lines).length > 0);
    const text = await server.metrics.text();
    expect(text).toContain(`${stuck} 1`);
    expect(text).toMatch(/berth_oldest_call_seconds 0\.\d+/);
    end.resolve();
    await until(async () => (await server.metrics.text()).includes(`${stuck} 0`));
    expect(await server.metrics.text()).toContain('berth_oldest_call_seconds 0\n');
  });

  test('after the answer, nothing aborts', async () => {
    let ctx: Ctx | undefined;
    const images = imageStoreOf([], {
      remove: async (given) => {
        ctx = given;
      },
    });
    await using server = await startTestServer({ images });
    await server.client.images.removeImage(named);
    server.client.close();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(ctx?.signal.aborted).toBe(false);
  });
});

describe('failures', () => {
  test('the sentence goes to the caller, details and causes to the log', async () => {
    const error = new BerthError('KERNEL', 'mount /x: busy', { details: { errno: 'EBUSY' }, cause: new Error('why') });
    await using server = await startTestServer({ images: failingStore(error) });
    await expect(server.client.images.removeImage(named)).rejects.toMatchObject({
      status: 'INTERNAL',
      details: 'mount /x: busy',
    });
    expect(answers(server.lines)).toEqual([expect.objectContaining({ level: 'warn', code: 'INTERNAL', err: error })]);
  });

  test('what is not a BerthError is a bug and logged as one', async () => {
    await using server = await startTestServer({ images: failingStore(new TypeError('x is not a function')) });
    await expect(server.client.images.removeImage(named)).rejects.toMatchObject({
      status: 'INTERNAL',
      details: 'RemoveImage: x is not a function',
    });
    expect(answers(server.lines)).toEqual([expect.objectContaining({ level: 'error' })]);
  });

  test('a handler that throws before its first await is no different', async () => {
    await using server = await startTestServer();
    await expect(server.client.images.removeImage({})).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });

  test('half a character in a sentence does not lose the answer', async () => {
    const images = failingStore(new BerthError('NOT_FOUND', 'no image \ud800 100%\n'));
    await using server = await startTestServer({ images });
    await expect(server.client.images.removeImage(named)).rejects.toMatchObject({
      status: 'NOT_FOUND',
      details: 'no image \ufffd 100%\n',
    });
  });
});

describe('log and metrics', () => {
  test('reading is logged at debug, changing at info, with ids and duration', async () => {
    await using server = await startTestServer({ images: imageStoreOf([anImage(1)]) });
    await server.client.images.listImages({});
    await server.client.images.pullImage(named);
    const [list, pull] = answers(server.lines);
    expect(list).toMatchObject({ level: 'debug', method: 'ListImages', code: 'OK' });
    expect(pull).toMatchObject({
      level: 'info',
      method: 'PullImage',
      code: 'OK',
      image: 'localhost/image:1',
      imageRef: anImage(1).id,
      requestId: expect.stringMatching(/^[0-9a-f]{12}$/),
      ms: expect.any(Number),
    });
  });

  test('calls are counted by method and status', async () => {
    await using server = await startTestServer();
    await server.client.images.listImages({});
    await server.client.images.pullImage(named).catch(() => undefined);
    const text = await server.metrics.text();
    expect(text).toContain('berth_call_seconds_count{method="ListImages",code="OK"} 1');
    expect(text).toContain('berth_call_seconds_count{method="PullImage",code="NOT_FOUND"} 1');
    expect(text).toContain('berth_calls_running{method="ListImages",stage="begin"} 0');
  });
});

describe('streams', () => {
  const many = Array.from({ length: 600 }, (_, index) => anImage(index));

  test('lists come in messages of 256', async () => {
    await using server = await startTestServer({ images: imageStoreOf(many) });
    const sizes: number[] = [];
    const names = new Set<string>();
    for await (const message of server.client.rawImages.streamImages({})) {
      const { images } = message as { images: readonly { id: string }[] };
      sizes.push(images.length);
      images.forEach(({ id }) => names.add(id));
    }
    expect(sizes).toEqual([256, 256, 88]);
    expect(names.size).toBe(600);
  });

  test('nothing to list is an empty stream', async () => {
    await using server = await startTestServer();
    for await (const message of server.client.rawImages.streamImages({})) throw new Error(JSON.stringify(message));
    await until(async () => answers(server.lines).length > 0);
    expect(answers(server.lines)).toMatchObject([{ method: 'StreamImages', code: 'OK' }]);
  });

  test('a client that does not read stops the handler, and its leaving ends it', async () => {
    let asked = 0;
    // Some 4 GiB, where the connection's buffers hold a few hundred images of these.
    const big = anImage(1, {}, { repoDigests: Array.from({ length: 40 }, (_, index) => `${index}`.padEnd(1000, 'd')) });
    const images = imageStoreOf([], {
      list: () =>
        new Proxy(
          Array.from({ length: 256 * 400 }, () => big),
          {
            get: (target, key): unknown => {
              if (typeof key === 'string' && /^\d+$/.test(key)) asked += 1;
              return Reflect.get(target, key) as unknown;
            },
          },
        ),
    });
    await using server = await startTestServer({ images });
    const stream = server.client.rawImages.streamImages({});
    stream.on('error', () => undefined);
    stream.once('readable', () => undefined);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(asked).toBeGreaterThan(0);
    expect(asked).toBeLessThan(2000);
    stream.cancel();
    await until(async () => answers(server.lines).length > 0);
    expect(answers(server.lines)).toMatchObject([{ method: 'StreamImages', code: 'CANCELLED' }]);
    expect(asked).toBeLessThan(2000);
  });
});
