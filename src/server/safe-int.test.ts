import { describe, expect, test } from '@jest/globals';
import { toBigInt, toInt64, toSafeInt } from './safe-int.ts';

describe('toSafeInt', () => {
  test.each([
    ['0', 0],
    ['-1', -1],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ['-9007199254740991', Number.MIN_SAFE_INTEGER],
  ])('%s', (text, number) => expect(toSafeInt('timeout', text)).toBe(number));

  test.each(['9007199254740992', '9223372036854775807', '-9223372036854775808'])('%s is too much', (text) => {
    expect(() => toSafeInt('timeout', text)).toThrow(`timeout is ${text}: more than Berth can count`);
  });

  test.each(['', 'abc', '1.5', '1e3', ' 1', '0x10', '-', '1'.repeat(30)])('%p is no integer', (text) => {
    expect(() => toSafeInt('timeout', text)).toThrow('timeout is not an integer');
  });
});

test('toBigInt keeps every digit', () => {
  expect(toBigInt('at', '1767225600123456789')).toBe(1_767_225_600_123_456_789n);
  expect(toBigInt('limit', '-9223372036854775808')).toBe(-(2n ** 63n));
});

describe('toInt64', () => {
  test('numbers and bigints become digits', () => {
    expect(toInt64(12)).toBe('12');
    expect(toInt64(1_767_225_600_123_456_789n)).toBe('1767225600123456789');
    expect(toInt64(1e15)).toBe('1000000000000000');
  });

  test.each([1.5, NaN, Infinity, 2 ** 53])('%p would not arrive as it is', (number) => {
    expect(() => toInt64(number)).toThrow('not an integer that can be sent');
  });
});
