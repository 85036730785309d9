import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { RecoveryNotes } from './recovery-notes.ts';

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

test('all that a start waits for has one second together; later each has its own', () => {
  const notes = new RecoveryNotes();
  const start = notes.start();
  jest.advanceTimersByTime(700);
  expect(notes.patienceLeft()).toBe(300);
  jest.advanceTimersByTime(700);
  expect(notes.patienceLeft()).toBe(100);
  start[Symbol.dispose]();
  expect(notes.patienceLeft()).toBe(1000);
});
