import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { digestOf } from '../config.ts';
import { ClientBench } from './client-bench.fixture.ts';
import { ProxyDouble } from './proxy-double.fixture.ts';
import { RegistryDouble, redirect, wantBearer, giveToken } from './registry-double.fixture.ts';
import { authorityPem } from './tls-pems.fixture.ts';

const image = { names: ['x.test/team/app:1'], layers: [Buffer.from('layer')] };
const dead = '127.0.0.1:9';

let secure: RegistryDouble;
let plain: RegistryDouble;
beforeEach(async () => {
  secure = await RegistryDouble.start({ tls: true });
  plain = await RegistryDouble.start();
  secure.add(image);
  plain.add(image);
});
afterEach(async () => {
  await secure[Symbol.asyncDispose]();
  await plain[Symbol.asyncDispose]();
});

interface Pull {
  readonly environment: Readonly<Record<string, string>>;
  /** Default: reg.test. */
  readonly host?: string;
  readonly toml?: string;
}

/** Pulls from a host that only a proxy knows the way to. */
async function pull({ environment, host = 'reg.test', toml = '' }: Pull): Promise<string> {
  await using bench = await ClientBench.open({ environment });
  bench.configure({ attempts: 1, plainHttp: ['plain.test', 'plain.test:5000'] });
  if (host === 'reg.test') await bench.hosts(host, `skip_verify = true\n${toml}`);
  return await bench.resolve(`${host}/team/app:1`).then(
    () => 'works',
    (error: unknown) => String(error),
  );
}

describe('a proxy of the environment', () => {
  it.each([
    ['HTTPS_PROXY', 'http://', 'reg.test', 'reg.test:443'],
    ['HTTPS_PROXY', '', 'reg.test', 'reg.test:443'],
    ['https_proxy', '', 'reg.test', 'reg.test:443'],
    ['HTTP_PROXY', '', 'plain.test', 'http://plain.test/v2/team/app/manifests/1'],
    ['http_proxy', 'http://', 'plain.test:5000', 'http://plain.test:5000/v2/team/app/manifests/1'],
  ])('%s=%j… is asked for %s', async (name, scheme, host, asked) => {
    await using proxy = await ProxyDouble.start();
    proxy.target = host === 'reg.test' ? secure.host : plain.host;
    expect(await pull({ environment: { [name]: `${scheme}${proxy.host}` }, host })).toBe('works');
    expect(proxy.asked[0]).toBe(asked);
    expect(proxy.shown[0]).toBeUndefined();
    if (host !== 'reg.test') expect(plain.requests[0]!.headers.host).toBe(host);
  });

  it('for http is not asked for https, nor the other way round', async () => {
    await using proxy = await ProxyDouble.start();
    await pull({ environment: { HTTP_PROXY: proxy.host } });
    await pull({ environment: { HTTPS_PROXY: proxy.host }, host: 'plain.test' });
    expect(proxy.asked).toEqual([]);
  });

  it('is not asked for loopback, nor for what NO_PROXY names', async () => {
    await using proxy = await ProxyDouble.start();
    const environment = { HTTPS_PROXY: proxy.host, HTTP_PROXY: proxy.host, NO_PROXY: '.test,192.0.2.0/24' };
    expect(await pull({ environment, host: plain.host })).toBe('works');
    await pull({ environment, host: 'a.reg.test' });
    expect(proxy.asked).toEqual([]);
  });

  it.each([
    ['https', 'plain.test', 'http://plain.test/v2/team/app/manifests/1'],
    ['https', 'reg.test', 'reg.test:443'],
    ['socks5', 'plain.test', 'plain.test:80'],
    ['socks5', 'reg.test', 'reg.test:443'],
  ] as const)('may be %s, asked for %s', async (kind, host, asked) => {
    await using proxy = await ProxyDouble.start({ kind, credentials: 'me:p@ss' });
    proxy.target = host === 'reg.test' ? secure.host : plain.host;
    const url = `${kind}://${proxy.as('me:p%40ss')}`;
    const environment = { HTTPS_PROXY: url, HTTP_PROXY: url };
    if (kind === 'https') {
      // Nobody signed its certificate that the machine knows, and skip_verify is about the registry.
      expect(await pull({ environment, host })).toMatch(
        /the proxy https:\/\/127\.0\.0\.1:\d+ \(HTTPS?_PROXY\): its certificate is signed by an unknown authority/,
      );
      return;
    }
    expect(await pull({ environment, host })).toBe('works');
    expect(proxy.asked[0]).toBe(asked);
    expect(proxy.shown[0]).toBe('me:p@ss');
  });

  it('that speaks TLS is believed by the registry’s ca', async () => {
    await using proxy = await ProxyDouble.start({ kind: 'https', credentials: 'me:p@ss' });
    proxy.target = secure.host;
    await using bench = await ClientBench.open({ environment: { HTTPS_PROXY: `https://${proxy.as('me:p%40ss')}` } });
    await bench.hosts('localhost.reg.test', `skip_verify = true\nca = "ca.crt"\n`);
    await bench.file('hosts/localhost.reg.test/ca.crt', authorityPem);
    await expect(bench.resolve('localhost.reg.test/team/app:1')).resolves.toBeDefined();
    expect(proxy.asked[0]).toBe('localhost.reg.test:443');
  });

  it.each(['reg.test', 'plain.test'])('gets its credentials, and the registry does not: %s', async (host) => {
    await using proxy = await ProxyDouble.start({ credentials: 'me:p@ss' });
    proxy.target = host === 'reg.test' ? secure.host : plain.host;
    const environment = { HTTPS_PROXY: proxy.as('me:p%40ss'), HTTP_PROXY: proxy.as('me:p%40ss') };
    expect(await pull({ environment, host })).toBe('works');
    const seen = [...secure.requests, ...plain.requests];
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.every(({ headers }) => headers['proxy-authorization'] === undefined)).toBe(true);
  });

  it('leads to token servers and redirects as well, each by its own rule', async () => {
    await using proxy = await ProxyDouble.start();
    proxy.target = plain.host;
    const config = [...plain.blobs].find(([digest]) => digest !== digestOf(image.layers[0]!))![1];
    plain.trick(/v2/, wantBearer('http://auth.test/token', 'tok'));
    plain.trick(/blobs/, redirect('http://storage.test/stored'));
    plain.trick(/^\/token/, giveToken({ token: 'tok' }));
    plain.trick(/^\/stored/, (_request, response) => response.end(config));
    await using bench = await ClientBench.open({ environment: { HTTP_PROXY: proxy.host } });
    bench.configure({ plainHttp: ['plain.test'] });
    await expect(bench.resolve('plain.test/team/app:1')).resolves.toBeDefined();
    const hosts = proxy.asked.map((url) => new URL(url).host);
    expect(hosts).toEqual(['plain.test', 'auth.test', 'plain.test', 'plain.test', 'storage.test']);
  });
});

