import { describe, expect, test } from '@jest/globals';
import { createCtx } from './ctx.ts';
import { Rollback } from './rollback.ts';

describe('Rollback', () => {
  test('undoes newest first', async () => {
    const done: string[] = [];
    const rollback = new Rollback();
    rollback.push('first', () => void done.push('first'));
    rollback.push('second', async () => void done.push('second'));
    expect(await rollback.rollBack(createCtx())).toEqual([]);
    expect(done).toEqual(['second', 'first']);
  });

  test('undoes nothing after commit, and nothing twice', async () => {
    let undone = 0;
    const rollback = new Rollback();
    rollback.push('step', () => void (undone += 1));
    await rollback.rollBack(createCtx());
    await rollback.rollBack(createCtx());
    expect(undone).toBe(1);
    rollback.push('step', () => void (undone += 1));
    rollback.commit();
    await rollback.rollBack(createCtx());
    expect(undone).toBe(1);
  });

  test('tries each step twice, goes on, and tells what is left', async () => {
    const done: string[] = [];
    const rollback = new Rollback();
    rollback.push('network', () => void done.push('network'));
    rollback.push('cgroup', () => {
      done.push('cgroup');
      throw new Error('busy');
    });
    let tries = 0;
    rollback.push('mount', async () => {
      tries += 1;
      if (tries === 1) throw new Error('once');
    });
    const left = await rollback.rollBack(createCtx());
    expect(left).toMatchObject([{ what: 'cgroup', error: new Error('busy') }]);
    expect(done).toEqual(['cgroup', 'cgroup', 'network']);
    expect(tries).toBe(2);
  });

  test('runs on a signal of its own when the caller is gone', async () => {
    const caller = new AbortController();
    caller.abort();
    const rollback = new Rollback();
    let aborted: boolean | undefined;
    rollback.push('step', (ctx) => {
      aborted = ctx.signal.aborted;
    });
    await rollback.rollBack(createCtx({ signal: caller.signal }));
    expect(aborted).toBe(false);
  });
});
