import { expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { podNetworkContract } from './pod-network.contract.ts';
import { FakePodNetwork } from './pod-network.fake.ts';
import { networkRequest } from './network-request.fixture.ts';

podNetworkContract('FakePodNetwork', async () => ({
  network: new FakePodNetwork(),
  cleanUp: async () => undefined,
}));

test('a failure that was ordered comes once', async () => {
  const network = new FakePodNetwork();
  network.failNextSetUp = new Error('ordered');
  using netns = await network.takeNamespace(createCtx());
  const request = networkRequest('a', netns);
  await expect(network.setUp(createCtx(), request)).rejects.toThrow('ordered');
  await network.setUp(createCtx(), request);
  expect(network.openNamespaces.size).toBe(1);
});
