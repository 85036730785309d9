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
