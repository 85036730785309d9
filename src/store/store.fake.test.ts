import { expect, it } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { storeContract } from './collection.contract.ts';
import { FakeDisk, FakeStore } from './store.fake.ts';

storeContract('fake', async () => {
  const disk = new FakeDisk();
  return {
    open: async () => new FakeStore({ disk }),
    plant: async (key, raw) => void disk.content.set(key, raw),
    cleanUp: async () => undefined,
  };
});

it('leaves memory as it was when the disk refuses', async () => {
  const ctx = createCtx();
  const store = new FakeStore();
  const names = await store.open(ctx, { kind: 'name', version: 1, sync: false, parse: String });
  await names.put(ctx, 'a', 'old');
  store.disk.failNextWrite = new Error('no');
  await expect(names.put(ctx, 'a', 'new')).rejects.toThrow('no');
  expect(names.get('a')).toBe('old');
});
