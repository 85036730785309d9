import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { startStreaming, until, type TestStreaming } from '../streaming.fixture.ts';
import { acceptWebSocket } from './accept-websocket.ts';
import { WebSocketTestClient } from './websocket-client.fixture.ts';

let streaming: TestStreaming;
beforeEach(async () => {
  streaming = await startStreaming();
});
afterEach(async () => streaming[Symbol.asyncDispose]());

const success = { metadata: {}, status: 'Success' };
const status = (client: WebSocketTestClient) => JSON.parse(client.text(3)) as object;
const fakes = () => streaming.it.runtime.streams;

describe.each(['v5.channel.k8s.io', 'v4.channel.k8s.io'])('exec over %s', (protocol) => {
  test('output, exit code 0, a normal end', async () => {
    fakes().onExec = (exec) => {
      exec.stdout?.write('out');
      exec.stderr?.write('err');
      exec.exit(0);
    };
    const client = await WebSocketTestClient.connect(streaming.exec(), protocol);
    expect(client.protocol).toBe(protocol);
    expect(await client.closed).toBe(1000);
    expect([client.text(1), client.text(2)]).toEqual(['out', 'err']);
    expect(status(client)).toEqual(success);
    await until(() => fakes().open === 0);
  });

  test('an exit code', async () => {
    fakes().onExec = (exec) => exec.exit(3);
    const client = await WebSocketTestClient.connect(streaming.exec(), protocol);
    await client.closed;
    expect(status(client)).toMatchObject({
      status: 'Failure',
      reason: 'NonZeroExitCode',
      details: { causes: [{ reason: 'ExitCode', message: '3' }] },
    });
  });

  test('terminal sizes', async () => {
    const client = await WebSocketTestClient.connect(
      streaming.exec({ stdout: true, stdin: true, tty: true }),
      protocol,
    );
    client.send(4, '{"Width":100,"Height":40}');
    await until(() => fakes().execs[0]?.sizes.length === 1);
    expect(fakes().execs[0]?.sizes).toEqual([{ columns: 100, rows: 40 }]);
    client.socket.terminate();
    await until(() => fakes().open === 0);
  });
});

test('a message of 1 MiB is taken, one byte more ends its client, and no other', async () => {
  const limit = 1024 * 1024;
  const received: number[] = [];
  fakes().onExec = (exec) => {
    let bytes = 0;
    exec.stdin?.on('data', (chunk: Buffer) => (bytes += chunk.length)).on('end', () => received.push(bytes));
  };
  const beside = await WebSocketTestClient.connect(streaming.exec({ stdin: true }));
  const codes: (number | undefined)[] = [];
  for (const bytes of [limit - 1, limit, limit + 1]) {
    const client = await WebSocketTestClient.connect(streaming.exec({ stdin: true }));
    client.send(0, Buffer.alloc(bytes - 1));
    if (bytes <= limit) client.closeChannel(0);
    const before = received.length;
    await until(() => received.length > before || client.closeCode !== undefined);
    codes.push(client.closeCode);
    client.socket.terminate();
  }
  expect([received.slice(0, 2), codes]).toEqual([
    [limit - 2, limit - 1],
    [undefined, undefined, 1009],
  ]);
  beside.send(0, 'still here');
  beside.closeChannel(0);
  await until(() => received.includes(10));
});

test('headers of 16 KiB are too long, and the server goes on', async () => {
  const ask = async (bytes: number): Promise<number> =>
    (await fetch(streaming.exec().replace(/^ws/, 'http'), { headers: { 'x-long': 'x'.repeat(bytes) } })).status;
  expect([await ask(15_000), await ask(17_000), await ask(15_000)]).toEqual([400, 431, 400]);
});

