import { duplexPair, type Duplex } from 'node:stream';
import zlib from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { until } from '../streaming.fixture.ts';
import { dictionary } from './dictionary.ts';
import { maxControlLength } from './frame-parser.ts';
import { controlFrame, dataHeader, frameTypes, maxLength } from './frames.ts';
import { maxBlockLength } from './header-inflater.ts';
import { headerBlock, SpdyTestClient, uint32 } from './spdy-client.fixture.ts';
import { SpdyConnection } from './spdy-connection.ts';
import type { SpdyStream } from './spdy-stream.ts';

const quiet = { received: () => undefined, sent: () => undefined, alive: () => undefined };

interface Served {
  readonly connection: SpdyConnection;
  readonly client: Duplex;
  readonly streams: readonly SpdyStream[];
  /** Once it is closed. */
  reason: string | undefined;
}

function serve(maxStreams = 5): Served {
  const [client, socket] = duplexPair();
  client.on('error', () => undefined);
  const streams: SpdyStream[] = [];
  const connection = new SpdyConnection({
    ...{ socket, maxStreams, meter: quiet, streamBuffer: 64 * 1024 },
    onStream: (stream) => {
      streams.push(stream.resume());
      return true;
    },
  });
  const served: Served = { connection, client, streams, reason: undefined };
  void connection.closed.then((reason) => (served.reason = reason));
  return served;
}

const synStream = (id: number, block: Buffer): Buffer =>
  controlFrame(frameTypes.synStream, Buffer.concat([uint32(id, 0), Buffer.alloc(2), block]));
const compressed = (block: Buffer): Buffer =>
  zlib.deflateSync(block, { dictionary, finishFlush: zlib.constants.Z_SYNC_FLUSH });
const headers = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_value, index) => [`h${index}`, 'x']));
/** 16 MiB in 16 KiB. */
const bomb = compressed(Buffer.concat([uint32(1, 1), Buffer.from('a'), uint32(15_000_000), Buffer.alloc(15_000_000)]));
const open = (id: number): Buffer => synStream(id, compressed(headerBlock({ streamtype: 'data' })));

test('the dictionary is SPDY’s, byte for byte', () => {
  expect(dictionary).toHaveLength(1423);
  // A zlib stream names its dictionary by the checksum in bytes two to five.
  expect(zlib.deflateSync('', { dictionary }).readUInt32BE(2)).toBe(0xe3c6a7c2);
});

describe('what breaks the protocol ends the connection', () => {
  test.each<[string, readonly Buffer[], RegExp]>([
    ['another version', [Buffer.from([0x80, 2, 0, 1, 0, 0, 0, 0])], /version 2/],
    [
      'a control frame of 16 MiB',
      [controlFrame(1, Buffer.alloc(0)).fill(0xff, 5)],
      /a control frame of 16777215 bytes/,
    ],
    ['a stream without headers', [controlFrame(1, uint32(1, 0))], /without headers/],
    ['a control frame that is too short', [controlFrame(frameTypes.ping, Buffer.alloc(3))], /too short/],
    ['data for stream 0', [dataHeader(0, 1, false)], /stream 0/],
    ['data for a stream that never was', [dataHeader(7, 1, false), Buffer.alloc(1)], /was not opened/],
    ['an even stream', [open(2)], /stream 2/],
    ['a stream twice', [open(1), open(1)], /stream 1 after 1/],
    ['an answer', [controlFrame(frameTypes.synReply, uint32(1, 0))], /never opened/],
    ['headers that are not compressed', [synStream(1, Buffer.from('nonsense'))], /a header block/],
    [
      'another dictionary',
      [synStream(1, zlib.deflateSync(headerBlock({}), { dictionary: Buffer.from('x') }))],
      /block/,
    ],
    ['more headers than anybody sends', [synStream(1, compressed(headerBlock(headers(65))))], /65 headers/],
    [
      'a header twice',
      [
        synStream(
          1,
          compressed(Buffer.concat([uint32(2, 1), Buffer.from('a'), uint32(0, 1), Buffer.from('a'), uint32(0)])),
        ),
      ],
      /twice/,
    ],
    ['a count that is a lie', [synStream(1, compressed(uint32(3)))], /too early/],
    ['a length that is a lie', [synStream(1, compressed(uint32(1, 0xffff_ffff)))], /too early/],
    ['more than the count says', [synStream(1, compressed(uint32(0, 0)))], /longer/],
    ['a header block that swells', [synStream(1, bomb)], /more than 16384 bytes/],
    ['a HEADERS frame that swells', [controlFrame(frameTypes.headers, Buffer.concat([uint32(1), bomb]))], /more than/],
  ])('%s', async (_what, frames, reason) => {
    expect(bomb.length).toBeLessThan(16 * 1024 + 64);
    const served = serve();
    served.client.resume();
    for (const frame of frames) served.client.write(frame);
    await until(() => served.reason !== undefined);
    expect(served.reason).toMatch(/broke the protocol/);
    expect(served.reason).toMatch(reason);
    await until(() => served.client.readableEnded || served.client.destroyed);
    expect(served.connection.openStreams).toBe(0);
  });
});