describe('a proxy that fails is named', () => {
  it.each([
    ['http://', 'reg.test', 'HTTPS_PROXY', 'connection refused'],
    ['http://', 'plain.test', 'HTTP_PROXY', 'connection refused'],
    ['https://', 'reg.test', 'HTTPS_PROXY', 'connection refused'],
    ['socks5://', 'reg.test', 'HTTPS_PROXY', 'connection refused'],
  ])('dead %s for %s', async (scheme, host, name, why) => {
    const said = await pull({ environment: { [name]: `${scheme}me:sesame@${dead}` }, host });
    expect(said).toContain(`the proxy ${scheme}${dead} (${name}): ${why}`);
    expect(said).not.toContain('sesame');
  });

  it.each([
    [{ credentials: 'me:x' }, 'http://', 'it wants credentials, or other ones, in its URL (status 407)'],
    [{ refusal: 403 }, 'http://', 'it refused to connect to reg.test:443 (status 403)'],
    [{ refusal: 503 }, 'http://', 'it could not connect to reg.test:443 (status 503)'],
    [{ kind: 'socks5', credentials: 'me:x' }, 'socks5://', 'it wants credentials in its URL'],
    [{ kind: 'socks5', credentials: 'me:x' }, 'socks5://me:y@', 'it did not take the credentials in its URL'],
    [{ kind: 'socks5', refusal: 2 }, 'socks5h://', 'it did not connect to reg.test:443: not allowed by its rules'],
    [{ kind: 'socks5', refusal: 5 }, 'socks5://', 'it did not connect to reg.test:443: connection refused'],
    [{ kind: 'http' }, 'socks5://', ''],
    [{ kind: 'socks5' }, 'http://', ''],
  ] as const)('%j asked as %s', async (options, scheme, why) => {
    await using proxy = await ProxyDouble.start(options);
    const said = await pull({ environment: { HTTPS_PROXY: `${scheme}${proxy.host}` } });
    expect(said).toContain(`the proxy ${scheme.replace('me:y@', '')}${proxy.host} (HTTPS_PROXY): ${why}`);
  });

  it('for plain HTTP by its status', async () => {
    await using proxy = await ProxyDouble.start({ credentials: 'me:x' });
    const said = await pull({ environment: { HTTP_PROXY: proxy.host }, host: 'plain.test' });
    expect(said).toContain('the proxy wants credentials, or other ones, in its URL (status 407)');
  });

  it.each(['http://me:sesame@[', 'ftp://me:sesame@p.test', 'socks4://me:sesame@p.test'])('%j, unshown', async (url) => {
    const said = await pull({ environment: { HTTPS_PROXY: url } });
    expect(said).toContain('HTTPS_PROXY in berthd’s environment is not the URL of a proxy: use "[http://|https://');
    expect(said).not.toContain('sesame');
    expect(await pull({ environment: { HTTPS_PROXY: url }, host: plain.host })).toBe('works');
  });
});

describe('a proxy of hosts.toml', () => {
  it('is asked for its host alone, whatever the environment says', async () => {
    await using proxy = await ProxyDouble.start();
    proxy.target = secure.host;
    const environment = { HTTPS_PROXY: dead, NO_PROXY: '*' };
    expect(await pull({ environment, toml: `proxy = "${proxy.host}"\n` })).toBe('works');
    expect(proxy.asked[0]).toBe('reg.test:443');
    expect(await pull({ environment, toml: `proxy = "http://${dead}"\n` })).toContain(
      `the proxy http://${dead} (hosts.toml): connection refused`,
    );
    const refused = await pull({ environment, toml: 'proxy = "ftp://sesame"\n' });
    expect(refused).toContain('use "[http://');
    expect(refused).not.toContain('sesame');
  });
});
