import { expect, test } from '@jest/globals';
import { Slots } from './slots.ts';

const never = new AbortController().signal;

test('so many at once, the others in their order', async () => {
  const slots = new Slots(2);
  const order: number[] = [];
  const first = await slots.acquire(never);
  const second = await slots.acquire(never);
  const others = [3, 4].map(async (number) => {
    const slot = await slots.acquire(never);
    order.push(number);
    return slot;
  });
  expect(slots.waiting).toBe(2);
  second[Symbol.dispose]();
  second[Symbol.dispose]();
  const third = await others[0]!;
  expect(order).toEqual([3]);
  first[Symbol.dispose]();
  const fourth = await others[1]!;
  expect(order).toEqual([3, 4]);
  for (const slot of [third, fourth]) slot[Symbol.dispose]();
  using _free = await slots.acquire(never);
  expect(slots.waiting).toBe(0);
});

test('one that leaves the queue takes nothing with it', async () => {
  const slots = new Slots(1);
  const held = await slots.acquire(never);
  const leaving = new AbortController();
  const left = slots.acquire(leaving.signal);
  const next = slots.acquire(never);
  leaving.abort(new Error('left'));
  await expect(left).rejects.toThrow('left');
  held[Symbol.dispose]();
  using _slot = await next;
  await expect(slots.acquire(leaving.signal)).rejects.toThrow('left');
});

test('a slot that was given in the moment of leaving goes to the next one', async () => {
  const slots = new Slots(1);
  const held = await slots.acquire(never);
  const leaving = new AbortController();
  const left = slots.acquire(leaving.signal);
  const next = slots.acquire(never);
  leaving.abort(new Error('left'));
  held[Symbol.dispose]();
  await expect(left).rejects.toThrow('left');
  using _slot = await next;
});
