import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { digestOf } from '../config.ts';
import { ClientBench, Collector } from './client-bench.fixture.ts';
import { breakAfter, fail, RegistryDouble, sendBlob, type Trick } from './registry-double.fixture.ts';

const bytes = randomBytes(300_000);
const blob = { digest: digestOf(bytes), size: bytes.length };

let bench: ClientBench;
let double: RegistryDouble;
let name: string;
beforeEach(async () => {
  bench = await ClientBench.open();
  double = await RegistryDouble.start();
  double.blobs.set(blob.digest, bytes);
  bench.configure({ plainHttp: [double.host] });
  name = `${double.host}/team/app:1`;
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
  await double[Symbol.asyncDispose]();
});

const ranges = (): (string | undefined)[] => double.requests.map(({ headers }) => headers.range);
const whole: Trick = (_request, response) => {
  response.writeHead(200, { 'content-length': bytes.length });
  response.end(bytes);
};

describe('resuming', () => {
  it('goes on where a connection broke, asking for the same bytes', async () => {
    double.trick(/blobs/, breakAfter(bytes, 100_000), 2);
    expect((await bench.fetch(name, blob)).equals(bytes)).toBe(true);
    expect(ranges()).toEqual([undefined, 'bytes=100000-', 'bytes=200000-']);
    expect(double.requests[1]!.headers['if-range']).toBe(`"${blob.digest}"`);
  });

  it('skips what it has when a host starts from the beginning', async () => {
    double.trick(/blobs/, whole);
    double.trick(/blobs/, breakAfter(bytes, 100_001), 1);
    expect((await bench.fetch(name, blob)).equals(bytes)).toBe(true);
    expect(ranges()).toEqual([undefined, 'bytes=100001-']);
  });

  it('skips what it has when a part starts early', async () => {
    double.trick(/blobs/, (_request, response) => {
      response.writeHead(206, { 'content-range': `bytes 99990-${bytes.length - 1}/${bytes.length}` });
      response.end(bytes.subarray(99_990));
    });
    double.trick(/blobs/, breakAfter(bytes, 100_000), 1);
    expect((await bench.fetch(name, blob)).equals(bytes)).toBe(true);
  });

  it('asks for the rest of what was shorter than its descriptor', async () => {
    double.trick(
      /blobs/,
      (_request, response) => {
        response.writeHead(200, { 'content-length': 1000 });
        response.end(bytes.subarray(0, 1000));
      },
      1,
    );
    expect((await bench.fetch(name, blob)).equals(bytes)).toBe(true);
    expect(ranges()).toEqual([undefined, 'bytes=1000-']);
  });

  it.each([
    ['a wrong part', 206, { 'content-range': `bytes 5-9/${bytes.length}` }],
    ['a part without a place', 206, {}],
    ['a part of another blob', 206, { 'content-range': `bytes 100000-${bytes.length}/${bytes.length + 1}` }],
  ])('refuses %s', async (_name, status, headers) => {
    double.trick(/blobs/, (_request, response) => {
      response.writeHead(status, headers);
      response.end();
    });
    double.trick(/blobs/, breakAfter(bytes, 100_000), 1);
    await expect(bench.fetch(name, blob)).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
  });

  it('gives up after as many attempts without progress as are allowed', async () => {
    double.trick(/blobs/, breakAfter(bytes, 0));
    await expect(bench.fetch(name, blob)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('connection broken'),
    });
    expect(double.requests.length).toBe(4);
  });

  it('does not count attempts that bring much', async () => {
    const large = randomBytes(9 * 1024 * 1024);
    double.blobs.set(digestOf(large), large);
    double.trick(/blobs/, breakAfter(large, 1024 * 1024 + 1));
    const sink = new Collector();
    await bench.fetch(name, { digest: digestOf(large), size: large.length }, { sink });
    expect(sink.bytes.equals(large)).toBe(true);
    expect(double.requests.length).toBe(9);
  });
});

