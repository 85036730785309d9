import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { isBerthError } from '#base/errors';
import { ClientBench } from './client-bench.fixture.ts';
import { fail, giveToken, RegistryDouble, wantBasic, wantBearer } from './registry-double.fixture.ts';

let bench: ClientBench;
let double: RegistryDouble;
let auth: RegistryDouble;
let name: string;
beforeEach(async () => {
  bench = await ClientBench.open();
  double = await RegistryDouble.start();
  auth = await RegistryDouble.start();
  bench.configure({ plainHttp: [double.host] });
  double.add({ names: ['x.test/team/app:1', 'x.test/other/app:1'], layers: [Buffer.from('layer')] });
  name = `${double.host}/team/app:1`;
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
  await double[Symbol.asyncDispose]();
  await auth[Symbol.asyncDispose]();
});

const me = { username: 'me', password: 'sesame' };
const encoded = Buffer.from('me:sesame').toString('base64');
const sent = (one: RegistryDouble): (string | undefined)[] => one.requests.map(({ headers }) => headers.authorization);
const realm = (): string => `${auth.origin}/token`;

describe('basic', () => {
  beforeEach(() => double.trick(/./, wantBasic('me', 'sesame')));

  it.each([
    ['username and password', me],
    ['auth', { auth: encoded }],
    ['a server address that is this registry', { ...me, serverAddress: 'HOST' }],
    ['a server address with scheme and path', { ...me, serverAddress: 'https://HOST/v2/' }],
  ])('answers with %s, once for all requests', async (_name, given) => {
    const credentials = {
      ...given,
      ...('serverAddress' in given && { serverAddress: given.serverAddress.replace('HOST', double.host) }),
    };
    await bench.resolve(name, credentials);
    expect(sent(double)).toEqual([undefined, `Basic ${encoded}`, `Basic ${encoded}`]);
  });

  it('is not shown to a registry that they are not for', async () => {
    await expect(bench.resolve(name, { ...me, serverAddress: 'other.test' })).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
      message: expect.stringContaining('none are known'),
    });
    expect(sent(double)).toEqual([undefined]);
  });

  it('asks one time more, not for ever', async () => {
    await expect(bench.resolve(name, { ...me, password: 'wrong' })).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
      message: expect.stringContaining('did not take'),
    });
    expect(double.requests.length).toBe(2);
  });

  it('takes the owner’s files when the call brings nothing', async () => {
    const file = await bench.file('auth.json', JSON.stringify({ auths: { [double.host]: { auth: encoded } } }));
    bench.configure({ authFiles: [file] });
    await expect(bench.resolve(name)).resolves.toBeDefined();
    await expect(bench.resolve(name, { ...me, serverAddress: 'other.test' })).resolves.toBeDefined();
  });

  it('refuses credentials that cannot be read', async () => {
    await expect(bench.resolve(name, { auth: '%%%' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(double.requests).toEqual([]);
  });
});

describe('bearer', () => {
  beforeEach(() =>
    double.trick(/./, (request, response, serve) => wantBearer(realm(), 'tok')(request, response, serve)),
  );

  it('fetches a token without credentials', async () => {
    auth.trick(/^\/token/, giveToken({ token: 'tok', expires_in: 300 }));
    await bench.resolve(name);
    expect(auth.requests).toMatchObject([
      { method: 'GET', url: '/token?service=reg&scope=repository%3Ateam%2Fapp%3Apull' },
    ]);
    expect(sent(auth)).toEqual([undefined]);
    expect(sent(double)).toEqual([undefined, 'Bearer tok', 'Bearer tok']);
  });

  it('fetches a token with credentials, and keeps it for this repository and these credentials', async () => {
    auth.trick(/^\/token/, giveToken({ access_token: 'tok', expires_in: 300 }));
    await bench.resolve(name, me);
    await bench.resolve(name, me);
    expect(sent(auth)).toEqual([`Basic ${encoded}`]);
    await bench.resolve(name, { ...me, password: 'other' });
    await bench.resolve(`${double.host}/other/app:1`, me);
    expect(auth.requests.length).toBe(3);
  });

  it('asks for the scope of the pull where the registry names none', async () => {
    double.trick(/./, (request, response, serve) =>
      wantBearer(`${realm()}?given=1`, 'tok', '')(request, response, serve),
    );
    auth.trick(/^\/token/, giveToken({ token: 'tok' }));
    await bench.resolve(name);
    expect(auth.requests[0]!.url).toBe('/token?given=1&service=reg&scope=repository%3Ateam%2Fapp%3Apull');
  });

  it('changes an identity token for one to send', async () => {
    auth.trick(/^\/token/, giveToken({ access_token: 'tok', expires_in: 300 }));
    await bench.resolve(name, { identityToken: 'identity' });
    expect(auth.requests).toMatchObject([{ method: 'POST', url: '/token' }]);
    expect(Object.fromEntries(new URLSearchParams(auth.requests[0]!.body))).toEqual({
      ...{ grant_type: 'refresh_token', refresh_token: 'identity', service: 'reg', client_id: 'berth' },
      scope: 'repository:team/app:pull',
    });
    expect(sent(auth)).toEqual([undefined]);
  });

  it('sends a registry token as it is', async () => {
    await bench.resolve(name, { registryToken: 'tok' });
    expect(sent(double)).toEqual(['Bearer tok', 'Bearer tok']);
    expect(auth.requests).toEqual([]);
    await expect(bench.resolve(name, { registryToken: 'old' })).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  it('shares one request between calls that ask at once', async () => {
    const waiting: (() => void)[] = [];
    auth.trick(/^\/token/, (request, response) => {
      waiting.push(() => giveToken({ token: 'tok', expires_in: 300 })(request, response, () => undefined));
    });
    let refusals = 0;
    const allRefused = new Promise<void>((resolve) => {
      double.trick(/./, (request, response, serve) => {
        wantBearer(realm(), 'tok')(request, response, serve);
        if (request.headers.authorization === undefined && (refusals += 1) === 5) response.on('finish', resolve);
      });
    });
    const pulls = Array.from({ length: 5 }, () => bench.resolve(name, me));
    await allRefused;
    for (const give of waiting.splice(0)) give();
    await Promise.all(pulls);
    expect(auth.requests.length).toBe(1);
  });

  it.each<[string, Readonly<Record<string, unknown>>, number]>([
    ['nothing', {}, 1],
    ['0', { expires_in: 0 }, 1],
    ['less than nothing', { expires_in: -5 }, 1],
    ['a text', { expires_in: '300' }, 1],
    ['no number', { expires_in: 'soon' }, 1],
    ['null', { expires_in: null }, 1],
    ['more than there is', { expires_in: 1e300 }, 1],
    ['a moment', { expires_in: 2 }, 2],
    ['a time of issue elsewhere', { expires_in: 300, issued_at: '1999-01-01T00:00:00+14:00' }, 1],
    ['two tokens', { access_token: 'other', expires_in: 300 }, 1],
  ])('believes a token that says %s of its life', async (_name, fields, asked) => {
    auth.trick(/^\/token/, giveToken({ token: 'tok', ...fields }));
    await bench.resolve(name);
    expect(auth.requests.length).toBe(asked);
  });

  it.each([
    ['in lower case, without a service', 'bearer realm=REALM', '/token?scope=repository%3Ateam%2Fapp%3Apull'],
    ['after Basic', 'Basic realm="x", Bearer realm="REALM",service="reg"', '/token?service=reg&scope='],
    ['in a header of its own', ['Basic realm="x"', 'Bearer realm="REALM"'], '/token?scope='],
    ['with an error', 'Bearer realm="REALM",error="invalid_token",error_description="a, b"', '/token?scope='],
  ])('answers a challenge %s', async (_name, header, url) => {
    double.trick(/./, (request, response, serve) => {
      if (request.headers.authorization === 'Bearer tok') {
        serve();
        return;
      }
      response.setHeader(
        'www-authenticate',
        [header].flat().map((one) => one.replace('REALM', realm())),
      );
      response.writeHead(401).end();
    });
    auth.trick(/^\/token/, giveToken({ token: 'tok' }));
    await expect(bench.resolve(name, me)).resolves.toBeDefined();
    expect(auth.requests[0]!.url).toContain(url);
  });

  it('asks again when a token has run out, or is no longer taken', async () => {
    auth.trick(/^\/token/, giveToken({ token: 'tok', expires_in: 1 }));
    await bench.resolve(name);
    // Manifest and config: what lives for a second is not kept.
    expect(auth.requests.length).toBe(2);
    auth.trick(/^\/token/, giveToken({ token: 'tok', expires_in: 3600 }));
    await bench.resolve(name);
    expect(auth.requests.length).toBe(3);
    double.trick(/./, (request, response, serve) => wantBearer(realm(), 'new')(request, response, serve));
    auth.trick(/^\/token/, giveToken({ token: 'new', expires_in: 3600 }));
    await expect(bench.resolve(name)).resolves.toBeDefined();
    expect(auth.requests.length).toBe(4);
  });

  it.each([
    [401, 'UNAUTHENTICATED'],
    [403, 'UNAUTHENTICATED'],
    [400, 'UNAUTHENTICATED'],
    [500, 'UNAVAILABLE'],
  ])('says when the token server answers %i', async (status, code) => {
    auth.trick(/^\/token/, fail(status));
    await expect(bench.resolve(name, me)).rejects.toMatchObject({
      code,
      message: expect.stringContaining('token from'),
    });
  });

  it.each([
    ['no token', {}],
    ['a token that is two headers', { token: 'a\r\nb: c' }],
    ['a token that is none', { token: 5 }],
  ])('refuses %s', async (_name, fields) => {
    auth.trick(/^\/token/, giveToken(fields));
    await expect(bench.resolve(name)).rejects.toMatchObject({
      code: expect.stringMatching(/UNAVAILABLE|UNAUTHENTICATED/),
    });
    expect(sent(double).every((header) => header === undefined)).toBe(true);
  });

  it('ends for a caller that leaves, not for the others', async () => {
    let give: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => {
      auth.trick(/^\/token/, (request, response) => {
        give = () => giveToken({ token: 'tok', expires_in: 300 })(request, response, () => undefined);
        resolve();
      });
    });
    const stop = new AbortController();
    const session = bench.session(name, me);
    const platform = { os: 'linux', architecture: 'amd64' };
    const leaving = bench.client.resolve({ ...bench.call, signal: stop.signal }, session, { platform });
    await asked;
    const staying = bench.resolve(name, me);
    stop.abort(new Error('gone'));
    await expect(leaving).rejects.toThrow('gone');
    give();
    await expect(staying).resolves.toBeDefined();
    expect(auth.requests.length).toBe(1);
  });
});

describe('who learns the credentials', () => {
  it('is never a realm without TLS, unless the registry has none itself', async () => {
    await using secure = await RegistryDouble.start({ tls: true });
    secure.trick(/./, (request, response, serve) => wantBearer(realm(), 'tok')(request, response, serve));
    await bench.hosts(secure.host, 'skip_verify = true\n');
    await expect(bench.resolve(`${secure.host}/team/app:1`, me)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('not https'),
    });
    expect(auth.requests).toEqual([]);
  });

  it('is a realm without TLS that the owner lists', async () => {
    await using secure = await RegistryDouble.start({ tls: true });
    secure.add({ names: ['x.test/team/app:1'], layers: [] });
    secure.trick(/./, (request, response, serve) => wantBearer(realm(), 'tok')(request, response, serve));
    auth.trick(/^\/token/, giveToken({ token: 'tok' }));
    await bench.hosts(secure.host, 'skip_verify = true\n');
    bench.configure({ plainHttp: ['other.test', auth.host] });
    await expect(bench.resolve(`${secure.host}/team/app:1`, me)).resolves.toBeDefined();
    expect(sent(auth)).toEqual([`Basic ${encoded}`]);
  });

  it('is not a mirror, unless they name it', async () => {
    await using mirror = await RegistryDouble.start();
    bench.configure({ plainHttp: [] });
    await bench.hosts(double.host, `server = "${double.origin}"\n[host."${mirror.origin}"]\n`);
    mirror.trick(/./, wantBasic('me', 'sesame'));
    double.trick(/./, wantBasic('me', 'sesame'));
    await bench.resolve(name, me);
    expect(sent(mirror).every((header) => header === undefined)).toBe(true);
    mirror.requests.length = 0;
    await bench.resolve(name, { ...me, serverAddress: double.host });
    expect(sent(mirror).every((header) => header === undefined)).toBe(true);
    await expect(bench.resolve(name, { ...me, serverAddress: mirror.host })).rejects.toBeDefined();
    expect(sent(mirror)).toContain(`Basic ${encoded}`);
  });

  it.each(['not a URL', 'ftp://auth.test/', ''])('is not the realm %j', async (bad) => {
    double.trick(/./, fail(401, { 'www-authenticate': `Bearer realm="${bad}"` }));
    await expect(bench.resolve(name, me)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('is nobody who reads errors or notes', async () => {
    double.trick(/./, (request, response, serve) =>
      wantBearer(`${auth.origin.replace('//', '//u:hidden@')}/token?x=hidden`, 'tok')(request, response, serve),
    );
    auth.trick(/./, fail(500, {}, 'UNKNOWN'));
    for (const credentials of [me, { identityToken: 'sesame' }, { registryToken: 'sesame' }]) {
      const error: unknown = await bench.resolve(name, credentials).catch((thrown: unknown) => thrown);
      expect(isBerthError(error)).toBe(true);
      const all = `${String(error)} ${JSON.stringify(error)} ${bench.notes.join(' ')}`;
      expect(all).not.toMatch(/sesame|hidden/);
      expect(all).not.toContain(encoded);
    }
  });

  it('is told what the owner’s header says, and nobody else', async () => {
    await using elsewhere = await RegistryDouble.start();
    bench.configure({ plainHttp: [] });
    await bench.hosts(double.host, `server = "${double.origin}"\n[header]\nx-owner = "secret"\n`);
    double.trick(/blobs/, (_request, response) => {
      response.writeHead(307, { location: `${elsewhere.origin}/v2/x/blobs/y` });
      response.end();
    });
    await bench.resolve(name).catch(() => undefined);
    expect(double.requests.every(({ headers }) => headers['x-owner'] === 'secret')).toBe(true);
    expect(elsewhere.requests.length).toBeGreaterThan(0);
    expect(elsewhere.requests.some(({ headers }) => 'x-owner' in headers)).toBe(false);
  });
});
