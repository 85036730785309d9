import { utimes } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { defaultDomain, parseReference } from '../reference.ts';
import { ClientBench } from './client-bench.fixture.ts';
import { isLoopback } from './endpoint.ts';
import { Endpoints } from './endpoints.ts';

let bench: ClientBench;
let endpoints: Endpoints;
beforeEach(async () => {
  bench = await ClientBench.open();
  endpoints = new Endpoints();
});
afterEach(() => bench[Symbol.asyncDispose]());

const find = (name: string) => endpoints.find(bench.config, parseReference(name));
const origins = async (name: string): Promise<string[]> => (await find(name)).map(({ origin }) => origin);
const digest = `sha256:${'a'.repeat(64)}`;

describe('without files', () => {
  it('is the registry of the name, over TLS', async () => {
    expect(await find('reg.test/team/app:1')).toMatchObject([
      {
        origin: 'https://reg.test',
        host: 'reg.test',
        base: '/v2',
        repository: 'team/app',
        primary: true,
        tls: { skipVerify: false },
      },
    ]);
    expect((await find('reg.test/team/app:1'))[0]?.fallback).toBeUndefined();
  });

  it('knows who answers for the default domain', async () => {
    expect(await find('app')).toMatchObject([
      { origin: `https://registry-1.${defaultDomain}`, repository: 'library/app' },
    ]);
  });

  it('speaks plain HTTP where the owner says so', async () => {
    bench.configure({ plainHttp: ['reg.test', 'other.test:5000'] });
    expect(await origins('reg.test/a:1')).toEqual(['http://reg.test']);
    expect(await origins('reg.test:5000/a:1')).toEqual(['https://reg.test:5000']);
    expect(await origins('other.test:5000/a:1')).toEqual(['http://other.test:5000']);
  });

  it.each([
    ['localhost:5000/a:1', 'https://localhost:5000', 'http://localhost:5000'],
    ['127.9.8.7:5000/a:1', 'https://127.9.8.7:5000', 'http://127.9.8.7:5000'],
    ['[::1]:5000/a:1', 'https://[::1]:5000', 'http://[::1]:5000'],
    ['localhost/a:1', 'https://localhost', undefined],
    ['localhost:443/a:1', 'https://localhost:443', undefined],
    ['localhost:80/a:1', 'http://localhost:80', undefined],
  ])('on loopback tries TLS, then without: %s', async (name, origin, fallback) => {
    const [endpoint] = await find(name);
    expect(endpoint).toMatchObject({ origin });
    expect(endpoint?.fallback).toBe(fallback);
  });

  it.each(['128.0.0.1', 'localhost.test', '127.0.0.1.test', '[::2]:1'])('%s is not loopback', (host) => {
    expect(isLoopback(host)).toBe(false);
  });
});

describe('hosts.toml', () => {
  it('gives mirrors before the registry, and tells them which registry is meant', async () => {
    await bench.hosts('reg.test', '[host."https://m.test"]\ncapabilities = ["pull"]\n');
    expect(await find('reg.test/app:1')).toMatchObject([
      { origin: 'https://m.test', namespace: 'reg.test', primary: false, canResolve: false },
      { origin: 'https://reg.test', primary: true, canResolve: true },
    ]);
    expect((await find('reg.test/app:1'))[1]?.namespace).toBeUndefined();
  });

  it('takes the server in the registry’s place', async () => {
    await bench.hosts('reg.test', 'server = "https://real.test"\n');
    expect(await find('reg.test/app:1')).toMatchObject([
      { origin: 'https://real.test', namespace: 'reg.test', primary: true },
    ]);
  });

  it('asks a host that is the server once, with the credentials for the server', async () => {
    const server = 'server = "https://real.test"\n';
    await bench.hosts('reg.test', `${server}[host."https://real.test/v2/"]\nskip_verify = true\n`);
    expect(await find('reg.test/app:1')).toMatchObject([
      { origin: 'https://real.test', primary: true, tls: { skipVerify: true } },
    ]);
    await bench.hosts('own.test', '[host."https://own.test"]\n[host."https://m.test"]\n');
    expect(await origins('own.test/app:1')).toEqual(['https://own.test', 'https://m.test']);
  });

  it.each([
    ['another path', '', '[host."https://real.test/other"]\n', false],
    ['less that the host may do', '', '[host."https://real.test"]\ncapabilities = ["pull"]\n', true],
    ['settings that the host has not', 'skip_verify = true\n', '[host."https://real.test"]\n', true],
  ])('asks the server as well where there is %s', async (_what, more, host, primary) => {
    await bench.hosts('reg.test', `server = "https://real.test"\n${more}${host}`);
    expect((await find('reg.test/app:1')).map((endpoint) => endpoint.primary)).toEqual([primary, true]);
  });

  it('applies what it says outside of hosts to the registry itself', async () => {
    await bench.hosts('reg.test', 'skip_verify = true\n[header]\nx = "y"\n');
    expect(await find('reg.test/app:1')).toMatchObject([{ tls: { skipVerify: true }, headers: { x: ['y'] } }]);
  });

  it('is found under both spellings of a port, and else under _default', async () => {
    await bench.hosts('_default', 'server = "https://default.test"\n');
    await bench.hosts('reg.test:5000', 'server = "https://colon.test"\n');
    expect(await origins('reg.test:5000/app:1')).toEqual(['https://colon.test']);
    await bench.hosts('reg.test_5000_', 'server = "https://underscore.test"\n');
    expect(await origins('reg.test:5000/app:1')).toEqual(['https://underscore.test']);
    expect(await origins('reg.test:6000/app:1')).toEqual(['https://default.test']);
  });

  it('is searched for in several directories', async () => {
    await bench.file('one/_default/hosts.toml', 'server = "https://one-default.test"\n');
    await bench.file('two/reg.test/hosts.toml', 'server = "https://two.test"\n');
    bench.configure({ hostsDirectories: ['', 'one', 'two'].map((name) => name && path.join(bench.directory, name)) });
    expect(await origins('reg.test/app:1')).toEqual(['https://two.test']);
    expect(await origins('other.test/app:1')).toEqual(['https://one-default.test']);
  });

  it('may be left out where certificates lie', async () => {
    const ca = await bench.file('hosts/reg.test/ca.crt', 'x');
    const cert = await bench.file('hosts/reg.test/me.cert', 'x');
    bench.configure({ hostsDirectories: [path.join(bench.directory, 'hosts')] });
    expect(await find('reg.test/app:1')).toMatchObject([
      { origin: 'https://reg.test', tls: { ca: [ca], clients: [{ cert, key: cert.replace('.cert', '.key') }] } },
    ]);
  });

  it('is read again when it has changed, without a restart', async () => {
    await bench.hosts('reg.test', 'server = "https://one.test"\n');
    expect(await origins('reg.test/app:1')).toEqual(['https://one.test']);
    await bench.hosts('reg.test', 'server = "https://two.test"\n');
    // Some file systems count time in ticks that both writes may share.
    await utimes(path.join(bench.directory, 'hosts/reg.test/hosts.toml'), 1, 1);
    expect(await origins('reg.test/app:1')).toEqual(['https://two.test']);
  });

  it('with a mistake in it fails the pull and is named', async () => {
    await bench.hosts('reg.test', 'server = 5\n');
    await expect(find('reg.test/app:1')).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('hosts.toml: server'),
    });
  });
});

