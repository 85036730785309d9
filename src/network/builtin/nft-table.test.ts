import { expect, test } from '@jest/globals';
import { nftDeleteText, nftTableText } from './nft-table.ts';
import { parseSubnet } from './subnet.ts';

const text = (...subnets: string[]): string =>
  nftTableText({ name: 'berth', bridge: 'berth0', subnets: subnets.map(parseSubnet) });

test('the whole table, flushed first', () => {
  expect(text('10.89.0.0/16', 'fd89::/64')).toBe(`table inet berth
flush table inet berth
table inet berth {
  comment "pods leave the node with its address; written by berthd"
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr { 10.89.0.0/16 } oifname != "berth0" ip daddr != { 10.89.0.0/16, 224.0.0.0/4 } masquerade fully-random
    ip6 saddr { fd89::/64 } oifname != "berth0" ip6 daddr != { fd89::/64, ff00::/8 } masquerade fully-random
  }
}
`);
});

test('one family has one rule, and subnets within others are left out: nft refuses overlaps', () => {
  const rules = text('10.89.3.0/24', '10.89.0.0/16', '10.50.0.0/24').match(/^ +ip.*$/gm);
  expect(rules).toEqual([
    '    ip saddr { 10.89.0.0/16, 10.50.0.0/24 } oifname != "berth0" ' +
      'ip daddr != { 10.89.0.0/16, 10.50.0.0/24, 224.0.0.0/4 } masquerade fully-random',
  ]);
});

test('deleting makes the table first', () => {
  expect(nftDeleteText('berth')).toBe('table inet berth\ndelete table inet berth\n');
});
