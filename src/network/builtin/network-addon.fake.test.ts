import { networkAddonContract } from './network-addon.contract.ts';
import { FakeNetworkAddon } from './network-addon.fake.ts';

networkAddonContract('FakeNetworkAddon', async () => new FakeNetworkAddon({ inhabited: false }));
