import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { AddressPool, AddressPools } from './address-pool.ts';
import { contains, parseAddress, parseSubnet } from './subnet.ts';

const pool = (subnet: string, leases: Record<string, string[]> = {}): AddressPool =>
  new AddressPool(
    parseSubnet(subnet),
    Object.entries(leases).map(([podId, addresses]) => ({ podId, addresses })),
  );

describe('AddressPool', () => {
  test('the bridge has the first address, pods the ones after it, nobody network and broadcast', () => {
    const small = pool('10.1.2.0/29');
    expect(small.gateway).toBe('10.1.2.1');
    const all = Array.from({ length: 5 }, () => small.take('pod'));
    expect(all).toEqual(['10.1.2.2', '10.1.2.3', '10.1.2.4', '10.1.2.5', '10.1.2.6']);
    expect(() => small.take('late')).toThrow(
      expect.objectContaining({
        code: 'RESOURCE_EXHAUSTED',
        message: 'no free address in pod subnet 10.1.2.0/29: all 5 are in use',
      }),
    );
  });

  test('IPv6 has no broadcast address, and a huge subnet costs nothing', () => {
    const small = pool('fd89::/126');
    expect([small.gateway, small.take('a'), small.take('b')]).toEqual(['fd89::1', 'fd89::2', 'fd89::3']);
    expect(small.free).toBe(0);
    expect(pool('fd00::/8').free).toBe(65_536);
  });

  test('goes on behind the leases it finds and counts those of other subnets out', () => {
    const found = pool('10.1.0.0/24', { a: ['10.1.0.2', 'fd89::2'], b: ['10.1.0.9'], c: ['10.2.0.4', '10.1.0.1'] });
    expect(found.free).toBe(251);
    expect(found.take('d')).toBe('10.1.0.10');
  });

  test('only its owner releases an address', () => {
    const small = pool('10.1.2.0/30');
    const address = small.take('a');
    small.release(address, 'b');
    small.release('nonsense', 'a');
    expect(small.free).toBe(0);
    small.release(address, 'a');
    expect(small.take('b')).toBe(address);
    small.release(address, 'a');
    expect(small.free).toBe(0);
  });

  test('never gives an address twice, and a released one only when no other is free, oldest first', () => {
    const steps = fc.array(fc.oneof(fc.constant('take' as const), fc.nat(30)), { maxLength: 200 });
    const subnets = fc.constantFrom('10.1.2.0/28', '10.1.2.0/27', 'fd89::/124');
    const leased = fc.uniqueArray(fc.integer({ min: 2, max: 14 }), { maxLength: 8 });
    fc.assert(
      fc.property(subnets, leased, steps, (text, offsets, commands) => {
        const subnet = parseSubnet(text);
        const name = (offset: number): string =>
          subnet.family === 4 ? `10.1.2.${offset}` : `fd89::${offset.toString(16)}`;
        const held = new Map(offsets.map((offset, index) => [name(offset), `old${index}`]));
        const tested = new AddressPool(
          subnet,
          [...held].map(([address, podId]) => ({ podId, addresses: [address] })),
        );
        const capacity = tested.free + held.size;
        const resting: string[] = [];
        const seen = new Set(held.keys());
        let count = 0;
        for (const command of commands) {
          if (command !== 'take') {
            const [address, podId] = [...held][command] ?? [];
            if (address === undefined || podId === undefined) continue;
            tested.release(address, podId);
            held.delete(address);
            resting.push(address);
            continue;
          }
          const podId = `pod${(count += 1)}`;
          if (held.size === capacity) {
            expect(() => tested.take(podId)).toThrow('no free address');
            continue;
          }
          const address = tested.take(podId);
          expect(held.has(address)).toBe(false);
          expect(contains(subnet, parseAddress(address)!)).toBe(true);
          expect([tested.gateway, name(0)]).not.toContain(address);
          if (seen.size < capacity) expect(seen.has(address)).toBe(false);
          else expect(address).toBe(resting.shift());
          seen.add(address);
          held.set(address, podId);
          expect(tested.free).toBe(capacity - held.size);
        }
      }),
    );
  });
});

describe('AddressPools', () => {
  test('gives one address of each family, IPv4 first', () => {
    const pools = AddressPools.of(['fd89::/64', '10.89.0.0/16'].map(parseSubnet));
    expect(pools.take('a')).toEqual([
      { address: '10.89.0.2', cidr: '10.89.0.2/16' },
      { address: 'fd89::2', cidr: 'fd89::2/64' },
    ]);
    expect(pools.gateways.map(({ cidr }) => cidr)).toEqual(['10.89.0.1/16', 'fd89::1/64']);
  });

  test('keeps nothing of one family when the other is full', () => {
    const pools = AddressPools.of(['10.1.2.0/24', 'fd89::/126'].map(parseSubnet));
    pools.take('a');
    pools.take('b');
    expect(() => pools.take('c')).toThrow('fd89::/126');
    pools.release(['10.1.2.2', 'fd89::2'], 'a');
    expect(pools.take('d').map(({ address }) => address)).toEqual(['10.1.2.5', 'fd89::2']);
  });

  test('changes one family and leaves the other as it is, with what rests there', () => {
    const pools = AddressPools.of(['10.1.2.0/29', 'fd89::/126'].map(parseSubnet));
    const [, six = { address: '', cidr: '' }] = pools.take('a');
    const changed = pools.with([parseSubnet('10.9.0.0/24')], [{ podId: 'a', addresses: ['10.1.2.2', '10.9.0.2'] }]);
    expect(changed.subnets.map(({ text }) => text)).toEqual(['10.9.0.0/24', 'fd89::/126']);
    expect(changed.take('b').map(({ address }) => address)).toEqual(['10.9.0.3', 'fd89::3']);
    changed.release([six.address], 'a');
    expect(changed.take('c').map(({ address }) => address)).toEqual(['10.9.0.4', 'fd89::2']);
    expect(changed.without(6).take('d')).toHaveLength(1);
  });
});
