import { expect, test } from '@jest/globals';
import { pinnedBy } from './pinned.ts';
import { defaultDomain } from './reference.ts';

const digest = `sha256:${'a'.repeat(64)}`;

test.each<[string, string, boolean]>([
  ['localhost/app:1', 'localhost/app:1', true],
  ['localhost/app', 'localhost/app:latest', true],
  ['app', `${defaultDomain}/library/app:latest`, true],
  [`localhost/app@${digest}`, `localhost/app@${digest}`, true],
  ['localhost/app:1', 'localhost/app:10', false],
  ['localhost/infra/*', 'localhost/infra/a/b:1', true],
  ['localhost/infra/*', 'localhost/infra', false],
  ['*:1', 'localhost/app:1', true],
  ['*a*b*', 'xxaxxbxx', true],
  ['*a*b*', 'xxbxxaxx', false],
  ['ab*ba', 'aba', false],
  ['ab*ba', 'abba', true],
  ['a*b*b', 'ab', false],
  ['*', 'anything', true],
  ['NOT a name', 'localhost/app:1', false],
])('%j and %j: %p', (pattern, name, pinned) => {
  expect(pinnedBy([pattern])([name])).toBe(pinned);
});

test('one pattern of many and one name of many are enough', () => {
  expect(pinnedBy([])(['localhost/app:1'])).toBe(false);
  expect(pinnedBy(['none', 'localhost/app:1'])(['localhost/other:1', 'localhost/app:1'])).toBe(true);
});
