import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ClientBench } from './client-bench.fixture.ts';
import { RegistryDouble } from './registry-double.fixture.ts';
import { chainedPem, expiredPem, intermediatePem, nameOnlyPem, ownPem, rootPem } from './tls-chain-pems.fixture.ts';
import { authorityPem, clientCertPem, clientKeyPem } from './tls-pems.fixture.ts';

let bench: ClientBench;
beforeEach(async () => {
  bench = await ClientBench.open();
});
afterEach(() => bench[Symbol.asyncDispose]());

/** What a pull says of a registry that shows `certificate` when the owner's `ca` is `text`. */
async function outcome(certificate: string, text: string, address = '127.0.0.1'): Promise<string> {
  await using double = await RegistryDouble.start({ tls: true, certificate, address });
  double.add({ names: ['x.test/team/app:1'], layers: [Buffer.from('layer')] });
  await bench.hosts(double.host, `server = "${double.origin}"\nca = "ca.crt"\n`);
  await bench.file(`hosts/${double.host}/ca.crt`, text);
  return await bench.resolve(`${double.host}/team/app:1`).then(
    () => 'works',
    (error: unknown) => String(error),
  );
}

const whole = chainedPem + intermediatePem;

describe('each certificate of ca is an anchor', () => {
  it.each([
    ['the root, the intermediate sent', whole, rootPem],
    ['the intermediate, sent', whole, intermediatePem],
    ['the intermediate, not sent', chainedPem, intermediatePem],
    ['the intermediate, the root sent as well', whole + rootPem, intermediatePem],
    ['the host’s own certificate', chainedPem, chainedPem],
    ['the host’s own certificate, more sent', whole, chainedPem],
    ['a host’s certificate that it signed itself', ownPem, ownPem],
    ['the last of several in a file', ownPem, authorityPem + rootPem + ownPem],
    ['one in a file with other things', whole, `# ours\n${clientKeyPem}subject=/CN=x\n${intermediatePem}# end`],
    ['one with the line ends of Windows', whole, intermediatePem.replaceAll('\n', '\r\n')],
    ['one without a line end', whole, intermediatePem.trimEnd()],
    ['one after a byte order mark', whole, `\ufeff${intermediatePem}`],
  ])('%s', async (_name, certificate, ca) => {
    expect(await outcome(certificate, ca)).toBe('works');
  });
});

describe('what a certificate is refused for is said', () => {
  it.each([
    ['not signed by what ca has', whole, authorityPem, 'unknown authority: configure its ca'],
    ['signed by a root whose intermediate is not sent', chainedPem, rootPem, 'unknown authority: configure its ca'],
    ['signed by itself', ownPem, rootPem, 'signed by itself: configure its ca'],
    ['expired, below an intermediate', expiredPem, intermediatePem, 'has expired'],
    ['expired, though it is named itself', expiredPem, expiredPem, 'has expired'],
  ])('%s', async (_name, certificate, ca, why) => {
    expect(await outcome(certificate, ca)).toContain(why);
  });

  it('for another name, and for which', async () => {
    expect(await outcome(whole, intermediatePem, '127.0.0.2')).toContain(
      'for another name: it is for localhost, 127.0.0.1',
    );
  });

  it('for an address in the common name alone', async () => {
    expect(await outcome(nameOnlyPem + intermediatePem, rootPem)).toContain('another name: it has no subjectAltName');
  });
});

describe('a file that cannot be an anchor is named', () => {
  const der = Buffer.from(rootPem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  it.each([
    ['empty', '', /ca\.crt has no certificate in PEM$/],
    ['DER', der.toString('latin1'), /ca\.crt has no certificate in PEM/],
    ['a key', clientKeyPem, /ca\.crt has no certificate in PEM$/],
    [
      'damaged after one that is whole',
      `${rootPem}${intermediatePem.replace(/MII/, 'AAA')}`,
      /certificate 2 of .*ca\.crt cannot be read$/,
    ],
    ['cut short', clientCertPem.slice(0, 200), /ca\.crt has no certificate in PEM$/],
  ])('%s', async (_name, text, why) => {
    expect(await outcome(whole, text)).toMatch(why);
  });

  it('a directory', async () => {
    await bench.file('hosts/reg.test/ca/root.crt', rootPem);
    await bench.hosts('reg.test', 'ca = "ca"\n');
    await expect(bench.resolve('reg.test/a/b:1')).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('/reg.test/ca'),
    });
  });
});

it('a directory without a hosts.toml may hold anchors of every kind', async () => {
  await using double = await RegistryDouble.start({ tls: true, certificate: chainedPem });
  double.add({ names: ['x.test/team/app:1'], layers: [Buffer.from('layer')] });
  await bench.hosts('other.test', '');
  await bench.file(`hosts/${double.host}/a.crt`, authorityPem);
  await expect(bench.resolve(`${double.host}/team/app:1`)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await bench.file(`hosts/${double.host}/b.crt`, intermediatePem);
  await expect(bench.resolve(`${double.host}/team/app:1`)).resolves.toBeDefined();
});
