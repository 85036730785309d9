import { afterEach, describe, expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { isBerthError } from '#base/errors';
import { encodeFrame, FrameReader, frameType, maxPayload, maxRequest } from './frame.ts';
import { ShimConnection } from './shim-connection.ts';

describe('frames', () => {
  test('survive any way of being cut into chunks', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
        fc.infiniteStream(fc.nat(40)),
        (payloads, cuts) => {
          const wire = Buffer.concat(payloads.map((payload, at) => encodeFrame(2, at, payload)));
          const reader = new FrameReader();
          const got = [];
          for (let at = 0; at < wire.length;) {
            const size = (cuts.next().value as number) + 1;
            got.push(...reader.push(wire.subarray(at, at + size)));
            at += size;
          }
          expect(got.map((frame) => Buffer.from(frame.payload))).toEqual(
            payloads.map((payload) => Buffer.from(payload)),
          );
        },
      ),
    );
  });

  test('an announced length over the limit is refused', () => {
    const header = encodeFrame(2, 1, new Uint8Array());
    header.writeUInt32BE(maxPayload + 1, 0);
    expect(() => new FrameReader().push(header)).toThrow('announced');
  });

  test.each([maxPayload, maxRequest])('a message of %i bytes is written and read, one byte more is not', (limit) => {
    for (const bytes of [limit - 1, limit]) {
      const frame = encodeFrame(frameType.request, 1, Buffer.alloc(bytes), limit);
      expect(new FrameReader(limit).push(frame).map(({ payload }) => payload.length)).toEqual([bytes]);
    }
    expect(() => encodeFrame(frameType.request, 1, Buffer.alloc(limit + 1), limit)).toThrow(`at most ${limit}`);
    const header = encodeFrame(frameType.request, 1, new Uint8Array());
    header.writeUInt32BE(limit + 1, 0);
    expect(() => new FrameReader(limit).push(header)).toThrow('announced');
  });
});

describe('a connection to a shim', () => {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  async function pair(
    requestLimit?: () => number,
  ): Promise<{ connection: ShimConnection; shim: net.Socket; closed: () => boolean }> {
    const directory = await mkdtemp(path.join(tmpdir(), 'bs-'));
    cleanups.push(() => rm(directory, { recursive: true }));
    const server = net.createServer();
    cleanups.push(() => server.close());
    await new Promise<void>((resolve) => server.listen(path.join(directory, 's'), resolve));
    const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve));
    const socket = net.connect(path.join(directory, 's'));
    let closed = false;
    const connection = new ShimConnection({
      socket,
      podId: 'p1',
      onEvent: () => undefined,
      onClose: () => {
        closed = true;
      },
      ...(requestLimit && { requestLimit }),
    });
    const shim = await accepted;
    cleanups.push(
      () => shim.destroy(),
      () => connection.close(),
    );
    return { connection, shim, closed: () => closed };
  }

  const never = new AbortController().signal;

  test('answers are matched by stream, in any order', async () => {
    const { connection, shim } = await pair();
    const reader = new FrameReader();
    const streams: number[] = [];
    shim.on('data', (chunk: Buffer) => {
      streams.push(...reader.push(chunk).map((frame) => frame.stream));
      // { done: {} } is field 8, { hello: {} } field 2.
      if (streams.length < 2) return;
      shim.write(encodeFrame(frameType.response, streams[1]!, Buffer.from([0x12, 0x00])));
      shim.write(encodeFrame(frameType.response, streams[0]!, Buffer.from([0x42, 0x00])));
    });
    const [first, second] = await Promise.all([
      connection.call({ shutdown: {} }, 'a', never),
      connection.call({ get_state: {} }, 'b', never),
    ]);
    expect(first.result).toBe('done');
    expect(second.result).toBe('hello');
  });

  test('a shim that goes away fails every waiting call with SHIM_DIED and says so once', async () => {
    const { connection, shim, closed } = await pair();
    const call = connection.call({ get_state: {} }, 'ask', never);
    shim.destroy();
    await expect(call).rejects.toMatchObject({ code: 'SHIM_DIED' });
    expect(closed()).toBe(true);
    await expect(connection.call({ get_state: {} }, 'ask again', never)).rejects.toMatchObject({ code: 'SHIM_DIED' });
  });

  test('a request that is too long for the shim is its caller’s failure, at once and never again', async () => {
    const unheld: unknown[] = [];
    const note = (error: unknown): number => unheld.push(error);
    process.on('unhandledRejection', note);
    try {
      const { connection, shim } = await pair();
      const plan = Buffer.alloc(maxPayload);
      await expect(connection.call({ create_container: { id: 'c', plan } }, 'make', never)).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining(`at most ${maxPayload}`) as unknown,
      });
      // What was promised to nobody would now fail with nobody to hear of it.
      shim.destroy();
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(unheld).toEqual([]);
    } finally {
      process.off('unhandledRejection', note);
    }
  });

  test('a shim that takes large requests gets what execve can take', async () => {
    const { connection, shim } = await pair(() => maxRequest);
    const reader = new FrameReader(maxRequest);
    shim.on('data', (chunk: Buffer) => {
      for (const frame of reader.push(chunk))
        shim.write(encodeFrame(frameType.response, frame.stream, Buffer.from([0x42, 0x00])));
    });
    const plan = Buffer.alloc(6 * 1024 * 1024);
    await expect(connection.call({ create_container: { id: 'c', plan } }, 'make', never)).resolves.toMatchObject({
      result: 'done',
    });
  });

  test('a caller that gives up does not disturb the others', async () => {
    const { connection, shim } = await pair();
    const patience = new AbortController();
    const given = connection.call({ get_state: {} }, 'a', patience.signal);
    patience.abort(new Error('enough'));
    await expect(given).rejects.toThrow('enough');
    const reader = new FrameReader();
    shim.on('data', (chunk: Buffer) => {
      for (const frame of reader.push(chunk))
        shim.write(encodeFrame(frameType.response, frame.stream, Buffer.from([0x42, 0x00])));
    });
    await expect(connection.call({ shutdown: {} }, 'b', never)).resolves.toMatchObject({ result: 'done' });
  });

  test('a refusal arrives with step, path and errno', async () => {
    const { connection, shim } = await pair();
    // error { kind: START, step: "execve", path: "/x", errno: 2 }
    const error = Buffer.concat([
      Buffer.from([0x08, 6, 0x12, 6]),
      Buffer.from('execve'),
      Buffer.from([0x1a, 2]),
      Buffer.from('/x'),
      Buffer.from([0x20, 2]),
    ]);
    const reader = new FrameReader();
    shim.on('data', (chunk: Buffer) => {
      for (const frame of reader.push(chunk)) {
        shim.write(
          encodeFrame(frameType.response, frame.stream, Buffer.concat([Buffer.from([0x0a, error.length]), error])),
        );
      }
    });
    const failure = await connection
      .call({ start_container: { id: 'c' } }, 'start container c', never)
      .catch((e: unknown) => e);
    expect(isBerthError(failure, 'START_ERROR')).toBe(true);
    expect(failure).toMatchObject({
      message: 'start container c: exec: "/x": no such file or directory (ENOENT)',
      details: { exitCode: 127 },
    });
  });
});
