import { BerthError } from '#base/errors';
import type { AddressLease } from '../pod-network.ts';
import { contains, formatAddress, parseAddress, sizeOf, type Family, type Subnet } from './subnet.ts';

/** The network address and the bridge's come first. */
const firstOffset = 2;
/** Of a larger subnet only the beginning is used: what was released is remembered, and memory is bounded. */
const maxAddresses = 65_536;

/**
 * Who has which address of one subnet. Pure: the book on disk is the caller's.
 *
 * An address that was released is given again only when there is no other, and then the one that rested longest: peers,
 * connection tracking and DNS may remember its last owner.
 */
export class AddressPool {
  readonly subnet: Subnet;
  readonly gateway: string;
  readonly #owners = new Map<number, string>();
  /** In the order of their release. */
  readonly #released = new Set<number>();
  readonly #size: number;
  #next = 0;
  /** How many offsets from #next on, around the ring, were never given since this pool exists. */
  #fresh: number;

  /** Leases of other subnets are ignored. */
  constructor(subnet: Subnet, leases: Iterable<AddressLease> = []) {
    this.subnet = subnet;
    this.gateway = formatAddress({ family: subnet.family, value: subnet.base + 1n });
    const broadcasts = subnet.family === 4 ? 1 : 0;
    const room = sizeOf(subnet) - BigInt(firstOffset + broadcasts);
    this.#size = room < BigInt(maxAddresses) ? Number(room) : maxAddresses;
    this.#fresh = this.#size;
    let last = -1;
    for (const { podId, addresses } of leases) {
      for (const address of addresses) {
        const offset = this.#offsetOf(address);
        if (offset === undefined) continue;
        this.#owners.set(offset, podId);
        last = Math.max(last, offset);
      }
    }
    // Most likely the youngest: what lies behind it was released longest ago, or never given.
    this.#next = (last + 1) % this.#size;
  }

  /** How many more pods fit. */
  get free(): number {
    return this.#size - this.#owners.size;
  }

  /** @throws BerthError RESOURCE_EXHAUSTED */
  take(podId: string): string {
    const offset = this.#takeFresh() ?? this.#takeReleased();
    if (offset === undefined) {
      throw new BerthError(
        'RESOURCE_EXHAUSTED',
        `no free address in pod subnet ${this.subnet.text}: all ${this.#size} are in use`,
        { details: { subnet: this.subnet.text } },
      );
    }
    this.#owners.set(offset, podId);
    return formatAddress({ family: this.subnet.family, value: this.subnet.base + BigInt(offset + firstOffset) });
  }

  /** The pod has it, whatever is known; addresses of other subnets are ignored. */
  restore(address: string, podId: string): void {
    const offset = this.#offsetOf(address);
    if (offset === undefined) return;
    this.#owners.set(offset, podId);
    this.#released.delete(offset);
  }

  /** Nothing happens when the address is not that pod's: a late release never frees what another pod got meanwhile. */
  release(address: string, podId: string): void {
    const offset = this.#offsetOf(address);
    if (offset === undefined || this.#owners.get(offset) !== podId) return;
    this.#owners.delete(offset);
    this.#released.add(offset);
  }

  #takeFresh(): number | undefined {
    while (this.#fresh > 0) {
      const offset = this.#next;
      this.#next = (offset + 1) % this.#size;
      this.#fresh -= 1;
      if (!this.#owners.has(offset) && !this.#released.has(offset)) return offset;
    }
    return undefined;
  }

  #takeReleased(): number | undefined {
    for (const offset of this.#released) {
      this.#released.delete(offset);
      return offset;
    }
    return undefined;
  }

  #offsetOf(text: string): number | undefined {
    const address = parseAddress(text);
    if (address === undefined || !contains(this.subnet, address)) return undefined;
    const offset = address.value - this.subnet.base - BigInt(firstOffset);
    return offset >= 0n && offset < BigInt(this.#size) ? Number(offset) : undefined;
  }
}

export interface PodAddress {
  readonly address: string;
  /** With the prefix length of its subnet. */
  readonly cidr: string;
}

/** The pools of a dual-stack network: every pod gets one address of each. IPv4 comes first and is the primary one. */
export class AddressPools {
  readonly subnets: readonly Subnet[];
  /** The bridge's addresses, in the same order. */
  readonly gateways: readonly PodAddress[];
  readonly #pools: readonly AddressPool[];

  private constructor(pools: readonly AddressPool[]) {
    this.#pools = pools.toSorted((left, right) => left.subnet.family - right.subnet.family);
    this.subnets = this.#pools.map((pool) => pool.subnet);
    this.gateways = this.#pools.map((pool) => withPrefix(pool, pool.gateway));
  }

  static of(subnets: readonly Subnet[], leases: readonly AddressLease[] = []): AddressPools {
    return new AddressPools(subnets.map((subnet) => new AddressPool(subnet, leases)));
  }

  /** These subnets in place of those of the same family. */
  with(subnets: readonly Subnet[], leases: readonly AddressLease[]): AddressPools {
    const kept = subnets.reduce<AddressPools>((pools, { family }) => pools.without(family), this);
    return new AddressPools([...kept.#pools, ...AddressPools.of(subnets, leases).#pools]);
  }

  without(family: Family): AddressPools {
    return new AddressPools(this.#pools.filter((pool) => pool.subnet.family !== family));
  }

  /** All or none. */
  take(podId: string): readonly PodAddress[] {
    const taken: PodAddress[] = [];
    try {
      for (const pool of this.#pools) taken.push(withPrefix(pool, pool.take(podId)));
    } catch (error) {
      this.release(addressesOf(taken), podId);
      throw error;
    }
    return taken;
  }

  restore(addresses: readonly string[], podId: string): void {
    for (const address of addresses) {
      for (const pool of this.#pools) pool.restore(address, podId);
    }
  }

  release(addresses: readonly string[], podId: string): void {
    for (const address of addresses) {
      for (const pool of this.#pools) pool.release(address, podId);
    }
  }
}

export function addressesOf(all: readonly PodAddress[]): readonly string[] {
  return all.map(({ address }) => address);
}

function withPrefix(pool: AddressPool, address: string): PodAddress {
  return { address, cidr: `${address}/${pool.subnet.prefix}` };
}
