import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { digestOf } from '../config.ts';
import { ClientBench } from './client-bench.fixture.ts';
import { breakAfter, redirect, RegistryDouble, sendBlob, wantBasic } from './registry-double.fixture.ts';

const bytes = Buffer.from('a blob of some length');
const blob = { digest: digestOf(bytes), size: bytes.length };
const me = { username: 'me', password: 'sesame' };

let bench: ClientBench;
let double: RegistryDouble;
let storage: RegistryDouble;
let name: string;
beforeEach(async () => {
  bench = await ClientBench.open();
  double = await RegistryDouble.start();
  storage = await RegistryDouble.start();
  bench.configure({ plainHttp: [double.host] });
  double.blobs.set(blob.digest, bytes);
  storage.trick(/^\/stored/, (request, response) => sendBlob(request, response, bytes));
  name = `${double.host}/team/app:1`;
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
  await double[Symbol.asyncDispose]();
  await storage[Symbol.asyncDispose]();
});

describe('a redirect', () => {
  it.each([301, 302, 303, 307, 308])('of status %i leads to another host without credentials', async (status) => {
    double.trick(/blobs/, redirect(`${storage.origin}/stored?X-Signature=secret`, status));
    double.trick(/blobs/, wantBasic('me', 'sesame'), 1);
    expect((await bench.fetch(name, blob, { credentials: me })).equals(bytes)).toBe(true);
    expect(double.requests.at(-1)!.headers.authorization).toBeDefined();
    expect(storage.requests).toMatchObject([{ url: '/stored?X-Signature=secret' }]);
    expect(storage.requests[0]!.headers.authorization).toBeUndefined();
  });

  it('keeps them on the same host, whose paths may be relative', async () => {
    double.trick(/^\/moved/, wantBasic('me', 'sesame'));
    double.trick(/^\/moved/, (request, response) => sendBlob(request, response, bytes));
    double.trick(/blobs/, redirect('/moved'));
    double.trick(/blobs/, wantBasic('me', 'sesame'), 1);
    expect((await bench.fetch(name, blob, { credentials: me })).equals(bytes)).toBe(true);
    expect(double.requests.at(-1)).toMatchObject({ url: '/moved' });
    expect(double.requests.at(-1)!.headers.authorization).toBeDefined();
  });

  it('does not get them back on the way home', async () => {
    storage.trick(/^\/away/, redirect(`${double.origin}/home`));
    double.trick(/^\/home/, (request, response) => sendBlob(request, response, bytes));
    double.trick(/blobs/, redirect(`${storage.origin}/away`));
    double.trick(/blobs/, wantBasic('me', 'sesame'), 1);
    expect((await bench.fetch(name, blob, { credentials: me })).equals(bytes)).toBe(true);
    expect(double.requests.at(-1)).toMatchObject({ url: '/home' });
    expect(double.requests.at(-1)!.headers.authorization).toBeUndefined();
  });

  it('is asked for anew when a download is resumed: its link may have run out', async () => {
    double.trick(/blobs/, redirect(`${storage.origin}/stored`));
    storage.trick(/^\/stored/, breakAfter(bytes, 5), 1);
    expect((await bench.fetch(name, blob)).equals(bytes)).toBe(true);
    expect(double.requests.length).toBe(2);
    expect(storage.requests.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=5-']);
  });

  it('is followed five times', async () => {
    double.trick(/^\/hop/, (request, response, serve) => {
      const hop = Number(request.url!.slice(4));
      if (hop === 5) sendBlob(request, response, bytes);
      else redirect(`/hop${hop + 1}`)(request, response, serve);
    });
    double.trick(/blobs/, redirect('/hop1'));
    expect((await bench.fetch(name, blob)).equals(bytes)).toBe(true);
    double.trick(/blobs/, redirect('/hop0'));
    await expect(bench.fetch(name, blob)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('more than 5 redirects'),
    });
  });

  it.each([
    ['without a place', undefined, 'does not say where'],
    ['to what is no URL', 'http://[', 'not a URL'],
    ['to a file', 'file:///etc/passwd', 'leaves HTTP'],
  ])('%s is refused', async (_name, location, why) => {
    double.trick(/blobs/, (_request, response) => {
      response.writeHead(302, location === undefined ? {} : { location });
      response.end();
    });
    await expect(bench.fetch(name, blob)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining(why),
    });
    expect(double.requests.length).toBe(1);
  });

  it('from TLS to plain HTTP is refused, and its query is not shown', async () => {
    await using secure = await RegistryDouble.start({ tls: true });
    await bench.hosts(secure.host, 'skip_verify = true\n');
    secure.trick(/blobs/, redirect(`${storage.origin}/stored?X-Signature=secret`));
    const fetching = bench.fetch(`${secure.host}/team/app:1`, blob);
    await expect(fetching).rejects.toMatchObject({
      message: expect.stringContaining(`from TLS to plain HTTP, ${storage.origin}/stored,`),
    });
    await expect(fetching).rejects.toMatchObject({ message: expect.not.stringContaining('secret') });
    expect(storage.requests).toEqual([]);
  });

  it('that asks for credentials elsewhere gets none', async () => {
    double.trick(/blobs/, redirect(`${storage.origin}/locked`));
    storage.trick(/^\/locked/, wantBasic('me', 'sesame'));
    await expect(bench.fetch(name, blob, { credentials: me })).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(storage.requests.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });
});
