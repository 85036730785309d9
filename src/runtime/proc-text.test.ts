import { expect, test } from '@jest/globals';

import { parseMaxOpenFiles, parseNetDev } from './proc-text.ts';
import { interfaceLimit } from './stats.ts';

const none = { errors: 0n, dropped: 0n };

test('interfaces of a network namespace, without lo', () => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  129436    1438    0    0    0     0          0         0   129436    1438    0    0    0     0       0          0
  eth0:18446744073709551615   75930    1    2    0     0          0         0  8284474   56951    3    4    0     0       0          0
  net1.100@if5:       1       2    0    0    0     0          0         0        3       4    0    0    0     0       0          0
 torn: 1 2 3
`;
  expect(parseNetDev(text)).toEqual({
    more: false,
    interfaces: [
      {
        name: 'eth0',
        rx: { bytes: 2n ** 64n - 1n, packets: 75930n, errors: 1n, dropped: 2n },
        tx: { bytes: 8284474n, packets: 56951n, errors: 3n, dropped: 4n },
      },
      { name: 'net1.100@if5', rx: { bytes: 1n, packets: 2n, ...none }, tx: { bytes: 3n, packets: 4n, ...none } },
    ],
  });
  const nothing = { interfaces: [], more: false };
  expect([parseNetDev(''), parseNetDev('garbage: x\n:\n')]).toEqual([nothing, nothing]);
});

test('of very many interfaces eth0 and the first others, wherever eth0 and the end of the text are', () => {
  const line = (name: string): string => `${name.padStart(6)}: ${'1 '.repeat(16)}\n`;
  const others = Array.from({ length: 500 }, (_, at) => `br${at}`);
  const names = (text: string): string[] => parseNetDev(text).interfaces.map(({ name }) => name);
  const few = others.slice(0, interfaceLimit - 1);
  const all = ['lo', ...others, 'eth0', 'veth0'].map(line).join('');
  expect(names(all)).toEqual(['eth0', ...few]);
  expect(parseNetDev(all).more).toBe(true);
  expect(names(all.slice(0, all.indexOf('  eth0:') + 12))).toEqual(others.slice(0, interfaceLimit));
  const bound = [...few, 'eth0', 'lo'].map(line).join('');
  expect(parseNetDev(bound)).toMatchObject({ interfaces: { length: interfaceLimit }, more: false });
  expect(parseNetDev(line('x') + bound)).toMatchObject({ interfaces: { length: interfaceLimit }, more: true });
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
