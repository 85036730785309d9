import type { NetworkConfig } from '#config/slices';
import type { Addon } from '#linux/addon';
import type { AddressPools } from './address-pool.ts';
import { defaultRouteMtu, enableForwarding, tuneBridge } from './host-settings.ts';
import { macFor } from './mac.ts';
import type { NodeTable } from './node-table.ts';
import { podLinks } from './pod-links.ts';
import type { Subnet } from './subnet.ts';

/** What of the addon the built-in network needs. */
export type NetworkAddon = Pick<
  Addon,
  'createNetns' | 'close' | 'ensureBridge' | 'attachVeth' | 'listLinks' | 'deleteLink' | 'batch' | 'forgetUdpFlows'
>;

export interface BridgeHostOptions {
  readonly addon: NetworkAddon;
  readonly table: NodeTable;
  readonly config: NetworkConfig;
}

/** The machine's side of the built-in network: bridge, forwarding, nftables table. Every function may run again and again. */
export class BridgeHost {
  readonly #options: BridgeHostOptions;

  constructor(options: BridgeHostOptions) {
    this.#options = options;
  }

  /**
   * @param subnets all that pods have or had addresses of
   * @returns the MTU for pods; undefined leaves it to the kernel
   */
  async prepare(pools: AddressPools, subnets: readonly Subnet[]): Promise<number | undefined> {
    const { addon, config } = this.#options;
    const name = config.bridge;
    const gateways = pools.gateways;
    const ipv6 = pools.subnets.some((subnet) => subnet.family === 6);
    const mtu = config.mtu === 0 ? await defaultRouteMtu(addon) : config.mtu;
    const bridge = { name, mac: macFor(gateways[0]?.address ?? '', name), ...(mtu === undefined ? {} : { mtu }) };
    if (ipv6) {
      // Its settings exist with the link, and must be right before it has addresses.
      await addon.ensureBridge({ ...bridge, addresses: [] });
      await tuneBridge(addon, name);
    }
    await addon.ensureBridge({ ...bridge, addresses: gateways.map(({ cidr }) => cidr) });
    await enableForwarding(addon, ipv6);
    await this.#options.table.write(subnets);
    return mtu;
  }

  /** Also removes what pods left on the bridge. */
  async remove(): Promise<void> {
    const { addon, config } = this.#options;
    for (const name of await podLinks(addon, config.bridge)) await addon.deleteLink(name);
    const bridge = (await addon.listLinks()).find((link) => link.name === config.bridge);
    if (bridge?.kind === 'bridge') await addon.deleteLink(config.bridge);
    await this.#options.table.delete();
  }
}