describe('lengths', () => {
  it('takes an empty blob without asking for it', async () => {
    expect(await bench.fetch(name, { digest: digestOf(Buffer.of()), size: 0 })).toEqual(Buffer.of());
    expect(double.requests).toEqual([]);
  });

  it('cuts a blob that goes on behind its end', async () => {
    double.trick(/blobs/, (_request, response) => {
      response.write(bytes);
      response.end('more');
    });
    const sink = new Collector();
    await expect(bench.fetch(name, blob, { sink })).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
      message: expect.stringContaining('longer'),
    });
    expect(sink.bytes.length).toBeLessThanOrEqual(bytes.length);
    expect(double.requests.length).toBe(1);
  });

  it('does not begin with a blob that says it is longer', async () => {
    const sink = new Collector();
    await expect(bench.fetch(name, { ...blob, size: 1000 }, { sink })).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
      message: expect.stringContaining(`has ${bytes.length} bytes, not 1000`),
    });
    expect(sink.bytes.length).toBe(0);
  });

  it('refuses a body that was compressed on the way', async () => {
    double.trick(/blobs/, (_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' });
      response.end('x');
    });
    await expect(bench.fetch(name, blob)).rejects.toMatchObject({
      message: expect.stringContaining('sent with Content-Encoding "gzip"'),
    });
    expect(double.requests[0]!.headers['accept-encoding']).toBe('identity');
  });
});

describe('odd answers', () => {
  const framed = Buffer.from('HTTP/1.0 200 OK\r\n\r\n');

  it.each<[string, Readonly<Record<string, string>>]>([
    ['no Content-Length', { 'transfer-encoding': 'chunked' }],
    ['a Content-Type of another kind', { 'content-type': 'text/html', 'content-length': String(bytes.length) }],
    ['a coding that changes nothing', { 'content-encoding': 'identity' }],
    ['an empty coding', { 'content-encoding': '' }],
    ['a coding of what is stored, not sent', { 'content-encoding': 'gzip', 'content-length': String(bytes.length) }],
    ['a coding of an upload', { 'content-encoding': 'aws-chunked', 'content-length': String(bytes.length) }],
    ['a digest that is none', { 'docker-content-digest': 'sha512:nonsense' }],
  ])('with %s are taken', async (_name, headers) => {
    double.trick(/blobs/, (_request, response) => {
      response.writeHead(200, headers);
      response.end(bytes);
    });
    expect((await bench.fetch(name, blob)).equals(bytes)).toBe(true);
  });

  it('of HTTP/1.0 are taken', async () => {
    double.trick(/blobs/, (_request, response) => response.socket!.end(Buffer.concat([framed, bytes])));
    expect((await bench.fetch(name, blob)).equals(bytes)).toBe(true);
  });

  it.each(['gzip', 'br', 'zstd, gzip', 'x'.repeat(5000)])(
    'with the coding %.20s are refused by its name',
    async (coding) => {
      double.trick(/blobs/, (_request, response) => {
        response.writeHead(200, { 'content-encoding': coding });
        response.end(bytes);
      });
      await expect(bench.fetch(name, blob)).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringContaining(`Content-Encoding "${coding.slice(0, 64)}", which was not asked for`),
      });
      expect(double.requests.length).toBe(1);
    },
  );

  it('to a range that refuse it are asked for all', async () => {
    double.trick(/blobs/, (request, response, serve) => {
      if (request.headers.range === undefined) serve();
      else fail(416)(request, response);
    });
    double.trick(/blobs/, breakAfter(bytes, 5), 1);
    expect((await bench.fetch(name, blob)).equals(bytes)).toBe(true);
    expect(double.requests.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=5-', undefined]);
  });
});

describe('a layer with urls', () => {
  const elsewhere = { ...blob, hasUrls: true };

  it('is taken from the registry that has it', async () => {
    expect((await bench.fetch(name, elsewhere)).equals(bytes)).toBe(true);
  });

  it('is not looked for outside, and that is said', async () => {
    double.blobs.clear();
    await expect(bench.fetch(name, elsewhere)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('its descriptor has urls'),
    });
    await expect(bench.fetch(name, blob)).rejects.toMatchObject({ message: expect.not.stringContaining('urls') });
  });
});

