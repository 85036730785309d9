import { describe, expect, test } from '@jest/globals';
import { elementsOf, foreignElements, nftChangeText, nftDeleteText, nftTableText } from './nft-table.ts';
import type { Forward } from './port-forwards.ts';
import { parseSubnet } from './subnet.ts';

const table = { name: 'berth', bridge: 'berth0', masquerade: true, forwards: [] };
const web: Forward = {
  ...{ family: 4, protocol: 'tcp', hostAddress: '', hostPort: 8080, podAddress: '10.89.0.2', podPort: 80 },
};
const dns6: Forward = {
  ...{ family: 6, protocol: 'udp', hostAddress: 'fd00::9', hostPort: 53, podAddress: 'fd89::2', podPort: 5353 },
};

describe('the table', () => {
  test('is made anew in one transaction, with the ports of running pods', () => {
    const subnets = ['10.89.0.0/16', 'fd89::/64'].map(parseSubnet);
    const text = nftTableText({ ...table, subnets, forwards: [web, dns6] });
    expect(text).toMatch(/^table inet berth\ndelete table inet berth\ntable inet berth \{\n/);
    expect(text).toContain('add element inet berth ports4 { tcp . 8080 : 10.89.0.2 . 80 }');
    expect(text).toContain('add element inet berth ports6_at { fd00::9 . udp . 53 : fd89::2 . 5353 }');
    expect(text).toContain('add element inet berth targets6 { fd89::2 . udp . 5353 }');
  });

  test('masquerades what leaves the pods’ subnets, each family by its own rule', () => {
    const subnets = ['10.89.0.0/16', '10.89.7.0/24', 'fd89::/64'].map(parseSubnet);
    const text = nftTableText({ ...table, subnets });
    expect(text).toContain(
      'ip saddr { 10.89.0.0/16 } oifname != "berth0" ip daddr != { 10.89.0.0/16, 224.0.0.0/4 } masquerade fully-random',
    );
    expect(text).toContain('ip6 saddr { fd89::/64 } oifname != "berth0"');
    expect(text).not.toContain('10.89.7.0');
  });

  test('without masquerading still leads ports to pods, and answers back through the node', () => {
    const text = nftTableText({ ...table, masquerade: false, subnets: [parseSubnet('10.89.0.0/16')] });
    expect(text).not.toContain('fully-random');
    expect(text).toContain('dnat ip to meta l4proto . th dport map @ports4\n');
    expect(text).toContain('ip saddr 127.0.0.0/8 oifname "berth0" ct status dnat');
    expect(text).not.toMatch(/ip6 (saddr|to)/);
  });

  test('does not let pods reach localhost of the node', () => {
    const text = nftTableText({ ...table, subnets: [parseSubnet('10.89.0.0/16')] });
    expect(text).toMatch(
      /type filter hook prerouting priority -300.*\n +iifname "berth0" ip daddr 127\.0\.0\.0\/8 drop/,
    );
  });

  test('is deleted whether it is there or not', () => {
    expect(nftDeleteText('berth')).toBe('table inet berth\ndelete table inet berth\n');
  });
});

describe('a change', () => {
  test('removes before it adds, so that a port may go from one pod to the next at once', () => {
    const next = { ...web, podAddress: '10.89.0.3' };
    expect(nftChangeText('berth', [web], [next]).trim().split('\n')).toEqual([
      'delete element inet berth ports4 { tcp . 8080 }',
      'delete element inet berth targets4 { 10.89.0.2 . tcp . 80 }',
      'add element inet berth ports4 { tcp . 8080 : 10.89.0.3 . 80 }',
      'add element inet berth targets4 { 10.89.0.3 . tcp . 80 }',
    ]);
  });

  test('names a target of several ports once', () => {
    const local = { ...web, hostPort: 9090, hostAddress: '127.0.0.1' };
    expect(nftChangeText('berth', [], [web, local]).match(/targets4 \{ ([^}]*) \}/)?.[1]).toBe('10.89.0.2 . tcp . 80');
  });
});

describe('foreign elements', () => {
  const listed = JSON.stringify({
    nftables: [
      { metainfo: { version: '1.0.6' } },
      { map: { name: 'ports4', elem: [[{ concat: ['tcp', 8080] }, { concat: ['10.89.0.2', 80] }]] } },
      { map: { name: 'ports6_at' } },
      { set: { name: 'targets4', elem: [{ concat: ['10.89.0.2', 'tcp', 80] }] } },
    ],
  });

  test('are those that no pod explains', () => {
    expect(elementsOf([web])).toEqual(['ports4 tcp 8080 10.89.0.2 80', 'targets4 10.89.0.2 tcp 80']);
    expect(foreignElements(listed, [web])).toEqual([]);
    expect(foreignElements(listed, [])).toEqual(elementsOf([web]));
    expect(foreignElements(listed, [{ ...web, podAddress: '10.89.0.9' }])).toHaveLength(2);
  });

  test('are none of ours, however nft writes an address', () => {
    const dotted = { ...dns6, hostAddress: '::908:706' };
    const at = { name: 'ports6_at', elem: [[{ concat: ['::9.8.7.6', 'udp', 53] }, { concat: ['fd89::2', 5353] }]] };
    const json = JSON.stringify({ nftables: [{ map: at }] });
    expect(foreignElements(json, [dotted])).toEqual([]);
    expect(foreignElements(json, [])).toEqual(['ports6_at ::908:706 udp 53 fd89::2 5353']);
  });

  test('are not guessed from what is not understood', () => {
    expect(foreignElements('{"nftables": [null, 3, {"map": {"elem": 5}}]}', [])).toEqual([]);
    expect(foreignElements('{}', [])).toEqual([]);
  });
});
