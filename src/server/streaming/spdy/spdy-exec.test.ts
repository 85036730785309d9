import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { startStreaming, until, type TestStreaming } from '../streaming.fixture.ts';
import { connectSpdy, openCommand, upgradeToSpdy, type SpdyTestClient } from './spdy-client.fixture.ts';

let streaming: TestStreaming;
beforeEach(async () => {
  streaming = await startStreaming();
});
afterEach(async () => streaming[Symbol.asyncDispose]());

const fakes = () => streaming.it.runtime.streams;
const gone = async (client: SpdyTestClient) => {
  await until(() => client.closed, 'the client is closed');
  await until(() => streaming.server.sessions === 0, 'no session is left');
  expect(fakes().open).toBe(0);
};

describe('exec over SPDY', () => {
  test('output, then status, then the end of every stream and of the connection', async () => {
    fakes().onExec = (exec) => {
      exec.stdout?.write('out');
      exec.stderr?.write('err');
      exec.exit(0);
    };
    const client = await connectSpdy(streaming.exec());
    const { error, stdout, stderr } = await openCommand(client, ['error', 'stdout', 'stderr']);
    await gone(client);
    expect([stdout.text, stderr.text]).toEqual(['out', 'err']);
    expect(JSON.parse(error.text)).toEqual({ metadata: {}, status: 'Success' });
    expect([stdout.ended, stderr.ended, error.ended, stdout.reset]).toEqual([true, true, true, undefined]);
    expect(client.goAway).toBe(0);
    expect(streaming.lines.at(-1)).toMatchObject({
      message: 'stream ended',
      ...{ kind: 'exec', transport: 'spdy', end: 'exit', exitCode: 0, containerId: streaming.containerId },
    });
  });

  test.each<[string, string]>([
    ['v4.channel.k8s.io', '{"metadata":{},"status":"Failure"'],
    ['v3.channel.k8s.io', 'command terminated with non-zero exit code: 7'],
    ['v2.channel.k8s.io', 'command terminated with non-zero exit code: 7'],
  ])('an exit code in %s', async (protocol, beginning) => {
    fakes().onExec = (exec) => exec.exit(7);
    const client = await connectSpdy(streaming.exec(), protocol);
    const { error } = await openCommand(client, ['error', 'stdout', 'stderr']);
    await gone(client);
    expect(error.text.slice(0, beginning.length)).toBe(beginning);
  });

  test('stdin to its end; the client is told when nobody reads it any more', async () => {
    fakes().onExec = (exec) => {
      exec.stdin?.on('data', (chunk: Buffer) => exec.stdout?.write(chunk));
      exec.stdin?.once('end', () => exec.exit(0));
    };
    const client = await connectSpdy(streaming.exec({ stdin: true, stdout: true }));
    const { stdin, stdout } = await openCommand(client, ['error', 'stdin', 'stdout']);
    stdin.write('ab');
    stdin.write('c');
    stdin.end();
    await gone(client);
    expect(stdout.text).toBe('abc');
    expect(stdin.ended).toBe(true);
  });

  test('a client that resets stdin has ended it', async () => {
    fakes().onExec = (exec) => void exec.stdin?.resume().once('end', () => exec.exit(0));
    const client = await connectSpdy(streaming.exec({ stdin: true, stdout: true }));
    const { error, stdin } = await openCommand(client, ['error', 'stdin', 'stdout']);
    await until(() => fakes().execs.length === 1);
    stdin.cancel();
    await gone(client);
    expect(JSON.parse(error.text)).toMatchObject({ status: 'Success' });
  });

  test('terminal sizes', async () => {
    const client = await connectSpdy(streaming.exec({ stdin: true, stdout: true, tty: true }));
    const { resize } = await openCommand(client, ['error', 'stdin', 'stdout', 'resize']);
    resize.write('{"Width":100,"Height":40}\n');
    await until(() => fakes().execs[0]?.sizes.length === 1);
    expect(fakes().execs[0]?.sizes).toEqual([{ columns: 100, rows: 40 }]);
    client.end();
    await gone(client);
  });

  test('a window is opened for what was read, half of it left at most, and for nothing before', async () => {
    const client = await connectSpdy(streaming.exec({ stdin: true, stdout: true }));
    const { stdin } = await openCommand(client, ['error', 'stdin', 'stdout']);
    const chunk = Buffer.alloc(32 * 1024);
    for (let count = 0; count < 16; count++) stdin.write(chunk);
    await until(() => fakes().execs.length === 1);
    const [exec] = fakes().execs;
    let read = 0;
    // The fake's stdin holds some; the rest waits for it to be read.
    expect(stdin.window).toBeLessThan(16 * chunk.length);
    exec?.stdin?.on('data', (bytes: Buffer) => (read += bytes.length));
    await until(() => read === 16 * chunk.length);
    // Frames are cut as the socket delivers them: what is left over at the end is told with what comes next.
    const left = (window: number): number => read - window;
    await until(() => left(stdin.window) < 32 * 1024 && left(client.sessionWindow) < 32 * 1024);
    expect([left(stdin.window), left(client.sessionWindow)].filter((bytes) => bytes < 0)).toEqual([]);
    client.end();
    await gone(client);
  });

  test('a client that does not read slows the process', async () => {
    const total = 16 * 1024 * 1024;
    let written = 0;
    fakes().onExec = (exec) => {
      const chunk = Buffer.alloc(64 * 1024, 'x');
      const more = (): void => {
        while (written < total) {
          written += chunk.length;
          if (exec.stdout?.write(chunk)) continue;
          exec.stdout?.once('drain', more);
          return;
        }
        exec.exit(0);
      };
      more();
    };
    const client = await connectSpdy(streaming.exec({ stdout: true }));
    const { error, stdout } = await openCommand(client, ['error', 'stdout']);
    client.socket.pause();
    await until(() => written > 0);
    for (let before = -1; before !== written;) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(written).toBeLessThan(12 * 1024 * 1024);
    client.socket.resume();
    await gone(client);
    expect(stdout.bytes).toHaveLength(total);
    expect(JSON.parse(error.text)).toMatchObject({ status: 'Success' });
  });

  test('streams that do not come are not waited for', async () => {
    await using short = await startStreaming({ config: { handshakeTimeoutMs: 300 } });
    const client = await connectSpdy(short.exec());
    await openCommand(client, ['error', 'stdout']);
    await until(() => client.closed && short.server.sessions === 0);
    expect(short.it.runtime.streams.execs).toEqual([]);
    expect(short.lines.at(-1)?.['reason']).toMatch(/waiting for the client to open error, stdout, stderr/);
  });

  test('a stream that nobody asked for, or twice, is refused', async () => {
    const client = await connectSpdy(streaming.exec());
    const other = await client.open({ streamtype: 'other' });
    await client.open({ streamtype: 'stdout' });
    const again = await client.open({ streamtype: 'stdout' });
    await until(() => other.reset !== undefined && again.reset !== undefined);
    expect([other.replied, again.replied]).toEqual([false, false]);
    client.end();
    await gone(client);
  });

  test('a failure to start is told', async () => {
    streaming.it.runtime.failNext('exec', new Error('no such command'));
    const client = await connectSpdy(streaming.exec({ stdout: true }));
    const { error } = await openCommand(client, ['error', 'stdout']);
    await gone(client);
    expect(JSON.parse(error.text)).toMatchObject({ status: 'Failure', message: 'no such command' });
  });

  test('a client that goes lets go of its process, which is not killed', async () => {
    const client = await connectSpdy(streaming.exec({ stdin: true, stdout: true }));
    await openCommand(client, ['error', 'stdin', 'stdout']);
    await until(() => fakes().execs.length === 1);
    client.end();
    await gone(client);
    expect(fakes().execs[0]).toMatchObject({ disposed: true, killed: false });
  });

  test('the end of berthd is told', async () => {
    const client = await connectSpdy(streaming.exec({ stdout: true }));
    const { error } = await openCommand(client, ['error', 'stdout']);
    await until(() => fakes().execs.length === 1);
    await streaming.server.close(1000);
    await until(() => client.closed);
    expect(JSON.parse(error.text)).toMatchObject({ message: expect.stringMatching(/shutting down/) });
  });

  test('a thousand clients that break off leave nothing', async () => {
    for (let round = 0; round < 20; round++) {
      const clients = await Promise.all(
        Array.from({ length: 50 }, () => connectSpdy(streaming.exec({ stdin: true, stdout: true }))),
      );
      await Promise.all(
        clients.map(async (client, index) => {
          const names = (['error', 'stdin', 'stdout'] as const).slice(0, index % 4);
          await openCommand(client, names);
          client.end();
        }),
      );
    }
    await until(() => streaming.server.sessions === 0);
    expect(fakes().open).toBe(0);
    expect(streaming.server.waiting).toBe(0);
    expect(await streaming.metrics.text()).toMatch(/^berth_streams_open\{kind="exec"\} 0$/m);
  }, 20_000);
});

