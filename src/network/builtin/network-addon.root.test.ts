import { loadAddon } from '#linux/load';
import { inOwnNetns } from '../own-netns.fixture.ts';
import { networkAddonContract } from './network-addon.contract.ts';

inOwnNetns(import.meta.url, undefined, () => networkAddonContract('the addon', async () => loadAddon()));
