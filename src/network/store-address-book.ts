import { isIP } from 'node:net';
import type { Ctx } from '#base/ctx';
import type { AddressBook, AddressLease, PortMapping } from './pod-network.ts';

/** What of a collection of the store is needed; main gives one opened with `leaseRecords`. */
export interface LeaseRecords {
  get(id: string): AddressLease | undefined;
  values(): readonly AddressLease[];
  put(ctx: Ctx, id: string, lease: AddressLease): Promise<void>;
  delete(ctx: Ctx, id: string): Promise<void>;
}

/** How leases are stored. Without fsync: after a power loss the pods are gone as well. */
export const leaseRecords = {
  kind: 'address',
  version: 1,
  sync: false,
  idOf: ({ podId }: AddressLease): string => podId,
  parse: parseLease,
} as const;

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
  const { podId, addresses, portMappings } = (value ?? {}) as Partial<Record<keyof AddressLease, unknown>>;
  if (typeof podId !== 'string' || !Array.isArray(addresses)) throw new Error('not an address lease');
  if (!addresses.every((address) => typeof address === 'string')) throw new Error('an address is not text');
  if (portMappings === undefined) return { podId, addresses };
  if (!Array.isArray(portMappings) || !portMappings.every(isPortMapping)) throw new Error('not port mappings');
  return { podId, addresses, portMappings };
}

function isPortMapping(value: unknown): value is PortMapping {
  const { protocol, containerPort, hostPort, hostIp } = (value ?? {}) as Partial<Record<keyof PortMapping, unknown>>;
  const isPort = (port: unknown): boolean => Number.isInteger(port) && Number(port) >= 1 && Number(port) <= 65_535;
  return (
    ['tcp', 'udp', 'sctp'].includes(String(protocol)) &&
    isPort(containerPort) &&
    isPort(hostPort) &&
    typeof hostIp === 'string' &&
    (hostIp === '' || isIP(hostIp) !== 0)
  );
}
