import http2 from 'node:http2';
import net from 'node:net';
import { expect, test } from '@jest/globals';
import { startTestServer, type TestServer } from './cri-server.fixture.ts';

// What happens to connections beyond the limit. In the field: a client that opened one for each of its calls, more than 300
// of them, was cut off by a limit of 256 without a word.

const soon = { limit: 2, ms: 100 };
const refusal = 'the cri socket serves 1 connections, which is the limit: close some, or raise cri.max_connections';

/** A client that stays, and has been answered once. */
class HeldClient {
  readonly #session: http2.ClientHttp2Session;
  /** Whether a GOAWAY without an error came. */
  sentAway = false;
  readonly closed: Promise<void>;

  constructor(socket: string) {
    this.#session = http2.connect('http://localhost', {
      createConnection: () => net.connect(socket),
      maxOutstandingPings: 10_000,
    });
    this.#session.on('error', () => undefined);
    this.#session.on('goaway', (code) => (this.sentAway ||= code === 0));
    this.closed = new Promise((resolve) => this.#session.once('close', () => resolve()));
  }

  /** @returns the status of the answer, and its message if it has one */
  async call(): Promise<string> {
    const request = this.#session.request({
      ':method': 'POST',
      ':path': '/runtime.v1.ImageService/ListImages',
      ':authority': 'localhost',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    return await new Promise((resolve) => {
      const answer = (headers: http2.IncomingHttpHeaders): void => {
        const { 'grpc-status': status, 'grpc-message': message = '' } = headers;
        if (status !== undefined)
          resolve(`grpc ${String(status)} ${decodeURI(String(message))}`.replace(/ (OK)?$/, ''));
      };
      request.on('response', answer);
      request.on('trailers', answer);
      request.on('error', () => resolve('lost'));
      request.on('close', () => resolve('lost'));
      request.end(Buffer.alloc(5));
      request.resume();
    });
  }

  get settings(): http2.Settings {
    return this.#session.remoteSettings;
  }

  async ping(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#session.ping((error) => (error ? reject(error) : resolve()));
    });
  }

  close(): Promise<void> {
    this.#session.close();
    return this.closed;
  }
}

async function hold(server: TestServer, clients: number): Promise<HeldClient[]> {
  const held = Array.from({ length: clients }, () => new HeldClient(server.socket));
  expect(await Promise.all(held.map((client) => client.call()))).toEqual(Array(clients).fill('grpc 0'));
  return held;
}

async function metric(server: TestServer, name: string): Promise<string | undefined> {
  const line = (await server.metrics.text())
    .split('\n')
    .find((text) => text.startsWith(`berth_${name}`) && !text.startsWith('#'));
  return line?.split(' ').at(-1);
}

const full = (server: TestServer): unknown[] =>
  server.lines.filter(({ message }) => message.includes('which is the limit'));

test('500 clients hold a connection each, and everybody is answered', async () => {
  await using server = await startTestServer();
  const clients = await hold(server, 500);
  expect(await metric(server, 'connections{server="cri",state="served"}')).toBe('500');
  await Promise.all(clients.map((client) => client.close()));
  expect(full(server)).toEqual([]);
});

test('one more than are served waits for a place, and is answered when there is one', async () => {
  await using server = await startTestServer({ config: { maxConnections: 3 } });
  const [first, ...others] = await hold(server, 3);
  const late = new HeldClient(server.socket);
  const answer = late.call();
  await server.client.images.listImages({}, { timeoutMs: 50 }).catch(() => undefined);
  await first?.close();
  expect(await answer).toBe('grpc 0');
  await Promise.all([late, ...others].map((client) => client.close()));
});

test('one that gets no place in time is told the limit and its key', async () => {
  await using server = await startTestServer({ config: { maxConnections: 1 }, waiting: soon });
  const [held] = await hold(server, 1);
  const late = new HeldClient(server.socket);
  expect(await late.call()).toBe(`grpc 8 ${refusal}`);
  await late.closed;
  expect(await held?.call()).toBe('grpc 0');
  expect(await metric(server, 'connections_refused_total')).toBe('1');
  await held?.close();
});

test('a crowd beyond those that may wait is refused at once, with one line in the log', async () => {
  await using server = await startTestServer({ config: { maxConnections: 1 }, waiting: { limit: 2, ms: 60_000 } });
  const [held] = await hold(server, 1);
  const waiting = [new HeldClient(server.socket), new HeldClient(server.socket)];
  const answers = waiting.map((client) => client.call());
  const crowd = Array.from({ length: 50 }, () => new HeldClient(server.socket));
  expect(await Promise.all(crowd.map((client) => client.call()))).toEqual(Array(50).fill(`grpc 8 ${refusal}`));
  await Promise.all(crowd.map((client) => client.closed));
  expect(full(server)).toHaveLength(1);
  await held?.close();
  // The one that was served next ends, and the last one has its place.
  const first = await Promise.race(answers.map(async (answer, at) => [await answer, at] as const));
  expect(first[0]).toBe('grpc 0');
  await waiting[first[1]]?.close();
  expect(await answers[1 - first[1]]).toBe('grpc 0');
  await waiting[1 - first[1]]?.close();
});

test('who left while waiting takes no place', async () => {
  await using server = await startTestServer({ config: { maxConnections: 1 }, waiting: { limit: 2, ms: 60_000 } });
  const [held] = await hold(server, 1);
  const gone = net.connect(server.socket);
  await new Promise((resolve) => gone.once('connect', resolve));
  gone.destroy();
  const late = new HeldClient(server.socket);
  const answer = late.call();
  await held?.close();
  expect(await answer).toBe('grpc 0');
  await late.close();
});

test('a connection without a call is closed in its time', async () => {
  await using server = await startTestServer({ config: { idleTimeoutMs: 100 } });
  const [idle] = await hold(server, 1);
  await idle?.closed;
  expect(idle?.sentAway).toBe(true);
});

test('closing the server lets those go that wait', async () => {
  await using server = await startTestServer({ config: { maxConnections: 1 } });
  const [held] = await hold(server, 1);
  const late = new HeldClient(server.socket);
  const answer = late.call();
  await held?.call();
  await server.server.close(0);
  expect(await answer).toBe('lost');
});

test('one that says nothing and gets no place is closed', async () => {
  await using server = await startTestServer({ config: { maxConnections: 1 }, waiting: soon });
  const [held] = await hold(server, 1);
  const silent = net.connect(server.socket).resume();
  await new Promise((resolve) => silent.once('close', resolve));
  await held?.close();
});

test('one connection may have as many calls as a kubelet makes that drains its node', async () => {
  await using server = await startTestServer();
  const held = new HeldClient(server.socket);
  expect(await held.call()).toBe('grpc 0');
  expect(held.settings.maxConcurrentStreams).toBe(10_000);
  const calls = await Promise.all(Array.from({ length: 2500 }, () => held.call()));
  expect(new Set(calls)).toEqual(new Set(['grpc 0']));
  await held.close();
});

test('a client that pings all the time is not sent away', async () => {
  await using server = await startTestServer();
  const held = new HeldClient(server.socket);
  expect(await held.call()).toBe('grpc 0');
  for (let round = 0; round < 5; round += 1) await Promise.all(Array.from({ length: 900 }, () => held.ping()));
  expect(await held.call()).toBe('grpc 0');
  expect(held.sentAway).toBe(false);
  await held.close();
});
