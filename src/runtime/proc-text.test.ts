import { expect, test } from '@jest/globals';

import { parseMaxOpenFiles, parseNetDev } from './proc-text.ts';

const none = { errors: 0n, dropped: 0n };

test('interfaces of a network namespace, without lo', () => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  129436    1438    0    0    0     0          0         0   129436    1438    0    0    0     0       0          0
  eth0:18446744073709551615   75930    1    2    0     0          0         0  8284474   56951    3    4    0     0       0          0
  net1.100@if5:       1       2    0    0    0     0          0         0        3       4    0    0    0     0       0          0
 torn: 1 2 3
`;
  expect(parseNetDev(text)).toEqual([
    {
      name: 'eth0',
      rx: { bytes: 2n ** 64n - 1n, packets: 75930n, errors: 1n, dropped: 2n },
      tx: { bytes: 8284474n, packets: 56951n, errors: 3n, dropped: 4n },
    },
    { name: 'net1.100@if5', rx: { bytes: 1n, packets: 2n, ...none }, tx: { bytes: 3n, packets: 4n, ...none } },
  ]);
  expect([parseNetDev(''), parseNetDev('garbage: x\n:\n')]).toEqual([[], []]);
});

test('the soft limit on open files; unlimited is none', () => {
  const limits = (soft: string): string =>
    `Limit                     Soft Limit           Hard Limit           Units     
Max processes             96313                96313                processes 
Max open files            ${soft.padEnd(20)} 524288               files     
`;
  expect(parseMaxOpenFiles(limits('1024'))).toBe(1024n);
  expect([parseMaxOpenFiles(limits('unlimited')), parseMaxOpenFiles('')]).toEqual([undefined, undefined]);
});
