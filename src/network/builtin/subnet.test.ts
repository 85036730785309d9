import { SocketAddress } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { contains, formatAddress, parseAddress, parseSubnet, sizeOf, withoutNested } from './subnet.ts';

describe('parseAddress', () => {
  test.each([
    ['0.0.0.0', 0n],
    ['10.89.0.1', 0x0a590001n],
    ['255.255.255.255', 0xffffffffn],
    ['::', 0n],
    ['::1', 1n],
    ['fd89::', 0xfd89n << 112n],
    ['FD89:0:0::00a1', (0xfd89n << 112n) | 0xa1n],
    ['1:2:3:4:5:6:7:8', 0x00010002000300040005000600070008n],
    ['::ffff:1.2.3.4', 0xffff01020304n],
  ])('%s', (text, value) => {
    expect(parseAddress(text)?.value).toBe(value);
  });

  test.each(['', '10.89.0', '10.89.0.256', '010.0.0.1', 'fe80::1%eth0', '1::2::3', 'localhost', '10.0.0.1/8'])(
    'refuses %p',
    (text) => {
      expect(parseAddress(text)).toBeUndefined();
    },
  );

  test('reads what formatAddress writes, which is what the kernel would write', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, (1n << 128n) - 1n), fc.nat(3), (value, zeros) => {
        const some = zeros === 0 ? value : ((value >> 112n) << 112n) | (value & 0xffffffn);
        const text = formatAddress({ family: 6, value: some });
        expect(parseAddress(text)).toEqual({ family: 6, value: some });
        if (some >> 32n !== 0n && some >> 32n !== 0xffffn) {
          expect(text).toBe(new SocketAddress({ address: text, family: 'ipv6' }).address);
        }
      }),
    );
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        expect(formatAddress(parseAddress(text)!)).toBe(text);
      }),
    );
  });
});

describe('parseSubnet', () => {
  test('cuts host bits off and writes canonically', () => {
    expect(parseSubnet('10.89.3.7/16')).toEqual({ family: 4, base: 0x0a590000n, prefix: 16, text: '10.89.0.0/16' });
    expect(parseSubnet('FD89:0::1/64').text).toBe('fd89::/64');
    expect(sizeOf(parseSubnet('10.0.0.0/30'))).toBe(4n);
    expect(sizeOf(parseSubnet('fd89::/64'))).toBe(1n << 64n);
  });

  test.each(['', '10.0.0.0', '10.0.0.0/', '10.0.0.0/31', '10.0.0.0/7', '10.0.0.0/x', 'fd89::/127', 'a/b/c', '::/0'])(
    'refuses %p',
    (text) => {
      expect(() => parseSubnet(text)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    },
  );

  test('contains its first and last address and no other family', () => {
    const subnet = parseSubnet('10.89.0.0/16');
    const inside = (text: string) => contains(subnet, parseAddress(text)!);
    expect([inside('10.89.0.0'), inside('10.89.255.255')]).toEqual([true, true]);
    expect([inside('10.88.255.255'), inside('10.90.0.0'), inside('::a59:1')]).toEqual([false, false, false]);
  });
});

test('withoutNested leaves the outermost, once', () => {
  const texts = ['10.89.3.0/24', '10.89.0.0/16', '10.89.0.0/16', '10.90.0.0/16', 'fd89::/64'];
  expect(withoutNested(texts.map(parseSubnet)).map((subnet) => subnet.text)).toEqual([
    '10.89.0.0/16',
    '10.90.0.0/16',
    'fd89::/64',
  ]);
});
