import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { startStreaming, until, type TestStreaming } from '../streaming.fixture.ts';
import { base64Framing } from './framing.ts';
import { WebSocketTestClient } from './websocket-client.fixture.ts';

let streaming: TestStreaming;
beforeEach(async () => {
  streaming = await startStreaming();
});
afterEach(async () => streaming[Symbol.asyncDispose]());

const fakes = () => streaming.it.runtime.streams;
const echo = (): void => {
  fakes().onExec = (exec) => {
    exec.stdin?.on('data', (chunk: Buffer) => exec.stdout?.write(chunk));
    exec.stdin?.once('end', () => exec.exit(0));
  };
};

const all: readonly { readonly offered: string[]; readonly text: boolean; readonly status: 'json' | 'text' }[] = [
  { offered: ['v5.channel.k8s.io'], text: false, status: 'json' },
  { offered: ['v4.channel.k8s.io'], text: false, status: 'json' },
  { offered: ['v4.base64.channel.k8s.io'], text: true, status: 'json' },
  { offered: ['channel.k8s.io'], text: false, status: 'text' },
  { offered: ['base64.channel.k8s.io'], text: true, status: 'text' },
  { offered: [], text: false, status: 'text' },
];

describe.each(all)('exec for a client that offers $offered', ({ offered, text, status }) => {
  test('is done, in its messages and with its name in the answer', async () => {
    echo();
    const client = await WebSocketTestClient.connect(streaming.exec({ stdin: true, stdout: true }), offered);
    expect(client.protocol).toBe(offered[0]);
    const bytes = Buffer.from([0, 255, 10, 128, 13]);
    client.send(0, bytes);
    await until(() => client.output(1).equals(bytes));
    expect([...client.texts]).toEqual([text]);
    client.socket.terminate();
    await until(() => fakes().open === 0);
  });

  test.each([0, 7])('says how it ended: %i', async (code) => {
    fakes().onExec = (exec) => exec.exit(code);
    const client = await WebSocketTestClient.connect(streaming.exec(), offered);
    expect(await client.closed).toBe(1000);
    const told = client.text(3);
    // The empty one says that the connection stands.
    expect([1, 2, 3].map((channel) => client.messages(channel))).toEqual([1, 0, told === '' ? 0 : 1]);
    if (status === 'json') {
      expect(JSON.parse(told)).toMatchObject(code === 0 ? { status: 'Success' } : { reason: 'NonZeroExitCode' });
    } else {
      expect(told).toBe(code === 0 ? '' : 'command terminated with non-zero exit code: 7');
    }
  });

  test('says why it could not begin', async () => {
    streaming.it.runtime.failNext('exec', new Error('no such command'));
    const client = await WebSocketTestClient.connect(streaming.exec(), offered);
    await client.closed;
    const told = client.text(3);
    expect(status === 'json' ? (JSON.parse(told) as object) : { message: told }).toMatchObject({
      message: 'no such command',
    });
  });
});

describe('of several protocols', () => {
  test.each<[string[], string]>([
    [['v9.channel.k8s.io', 'base64.channel.k8s.io', 'v5.channel.k8s.io'], 'base64.channel.k8s.io'],
    [['channel.k8s.io', 'v4.channel.k8s.io'], 'channel.k8s.io'],
  ])('%j: the client’s first that is known, %s', async (offered, expected) => {
    const client = await WebSocketTestClient.connect(streaming.exec(), offered);
    expect(client.protocol).toBe(expected);
    client.socket.terminate();
    await until(() => fakes().open === 0);
  });

  test('none that is known: refused, with those that are', async () => {
    await expect(WebSocketTestClient.connect(streaming.exec(), ['binary.k8s.io'])).rejects.toThrow('403');
    await until(() => streaming.server.sessions === 0);
  });
});

