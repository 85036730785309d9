import { getEventListeners } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import { Deadline, raceSignal, sleep } from './deadline.ts';

describe('Deadline', () => {
  test('aborts in time and names the operation', async () => {
    using deadline = new Deadline(5, 'stop pod abc');
    await expect(sleep(60_000, deadline.signal)).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      message: 'stop pod abc did not finish in 5 ms',
    });
  });

  test('aborts with its parent and for the same reason', () => {
    const parent = new AbortController();
    using deadline = new Deadline(Infinity, 'x', parent.signal);
    parent.abort(new Error('gone'));
    expect(deadline.signal.reason).toEqual(new Error('gone'));
  });

  test('a parent that has aborted aborts it at once', () => {
    const parent = new AbortController();
    parent.abort();
    using deadline = new Deadline(1000, 'x', parent.signal);
    expect(deadline.signal.aborted).toBe(true);
  });

  test('lets go of the parent when disposed or aborted', () => {
    const { signal } = new AbortController();
    for (let index = 0; index < 100; index += 1) {
      using _deadline = new Deadline(1000, 'x', signal);
      new Deadline(1000, 'y', signal).abort();
    }
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  test('a deadline longer than timers can count does not fire at once', async () => {
    using deadline = new Deadline(2 ** 40, 'x');
    await sleep(5);
    expect(deadline.signal.aborted).toBe(false);
  });
});

describe('raceSignal', () => {
  test('gives the promise’s result and leaves no listener', async () => {
    const { signal } = new AbortController();
    await expect(raceSignal(Promise.resolve(3), signal)).resolves.toBe(3);
    await expect(raceSignal(Promise.reject(new Error('no')), signal)).rejects.toThrow('no');
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  test('leaves no failure unhandled, also when the signal has aborted before', async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', note);
    try {
      const late = Promise.withResolvers<void>();
      await expect(raceSignal(late.promise, AbortSignal.abort(new Error('left')))).rejects.toThrow('left');
      late.reject(new Error('failed later'));
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      expect(unhandled).toEqual([]);
    } finally {
      process.off('unhandledRejection', note);
    }
  });
});
