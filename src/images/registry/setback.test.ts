import { describe, expect, it } from '@jest/globals';
import { networkSentence } from './network-failure.ts';
import { retryAfterMs, statusSetback, toSetback } from './setback.ts';

describe('retryAfterMs', () => {
  it.each([
    [undefined, 0],
    ['', 0],
    ['nonsense', 0],
    ['3', 3000],
    ['100000', 60_000],
    ['-5', 0],
    ['Thu, 01 Jan 1970 00:00:07 GMT', 2000],
    ['Thu, 01 Jan 1970 00:00:01 GMT', 0],
    ['Fri, 01 Jan 2100 00:00:00 GMT', 60_000],
  ])('of %j is %j', (header, ms) => {
    expect(retryAfterMs(header, 5000)).toBe(ms);
  });
});

describe('statusSetback', () => {
  it.each([
    [401, 'UNAUTHENTICATED', false],
    [403, 'PERMISSION_DENIED', false],
    [404, 'NOT_FOUND', false],
    [408, 'UNAVAILABLE', true],
    [418, 'UNAVAILABLE', false],
    [429, 'UNAVAILABLE', true],
    [500, 'UNAVAILABLE', true],
    [503, 'UNAVAILABLE', true],
  ])('%i is %s', (status, code, retry) => {
    const setback = statusSetback({ status, what: 'x', shown: 'https://h/', anonymous: true });
    expect(setback).toMatchObject({ retry, error: { code, details: { status } } });
    expect(setback.message).toContain('https://h/');
  });

  it('tells missing credentials from wrong ones, and what a refusal may mean', () => {
    const sentence = (status: number, anonymous: boolean, reason?: string): string =>
      statusSetback({ status, what: 'x', shown: 'h', anonymous, reason }).message;
    expect(sentence(401, true)).toContain('none are known');
    expect(sentence(401, false)).toContain('did not take');
    expect(sentence(401, true, 'DENIED')).toContain('a private image, or none of that name');
    expect(sentence(403, true)).toContain('private, or not there');
  });
});

it('says what happened to a connection without repeating what a library says', () => {
  const inner = Object.assign(new Error('secret'), { code: 'ECONNREFUSED' });
  const outer = Object.assign(new Error('secret', { cause: inner }), { code: 'UND_ERR' });
  expect(networkSentence(outer)).toBe('connection refused');
  expect(networkSentence(new AggregateError([inner], 'secret'))).toBe('connection refused');
  expect(networkSentence(Object.assign(new Error('secret'), { code: 'EWEIRD' }))).toBe('the request failed (EWEIRD)');
  expect(networkSentence('secret')).toBe('the request failed');
  expect(toSetback(outer, 'what', 'https://h/')).toMatchObject({
    retry: true,
    message: 'what: https://h/: connection refused',
  });
});
