import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import type { CollectionSpec } from '#store/collection';
import { FakeCollection } from '#store/collection.fake';
import type { AddressLease } from './pod-network.ts';
import { leaseRecords, StoreAddressBook } from './store-address-book.ts';

const ctx = createCtx();

test('keeps one lease a pod in a collection of the store', async () => {
  const book = new StoreAddressBook(new FakeCollection<AddressLease>());
  await book.put(ctx, { podId: 'a', addresses: ['10.89.0.2'] });
  await book.put(ctx, { podId: 'b', addresses: ['10.89.0.3'] });
  await book.delete(ctx, 'a');
  await book.delete(ctx, 'a');
  expect(book.all()).toEqual([{ podId: 'b', addresses: ['10.89.0.3'] }]);
  expect([book.get('a'), book.get('b')?.addresses]).toEqual([undefined, ['10.89.0.3']]);
});

describe('leaseRecords', () => {
  const spec: CollectionSpec<AddressLease> = leaseRecords;

  test('reads what was written', () => {
    expect(spec.parse({ podId: 'a', addresses: ['10.89.0.2'] })).toEqual({ podId: 'a', addresses: ['10.89.0.2'] });
  });

  test.each([null, {}, { podId: 'a' }, { podId: 'a', addresses: [1] }, { podId: 1, addresses: [] }])(
    'refuses %j',
    (value) => {
      expect(() => spec.parse(value)).toThrow();
    },
  );
});
