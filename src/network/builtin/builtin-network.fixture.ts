import { expect } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { randomIds } from '#base/ids';
import type { NetworkConfig } from '#config/slices';
import { FakeCollection } from '#store/collection.fake';
import { networkRequest } from '../network-request.fixture.ts';
import type { AddressLease, PodNetworkRecord } from '../pod-network.ts';
import { StoreAddressBook } from '../store-address-book.ts';
import { BuiltinNetwork } from './builtin-network.ts';
import { FakeNetworkAddon, FakeTools } from './network-addon.fake.ts';

const ctx = createCtx();
const config: NetworkConfig = {
  mode: 'builtin',
  bridge: 'berth0',
  ipv4Subnet: '10.89.0.0/16',
  ipv6Subnet: 'fd89::/64',
  nftTable: 'berth',
  masquerade: true,
  poolSize: 1,
  mtu: 0,
};

/** A BuiltinNetwork on a fake kernel, with what it has recorded. */
export class Bench implements AsyncDisposable {
  readonly addon = new FakeNetworkAddon();
  readonly tools = new FakeTools();
  leases = new FakeCollection<AddressLease>();
  nowMs = 0;
  network: BuiltinNetwork;

  constructor(changes: Partial<NetworkConfig> = {}) {
    this.network = this.open(changes);
  }

  open(changes: Partial<NetworkConfig> = {}): BuiltinNetwork {
    return new BuiltinNetwork({
      ctx,
      addon: this.addon,
      run: this.tools.run,
      addresses: new StoreAddressBook(this.leases),
      config: { ...config, ...changes },
      clock: { monotonicMs: () => this.nowMs },
      sweepDelayMs: 1,
    });
  }

  async connect(podId = randomIds.next(), from = ctx): Promise<{ podId: string; record: PodNetworkRecord }> {
    using netns = await this.network.takeNamespace(ctx);
    return { podId, record: await this.network.setUp(from, networkRequest(podId, netns)) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.network[Symbol.asyncDispose]();
    expect(this.addon.openNamespaces.size).toBe(0);
  }
}
