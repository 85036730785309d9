import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ClientBench } from './client-bench.fixture.ts';
import { fail, RegistryDouble } from './registry-double.fixture.ts';
import type { BuiltImage } from './registry.fake.ts';

let bench: ClientBench;
let double: RegistryDouble;
let name: string;
beforeEach(async () => {
  bench = await ClientBench.open();
  double = await RegistryDouble.start();
  bench.configure({ plainHttp: [double.host] });
  name = `${double.host}/team/app:1`;
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
  await double[Symbol.asyncDispose]();
});

const layers = [Buffer.from('layer')];
const publish = (): BuiltImage => double.add({ names: ['x.test/team/app:1'], layers });

describe('failures', () => {
  it.each([
    [403, 'PERMISSION_DENIED', 1],
    [404, 'NOT_FOUND', 1],
    [500, 'UNAVAILABLE', 4],
    [429, 'UNAVAILABLE', 4],
  ])('status %i is %s after %i attempts', async (status, code, attempts) => {
    double.trick(/./, fail(status, {}, 'SOME_REASON'));
    await expect(bench.resolve(name)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(
        new RegExp(`${double.host}/v2/team/app/manifests/1.*status ${status}, SOME_REASON`),
      ),
    });
    expect(double.requests.length).toBe(attempts);
  });

  it('that pass are no failures', async () => {
    publish();
    double.trick(/./, (_request, response) => response.socket?.destroy(), 1);
    double.trick(/./, fail(503), 1);
    double.trick(/./, fail(429, { 'retry-after': '0' }), 1);
    await expect(bench.resolve(name)).resolves.toBeDefined();
    expect(bench.notes.length).toBe(3);
  });

  it('of a registry never repeat its free text', async () => {
    double.trick(/./, fail(403));
    await expect(bench.resolve(name)).rejects.toMatchObject({ message: expect.not.stringContaining('free text') });
  });

  it('of a registry that is not there name it', async () => {
    await double[Symbol.asyncDispose]();
    const { host } = double;
    double = await RegistryDouble.start();
    await expect(bench.resolve(name)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining(`http://${host}/v2/team/app/manifests/1: connection refused`),
    });
  });

  it('wait as long as Retry-After says, and end with the call', async () => {
    const asked = new Promise<void>((resolve) => {
      double.trick(/./, (request, response) => {
        fail(429, { 'retry-after': '3600' })(request, response);
        response.on('finish', resolve);
      });
    });
    const resolving = bench.resolve(name);
    await asked;
    const reason = new Error('stop');
    bench.stop.abort(reason);
    await expect(resolving).rejects.toBe(reason);
    expect(double.requests.length).toBe(1);
  });

  it('of a host that says nothing come in time', async () => {
    bench.configure({ stallMs: 100, attempts: 2 });
    double.trick(/./, () => undefined);
    // Either clock may be the first: that of the answer or that of the whole document.
    await expect(bench.resolve(name)).rejects.toMatchObject({
      code: expect.stringMatching(/^(UNAVAILABLE|DEADLINE_EXCEEDED)$/),
    });
    expect(double.requests.length).toBe(2);
  });

  it('of a document that trickles come in time', async () => {
    bench.configure({ stallMs: 100, attempts: 1 });
    double.trick(/./, (_request, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write(' '), 10);
      response.on('close', () => clearInterval(timer));
    });
    await expect(bench.resolve(name)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });
});

describe('mirrors', () => {
  it('are asked first, and the registry when they have not got it', async () => {
    await using mirror = await RegistryDouble.start();
    bench.configure({ plainHttp: [] });
    await bench.hosts(double.host, `server = "${double.origin}"\n[host."${mirror.origin}"]\n`);
    publish();
    await expect(bench.resolve(name)).resolves.toBeDefined();
    expect(mirror.requests[0]!.url).toBe(`/v2/team/app/manifests/1?ns=${encodeURIComponent(double.host)}`);
    expect(double.requests[0]!.url).toBe('/v2/team/app/manifests/1');
    expect(bench.notes[0]).toContain('mirror failed');
    mirror.add({ names: ['x.test/team/app:1'], layers });
    double.requests.length = 0;
    await bench.resolve(name);
    expect(double.requests).toEqual([]);
  });

  it('that may not resolve are not asked what a tag means', async () => {
    await using mirror = await RegistryDouble.start();
    bench.configure({ plainHttp: [] });
    await bench.hosts(double.host, `server = "${double.origin}"\n[host."${mirror.origin}"]\ncapabilities = ["pull"]\n`);
    const { manifestDigest } = publish();
    mirror.add({ names: ['x.test/team/app:2'], layers });
    await bench.resolve(name);
    expect(mirror.count(/manifests/)).toBe(0);
    expect(mirror.count(/blobs/)).toBe(1);
    await bench.resolve(`${double.host}/team/app@${manifestDigest}`);
    expect(mirror.count(/manifests/)).toBe(1);
  });

  it('that lie about a digest are passed over', async () => {
    await using mirror = await RegistryDouble.start();
    bench.configure({ plainHttp: [] });
    await bench.hosts(double.host, `server = "${double.origin}"\n[host."${mirror.origin}"]\n`);
    const { manifestDigest } = publish();
    mirror.addManifest('team/app', manifestDigest, Buffer.from('{"mediaType":"lie"}'));
    const image = await bench.resolve(`${double.host}/team/app@${manifestDigest}`);
    expect(image.manifestDigest).toBe(manifestDigest);
  });

  it('that fail are named in the last error', async () => {
    await using mirror = await RegistryDouble.start();
    bench.configure({ plainHttp: [] });
    await bench.hosts(double.host, `server = "${double.origin}"\n[host."${mirror.origin}"]\n`);
    mirror.trick(/./, fail(500));
    await expect(bench.resolve(name)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining(`(tried before: ${mirror.host}: UNAVAILABLE)`),
    });
    expect(mirror.requests.length).toBe(2);
  });

  it('alone may not be enough: a file can leave nobody who resolves', async () => {
    await bench.hosts(double.host, `server = "${double.origin}"\ncapabilities = ["pull"]\n`);
    await expect(bench.resolve(name)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  });
});