describe('one below each limit, at it, and one above it', () => {
  /** Beside the value, in a block of one header whose name is a letter. */
  const around = 4 + 4 + 1 + 4;

  test.each<[string, number, (client: SpdyTestClient, many: number) => unknown]>([
    ['bytes of a control frame', maxControlLength, (client, many) => client.control(77, Buffer.alloc(many))],
    ['bytes of a header block', maxBlockLength, (client, many) => client.open({ h: 'x'.repeat(many - around) })],
    ['headers of a stream', 64, (client, many) => client.open(headers(many))],
  ])('%s (%i)', async (_what, limit, send) => {
    const other = serve();
    const others = new SpdyTestClient(other.client);
    for (const [many, ends] of [
      [limit - 1, false],
      [limit, false],
      [limit + 1, true],
    ] as const) {
      const served = serve();
      const client = new SpdyTestClient(served.client);
      await send(client, many);
      client.ping(9);
      await until(() => client.pings.length === 1 || served.reason !== undefined);
      expect([many, served.reason]).toEqual([many, ends ? expect.stringContaining('broke the protocol') : undefined]);
      // Whoever else is served goes on.
      const stream = await others.open({ streamtype: 'data' });
      await until(() => stream.replied);
      served.client.destroy();
    }
    others.end();
  });
});

describe('what is only odd does not', () => {
  test('frames that change nothing here, and those that nobody knows', async () => {
    const served = serve();
    const client = new SpdyTestClient(served.client);
    client.control(frameTypes.settings, uint32(1, 7, 100));
    client.control(frameTypes.windowUpdate, uint32(0, 100));
    client.control(5, Buffer.alloc(0));
    client.control(77, Buffer.alloc(1000));
    client.control(frameTypes.rstStream, uint32(99, 5));
    client.ping(2);
    client.ping(3);
    await until(() => client.pings.length === 1);
    expect(client.pings).toEqual([3]);
    const stream = await client.open({ streamtype: 'data' });
    await until(() => stream.replied);
    client.control(frameTypes.headers, Buffer.concat([uint32(1), await client.compress(headerBlock({ more: 'x' }))]));
    const next = await client.open({ streamtype: 'data' });
    await until(() => next.replied);
    expect(served.streams.map(({ headers: given }) => given.get('streamtype'))).toEqual(['data', 'data']);
    client.end();
    await until(() => served.reason !== undefined);
  });

  test('more streams than allowed are refused one by one; data for what has ended is dropped', async () => {
    const served = serve(2);
    const client = new SpdyTestClient(served.client);
    const [one, two] = [await client.open({}), await client.open({})];
    const three = await client.open({});
    await until(() => three.reset === 3);
    one.cancel();
    one.write('late');
    const four = await client.open({});
    await until(() => four.replied);
    expect([two.reset, four.reset]).toEqual([undefined, undefined]);
    client.end();
  });

  test('after a goodbye no stream is opened any more, and the open ones go on', async () => {
    const served = serve();
    const client = new SpdyTestClient(served.client);
    const one = await client.open({});
    client.control(frameTypes.goAway, uint32(0, 0));
    const two = await client.open({});
    await until(() => two.reset !== undefined);
    served.streams[0]?.end('still here');
    await until(() => one.ended);
    expect(one.text).toBe('still here');
    client.end();
  });

  test('a data frame of 16 MiB is passed on as it comes', async () => {
    const served = serve();
    const client = new SpdyTestClient(served.client);
    await client.open({});
    await until(() => served.streams.length === 1);
    let received = 0;
    served.streams[0]?.on('data', (bytes: Buffer) => (received += bytes.length));
    client.raw(dataHeader(1, maxLength, true));
    const piece = Buffer.alloc(1024 * 1024);
    client.raw(piece);
    await until(() => received === piece.length);
    for (let count = 0; count < 14; count++) client.raw(piece);
    client.raw(Buffer.alloc(piece.length - 1));
    await until(() => served.streams[0]?.readableEnded === true);
    expect(received).toBe(maxLength);
    client.end();
  });
});

