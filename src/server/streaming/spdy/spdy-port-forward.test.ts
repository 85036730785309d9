import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { duplexPair, type Duplex } from 'node:stream';
import { createWebSocketStream } from 'ws';
import { createCtx } from '#base/ctx';
import { startStreaming, until, type TestStreaming } from '../streaming.fixture.ts';
import { WebSocketTestClient } from '../websocket/websocket-client.fixture.ts';
import { serveSpdyPortForward } from './serve-port-forward.ts';
import { connectSpdy, SpdyTestClient, type SpdyTestStream } from './spdy-client.fixture.ts';

let streaming: TestStreaming;
beforeEach(async () => {
  streaming = await startStreaming();
});
afterEach(async () => streaming[Symbol.asyncDispose]());

const fakes = () => streaming.it.runtime.streams;

interface Pair {
  readonly error: SpdyTestStream;
  readonly data: SpdyTestStream;
}

let requests = 0;
async function openPair(client: SpdyTestClient, port: number): Promise<Pair> {
  requests += 1;
  const headers = { port: String(port), requestid: String(requests) };
  const error = await client.open({ streamtype: 'error', ...headers });
  error.end();
  return { error, data: await client.open({ streamtype: 'data', ...headers }) };
}

const spdy = () => connectSpdy(streaming.portForward(), 'portforward.k8s.io');

/** As kubectl since 1.31. */
async function spdyInWebSocket(): Promise<SpdyTestClient> {
  const protocol = 'SPDY/3.1+portforward.k8s.io';
  const { socket, ...client } = await WebSocketTestClient.connect(streaming.portForward(), protocol);
  expect(client.protocol).toBe(protocol);
  socket.removeAllListeners('message');
  return new SpdyTestClient(createWebSocketStream(socket));
}

describe.each([
  ['SPDY', spdy],
  ['SPDY in a WebSocket', spdyInWebSocket],
])('port-forward over %s', (_name, connect) => {
  test('each pair is a connection of its own, closed in each direction by itself', async () => {
    fakes().listeners.set(80, (socket) => {
      const heard: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => heard.push(chunk));
      socket.once('end', () => socket.end(`heard ${Buffer.concat(heard).toString()}`));
    });
    const client = await connect();
    const pairs = await Promise.all([openPair(client, 80), openPair(client, 80), openPair(client, 80)]);
    for (const [index, { data }] of pairs.entries()) data.write(`pair ${index}`, true);
    await until(() => pairs.every(({ data, error }) => data.ended && error.ended));
    expect(pairs.map(({ data }) => data.text)).toEqual(['heard pair 0', 'heard pair 1', 'heard pair 2']);
    expect(pairs.map(({ error }) => error.text)).toEqual(['', '', '']);
    await until(() => fakes().open === 0);
    expect(client.closed).toBe(false);
    client.end();
    await until(() => streaming.server.sessions === 0);
  });

  test('a port where nobody listens is told on its own error stream', async () => {
    fakes().listeners.set(80, (socket) => socket.resume().end('here'));
    const client = await connect();
    const bad = await openPair(client, 81);
    await until(() => bad.error.ended && bad.data.reset !== undefined);
    expect(bad.error.text).toMatch(/^port 81 cannot be forwarded: nobody listens/);
    const good = await openPair(client, 80);
    good.data.end();
    await until(() => good.data.ended);
    expect(good.data.text).toBe('here');
    client.end();
    await until(() => streaming.server.sessions === 0);
  });

  test('a connection that breaks ends its own pair, without a word on the error stream', async () => {
    const sockets: Duplex[] = [];
    fakes().listeners.set(80, (socket) => void sockets.push(socket.resume()));
    const client = await connect();
    const [one, other] = await Promise.all([openPair(client, 80), openPair(client, 80)]);
    await until(() => sockets.length === 2);
    const broken = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
    fakes().connections[0]?.destroy(broken);
    await until(() => one.error.ended && one.data.reset !== undefined);
    expect(one.error.text).toBe('');
    sockets[1]?.end('still here');
    other.data.end();
    await until(() => other.data.ended);
    expect(other.data.text).toBe('still here');
    client.end();
    await until(() => fakes().open === 0);
  });

  test('a client that cancels, or leaves, closes its connections', async () => {
    const sockets: Duplex[] = [];
    fakes().listeners.set(80, (socket) => void sockets.push(socket));
    const client = await connect();
    const [one] = await Promise.all([openPair(client, 80), openPair(client, 80)]);
    await until(() => sockets.length === 2);
    one.data.cancel();
    await until(() => fakes().open === 1);
    client.end();
    await until(() => fakes().open === 0 && streaming.server.sessions === 0);
  });

  test('8 MB arrive as they were sent, in both directions', async () => {
    const sent = randomBytes(8 * 1024 * 1024);
    fakes().listeners.set(80, (socket) => void socket.pipe(socket));
    const client = await connect();
    const { data } = await openPair(client, 80);
    for (let at = 0; at < sent.length; at += 64 * 1024) {
      data.write(sent.subarray(at, at + 64 * 1024));
      if (client.socket.writableNeedDrain) await new Promise((resolve) => client.socket.once('drain', resolve));
    }
    data.end();
    await until(() => data.ended);
    expect(data.reset).toBeUndefined();
    expect(data.bytes.equals(sent)).toBe(true);
    client.end();
  });
});

