import { expect, test } from '@jest/globals';
import { loadAddon } from './load.ts';
import { warnOfSharedWatches } from './shared-watches.ts';

function warningsFor(refusal: number): string[] {
  const said: string[] = [];
  const log = { warn: (fields: object, message: string) => said.push(`${JSON.stringify(fields)} ${message}`) };
  warnOfSharedWatches({ epollRefusal: () => refusal }, log);
  return said;
}

test('a berthd whose loops share their watches with containers says what that means, and why it is so', () => {
  expect(warningsFor(0)).toEqual([]);
  expect(warningsFor(1)).toEqual([expect.stringMatching(/EPERM: is CAP_SETUID missing\?.*ends berthd/)]);
  expect(warningsFor(-1)).toEqual([expect.stringMatching(/not started by deploy\/berthd.*ends berthd/)]);
});

test('a Node without the function for making epoll instances is told from one that has it', () => {
  expect(loadAddon().epollRefusal()).toBe(-1);
});
