import { describe, expect, test } from '@jest/globals';
import { KeyedLock } from './keyed-lock.ts';

const turns = async (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('KeyedLock', () => {
  test('work on one key runs one after another, in order', async () => {
    const lock = new KeyedLock();
    const order: number[] = [];
    let running = 0;
    const work = async (index: number): Promise<void> => {
      using _held = await lock.acquire('pod');
      running += 1;
      expect(running).toBe(1);
      await turns();
      order.push(index);
      running -= 1;
    };
    await Promise.all([work(1), work(2), work(3)]);
    expect(order).toEqual([1, 2, 3]);
    expect(lock.size).toBe(0);
  });

  test('different keys do not wait for one another', async () => {
    const lock = new KeyedLock();
    using _a = await lock.acquire('a');
    using _b = await lock.acquire('b');
    expect(lock.size).toBe(2);
  });

  test('a waiter that gives up frees its place', async () => {
    const lock = new KeyedLock();
    const held = await lock.acquire('pod');
    const controller = new AbortController();
    const impatient = lock.acquire('pod', controller.signal);
    const patient = lock.acquire('pod');
    controller.abort(new Error('no time'));
    await expect(impatient).rejects.toThrow('no time');
    let got = false;
    void patient.then(() => (got = true));
    await turns();
    expect(got).toBe(false);
    held[Symbol.dispose]();
    (await patient)[Symbol.dispose]();
    await turns();
    expect(lock.size).toBe(0);
  });

  test('an aborted signal never takes the lock', async () => {
    const lock = new KeyedLock();
    const controller = new AbortController();
    controller.abort(new Error('late'));
    await expect(lock.acquire('pod', controller.signal)).rejects.toThrow('late');
    (await lock.acquire('pod'))[Symbol.dispose]();
    await turns();
    expect(lock.size).toBe(0);
  });
});
