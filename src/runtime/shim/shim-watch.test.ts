import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { BerthError } from '#base/errors';
import type { LogFields, Logger } from '#base/log';
import { silentLogger } from '#base/log';
import { ShimWatch } from './shim-watch.ts';

// The clock is moved by hand: no time passes.

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

function play() {
  const logged: [string, LogFields, string][] = [];
  const log: Logger = {
    ...silentLogger,
    error: (fields, message) => void logged.push(['error', fields, message]),
    warn: (fields, message) => void logged.push(['warn', fields, message]),
  };
  const questions: PromiseWithResolvers<void>[] = [];
  const ask = (): Promise<void> => {
    const question = Promise.withResolvers<void>();
    questions.push(question);
    return question.promise;
  };
  return { logged, questions, watch: new ShimWatch({ podId: 'p1', pid: () => 77, ask, log }) };
}

const late = new BerthError('DEADLINE_EXCEEDED', 'start container c1 did not finish in 9 ms');

test('a call that is answered soon leads to no question', async () => {
  const { watch, questions } = play();
  const call = Promise.withResolvers<number>();
  const answer = watch.during(call.promise);
  await jest.advanceTimersByTimeAsync(1_900);
  call.resolve(5);
  expect(await answer).toBe(5);
  await jest.advanceTimersByTimeAsync(60_000);
  expect(questions).toEqual([]);
});

test('a shim that answers questions is not silent, however long a call takes', async () => {
  const { watch, questions, logged } = play();
  const call = Promise.withResolvers<number>();
  const answer = watch.during(call.promise);
  answer.catch(() => undefined);
  for (let round = 1; round <= 3; round++) {
    await jest.advanceTimersByTimeAsync(2_000);
    expect(questions).toHaveLength(round);
    questions.at(-1)?.resolve();
  }
  call.reject(late);
  await expect(answer).rejects.toBe(late);
  expect([watch.silence, logged]).toEqual([undefined, []]);
});

test('one that does not is told once, by pod and pid, and in the error of whoever had to give up', async () => {
  const { watch, questions, logged } = play();
  const calls = [Promise.withResolvers<number>(), Promise.withResolvers<number>()];
  const answers = calls.map(({ promise }) => watch.during(promise));
  for (const answer of answers) answer.catch(() => undefined);
  await jest.advanceTimersByTimeAsync(60_000);
  expect(logged).toEqual([
    ['error', { podId: 'p1', shimPid: 77 }, expect.stringContaining('the shim of pod p1 (pid 77)')],
  ]);
  expect(questions).toHaveLength(1);
  calls[0]?.reject(late);
  await expect(answers[0]).rejects.toMatchObject({
    code: 'DEADLINE_EXCEEDED',
    message: expect.stringMatching(
      /^start container c1 did not .*: the shim of pod p1 \(pid 77\) has not answered for 58 s.*kill -CONT 77/,
    ),
  });
  // What has another reason keeps it.
  const other = new BerthError('NOT_FOUND', 'no such container');
  calls[1]?.reject(other);
  await expect(answers[1]).rejects.toBe(other);
  expect(await watch.answers()).toBe(false);
  questions[0]?.resolve();
  await jest.advanceTimersByTimeAsync(0);
  expect(watch.silence).toBeUndefined();
  expect(logged.slice(1)).toEqual([
    ['warn', { podId: 'p1', shimPid: 77, seconds: 58 }, 'the shim of a pod answers again'],
  ]);
});

test('whoever looks at all shims asks without a call, and one that is gone is not silent', async () => {
  const { watch, questions, logged } = play();
  const asked = [watch.answers(), watch.answers()];
  expect(questions).toHaveLength(1);
  questions[0]?.reject(new Error('gone'));
  expect(await Promise.all(asked)).toEqual([true, true]);
  const again = watch.answers();
  await jest.advanceTimersByTimeAsync(3_001);
  expect(await again).toBe(false);
  expect(logged).toHaveLength(1);
  questions[1]?.reject(new Error('gone'));
  await jest.advanceTimersByTimeAsync(0);
  expect([watch.silence, logged.length]).toEqual([undefined, 1]);
});
