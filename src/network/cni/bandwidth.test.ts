import { describe, expect, test } from '@jest/globals';
import { bandwidthOf, quantity } from './bandwidth.ts';

test.each([
  ['0', 0n],
  ['10M', 10_000_000n],
  ['1.5G', 1_500_000_000n],
  ['1Ki', 1024n],
  ['.5k', 500n],
  ['+3k', 3000n],
  ['1500m', 2n],
  ['1e6', 1_000_000n],
  ['12E-1', 2n],
  ['2E', 2_000_000_000_000_000_000n],
])('%s is %d', (text, value) => {
  expect(quantity(text)).toBe(value);
});

test.each(['', 'M', '.', '1K', '1mb', '-1M', '1 M', '0x10', '1e1000', '1e', 'ten'])('%j is no quantity', (text) => {
  expect(quantity(text)).toBeUndefined();
});

describe('bandwidthOf', () => {
  test('reads either direction', () => {
    expect(bandwidthOf({})).toBeUndefined();
    expect(bandwidthOf({ 'kubernetes.io/egress-bandwidth': '1M' })).toEqual({
      egressRate: 1_000_000,
      egressBurst: 4_294_967_295,
    });
    const both = { 'kubernetes.io/egress-bandwidth': '1M', 'kubernetes.io/ingress-bandwidth': '2M' };
    expect(bandwidthOf(both)).toMatchObject({ egressRate: 1_000_000, ingressRate: 2_000_000 });
  });

  test.each(['999', '2P', 'fast', '1M;'])('refuses %j with the annotation’s name', (text) => {
    expect(() => bandwidthOf({ 'kubernetes.io/ingress-bandwidth': text })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('ingress-bandwidth') }),
    );
  });
});
