import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { silentLogger } from '#base/log';
import { NetnsPool } from './netns-pool.ts';
import { FakeNetworkAddon } from './network-addon.fake.ts';

function setUp(size: number): { addon: FakeNetworkAddon; pool: NetnsPool; warnings: string[] } {
  const addon = new FakeNetworkAddon();
  const warnings: string[] = [];
  const log = { ...silentLogger, warn: (_fields: object, message: string) => void warnings.push(message) };
  return { addon, pool: new NetnsPool({ ctx: createCtx({ log }), addon, size }), warnings };
}

const ctx = createCtx();

describe('NetnsPool', () => {
  test('fills up to its size, gives from there, and is filled again on demand', async () => {
    const { addon, pool } = setUp(2);
    pool.refill();
    await turn();
    expect(pool.size).toBe(2);
    const taken = await pool.take(ctx);
    expect([pool.size, addon.calls.length]).toEqual([1, 2]);
    pool.refill();
    pool.refill();
    await turn();
    expect([pool.size, addon.calls.length]).toEqual([2, 3]);
    await pool[Symbol.asyncDispose]();
    expect([...addon.openNamespaces]).toEqual([taken.number]);
  });

  test('makes a fresh one when none is ready', async () => {
    const { addon, pool } = setUp(0);
    pool.refill();
    using taken = await pool.take(ctx);
    expect(addon.openNamespaces.has(taken.number)).toBe(true);
  });

  test('a failure of filling is logged, of taking is thrown; both are tried again', async () => {
    const { addon, pool, warnings } = setUp(1);
    addon.before.set('createNetns', async () =>
      Promise.reject(Object.assign(new Error('no room'), { code: 'ENOSPC' })),
    );
    pool.refill();
    await turn();
    expect(warnings).toEqual(['could not make a network namespace in advance']);
    await expect(pool.take(ctx)).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    addon.before.clear();
    pool.refill();
    await turn();
    expect(pool.size).toBe(1);
    await pool[Symbol.asyncDispose]();
    expect(addon.openNamespaces.size).toBe(0);
  });

  test('a namespace that comes after its caller went away is kept for the next', async () => {
    const { addon, pool } = setUp(1);
    let come: () => void = () => undefined;
    addon.before.set('createNetns', () => new Promise((resolve) => (come = resolve)));
    const caller = new AbortController();
    const taking = pool.take(createCtx({ signal: caller.signal }));
    caller.abort(new Error('gone'));
    await expect(taking).rejects.toThrow('gone');
    come();
    await turn();
    expect(pool.size).toBe(1);
    await pool[Symbol.asyncDispose]();
  });

  test('closes what comes while it is being closed, and gives nothing afterwards', async () => {
    const { addon, pool } = setUp(3);
    pool.refill();
    await pool[Symbol.asyncDispose]();
    expect(addon.openNamespaces.size).toBe(0);
    pool.refill();
    await expect(pool.take(ctx)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});
