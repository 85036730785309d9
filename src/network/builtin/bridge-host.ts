import type { Ctx } from '#base/ctx';
import { BerthError } from '#base/errors';
import type { NetworkConfig } from '#config/slices';
import type { Addon } from '#linux/addon';
import type { AddressPools } from './address-pool.ts';
import { defaultRouteMtu, enableForwarding, tuneBridge } from './host-settings.ts';
import { macFor } from './mac.ts';
import { nftDeleteText, nftTableText } from './nft-table.ts';
import { podLinks } from './pod-links.ts';
import { runNamedTool, type RunTool } from './run-tool.ts';
import type { Subnet } from './subnet.ts';

/** What of the addon the built-in network needs. */
export type NetworkAddon = Pick<
  Addon,
  'createNetns' | 'close' | 'ensureBridge' | 'attachVeth' | 'listLinks' | 'deleteLink' | 'batch'
>;

export interface BridgeHostOptions {
  readonly addon: NetworkAddon;
  readonly run: RunTool;
  readonly config: NetworkConfig;
}

/** The machine's side of the built-in network: bridge, forwarding, masquerade. Every function may run again and again. */
export class BridgeHost {
  readonly #options: BridgeHostOptions;

  constructor(options: BridgeHostOptions) {
    this.#options = options;
  }

  /**
   * @param subnets all that pods have or had addresses of
   * @returns the MTU for pods; undefined leaves it to the kernel
   */
  async prepare(ctx: Ctx, pools: AddressPools, subnets: readonly Subnet[]): Promise<number | undefined> {
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
    await this.#writeTable(ctx, subnets);
    return mtu;
  }

  /** Also removes what pods left on the bridge. */
  async remove(ctx: Ctx): Promise<void> {
    const { addon, config } = this.#options;
    for (const name of await podLinks(addon, config.bridge)) await addon.deleteLink(name);
    const bridge = (await addon.listLinks()).find((link) => link.name === config.bridge);
    if (bridge?.kind === 'bridge') await addon.deleteLink(config.bridge);
    await this.#deleteTable(ctx);
  }

  async #writeTable(ctx: Ctx, subnets: readonly Subnet[]): Promise<void> {
    const { config } = this.#options;
    if (!config.masquerade) return this.#deleteTable(ctx);
    const text = nftTableText({ name: config.nftTable, bridge: config.bridge, subnets });
    await this.#nft(ctx, text);
  }

  async #deleteTable(ctx: Ctx): Promise<void> {
    try {
      await this.#nft(ctx, nftDeleteText(this.#options.config.nftTable));
    } catch (error) {
      // Without nft there is no table that berthd could have made.
      if (!(error instanceof BerthError) || error.code !== 'UNAVAILABLE') throw error;
    }
  }

  async #nft(ctx: Ctx, text: string): Promise<void> {
    await runNamedTool(ctx, this.#options.run, 'nft', ['-f', '-'], text);
  }
}
