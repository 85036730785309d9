import { describe, expect, test } from '@jest/globals';
import { checkResult, hostInterface, podAddresses, resultFor } from './result.ts';

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

describe('resultFor', () => {
  test('gives old versions the families, and new ones none; the rest stays', () => {
    const old = resultFor('0.4.0', result);
    expect(old).toMatchObject({ cniVersion: '0.4.0', interfaces, extra: { kept: true } });
    expect((old['ips'] as { version: string }[]).map(({ version }) => version)).toEqual(['6', '4', '4', '4']);
    expect(resultFor('1.1.0', checkResult(old))).toEqual({ ...result.value, cniVersion: '1.1.0' });
  });
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
