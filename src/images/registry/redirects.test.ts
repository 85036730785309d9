import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { digestOf } from '../config.ts';
import { ClientBench } from './client-bench.fixture.ts';
import {
  breakAfter,
  giveToken,
  redirect,
  RegistryDouble,
  sendBlob,
  wantBasic,
  wantBearer,
} from './registry-double.fixture.ts';

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

  it('from TLS to plain HTTP is followed for what has a digest, without credentials', async () => {
    await using secure = await RegistryDouble.start({ tls: true });
    await bench.hosts(secure.host, 'skip_verify = true\n[header]\nx-owner = "secret"\n');
    secure.trick(/blobs/, redirect(`${storage.origin}/stored`));
    secure.trick(/blobs/, wantBasic('me', 'sesame'), 1);
    expect((await bench.fetch(`${secure.host}/team/app:1`, blob, { credentials: me })).equals(bytes)).toBe(true);
    expect(secure.requests.at(-1)!.headers.authorization).toBeDefined();
    expect(storage.requests[0]!.headers).not.toHaveProperty('authorization');
    expect(storage.requests[0]!.headers).not.toHaveProperty('x-owner');
  });

  it('from TLS to plain HTTP is refused for a tag, which anybody on the way could answer', async () => {
    await using secure = await RegistryDouble.start({ tls: true });
    await bench.hosts(secure.host, 'skip_verify = true\n');
    secure.trick(/manifests/, redirect(`${storage.origin}/stored?X-Signature=secret`));
    const resolving = bench.resolve(`${secure.host}/team/app:1`);
    await expect(resolving).rejects.toMatchObject({
      message: expect.stringContaining(`from TLS to plain HTTP, ${storage.origin}/stored,`),
    });
    await expect(resolving).rejects.toMatchObject({ message: expect.not.stringContaining('secret') });
    expect(storage.requests).toEqual([]);
  });

  it('to a host that is not there is told with that host', async () => {
    bench.configure({ attempts: 1 });
    double.trick(/blobs/, redirect('http://127.0.0.1:9/stored?X-Signature=secret'));
    await expect(bench.fetch(name, blob)).rejects.toMatchObject({
      message: expect.stringContaining('http://127.0.0.1:9/stored: connection refused'),
    });
  });

  it('in a circle ends', async () => {
    storage.trick(/^\/there/, redirect(`${double.origin}/here`));
    double.trick(/^\/here/, redirect(`${storage.origin}/there`));
    double.trick(/blobs/, redirect('/here'));
    await expect(bench.fetch(name, blob)).rejects.toMatchObject({ message: expect.stringContaining('redirects') });
    expect(double.requests.length + storage.requests.length).toBe(6);
  });

  it('with a user in its URL is followed without', async () => {
    double.trick(/blobs/, redirect(`${storage.origin.replace('//', '//them:secret@')}/stored`));
    expect((await bench.fetch(name, blob)).equals(bytes)).toBe(true);
    expect(storage.requests[0]!.headers.authorization).toBeUndefined();
  });
});