describe('a message', () => {
  const stdin = { stdin: true, stdout: true };

  test.each([[], ['base64.channel.k8s.io']])(
    'may be text or binary, whichever the protocol: %j',
    async (...offered) => {
      echo();
      const client = await WebSocketTestClient.connect(streaming.exec(stdin), offered);
      const message = offered.length > 0 ? '0YWI=' : '\0ab';
      client.socket.send(message, { binary: false });
      client.socket.send(Buffer.from(message), { binary: true });
      await until(() => client.text(1) === 'abab');
      client.socket.terminate();
    },
  );

  test.each([[], ['v4.base64.channel.k8s.io']])(
    'that is empty, or for no channel, is nobody’s: %j',
    async (...offered) => {
      echo();
      const client = await WebSocketTestClient.connect(streaming.exec(stdin), offered);
      for (const message of ['', '9YWI=', '/YWI=', '\u00ffYWI=', '!', '5']) client.socket.send(message);
      client.socket.send(offered.length > 0 ? '0' : '\0');
      client.send(0, 'still here');
      await until(() => client.text(1) === 'still here');
      client.socket.terminate();
    },
  );

  test.each(['0YWI', '0Y', '0====', '0A===', '0YW=I', '0YW-_', '0YW I', '0\u0001\u0002\u0003\u0004'])(
    'that is no base64 ends its client, and nothing after it is taken: %j',
    async (message) => {
      let received = '';
      fakes().onExec = (exec) => void exec.stdin?.on('data', (chunk: Buffer) => (received += chunk.toString()));
      const client = await WebSocketTestClient.connect(streaming.exec(stdin), 'base64.channel.k8s.io');
      client.send(0, 'before');
      client.socket.send(message);
      client.send(0, 'after');
      expect(await client.closed).toBe(1007);
      await until(() => fakes().open === 0);
      expect(received).toBe('before');
    },
  );

  test('of base64 may have line ends', async () => {
    echo();
    const client = await WebSocketTestClient.connect(streaming.exec(stdin), 'base64.channel.k8s.io');
    client.socket.send('0YWJj\r\nZGVm\n');
    await until(() => client.text(1) === 'abcdef');
    client.socket.terminate();
  });

  test('of base64 has the limit of any message', async () => {
    const client = await WebSocketTestClient.connect(streaming.exec(stdin), 'base64.channel.k8s.io');
    client.socket.send(`0${'A'.repeat(1024 * 1024)}`);
    expect(await client.closed).toBe(1009);
    await until(() => fakes().open === 0);
  });
});

describe('port-forward in the form with channels', () => {
  test.each<[string[], string]>([
    [['v4.channel.k8s.io'], 'binary'],
    [['v4.base64.channel.k8s.io'], 'base64'],
    [[], 'binary'],
  ])('two channels for each port, each begins with its number: %j', async (offered) => {
    fakes().listeners.set(80, (socket) => void socket.on('data', () => socket.end('answer')));
    const url = `${streaming.portForward()}?port=80&port=81`;
    const client = await WebSocketTestClient.connect(url, offered);
    client.send(0, 'question');
    expect(await client.closed).toBe(1000);
    expect(client.output(0)).toEqual(Buffer.from('P\0answer'));
    expect(client.output(1)).toEqual(Buffer.from('P\0'));
    expect(client.text(3)).toMatch(/^Q\0port 81 cannot be forwarded: nobody listens/);
    await until(() => fakes().open === 0);
  });

  test.each(['v4.channel.k8s.io', 'v4.base64.channel.k8s.io'])('without ports there is none: %s', async (offered) => {
    await expect(WebSocketTestClient.connect(streaming.portForward(), offered)).rejects.toThrow('403');
    await until(() => streaming.server.sessions === 0);
  });

  test.each(['channel.k8s.io', 'v5.channel.k8s.io'])('is not spoken in %s', async (offered) => {
    await expect(WebSocketTestClient.connect(streaming.portForward(80), offered)).rejects.toThrow('403');
    await until(() => streaming.server.sessions === 0);
  });
});

test('the numbers of 64 ports fit into one character each', () => {
  const bytes = Buffer.from('x');
  const numbers = Array.from({ length: 2 * 64 }, (_, index) => index);
  const messages = numbers.map((number) => Buffer.from(base64Framing.encode(number, bytes)));
  expect(messages.map((message) => base64Framing.channelOf(message))).toEqual(numbers);
  for (const message of messages) expect(base64Framing.bytesOf(message)).toEqual(bytes);
});
