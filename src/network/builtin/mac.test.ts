import { expect, test } from '@jest/globals';
import { macFor } from './mac.ts';

test('follows the IPv4 address', () => {
  expect(macFor('10.89.0.5', 'a')).toBe('be:27:0a:59:00:05');
  expect(macFor('10.89.0.5', 'b')).toBe(macFor('10.89.0.5', 'a'));
});

test('is made from the name where there is no IPv4 address', () => {
  const mac = macFor('fd89::5', 'a');
  expect(mac).toMatch(/^be:27(:[0-9a-f]{2}){4}$/);
  expect(macFor('fd89::5', 'b')).not.toBe(mac);
});

test('is unicast and locally administered', () => {
  expect(Number.parseInt(macFor('10.89.0.5', 'a').slice(0, 2), 16) & 3).toBe(2);
});