describe('a host that a redirect leads to and that wants a token of its own', () => {
  let auth: RegistryDouble;
  beforeEach(async () => {
    auth = await RegistryDouble.start();
    storage.trick(/^\/v2/, wantBearer(`${auth.origin}/token`, 'theirs', ''));
    storage.blobs.set(blob.digest, bytes);
  });
  afterEach(() => auth[Symbol.asyncDispose]());
  const away = (): string => `${storage.origin}/v2/else/where/blobs/${blob.digest}?sig=secret`;

  it('gets one, and learns nothing of our credentials', async () => {
    await bench.hosts(double.host, `server = "${double.origin}"\n[header]\nx-owner = "secret"\n`);
    auth.trick(/^\/token/, giveToken({ token: 'theirs' }));
    double.trick(/blobs/, redirect(away()));
    double.trick(/blobs/, wantBasic('me', 'sesame'), 1);
    expect((await bench.fetch(name, blob, { credentials: me })).equals(bytes)).toBe(true);
    expect(auth.requests).toMatchObject([{ url: '/token?service=reg&scope=repository%3Aelse%2Fwhere%3Apull' }]);
    expect(auth.requests[0]!.headers.authorization).toBeUndefined();
    expect(double.requests.every(({ headers }) => headers['x-owner'] === 'secret')).toBe(true);
    expect([...auth.requests, ...storage.requests].some(({ headers }) => 'x-owner' in headers)).toBe(false);
    expect(storage.requests.map(({ headers }) => headers.authorization)).toEqual([undefined, 'Bearer theirs']);
    expect(storage.requests.map(({ url }) => url)).toEqual(
      [away(), away()].map((url) => url.slice(storage.origin.length)),
    );
  });

  it('gets the one that is kept, and a new one when that is no longer taken', async () => {
    auth.trick(/^\/token/, giveToken({ token: 'theirs', expires_in: 300 }));
    double.trick(/blobs/, redirect(away()));
    for (const _ of [1, 2]) await bench.fetch(name, blob);
    expect(auth.requests.length).toBe(1);
    storage.trick(/^\/v2/, wantBearer(`${auth.origin}/token`, 'new', ''));
    auth.trick(/^\/token/, giveToken({ token: 'new', expires_in: 300 }));
    expect((await bench.fetch(name, blob)).equals(bytes)).toBe(true);
    expect(auth.requests.length).toBe(2);
  });

  it('is asked no more than twice when its own tokens do not please it', async () => {
    auth.trick(/^\/token/, giveToken({ token: 'wrong' }));
    double.trick(/blobs/, redirect(away()));
    await expect(bench.fetch(name, blob)).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
      message: expect.stringContaining(`${storage.origin}/v2/else/where/blobs/`),
    });
    expect(storage.requests.length).toBe(2);
    expect(auth.requests.length).toBe(1);
  });

  it('may lead further, where its token is not shown', async () => {
    await using third = await RegistryDouble.start();
    third.trick(/^\/third/, (request, response) => sendBlob(request, response, bytes));
    auth.trick(/^\/token/, giveToken({ token: 'theirs' }));
    storage.trick(/^\/v2/, (request, response, serve) =>
      request.headers.authorization === 'Bearer theirs'
        ? redirect(`${third.origin}/third`)(request, response, serve)
        : wantBearer(`${auth.origin}/token`, 'theirs')(request, response, serve),
    );
    double.trick(/blobs/, redirect(away()));
    expect((await bench.fetch(name, blob)).equals(bytes)).toBe(true);
    expect(third.requests[0]!.headers.authorization).toBeUndefined();
  });

  it('may be one that we came from, as a stranger', async () => {
    auth.trick(/^\/token/, giveToken({ token: 'theirs' }));
    storage.trick(/^\/v2/, redirect(`${double.origin}/home`));
    double.trick(/^\/home/, wantBasic('me', 'sesame'));
    double.trick(/blobs/, redirect(away()));
    double.trick(/blobs/, wantBasic('me', 'sesame'), 1);
    await expect(bench.fetch(name, blob, { credentials: me })).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(double.requests.filter(({ url }) => url === '/home').map(({ headers }) => headers.authorization)).toEqual([
      undefined,
    ]);
  });

  it('and wants a password gets none', async () => {
    double.trick(/blobs/, redirect(`${storage.origin}/locked`));
    storage.trick(/^\/locked/, wantBasic('me', 'sesame'));
    await expect(bench.fetch(name, blob, { credentials: me })).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(storage.requests.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });
});

describe('answers before the answer', () => {
  const send = (count: number): void =>
    double.trick(/blobs/, (request, response) => {
      for (let i = 0; i < count; i += 1) response.writeProcessing();
      sendBlob(request, response, bytes);
    });

  it('are passed over', async () => {
    send(16);
    expect((await bench.fetch(name, blob)).equals(bytes)).toBe(true);
  });

  it('without end were waited for without end: no time began that they did not end', async () => {
    send(17);
    await expect(bench.fetch(name, blob)).rejects.toThrow('more than 16 answers of status 1xx, which is refused');
  });
});
