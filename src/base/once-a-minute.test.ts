import { expect, test } from '@jest/globals';
import { OnceAMinute } from './once-a-minute.ts';

test('one line a minute says how many there were', () => {
  let nowMs = 5;
  const line = new OnceAMinute({ nowNs: () => 0n, monotonicMs: () => nowMs });
  const written: number[] = [];
  const say = (): void => line.say((times) => written.push(times));
  for (let times = 0; times < 1000; times += 1) say();
  expect(written).toEqual([1]);
  nowMs += 59_999;
  say();
  expect(written).toEqual([1]);
  nowMs += 1;
  say();
  expect(written).toEqual([1, 1001]);
});
