import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { sleep } from '#base/deadline';
import { silentLogger } from '#base/log';
import { createMetrics } from '#base/metrics';
import { Operations, type Operation } from './operations.ts';
import { impatient, until } from './sandboxes.fixture.ts';

const ctx = createCtx();

function operations(parkMs = 60_000): Operations {
  return new Operations({ log: silentLogger, metrics: createMetrics(), parkMs });
}

function work<T>(run: Operation<T>['run'], more: Partial<Operation<T>> = {}): Operation<T> {
  return { key: 'k', verb: 'work', deadlineMs: 1_000, run, ...more };
}

describe('one key', () => {
  test('is one piece of work for all who ask while it is under way', async () => {
    const all = operations();
    let runs = 0;
    const slow = work(async () => {
      runs++;
      await sleep(5);
      return runs;
    });
    expect(await Promise.all([all.join(ctx, slow), all.join(ctx, slow), all.join(ctx, slow)])).toEqual([1, 1, 1]);
    expect(await all.join(ctx, slow)).toBe(2);
    expect(all.size).toBe(0);
  });

  test('with another config is refused', async () => {
    const all = operations();
    const first = all.join(
      ctx,
      work(() => sleep(5), { config: { a: 1, b: 2 } }),
    );
    await all.join(
      ctx,
      work(() => sleep(5), { config: { b: 2, a: 1 } }),
    );
    const second = all.join(
      ctx,
      work(() => sleep(5), { config: { a: 1 } }),
    );
    await first;
    const third = all.join(
      ctx,
      work(() => sleep(5), { config: { a: 1 } }),
    );
    await expect(
      all.join(
        ctx,
        work(() => sleep(5), { config: { a: 2 } }),
      ),
    ).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    });
    await Promise.all([second, third]);
  });
});

describe('a caller that goes', () => {
  test('leaves the work running; a later one takes the result, once', async () => {
    const all = operations();
    let runs = 0;
    const slow = work(async () => {
      await sleep(10);
      return ++runs;
    });
    using gone = impatient(2);
    await expect(all.join(gone, slow)).rejects.toThrow('went away');
    await until(() => runs === 1);
    expect(await all.join(ctx, slow)).toBe(1);
    expect(await all.join(ctx, slow)).toBe(2);
  });

  test('leaves a failure to nobody: the next one tries anew', async () => {
    const all = operations();
    let runs = 0;
    const failing = work(async () => {
      await sleep(5);
      if (++runs === 1) throw new Error('first');
      return runs;
    });
    using gone = impatient(1);
    await expect(all.join(gone, failing)).rejects.toThrow('went away');
    await until(() => all.size === 0);
    expect(await all.join(ctx, failing)).toBe(2);
  });

  test('has its result undone when nobody comes for it, and not when it was claimed', async () => {
    const all = operations(20);
    const undone: string[] = [];
    const make = (key: string): Operation<string> =>
      work(async () => sleep(5).then(() => key), { key, undo: async (_ctx, result) => void undone.push(result) });
    using gone = impatient(1);
    await Promise.allSettled([all.join(gone, make('unclaimed')), all.join(gone, make('claimed'))]);
    await sleep(10);
    all.claim('claimed');
    await until(() => undone.length > 0);
    await sleep(20);
    expect(undone).toEqual(['unclaimed']);
    expect(all.size).toBe(0);
  });
});

test('the work has a deadline of its own', async () => {
  const endless = work(async (own) => sleep(10_000, own.signal), { deadlineMs: 10 });
  await expect(operations().join(ctx, endless)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
});

test('what runs is counted by its step', async () => {
  const metrics = createMetrics();
  const all = new Operations({ log: silentLogger, metrics, parkMs: 1 });
  const held = Promise.withResolvers<void>();
  const running = all.join(
    ctx,
    work(async (own) => {
      own.stage('network');
      await held.promise;
    }),
  );
  expect(await metrics.text()).toContain('berth_operations_running{operation="work",stage="network"} 1');
  held.resolve();
  await running;
  expect(await metrics.text()).toContain('berth_operations_running{operation="work",stage="network"} 0');
  expect(all.oldestSeconds()).toBe(0);
});
