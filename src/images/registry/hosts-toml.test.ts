import { describe, expect, it } from '@jest/globals';
import { parseHostsToml } from './hosts-toml.ts';

const file = '/etc/berth/certs.d/reg.test/hosts.toml';
const parse = (text: string) => parseHostsToml(text, file);

describe('parseHostsToml', () => {
  it('keeps the order of the hosts and puts the server last', () => {
    const { hosts, server } = parse(`
      server = "https://reg.test"
      [host."https://z.test"]
        capabilities = ["pull"]
      [host."http://a.test:5000/cache"]
        capabilities = ["pull", "resolve", "push"]
      [host."m.test/v2/"]
    `);
    expect(hosts).toMatchObject([
      { origin: 'https://z.test', host: 'z.test', base: '/v2', canPull: true, canResolve: false },
      { origin: 'http://a.test:5000', host: 'a.test:5000', base: '/cache/v2', canPull: true, canResolve: true },
      { origin: 'https://m.test', host: 'm.test', base: '/v2', canPull: true, canResolve: true },
    ]);
    expect(server).toMatchObject({ origin: 'https://reg.test', base: '/v2' });
  });

  it('reads what is said of a host', () => {
    const { hosts } = parse(`
      [host."https://a.test/api"]
        ca = "ca.crt"
        client = [["c.cert", "/k/c.key"], ["both.pem", ""]]
        skip_verify = true
        override_path = true
        dial_timeout = "1m1.5s"
        proxy = "http://proxy.test:3128"
        [host."https://a.test/api".header]
          x-one = "1"
          X-Two = ["a", "b"]
    `);
    expect(hosts).toEqual([
      {
        origin: 'https://a.test',
        host: 'a.test',
        base: '/api',
        canPull: true,
        canResolve: true,
        tls: {
          ca: ['/etc/berth/certs.d/reg.test/ca.crt'],
          clients: [
            { cert: '/etc/berth/certs.d/reg.test/c.cert', key: '/k/c.key' },
            { cert: '/etc/berth/certs.d/reg.test/both.pem', key: '' },
          ],
          skipVerify: true,
        },
        headers: { 'x-one': ['1'], 'x-two': ['a', 'b'] },
        dialMs: 61_500,
        proxy: 'http://proxy.test:3128/',
      },
    ]);
  });

  it('reads the other forms of ca and client', () => {
    expect(parse('ca = ["/a", "/b"]\nclient = "/c"').rest.tls).toMatchObject({
      ca: ['/a', '/b'],
      clients: [{ cert: '/c', key: '' }],
    });
    expect(parse('client = ["/c", "/d"]').rest.tls.clients).toEqual([
      { cert: '/c', key: '' },
      { cert: '/d', key: '' },
    ]);
    expect(parse('').rest.tls).toEqual({ ca: [], clients: [], skipVerify: false });
  });

  it('tries TLS first where an http URL has TLS settings', () => {
    const { hosts } = parse(
      '[host."http://a.test:5000"]\nskip_verify = true\n[host."http://b.test"]\nskip_verify = true\n',
    );
    expect(hosts).toMatchObject([
      { origin: 'https://a.test:5000', fallback: 'http://a.test:5000' },
      { origin: 'http://b.test' },
    ]);
  });

  it('tells the keys that it does not know, and none that containerd knows', () => {
    const told: string[] = [];
    const tell = (keys: readonly string[]): void => void told.push(...keys);
    parseHostsToml(
      `capabilites = ["pull"]
      "__proto__" = 1
      "a\\nb" = 1
      [host."https://a.test"]
        skip_verfy = true
        server = "https://b.test"
      `,
      file,
      tell,
    );
    expect(told).toEqual([
      'capabilites: did you mean capabilities?',
      '__proto__',
      String.raw`"a\nb"`,
      'host."https://a.test".skip_verfy: did you mean skip_verify?',
      'host."https://a.test".server',
    ]);
    told.length = 0;
    const all = 'capabilities = ["push"]\nca = "a"\nclient = "b"\nskip_verify = true\noverride_path = true\n';
    const more = 'dial_timeout = "1s"\nproxy = "http://p.test:1"\nheader = { x = "1" }\n';
    parseHostsToml(`server = "https://a.test"\n${all}${more}[host."https://b.test"]\n${all}${more}`, file, tell);
    expect(told).toEqual([]);
  });

  it.each([
    ['[host."https://a.test"]\ncapabilities = ["fly"]', 'capabilities'],
    ['capabilities = "pull"', 'capabilities'],
    ['skip_verify = "yes"', 'skip_verify'],
    ['ca = 1', 'ca'],
    ['client = [["a"]]', 'client'],
    ['client = [["a", "b", "c"]]', 'client'],
    ['client = 5', 'client'],
    ['header = "x"', 'header'],
    ['[header]\nx = "a\\r\\nb: c"', 'header."x"'],
    ['[header]\n"a b" = "c"', 'header."a b"'],
    ['dial_timeout = "soon"', 'dial_timeout'],
    ['proxy = "ftp://u:secret@proxy.test"', 'proxy'],
    ['server = "https://["', 'not the URL'],
    ['server = "https://u:secret@a.test"', 'auth_files'],
    ['host = 1', 'host'],
    ['[host]\n"https://a.test" = 1', 'host."https://a.test"'],
    ['server = ', 'hosts.toml:1:'],
  ])('refuses %j', (text, named) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(named) }),
    );
    expect(() => parse(text)).toThrow(expect.objectContaining({ message: expect.not.stringContaining('secret') }));
    expect(() => parse(text)).toThrow(file);
  });
});
