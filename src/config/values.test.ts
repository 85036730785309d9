import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { configSchema } from './schema.ts';
import { durationMs } from './values.ts';

/** What the schema says to one limit; "" when it takes it. */
function said(key: string, value: unknown): string {
  const result = configSchema.safeParse({ rlimits: { [key]: value } });
  if (result.success) return '';
  return result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ');
}

const nrOpen = BigInt(readFileSync('/proc/sys/fs/nr_open', 'utf8').trim());

describe('limits', () => {
  test.each([
    ['stack', '131072'],
    ['stack', '131072:unlimited'],
    ['nofile', '4'],
    ['nofile', `4:${nrOpen}`],
    ['nproc', '1'],
    ['core', '0'],
    ['memlock', '0:unlimited'],
  ])('%s may be "%s"', (key, value) => {
    expect(said(key, value)).toBe('');
  });

  test.each([
    ['stack', '0', 'expected a soft limit of at least 131072 bytes, not 0: the kernel'],
    ['stack', '131071:unlimited', 'expected a soft limit of at least 131072 bytes, not 131071: the kernel'],
    ['nproc', '0', 'expected a soft limit of at least 1 processes, not 0: no user but root'],
    ['nproc', '0:100', 'not 0: no user but root'],
    ['nofile', '3', 'expected a soft limit of at least 4 open files, not 3: no program could open its libraries'],
    ['nofile', `1024:${nrOpen + 1n}`, `expected a hard limit of at most ${nrOpen} open files, not ${nrOpen + 1n}`],
    ['nofile', 'unlimited', 'not unlimited: the kernel gives nobody more (/proc/sys/fs/nr_open)'],
    ['msgqueue', '2000:1000', 'soft limit that is not above the hard one (SOFT:HARD): 2000 is more than 1000 bytes'],
    ['core', 'unlimited:5', 'unlimited is more than 5 bytes'],
    ['memlock', '8M', 'expected a limit in bytes: "SOFT:HARD", or one for both, each a whole number without a suffix'],
    ['memlock', '8M', 'or "unlimited", not "8M"'],
    ['nofile', '-1', 'expected a limit in open files'],
    ['nofile', '1:2:3', 'expected a limit in open files'],
    ['nofile', '', 'not ""'],
    ['nofile', 1024, 'in quotes'],
  ])('%s may not be %j: %s', (key, value, message) => {
    expect(said(key, value)).toContain(message);
    expect(said(key, value)).toMatch(new RegExp(`^rlimits.${key}: expected `));
  });
});

test.each([
  ['500ms', 500],
  ['30s', 30_000],
  ['4m', 240_000],
  ['1h', 3_600_000],
  ['0s', undefined],
  ['1.5s', undefined],
  ['1h30m', undefined],
  ['30', undefined],
])('the duration "%s" is %p ms', (text, ms) => {
  expect(durationMs(text)).toBe(ms);
});
