import { expect, test } from '@jest/globals';
import { createMetrics } from '#base/metrics';
import { ContainerEvents, type ContainerEvent } from './events.ts';

const event = (id: string): ContainerEvent => ({
  id,
  type: 'created',
  createdAtNs: 1n,
  pod: undefined,
  containers: [],
});

test('every listener gets every event in order; without one nothing is made', async () => {
  const events = new ContainerEvents(createMetrics());
  events.publish(() => {
    throw new Error('nobody listens');
  });
  using first = events.subscribe();
  using second = events.subscribe();
  const waiting = first.next();
  for (const id of ['a', 'b']) events.publish(() => event(id));
  expect((await waiting)?.id).toBe('a');
  expect((await first.next())?.id).toBe('b');
  expect((await second.next())?.id).toBe('a');
});

test('one that is ten thousand events behind is cut off and counted; the others go on', async () => {
  const metrics = createMetrics();
  const events = new ContainerEvents(metrics);
  using slow = events.subscribe();
  using quick = events.subscribe();
  for (let n = 0; n <= 10_000; n++) {
    events.publish(() => event(String(n)));
    expect((await quick.next())?.id).toBe(String(n));
  }
  await expect(slow.next()).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
  expect(events.size).toBe(1);
  expect(await metrics.text()).toContain('berth_event_subscribers_cut_total 1');
});

test('leaving ends the wait', async () => {
  const events = new ContainerEvents(createMetrics());
  const subscription = events.subscribe();
  const waiting = subscription.next();
  subscription[Symbol.dispose]();
  expect(await waiting).toBeUndefined();
  expect(events.size).toBe(0);
});

test('the one listener too many is refused, and takes the place of one that left', () => {
  const events = new ContainerEvents(createMetrics());
  const listeners = Array.from({ length: 256 }, () => events.subscribe());
  expect(() => events.subscribe()).toThrow('256 clients listen to container events, which is the limit');
  listeners[0]?.[Symbol.dispose]();
  using last = events.subscribe();
  expect(events.size).toBe(256);
  for (const listener of listeners) listener[Symbol.dispose]();
  expect(last).toBeDefined();
});
