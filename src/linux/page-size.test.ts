import { describe, expect, test } from '@jest/globals';
import { pageSize } from './page-size.ts';

describe('the size of a page', () => {
  const vector = (...pairs: [bigint, bigint][]): Uint8Array => {
    const bytes = Buffer.alloc(16 * pairs.length);
    for (const [at, [key, value]] of pairs.entries()) {
      bytes.writeBigUInt64LE(key, 16 * at);
      bytes.writeBigUInt64LE(value, 16 * at + 8);
    }
    return bytes;
  };

  test('is in the auxiliary vector', () => {
    expect(pageSize(vector([33n, 1n], [6n, 65_536n], [0n, 0n]))).toBe(65_536);
  });

  test('is the usual one where the vector does not tell', () => {
    expect(pageSize(vector([33n, 1n], [0n, 0n]))).toBe(4096);
    expect(pageSize(new Uint8Array(5))).toBe(4096);
  });

  test('is a power of two on this machine', () => {
    expect(Math.log2(pageSize()) % 1).toBe(0);
  });
});
