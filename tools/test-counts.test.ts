import { describe, expect, test } from '@jest/globals';
import { countCritest, countCtest, countJest } from './test-counts.ts';

describe('countJest', () => {
  test('a file that could not be run counts as a failure', () => {
    expect(countJest('{"numPassedTests":5,"numFailedTests":1,"numRuntimeErrorTestSuites":2}')).toEqual({
      passed: 5,
      failed: 3,
    });
  });

  test.each(['', '{', '{"numPassedTests":0,"numFailedTests":0}'])('%j means that no test ran', (json) => {
    expect(countJest(json)).toBeUndefined();
  });
});

describe('countCtest', () => {
  test.each([
    ['100% tests passed, 0 tests failed out of 12', { passed: 12, failed: 0 }],
    ['50% tests passed, 1 tests failed out of 2', { passed: 1, failed: 1 }],
    ['No tests were found!!!', undefined],
  ])('%s', (line, count) => {
    expect(countCtest(`Test project\n${line}\n`)).toEqual(count);
  });
});

describe('countCritest', () => {
  const impossible = 'nobody passes here: a spec: why';
  test.each([
    ['critest: 107 passed, 1 failed, 9 skipped (50 s)', { passed: 107, failed: 1 }],
    [`critest: 107 passed, 3 failed, 9 skipped (50 s)\n${impossible}`, { passed: 107, failed: 2 }],
    ['critest: 0 passed, 0 failed, 117 skipped (1 s)', undefined],
    ['no report', undefined],
  ])('%s', (lines, count) => {
    expect(countCritest(`before\n${lines}\n`)).toEqual(count);
  });
});