test('a client that asks without end and reads nothing is not read any more', async () => {
  const served = serve();
  const pings = Buffer.concat(Array.from({ length: 1000 }, () => controlFrame(frameTypes.ping, uint32(1))));
  let sent = 0;
  const more = (): void => {
    while (sent < 100) {
      sent += 1;
      if (served.client.write(pings)) continue;
      served.client.once('drain', more);
      return;
    }
  };
  more();
  for (let before = -1; before !== sent;) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(sent).toBeLessThan(50);
  served.client.resume();
  await until(() => sent === 100);
  served.client.destroy();
  await until(() => served.reason !== undefined);
});

test('a client that sends one byte at a time to a consumer that does not read fills no memory', async () => {
  const served = serve();
  const client = new SpdyTestClient(served.client);
  await client.open({});
  await until(() => served.streams.length === 1);
  const [stream] = served.streams;
  stream?.pause();
  const frames = 50_000;
  const piece = Buffer.concat([dataHeader(1, 1, false), Buffer.of(7)]);
  client.raw(Buffer.alloc(frames * piece.length, piece));
  for (let before = -1; before !== stream?.readableLength;) {
    before = stream?.readableLength ?? 0;
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(stream?.readableLength).toBeGreaterThan(1000);
  expect(stream?.readableLength).toBeLessThan(3000);
  let received = 0;
  stream?.on('data', (bytes: Buffer) => (received += bytes.length)).resume();
  await until(() => received === frames);
  client.end();
});

describe('whatever bytes come', () => {
  const frame = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc
      .tuple(fc.integer({ min: 0, max: 10 }), fc.uint8Array({ maxLength: 100 }), fc.integer({ min: 0, max: 255 }))
      .map(([type, payload, flags]) => controlFrame(type, Buffer.from(payload), flags)),
    fc
      .tuple(fc.integer({ min: 0, max: 9 }), fc.uint8Array({ maxLength: 100 }), fc.boolean())
      .map(([id, bytes, fin]) => Buffer.concat([dataHeader(id, bytes.length, fin), Buffer.from(bytes)])),
    fc.constantFrom(open(1), open(3), open(5), bomb),
  );

  test('the connection ends with its client, and nothing is thrown out of it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 20 }), fc.boolean(), async (frames, begins) => {
        const served = serve();
        served.client.resume();
        if (begins) served.client.write(open(1));
        for (const bytes of frames) served.client.write(bytes);
        served.client.end();
        await until(() => served.reason !== undefined);
        expect(served.connection.openStreams).toBe(0);
      }),
      { numRuns: 300 },
    );
  }, 20_000);
});
