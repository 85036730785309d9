import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { digestOf } from '../config.ts';
import { ClientBench } from './client-bench.fixture.ts';
import { redirect, RegistryDouble } from './registry-double.fixture.ts';
import { authorityPem, clientCertPem, clientKeyPem } from './tls-pems.fixture.ts';

let bench: ClientBench;
beforeEach(async () => {
  bench = await ClientBench.open();
});
afterEach(() => bench[Symbol.asyncDispose]());

const image = { names: ['x.test/team/app:1'], layers: [Buffer.from('layer')] };

describe('certificates', () => {
  let double: RegistryDouble;
  let name: string;
  beforeEach(async () => {
    double = await RegistryDouble.start({ tls: true });
    double.add(image);
    name = `${double.host}/team/app:1`;
  });
  afterEach(() => double[Symbol.asyncDispose]());

  it('are not verified on loopback, unless an authority is named', async () => {
    await expect(bench.resolve(name)).resolves.toBeDefined();
    await bench.hosts(double.host, 'ca = "authority.crt"\n');
    await bench.file(`hosts/${double.host}/authority.crt`, clientCertPem);
    await expect(bench.resolve(name)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('unknown authority: configure its ca'),
    });
    expect(double.requests.length).toBe(2);
  });

  it('of an authority that the owner names are taken, also after a change of the file', async () => {
    await bench.hosts(double.host, `server = "${double.origin}"\nca = "authority.crt"\n`);
    await expect(bench.resolve(name)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('authority.crt does not exist'),
    });
    await bench.file(`hosts/${double.host}/authority.crt`, 'nonsense');
    await expect(bench.resolve(name)).rejects.toMatchObject({
      code: expect.stringMatching(/CONFIG_INVALID|UNAVAILABLE/),
    });
    await bench.file(`hosts/${double.host}/authority.crt`, authorityPem);
    await expect(bench.resolve(name)).resolves.toBeDefined();
  });

  it('of nobody known are refused, unless the owner says otherwise', async () => {
    await bench.hosts(double.host, `server = "${double.origin}"\n`);
    await expect(bench.resolve(name)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('unknown authority'),
    });
    expect(double.requests).toEqual([]);
    await bench.hosts(double.host, `server = "${double.origin}"\nskip_verify = true\n`);
    await expect(bench.resolve(name)).resolves.toBeDefined();
  });

  it('must be for the name that was asked', async () => {
    await using other = await RegistryDouble.start({ tls: true, address: '127.0.0.2' });
    await bench.hosts('reg.test', `server = "${other.origin}"\nca = "authority.crt"\n`);
    await bench.file('hosts/reg.test/authority.crt', authorityPem);
    await expect(bench.resolve('reg.test/team/app:1')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('another name'),
    });
    expect(other.requests).toEqual([]);
  });
});

describe('client certificates', () => {
  it('are shown to who asks, from one file or two', async () => {
    await using double = await RegistryDouble.start({ tls: true, clientCertificates: true });
    double.add(image);
    const name = `${double.host}/team/app:1`;
    await bench.file(`hosts/${double.host}/both.pem`, `${clientCertPem}${clientKeyPem}`);
    await bench.file(`hosts/${double.host}/me.cert`, clientCertPem);
    await bench.file(`hosts/${double.host}/me.key`, clientKeyPem);
    const server = `server = "${double.origin}"\nskip_verify = true\n`;
    await bench.hosts(double.host, server);
    await expect(bench.resolve(name)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await bench.hosts(double.host, `${server}client = "both.pem"\n`);
    await expect(bench.resolve(name)).resolves.toBeDefined();
    await bench.hosts(double.host, `${server}client = [["me.cert", "me.key"]]\n`);
    await expect(bench.resolve(name)).resolves.toBeDefined();
  });

  it('are not shown to another host', async () => {
    await using double = await RegistryDouble.start({ tls: true });
    await using storage = await RegistryDouble.start({ tls: true, clientCertificates: true });
    await bench.hosts(double.host, `server = "${double.origin}"\nskip_verify = true\nclient = "both.pem"\n`);
    await bench.file(`hosts/${double.host}/both.pem`, `${clientCertPem}${clientKeyPem}`);
    const bytes = Buffer.from('blob');
    double.trick(/blobs/, redirect(`${storage.origin}/v2/a/blobs/${digestOf(bytes)}`));
    storage.blobs.set(digestOf(bytes), bytes);
    const fetching = bench.fetch(`${double.host}/a/b:1`, { digest: digestOf(bytes), size: bytes.length });
    await expect(fetching).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(storage.requests).toEqual([]);
  });
});

describe('hosts that may do without TLS', () => {
  it('on loopback are tried with it first, and remembered', async () => {
    await using double = await RegistryDouble.start();
    double.add(image);
    await expect(bench.resolve(`${double.host}/team/app:1`)).resolves.toBeDefined();
    expect(bench.notes).toEqual([]);
    expect(double.count(/./)).toBe(2);
  });

  it('are those that registries.conf calls insecure', async () => {
    await using double = await RegistryDouble.start();
    await using secure = await RegistryDouble.start({ tls: true });
    double.add(image);
    secure.add(image);
    for (const host of [double.host, secure.host]) {
      await bench.registriesConf(`[[registry]]\nprefix = "reg.test"\nlocation = "${host}"\ninsecure = true\n`);
      await expect(bench.resolve('reg.test/team/app:1')).resolves.toBeDefined();
    }
  });

  it('are no others', async () => {
    await using double = await RegistryDouble.start();
    await bench.hosts(double.host, `server = "https://${double.host}"\nskip_verify = true\n`);
    await expect(bench.resolve(`${double.host}/team/app:1`)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('does not speak TLS'),
    });
    expect(double.requests).toEqual([]);
  });
});