describe('the handshake', () => {
  test('takes the first of the client’s protocols that it knows', async () => {
    const offered = ['v5.channel.k8s.io, v4.channel.k8s.io', 'v3.channel.k8s.io'];
    const { status, head, socket } = await upgradeToSpdy(streaming.exec(), offered);
    expect(status).toBe(101);
    expect(head).toMatch(/^X-Stream-Protocol-Version: v4\.channel\.k8s\.io$/m);
    socket.destroy();
  });

  test.each<[string, readonly string[], string, number]>([
    ['without protocols', [], 'SPDY/3.1', 400],
    ['with unknown ones', ['v9.channel.k8s.io'], 'SPDY/3.1', 403],
    ['of something else', ['v4.channel.k8s.io'], 'h2c', 400],
  ])('%s is refused', async (_what, protocols, upgrade, expected) => {
    const { status, head, socket } = await upgradeToSpdy(streaming.exec(), protocols, upgrade);
    expect(status).toBe(expected);
    if (status === 403) expect(head).toMatch(/^X-Accepted-Stream-Protocol-Versions: v4\.channel\.k8s\.io/m);
    socket.destroy();
    await until(() => streaming.server.sessions === 0);
  });
});

test('a client that never reads is not waited for when its time is over', async () => {
  await using short = await startStreaming({ config: { idleTimeoutMs: 100 } });
  short.it.runtime.streams.onExec = (exec) => {
    exec.stdout?.on('drain', () => exec.stdout?.write(Buffer.alloc(64 * 1024)));
    exec.stdout?.write(Buffer.alloc(64 * 1024));
  };
  const client = await connectSpdy(short.exec({ stdout: true }));
  await openCommand(client, ['error', 'stdout']);
  client.socket.pause();
  await until(() => short.server.sessions === 0, 'its session has ended');
  expect(short.it.runtime.streams.open).toBe(0);
}, 20_000);
