import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { silentLogger, type Logger } from '#base/log';
import type { Collection, CollectionSpec } from './collection.ts';
import { reserveMark } from './patient-disk.ts';
import { FakeDisk, FakeReserve, FakeStore } from './store.fake.ts';

const ctx = createCtx();
const spec: CollectionSpec<string> = { kind: 'name', version: 1, sync: false, parse: String };

async function open(disk: FakeDisk, log?: Logger): Promise<{ store: FakeStore; names: Collection<string> }> {
  const store = new FakeStore({ disk, ...(log && { log }) });
  return { store, names: await store.open(ctx, spec) };
}

function fullDisk(reserve?: FakeReserve): FakeDisk {
  const disk = new FakeDisk();
  disk.reserve = reserve;
  disk.room = 0;
  return disk;
}

/** What the next berthd reads. */
async function next(disk: FakeDisk): Promise<Record<string, string>> {
  const seen: Record<string, string> = {};
  const names = await new FakeStore({ disk }).open(ctx, spec);
  for (const id of ['a', 'b', 'c']) {
    const value = names.get(id);
    if (value !== undefined) seen[id] = value;
  }
  return seen;
}

describe('on a full disk', () => {
  test('an intent is refused, with what to do, and changes nothing', async () => {
    const { store, names } = await open(fullDisk(new FakeReserve()));
    await expect(names.put(ctx, 'a', '1')).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      message: expect.stringMatching(/No space left.*make room/) as unknown,
    });
    expect(names.get('a')).toBeUndefined();
    expect(store.behind).toBeUndefined();
  });

  test('a fact is in memory at once, and on disk when there is room', async () => {
    const disk = fullDisk();
    const { store, names } = await open(disk);
    await names.put(ctx, 'a', '1', 'fact');
    expect(names.get('a')).toBe('1');
    expect(store.behind).toMatchObject({ records: 1, inMemoryOnly: 1 });
    disk.room = Infinity;
    await store.whenKept();
    expect(store.behind).toBeUndefined();
    expect(await next(disk)).toEqual({ a: '1' });
  });

  test('a change is taken by the reserve, and refused without one', async () => {
    const without = await open(fullDisk());
    await expect(without.names.put(ctx, 'a', '1', 'change')).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    expect(without.names.get('a')).toBeUndefined();
    const disk = fullDisk(new FakeReserve());
    const { names } = await open(disk);
    await names.put(ctx, 'a', '1', 'change');
    expect(names.get('a')).toBe('1');
    expect(await next(disk)).toEqual({ a: '1' });
  });

  test('what a berthd that was killed had put into its reserve is what the next one reads', async () => {
    const disk = fullDisk(new FakeReserve());
    const { store, names } = await open(disk);
    for (const value of ['1', '2', '3']) await names.put(ctx, 'a', value, 'fact');
    await names.put(ctx, 'b', '1', 'fact');
    await names.delete(ctx, 'b');
    await store.whenKept();
    store.kill();
    expect(await next(disk)).toEqual({ a: '3' });
    expect(disk.content.size).toBe(0);
  });

  test('a reserve that is full leaves facts in memory, and says so', async () => {
    const { store, names } = await open(fullDisk(new FakeReserve(1)));
    await names.put(ctx, 'a', '1', 'fact');
    await names.put(ctx, 'b', '1', 'fact');
    expect(store.behind).toMatchObject({ records: 2, inMemoryOnly: 1 });
    await expect(names.put(ctx, 'c', '1', 'change')).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
  });

  test('one warning tells it, and one line its end, however many records there are', async () => {
    const lines: string[] = [];
    const line = (_fields: object, message: string): void => void lines.push(message);
    const disk = fullDisk(new FakeReserve());
    const { store, names } = await open(disk, { ...silentLogger, warn: line, info: line, error: line });
    for (let i = 0; i < 20; i++) await names.put(ctx, `n${i}`, '1', 'fact');
    disk.room = Infinity;
    await store.checkWritable(ctx);
    expect(lines).toEqual([expect.stringContaining('make room'), 'every record is written again']);
  });
});

describe('with room again', () => {
  test('the next write takes with it what waits, and comes after it', async () => {
    const disk = fullDisk(new FakeReserve());
    const { store, names } = await open(disk);
    await names.put(ctx, 'a', '1', 'fact');
    await names.put(ctx, 'b', '1', 'fact');
    disk.room = 1;
    await names.put(ctx, 'a', '2');
    expect(store.behind).toBeUndefined();
    store.kill();
    expect(await next(disk)).toEqual({ a: '2', b: '1' });
  });

  test('the reserve never brings back what was written later, though berthd died before it was cleared', async () => {
    const reserve = new FakeReserve();
    const disk = fullDisk(reserve);
    const { store, names } = await open(disk);
    await names.put(ctx, 'a', '1', 'fact');
    reserve.forgets = false;
    disk.room = Infinity;
    await names.put(ctx, 'a', '2');
    await names.put(ctx, 'a', '3');
    store.kill();
    expect(disk.content.has(reserveMark)).toBe(true);
    expect(await next(disk)).toEqual({ a: '3' });
  });

  test('a start that finds something in the reserve writes it by itself', async () => {
    const disk = fullDisk(new FakeReserve());
    const first = await open(disk);
    await first.names.put(ctx, 'a', '1', 'fact');
    first.store.kill();
    disk.room = Infinity;
    const { store, names } = await open(disk);
    expect(names.get('a')).toBe('1');
    expect(store.behind).toMatchObject({ records: 1, inMemoryOnly: 0 });
    await store.checkWritable(ctx);
    expect(disk.content.has('name/a')).toBe(true);
  });

  test('a fact that fails after a newer one has been written does not undo it', async () => {
    const disk = new FakeDisk();
    const { store, names } = await open(disk);
    disk.failNextWrite = new Error('once');
    await Promise.all([names.put(ctx, 'a', 'older', 'fact'), names.put(ctx, 'a', 'newer', 'fact')]);
    await store.checkWritable(ctx);
    store.kill();
    expect(await next(disk)).toEqual({ a: 'newer' });
  });

  test('an end of berthd writes what waits', async () => {
    const disk = fullDisk();
    const { store, names } = await open(disk);
    await names.put(ctx, 'a', '1', 'fact');
    disk.room = Infinity;
    await store[Symbol.asyncDispose]();
    expect(await next(disk)).toEqual({ a: '1' });
  });
});
