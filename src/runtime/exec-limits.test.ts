import { describe, expect, test } from '@jest/globals';
import { BerthError } from '#base/errors';
import { checkExecution } from './exec-limits.ts';

const mebibyte = 1024 * 1024;
/** 32 pages of 4 KiB, with the closing zero. */
const longest = 128 * 1024 - 1;

const run = (changes: Partial<Parameters<typeof checkExecution>[0]>): void =>
  checkExecution({ args: ['true'], env: [], rlimits: [], ...changes });

/** Strings that take exactly so many bytes of the kernel: each has a closing zero and a pointer. */
function filling(bytes: number): string[] {
  const each = 100_000;
  const whole = Math.floor((bytes - 100) / each);
  const rest = bytes - whole * each;
  return [...Array<string>(whole).fill('x'.repeat(each - 9)), 'x'.repeat(rest - 9)];
}

describe('what execve will not take is said before anything is made', () => {
  test.each([
    ['an argument of 128 KiB', { args: ['sh', 'x'.repeat(longest + 1)] }, /argument 1 of the command has 131072 bytes/],
    ['a variable of 128 KiB', { env: [`BIG=${'x'.repeat(longest - 3)}`] }, /environment variable BIG has 131072 bytes/],
    ['a zero byte in an argument', { args: ['a\0b'] }, /argument 0 of the command has a zero byte/],
    ['more than 2 MiB together', { args: [], env: filling(2 * mebibyte + 1) }, /2097153 bytes.*more than 2097152/],
    [
      'more than a quarter of a smaller stack',
      { args: [], env: filling(mebibyte + 1), rlimits: [{ type: 'RLIMIT_STACK', soft: 4n * BigInt(mebibyte) }] },
      /more than 1048576/,
    ],
    [
      'more than 6 MiB, however large the stack',
      { args: [], env: filling(6 * mebibyte + 1), rlimits: [{ type: 'RLIMIT_STACK', soft: 2n ** 64n - 1n }] },
      /more than 6291456/,
    ],
  ])('%s', (_name, changes, message) => {
    const attempt = (): void => run(changes);
    expect(attempt).toThrow(message);
    expect(attempt).toThrow(BerthError);
  });

  test.each([
    ['the longest argument', { args: ['sh', 'x'.repeat(longest)] }],
    ['the longest variable', { env: [`BIG=${'x'.repeat(longest - 4)}`] }],
    ['2 MiB together', { args: [], env: filling(2 * mebibyte) }],
    [
      '128 KiB with the smallest stack',
      { args: [], env: filling(128 * 1024), rlimits: [{ type: 'RLIMIT_STACK', soft: 1n }] },
    ],
  ])('and what it takes passes: %s', (_name, changes) => {
    expect(() => run(changes)).not.toThrow();
  });
});