describe('registries.conf', () => {
  it('gives mirrors, then the location, with the repository rewritten', async () => {
    await bench.registriesConf(`
      [[registry]]
      prefix = "reg.test/team"
      location = "real.test/other"
      [[registry.mirror]]
      location = "m.test:5000/cache"
      insecure = true
    `);
    expect(await find('reg.test/team/app:1')).toMatchObject([
      {
        origin: 'https://m.test:5000',
        fallback: 'http://m.test:5000',
        repository: 'cache/app',
        primary: false,
        tls: { skipVerify: true },
      },
      { origin: 'https://real.test', repository: 'other/app', primary: true, tls: { skipVerify: false } },
    ]);
    expect(await origins('reg.test/app:1')).toEqual(['https://reg.test']);
  });

  it('leaves out mirrors that are not for tags, or not for digests', async () => {
    await bench.registriesConf(`
      [[registry]]
      location = "reg.test"
      mirror-by-digest-only = true
      [[registry.mirror]]
      location = "digests.test"
      [[registry.mirror]]
      location = "tags.test"
      pull-from-mirror = "tag-only"
      [[registry.mirror]]
      location = "all.test"
      pull-from-mirror = "all"
    `);
    expect(await origins('reg.test/app:1')).toEqual(['https://tags.test', 'https://all.test', 'https://reg.test']);
    expect(await origins(`reg.test/app@${digest}`)).toEqual([
      'https://digests.test',
      'https://all.test',
      'https://reg.test',
    ]);
  });

  it('blocks what it says, whatever a hosts.toml says', async () => {
    await bench.registriesConf('[[registry]]\nlocation = "bad.test"\nblocked = true\n');
    await bench.hosts('bad.test', 'server = "https://good.test"\n');
    await expect(find('bad.test/app:1')).rejects.toMatchObject({
      code: 'PERMISSION_DENIED',
      message: expect.stringContaining('registries.conf'),
    });
  });

  it('is overridden by its drop-ins, in lexical order', async () => {
    await bench.registriesConf('[[registry]]\nprefix = "reg.test"\nlocation = "main.test"\n');
    await bench.file(
      'containers/registries.conf.d/20.conf',
      '[[registry]]\nprefix = "reg.test"\nlocation = "twenty.test"\n',
    );
    await bench.file(
      'containers/registries.conf.d/10.conf',
      '[[registry]]\nprefix = "reg.test"\nlocation = "ten.test"\n',
    );
    await bench.file('containers/registries.conf.d/30.conf.off', 'nonsense');
    expect(await origins('reg.test/app:1')).toEqual(['https://twenty.test']);
  });

  it('gives way to a hosts.toml for the same registry, but not to _default', async () => {
    await bench.registriesConf('[[registry]]\nprefix = "reg.test"\nlocation = "conf.test"\n');
    await bench.hosts('_default', 'server = "https://default.test"\n');
    expect(await origins('reg.test/app:1')).toEqual(['https://conf.test']);
    await bench.hosts('reg.test', 'server = "https://hosts.test"\n');
    expect(await origins('reg.test/app:1')).toEqual(['https://hosts.test']);
  });

  it('has certs.d beside it', async () => {
    await bench.registriesConf('');
    const ca = await bench.file('containers/certs.d/127.0.0.1:5000/ca.crt', 'x');
    const cert = await bench.file('containers/certs.d/127.0.0.1:5000/client.cert', 'x');
    // With an authority to ask, loopback is verified as well.
    expect(await find('127.0.0.1:5000/app:1')).toMatchObject([
      { tls: { ca: [ca], clients: [{ cert, key: cert.replace('.cert', '.key') }], skipVerify: false } },
    ]);
  });
});