describe('exec', () => {
  test('stdin to its end, and back as output', async () => {
    fakes().onExec = (exec) => {
      exec.stdin?.on('data', (chunk: Buffer) => exec.stdout?.write(chunk));
      exec.stdin?.once('end', () => exec.exit(0));
    };
    const client = await WebSocketTestClient.connect(streaming.exec({ stdin: true, stdout: true }));
    client.send(0, 'ab');
    client.send(0, 'c');
    client.closeChannel(0);
    await client.closed;
    expect(client.text(1)).toBe('abc');
    expect(status(client)).toEqual(success);
  });

  test('a failure to start is told', async () => {
    streaming.it.runtime.failNext('exec', new Error('no such command'));
    const client = await WebSocketTestClient.connect(streaming.exec());
    await client.closed;
    expect(status(client)).toMatchObject({ status: 'Failure', reason: 'InternalError', message: 'no such command' });
  });

  test('a container that has gone since is told', async () => {
    const url = streaming.exec();
    streaming.it.runtime.exit(streaming.containerId, 1);
    await until(() => streaming.it.sandboxes.findContainer(streaming.containerId)?.status.state === 'exited');
    const client = await WebSocketTestClient.connect(url);
    await client.closed;
    expect(status(client)).toMatchObject({
      status: 'Failure',
      message: expect.stringMatching(/exec needs a running one/),
    });
  });

  test('a shim that dies is told', async () => {
    fakes().onExec = (exec) => exec.loseShim();
    const client = await WebSocketTestClient.connect(streaming.exec());
    await client.closed;
    expect(status(client)).toMatchObject({ status: 'Failure', message: 'the shim is gone' });
  });

  test('a client that leaves lets go of the process', async () => {
    const client = await WebSocketTestClient.connect(streaming.exec({ stdin: true, stdout: true }));
    await until(() => fakes().execs.length === 1);
    client.socket.terminate();
    await until(() => fakes().open === 0);
    expect(fakes().execs[0]?.killed).toBe(false);
    await until(() => streaming.server.sessions === 0);
  });

  test('a child that holds the output does not hold the client', async () => {
    fakes().onExec = (exec) => {
      exec.stdout?.write('out');
      exec.exit(0, { leaveOutput: true });
    };
    const client = await WebSocketTestClient.connect(streaming.exec());
    await client.closed;
    expect(client.text(1)).toBe('out');
    expect(status(client)).toEqual(success);
  });

  test('a client that does not read slows the process, whatever that writes', async () => {
    let written = 0;
    const chunk = Buffer.alloc(64 * 1024, 'x');
    const total = 16 * 1024 * 1024;
    fakes().onExec = (exec) => {
      const more = (): void => {
        while (written < total) {
          written += chunk.length;
          if (!exec.stdout?.write(chunk)) {
            exec.stdout?.once('drain', more);
            return;
          }
        }
        exec.exit(0);
      };
      more();
    };
    const client = await WebSocketTestClient.connect(streaming.exec({ stdout: true }));
    client.socket.pause();
    await until(() => written > 0);
    let before = -1;
    // The kernel's buffers fill; then it stands still.
    while (before !== written) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(written).toBeLessThan(12 * 1024 * 1024);
    client.socket.resume();
    await client.closed;
    expect(client.output(1)).toHaveLength(total);
    expect(status(client)).toEqual(success);
  });

  test('a process that does not read slows the client', async () => {
    const client = await WebSocketTestClient.connect(streaming.exec({ stdin: true, stdout: true }));
    const chunk = Buffer.alloc(64 * 1024, 'x');
    for (let count = 0; count < 256; count++) client.send(0, chunk);
    await until(() => fakes().execs.length === 1);
    let before = -1;
    while (before !== client.socket.bufferedAmount) {
      before = client.socket.bufferedAmount;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(before).toBeGreaterThan(4 * 1024 * 1024);
    const [exec] = fakes().execs;
    let read = 0;
    exec?.stdin?.on('data', (bytes: Buffer) => (read += bytes.length));
    exec?.stdin?.once('end', () => exec.exit(0));
    client.closeChannel(0);
    await client.closed;
    expect(read).toBe(256 * chunk.length);
  });
});

test('attach joins the container’s streams until it ends', async () => {
  fakes().onAttach = (attachment) => attachment.stdout?.write('hello');
  const client = await WebSocketTestClient.connect(streaming.attach());
  await until(() => client.text(1) === 'hello');
  fakes().attachments[0]?.end();
  await client.closed;
  expect(status(client)).toEqual(success);
  expect(fakes().attachments[0]?.options).toMatchObject({ stdin: false, stdout: true, tty: false });
});

test('attach tells a client that it was too slow', async () => {
  fakes().onAttach = (attachment) => attachment.end(true);
  const client = await WebSocketTestClient.connect(streaming.attach());
  await client.closed;
  expect(status(client)).toMatchObject({ status: 'Failure', message: expect.stringMatching(/cut off/) });
});

test('a message that is larger than any client’s ends the connection', async () => {
  const client = await WebSocketTestClient.connect(streaming.exec({ stdin: true }));
  client.send(0, Buffer.alloc(2 * 1024 * 1024));
  expect(await client.closed).toBe(1009);
  await until(() => fakes().open === 0);
});

test('a client that has left before its handshake is not waited for', async () => {
  const socket = new PassThrough().destroy();
  await once(socket, 'close');
  const request = {
    method: 'GET',
    headers: {
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': Buffer.alloc(16).toString('base64'),
      'sec-websocket-protocol': 'v4.channel.k8s.io',
    },
  } as unknown as IncomingMessage;
  await expect(
    acceptWebSocket({ request, socket, head: Buffer.alloc(0) }, ['v4.channel.k8s.io']),
  ).resolves.toBeUndefined();
});

test('a client that sends one byte at a time to a process that does not read is held back, and loses nothing', async () => {
  const client = await WebSocketTestClient.connect(streaming.exec({ stdin: true, stdout: true }));
  await until(() => fakes().execs.length === 1);
  const [exec] = fakes().execs;
  const total = 150_000;
  for (let count = 0; count < total; count++) client.send(0, 'x');
  client.closeChannel(0);
  const held = (): number => (exec?.stdin?.readableLength ?? 0) + (exec?.stdin?.writableLength ?? 0);
  for (let before = -1; before !== held() || before === 0;) {
    before = held();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  let read = 0;
  exec?.stdin?.on('data', (bytes: Buffer) => (read += bytes.length));
  exec?.stdin?.once('end', () => exec.exit(0));
  await client.closed;
  expect(read).toBe(total);
}, 20_000);
