import { describe, expect, it } from '@jest/globals';
import { parseProxy, proxyFor, type Environment } from './proxy-rules.ts';

const found = (url: string, environment: Environment): string | undefined =>
  proxyFor(new URL(url), environment)?.url.href;

const both = { HTTP_PROXY: 'http://plain.test:3128', HTTPS_PROXY: 'http://secure.test:3128' };

describe('which variable', () => {
  it.each<[string, Environment, string | undefined]>([
    ['https://reg.test/', both, 'http://secure.test:3128/'],
    ['http://reg.test/', both, 'http://plain.test:3128/'],
    ['https://reg.test/', { HTTP_PROXY: 'http://plain.test:3128' }, undefined],
    ['http://reg.test/', { HTTPS_PROXY: 'http://secure.test:3128' }, undefined],
    ['https://reg.test/', { https_proxy: 'lower.test:1' }, 'http://lower.test:1/'],
    ['https://reg.test/', { HTTPS_PROXY: 'upper.test:1', https_proxy: 'lower.test:1' }, 'http://upper.test:1/'],
    ['https://reg.test/', { HTTPS_PROXY: '', https_proxy: 'lower.test:1' }, 'http://lower.test:1/'],
    ['https://reg.test/', { ALL_PROXY: 'all.test:1', all_proxy: 'all.test:1' }, undefined],
    ['https://reg.test/', { HTTPS_PROXY: '' }, undefined],
    ['https://reg.test/', { ...both, no_proxy: 'reg.test' }, undefined],
    ['https://reg.test/', { ...both, NO_PROXY: 'other.test', no_proxy: 'reg.test' }, 'http://secure.test:3128/'],
  ])('for %s of %j is %j', (url, environment, proxy) => {
    expect(found(url, environment)).toBe(proxy);
  });

  it('tells which it was', () => {
    expect(proxyFor(new URL('https://reg.test/'), { https_proxy: 'p.test:1' })?.from).toBe('https_proxy');
  });

  it('is not HTTP_PROXY of a CGI program, which a client’s header sets', () => {
    const environment = { ...both, REQUEST_METHOD: 'GET' };
    expect(() => found('http://reg.test/', environment)).toThrow(/HTTP_PROXY .*REQUEST_METHOD/);
    expect(found('https://reg.test/', environment)).toBe('http://secure.test:3128/');
    expect(found('http://localhost/', environment)).toBeUndefined();
    expect(found('http://reg.test/', { ...both, REQUEST_METHOD: '' })).toBe('http://plain.test:3128/');
  });
});

describe('NO_PROXY', () => {
  it.each([
    ['*', 'https://reg.test/', true],
    [' a.test , * ', 'https://reg.test/', true],
    ['reg.test', 'https://reg.test/', true],
    ['REG.test', 'https://reg.test:5000/', true],
    ['reg.test', 'https://a.b.reg.test/', true],
    ['reg.test', 'https://otherreg.test/', false],
    ['.reg.test', 'https://a.reg.test/', true],
    ['.reg.test', 'https://reg.test/', false],
    ['*.reg.test', 'https://a.reg.test/', true],
    ['*.reg.test', 'https://reg.test/', false],
    ['*reg.test', 'https://a.reg.test/', false],
    ['reg.test:5000', 'https://reg.test:5000/', true],
    ['reg.test:5000', 'https://reg.test/', false],
    ['reg.test:443', 'https://reg.test/', true],
    ['reg.test:80', 'https://reg.test/', false],
    ['*.reg.test:5000', 'https://a.reg.test:5000/', true],
    ['*.reg.test:5000', 'https://a.reg.test:5001/', false],
    ['10.0.0.0/8', 'https://10.200.3.4/', true],
    ['10.99.0.1/8', 'https://10.200.3.4:5000/', true],
    ['10.0.0.0/8', 'https://11.0.0.1/', false],
    ['10.0.0.0/33', 'https://10.0.0.1/', false],
    ['0.0.0.0/0', 'https://10.0.0.1/', true],
    ['0.0.0.0/0', 'https://[2001:db8::1]/', false],
    ['fd00::/8', 'https://[fd12::1]/', true],
    ['fd00::/8', 'https://[2001:db8::1]/', false],
    ['10.0.0.0/8', 'https://10.0.0.1.test/', false],
    ['10.0.0.1', 'https://10.0.0.1:5000/', true],
    ['10.0.0.1:5000', 'https://10.0.0.1:5000/', true],
    ['10.0.0.1:5000', 'https://10.0.0.1/', false],
    ['10.0.0.1', 'https://[::ffff:10.0.0.1]/', true],
    ['0.1', 'https://10.0.0.1/', false],
    ['.0.0.1', 'https://10.0.0.1/', false],
    ['2001:db8::1', 'https://[2001:db8::1]/', true],
    ['2001:DB8:0::1', 'https://[2001:db8::1]/', true],
    ['[2001:db8::1]', 'https://[2001:db8::1]/', true],
    ['[2001:db8::1]:5000', 'https://[2001:db8::1]:5000/', true],
    ['[2001:db8::1]:5000', 'https://[2001:db8::1]/', false],
    ['bücher.test', 'https://xn--bcher-kva.test/', true],
    ['.bücher.test', 'https://a.xn--bcher-kva.test/', true],
    [',, ,:80,/,[,.', 'https://reg.test/', false],
    ['', 'https://reg.test/', false],
    ['https://reg.test', 'https://reg.test/', false],
    ['', 'https://localhost:5000/', true],
    ['', 'https://127.3.2.1/', true],
    ['', 'https://[::1]:5000/', true],
    ['', 'https://[::ffff:127.0.0.1]/', true],
  ])('%j covers %s: %j', (noProxy, url, covered) => {
    expect(found(url, { HTTPS_PROXY: 'p.test:1', NO_PROXY: noProxy }) === undefined).toBe(covered);
  });
});

describe('the URL of a proxy', () => {
  it.each([
    ['p.test', 'http://p.test/'],
    ['p.test:3128', 'http://p.test:3128/'],
    ['10.0.0.1:3128', 'http://10.0.0.1:3128/'],
    ['[2001:db8::1]:3128', 'http://[2001:db8::1]:3128/'],
    ['user:pass@p.test:3128', 'http://user:pass@p.test:3128/'],
    ['HTTP://p.test', 'http://p.test/'],
    ['https://p.test', 'https://p.test/'],
    ['socks5://p.test', 'socks5://p.test'],
    ['socks5h://u:p@p.test:1080', 'socks5h://u:p@p.test:1080'],
  ])('%j is %s', (text, href) => {
    expect(parseProxy(text)?.href).toBe(href);
  });

  it.each([
    '',
    '://p.test',
    'ftp://p.test',
    'socks4://p.test',
    'http://',
    'http://[',
    'p.test:port',
    'http://%zz@p.test',
  ])('%j is none, and not shown', (text) => {
    expect(parseProxy(text)).toBeUndefined();
    const url = `${text}sesame`;
    if (parseProxy(url)) return;
    expect(() => found('https://reg.test/', { HTTPS_PROXY: url })).toThrow(
      /^HTTPS_PROXY in berthd’s environment(?!.*sesame)/,
    );
  });
});
