import { expect, test } from '@jest/globals';
import { freeSpace, fullDisks } from './free-space.ts';

test('figures are told with the directory that was asked for', () => {
  expect(freeSpace('/')?.text).toMatch(
    /^[\d.]+ ([kMGT]?B) of [\d.]+ [kMGT]?B are free on the file system of \/(, and|$)/,
  );
});

test('what cannot be looked at is not full', () => {
  expect(freeSpace('/no/such/directory')).toBeUndefined();
  expect(fullDisks(['/no/such/directory'])).toBe('');
});
