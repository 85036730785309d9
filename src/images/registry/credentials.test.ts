import { describe, expect, it } from '@jest/globals';
import { noCredentials } from './client-bench.fixture.ts';
import { basicHeader, isFor, loginKey, loginOf } from './credentials.ts';
import { defaultDomain } from '../reference.ts';

const encoded = (text: string): string => Buffer.from(text).toString('base64');

describe('loginOf', () => {
  it.each([
    [{}, undefined],
    [
      { username: 'u', password: 'p' },
      { kind: 'basic', username: 'u', password: 'p' },
    ],
    [{ auth: encoded('u:p:q') }, { kind: 'basic', username: 'u', password: 'p:q' }],
    [{ auth: encoded('u:p\0\0') }, { kind: 'basic', username: 'u', password: 'p' }],
    [{ auth: encoded('ü:ß') }, { kind: 'basic', username: 'ü', password: 'ß' }],
    [
      { username: 'u', password: 'p', identityToken: 'i' },
      { kind: 'refresh', token: 'i' },
    ],
    [
      { username: 'u', identityToken: 'i', registryToken: 'r' },
      { kind: 'bearer', token: 'r' },
    ],
  ])('understands %j', (given, login) => {
    expect(loginOf({ ...noCredentials, ...given })).toEqual(login);
  });

  it.each([encoded('no colon'), encoded(':p'), 'not base64!'])('refuses auth %j without repeating it', (auth) => {
    const act = (): unknown => loginOf({ ...noCredentials, auth });
    expect(act).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(act).toThrow(expect.objectContaining({ message: expect.not.stringContaining(auth) }));
  });

  it('refuses a token that would be a second header', () => {
    expect(() => loginOf({ ...noCredentials, registryToken: 'a\r\nx: y' })).toThrow('characters');
  });
});

describe('isFor', () => {
  it.each([
    ['', 'any.test', true],
    ['host.test', 'host.test', true],
    ['https://host.test/v2/', 'host.test', true],
    ['HOST.test:443', 'host.test', true],
    ['host.test:5000', 'host.test:5000', true],
    ['host.test:5000', 'host.test', false],
    ['host.test.evil', 'host.test', false],
    ['https://host.test@evil.test/', 'host.test', false],
    [`https://index.${defaultDomain}/v1/`, defaultDomain, true],
    [`registry-1.${defaultDomain}`, defaultDomain, true],
  ])('%j for %j: %j', (address, domain, is) => {
    expect(isFor(address, domain)).toBe(is);
  });
});

it('tells credentials apart without keeping them', () => {
  const login = { kind: 'basic', username: 'u', password: 'secret' } as const;
  expect(loginKey(login)).not.toBe(loginKey({ ...login, password: 'other' }));
  expect(loginKey(login)).not.toContain('secret');
  expect(basicHeader(login)).toBe(`Basic ${encoded('u:secret')}`);
});
