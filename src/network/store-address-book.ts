import type { Ctx } from '#base/ctx';
import type { AddressBook, AddressLease } from './pod-network.ts';

/** What of a collection of the store is needed; main gives one opened with `leaseRecords`. */
export interface LeaseRecords {
  get(id: string): AddressLease | undefined;
  values(): readonly AddressLease[];
  put(ctx: Ctx, id: string, lease: AddressLease): Promise<void>;
  delete(ctx: Ctx, id: string): Promise<void>;
}

/** How leases are stored. Without fsync: after a power loss the pods are gone as well. */
export const leaseRecords = { kind: 'address', version: 1, sync: false, parse: parseLease } as const;

export class StoreAddressBook implements AddressBook {
  readonly #records: LeaseRecords;

  constructor(records: LeaseRecords) {
    this.#records = records;
  }

  all(): readonly AddressLease[] {
    return this.#records.values();
  }

  get(podId: string): AddressLease | undefined {
    return this.#records.get(podId);
  }

  async put(ctx: Ctx, lease: AddressLease): Promise<void> {
    await this.#records.put(ctx, lease.podId, lease);
  }

  async delete(ctx: Ctx, podId: string): Promise<void> {
    if (this.#records.get(podId) === undefined) return;
    await this.#records.delete(ctx, podId);
  }
}

function parseLease(value: unknown): AddressLease {
  const { podId, addresses } = (value ?? {}) as Partial<Record<keyof AddressLease, unknown>>;
  if (typeof podId !== 'string' || !Array.isArray(addresses)) throw new Error('not an address lease');
  if (!addresses.every((address) => typeof address === 'string')) throw new Error('an address is not text');
  return { podId, addresses };
}