test('a pod that does not read slows the client, and holds little', async () => {
  // Without a kernel between them, whose buffers take whatever they like.
  const [far, socket] = duplexPair();
  const dialled: { readonly near: Duplex; readonly pod: Duplex }[] = [];
  const dial = async (): Promise<Duplex> => {
    const [near, pod] = duplexPair();
    dialled.push({ near, pod });
    return near;
  };
  const { signal } = new AbortController();
  const ignore = (): void => undefined;
  const meter = { received: ignore, sent: ignore, alive: ignore };
  const session = { ...meter, ctx: createCtx(), signal, note: ignore, [Symbol.dispose]: ignore };
  const served = serveSpdyPortForward({ session, socket, dial, timeoutMs: 30_000 });
  const client = new SpdyTestClient(far);
  const { data } = await openPair(client, 80);
  const total = 4 * 1024 * 1024;
  for (let sent = 0; sent < total; sent += 64 * 1024) data.write(Buffer.alloc(64 * 1024));
  await until(() => dialled.length === 1);
  for (let before = -1; before !== far.writableLength;) {
    before = far.writableLength;
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(far.writableLength).toBeGreaterThan(total - 1024 * 1024);
  let read = 0;
  dialled[0]?.pod.on('data', (bytes: Buffer) => (read += bytes.length));
  await until(() => read === total);
  client.end();
  await served;
  await until(() => dialled[0]?.near.destroyed === true);
});

test('half a pair is not waited for long', async () => {
  await using short = await startStreaming({ config: { handshakeTimeoutMs: 300 } });
  const client = await connectSpdy(short.portForward(), 'portforward.k8s.io');
  const error = await client.open({ streamtype: 'error', port: '80', requestid: 'a' });
  const data = await client.open({ streamtype: 'data', port: '80', requestid: 'b' });
  await until(() => error.ended && data.reset !== undefined);
  expect(error.text).toMatch(/the other stream of request a did not come/);
  client.end();
});

test('clients that do not number their requests open the error stream first', async () => {
  fakes().listeners.set(80, (socket) => socket.resume().end('here'));
  const client = await spdy();
  await client.open({ streamtype: 'error', port: '80' });
  const data = await client.open({ streamtype: 'data', port: '80' });
  await until(() => data.ended);
  expect(data.text).toBe('here');
  client.end();
});

test.each([
  ['no type', { port: '80', requestid: '1' }],
  ['another type', { streamtype: 'stdin', port: '80', requestid: '1' }],
  ['no port', { streamtype: 'data', requestid: '1' }],
  ['a port that is none', { streamtype: 'data', port: '65536', requestid: '1' }],
])('a stream with %s is refused', async (_what, headers) => {
  const client = await spdy();
  const stream = await client.open(headers);
  await until(() => stream.reset !== undefined);
  expect(client.closed).toBe(false);
  client.end();
});

test('more pairs than anybody needs are refused, the others go on', async () => {
  let connected = 0;
  fakes().listeners.set(80, () => void (connected += 1));
  const client = await spdy();
  const pairs: Pair[] = [];
  for (let count = 0; count < 256; count++) pairs.push(await openPair(client, 80));
  await until(() => connected === 256);
  const one = await client.open({ streamtype: 'error', port: '80', requestid: 'more' });
  await until(() => one.reset !== undefined);
  expect(pairs.every(({ data }) => data.reset === undefined)).toBe(true);
  client.end();
  await until(() => fakes().open === 0);
}, 20_000);