describe('stalls', () => {
  beforeEach(() => bench.configure({ stallMs: 200, minimumBytesPerSecond: 1000, attempts: 2 }));

  it('is content with all bytes of a host that does not say that this was the end', async () => {
    double.trick(/blobs/, (_request, response) => {
      // Without a length: chunks, of which the last one never comes.
      response.write(bytes);
    });
    expect((await bench.fetch(name, blob)).equals(bytes)).toBe(true);
    expect(ranges()).toEqual([undefined]);
  });

  it('breaks off a download that trickles, and resumes it', async () => {
    double.trick(
      /blobs/,
      (_request, response) => {
        response.writeHead(200, { 'content-length': bytes.length });
        let sent = 0;
        const timer = setInterval(() => response.write(bytes.subarray(sent, (sent += 1))), 10);
        response.on('close', () => clearInterval(timer));
      },
      1,
    );
    expect((await bench.fetch(name, blob)).equals(bytes)).toBe(true);
    expect(bench.notes[0]).toContain('stalled');
    expect(ranges()[1]).toMatch(/^bytes=\d+-$/);
  });

  it('breaks off a download that is silent', async () => {
    double.trick(/blobs/, (_request, response) => {
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, 10));
    });
    await expect(bench.fetch(name, blob)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining(double.host),
    });
  });

  it('waits for a reader that is slower than that', async () => {
    const large = randomBytes(4 * 1024 * 1024);
    double.blobs.set(digestOf(large), large);
    class Sleepy extends Collector {
      #first = true;
      protected override take(done: () => void): void {
        // Longer than a stall may last.
        if (this.#first) setTimeout(done, 700);
        else done();
        this.#first = false;
      }
    }
    const sink = new Sleepy();
    await bench.fetch(name, { digest: digestOf(large), size: large.length }, { sink });
    expect(sink.bytes.equals(large)).toBe(true);
    expect(double.requests.length).toBe(1);
  });
});

describe('readers and callers', () => {
  it('ends at once when the reader goes away, without trying anybody else', async () => {
    class Leaving extends Collector {
      protected override take(): void {
        this.destroy(new Error('EPIPE'));
      }
    }
    await expect(bench.fetch(name, blob, { sink: new Leaving() })).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(double.requests.length).toBe(1);
  });

  it('ends with the caller', async () => {
    const reason = new Error('stop');
    double.trick(/blobs/, (_request, response) => {
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, 10), () => bench.stop.abort(reason));
    });
    await expect(bench.fetch(name, blob)).rejects.toBe(reason);
  });
});

describe('mirrors', () => {
  it('turns to the next in the middle of a blob', async () => {
    await using mirror = await RegistryDouble.start();
    bench.configure({ plainHttp: [] });
    await bench.hosts(double.host, `server = "${double.origin}"\n[host."${mirror.origin}"]\n`);
    mirror.trick(/blobs/, fail(500));
    mirror.trick(/blobs/, breakAfter(bytes, 100_000), 1);
    expect((await bench.fetch(name, blob)).equals(bytes)).toBe(true);
    expect(mirror.requests.length).toBe(2);
    expect(ranges()).toEqual(['bytes=100000-']);
    // What the mirror called its bytes says nothing here.
    expect(double.requests[0]!.headers['if-range']).toBeUndefined();
  });

  it('that may not serve blobs are not asked for them', async () => {
    await using mirror = await RegistryDouble.start();
    bench.configure({ plainHttp: [] });
    await bench.hosts(
      double.host,
      `server = "${double.origin}"\n[host."${mirror.origin}"]\ncapabilities = ["resolve"]\n`,
    );
    mirror.trick(/./, (request, response) => sendBlob(request, response, bytes));
    await bench.fetch(name, blob);
    expect(mirror.requests).toEqual([]);
  });
});
