import { describe, expect, test } from '@jest/globals';
import { inFormOf } from './result-forms.ts';
import { checkResult as checkAsked, hostInterface, podAddresses, type CniResult } from './result.ts';

const checkResult = (value: unknown): CniResult => checkAsked(value, '1.0.0');

const interfaces = [{ name: 'cni0' }, { name: 'veth1', mac: 'x' }, { name: 'eth0', sandbox: '/n' }, { name: 'ifb1' }];
const ips = [
  { address: 'fd00::2/64', interface: 2 },
  { address: '10.0.0.2/24', interface: 2, gateway: '10.0.0.1' },
  { address: '10.0.0.1/24', interface: 0 },
  { address: '192.0.2.1/32' },
];
const result = checkResult({ cniVersion: '1.0.0', interfaces, ips, extra: { kept: true } });

test('the pod’s addresses are those on its interface or on none that is named, in the plugins’ order', () => {
  expect(podAddresses(result, 'eth0')).toEqual(['fd00::2', '10.0.0.2', '192.0.2.1']);
  expect(podAddresses(result, 'eth1')).toEqual(['192.0.2.1']);
});

test('an address of an interface that is not listed is nobody’s', () => {
  const wild = checkResult({ cniVersion: '1.0.0', ips: [{ address: '10.0.0.2/24', interface: 7 }] });
  expect(podAddresses(wild, 'eth0')).toEqual([]);
});

test('the node’s end is the one before the pod’s', () => {
  expect(hostInterface(result, 'eth0')).toBe('veth1');
  expect(hostInterface(checkResult({ cniVersion: '1.0.0', ips }), 'eth0')).toBe('');
});

describe('a result of another version', () => {
  test('gives old versions the families, and new ones none; the rest stays', () => {
    const old = inFormOf('0.4.0', result.value);
    expect(old).toMatchObject({ cniVersion: '0.4.0', interfaces, extra: { kept: true } });
    expect((old['ips'] as { version: string }[]).map(({ version }) => version)).toEqual(['6', '4', '4', '4']);
    expect(inFormOf('1.1.0', checkResult(old).value)).toEqual({ ...result.value, cniVersion: '1.1.0' });
  });

  const route4 = { dst: '0.0.0.0/0', gw: '10.0.0.1' };
  const route6 = { dst: '::/0' };
  const flat = {
    cniVersion: '0.2.0',
    ip4: { ip: '10.0.0.2/24', gateway: '10.0.0.1', routes: [route4] },
    ip6: { ip: 'fd00::2/64', routes: [route6] },
    dns: { nameservers: ['10.0.0.1'] },
  } as const;

  test.each(['0.1.0', '0.2.0', undefined])('of version %s has an address of each family, and is read', (cniVersion) => {
    const read = checkAsked({ ...flat, cniVersion }, '0.2.0');
    expect(podAddresses(read, 'eth0')).toEqual(['10.0.0.2', 'fd00::2']);
    expect(inFormOf('0.3.1', read.value)).toEqual({
      cniVersion: '0.3.1',
      ips: [
        { version: '4', address: '10.0.0.2/24', gateway: '10.0.0.1' },
        { version: '6', address: 'fd00::2/64' },
      ],
      routes: [route4, route6],
      dns: flat.dns,
    });
  });

  test('is told to plugins that read such a form: the first address of each family', () => {
    const value = { cniVersion: '0.4.0', interfaces, ips, routes: [route6, route4], dns: flat.dns } as const;
    expect(inFormOf('0.2.0', value)).toEqual({
      ...{ cniVersion: '0.2.0', dns: flat.dns },
      ip4: { ip: '10.0.0.2/24', gateway: '10.0.0.1', routes: [route4] },
      ip6: { ip: 'fd00::2/64', routes: [route6] },
    });
    expect(inFormOf('0.1.0', flat)).toEqual({ ...flat, cniVersion: '0.1.0' });
  });
});

describe('a result without a version', () => {
  test.each([
    ['lists, where 0.3.1 was asked for', { interfaces, ips }, '0.3.1', '0.3.1'],
    ['one with an empty version', { cniVersion: '', interfaces, ips }, '1.1.0', '1.1.0'],
    ['an address of each family, where lists were asked for', { ip4: { ip: '10.0.0.2/24' } }, '1.0.0', '0.2.0'],
  ] as const)('is %s', (_what, value, asked, version) => {
    const read = checkAsked(value, asked);
    expect(read.value.cniVersion).toBe(version);
    expect(podAddresses(read, 'eth0')).toContain('10.0.0.2');
  });
});

test.each([
  [{ ip4: '10.0.0.2/24' }, '"10.0.0.2/24" for ip4'],
  [{ ip4: {} }, 'address nothing'],
  [{ ip6: { ip: '10.0.0.2/24' } }, 'address "10.0.0.2/24"'],
])('refuses %j of version 0.2.0', (part, why) => {
  expect(() => checkAsked({ ...part, cniVersion: '0.2.0' }, '0.2.0')).toThrow(why);
});

test.each([
  [{ interfaces: [{}] }, 'an interface without a name'],
  [{ interfaces: [{ name: 'a', sandbox: 1 }] }, 'an interface in 1'],
  [{ interfaces: {} }, 'interfaces that are not a list'],
  [{ ips: Array.from({ length: 1025 }, () => ips[0]) }, '1025 ips'],
  [{ ips: [null] }, 'null for an address'],
  [{ ips: [{ address: 'fe80::1%eth0/64' }] }, 'address "fe80::1%eth0/64"'],
  [{ ips: [{ address: '10.0.0.1/8/8' }] }, 'address "10.0.0.1/8/8"'],
  [{ ips: [{ address: '10.0.0.1/8', interface: '0' }] }, 'an address of interface "0"'],
])('refuses %j', (part, why) => {
  expect(() => checkResult({ cniVersion: '1.0.0', ...part })).toThrow(why);
});
