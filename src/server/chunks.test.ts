import { expect, test } from '@jest/globals';
import { chunks } from './chunks.ts';

const lengths = (sizes: readonly number[]): number[] => [
  ...chunks(
    sizes,
    (size) => ({ labels: { k: 'x'.repeat(size) } }),
    (entries) => entries.length,
  ),
];

test('a message carries 256 entries at most; none gives none', () => {
  expect(lengths([])).toEqual([]);
  expect(lengths(Array<number>(256).fill(1))).toEqual([256]);
  expect(lengths(Array<number>(257).fill(1))).toEqual([256, 1]);
});

test('a message carries about a mebibyte at most, or one entry', () => {
  const mebibyte = 1024 * 1024;
  expect(lengths([400_000, 400_000, 400_000, 400_000])).toEqual([2, 2]);
  expect(lengths([mebibyte, 2 * mebibyte, 10, 10])).toEqual([1, 1, 2]);
});