describe('a proxy', () => {
  const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'];
  let before: [string, string | undefined][];
  let proxy: Server;
  let target: string;
  let asked: string[];
  beforeEach(async () => {
    before = names.map((name) => [name, process.env[name]]);
    for (const name of names) Reflect.deleteProperty(process.env, name);
    asked = [];
    // Whatever it is asked for, it leads to the double.
    proxy = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.writeHead(404);
      response.end();
    });
    proxy.on('connect', (request, socket) => {
      asked.push(request.url ?? '');
      const up = connect(Number(target.split(':')[1]), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        up.pipe(socket);
        socket.pipe(up);
      });
      up.on('error', () => socket.destroy());
      socket.on('error', () => up.destroy());
      socket.on('close', () => up.destroy());
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    process.env['HTTPS_PROXY'] = `http://user:sesame@127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  });
  afterEach(async () => {
    for (const [name, value] of before) {
      if (value === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = value;
    }
    await bench.client.close();
    proxy.closeAllConnections();
    proxy.close();
    await once(proxy, 'close');
  });

  it('of the environment is asked for other hosts, with the same certificates', async () => {
    await using double = await RegistryDouble.start({ tls: true });
    target = double.host;
    double.add(image);
    await bench.hosts('reg.test', 'skip_verify = true\n');
    await expect(bench.resolve('reg.test/team/app:1')).resolves.toBeDefined();
    expect(asked[0]).toBe('reg.test:443');
  });

  it('is not asked for loopback, nor for what NO_PROXY names', async () => {
    await using double = await RegistryDouble.start();
    double.add(image);
    await expect(bench.resolve(`${double.host}/team/app:1`)).resolves.toBeDefined();
    process.env['NO_PROXY'] = '.invalid';
    bench.configure({ attempts: 1 });
    await expect(bench.resolve('reg.invalid/team/app:1')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(asked).toEqual([]);
  });

  it('of hosts.toml is asked for its host alone, whatever the environment says', async () => {
    await using double = await RegistryDouble.start({ tls: true });
    target = double.host;
    double.add(image);
    const { HTTPS_PROXY: url } = process.env;
    process.env['HTTPS_PROXY'] = 'http://127.0.0.1:9';
    await bench.hosts('reg.test', `skip_verify = true\nproxy = "${url!}"\n`);
    await expect(bench.resolve('reg.test/team/app:1')).resolves.toBeDefined();
    expect(asked[0]).toBe('reg.test:443');
    await bench.hosts('reg.test', 'proxy = "sesame"\n');
    const refused = bench.resolve('reg.test/team/app:1');
    await expect(refused).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.not.stringContaining('sesame'),
    });
  });

  it('that is no URL is named without being shown', async () => {
    process.env['HTTPS_PROXY'] = 'http://user:sesame@[';
    const resolving = bench.resolve('reg.invalid/team/app:1');
    await expect(resolving).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('HTTPS_PROXY'),
    });
    await expect(resolving).rejects.toMatchObject({ message: expect.not.stringContaining('sesame') });
  });
});
