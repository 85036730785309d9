import type { Ctx } from '#base/ctx';
import { raceSignal } from '#base/deadline';
import { messageOf } from '#base/errors';
import type { Addon } from '#linux/addon';
import type { AddressLease, PortMapping } from '../pod-network.ts';
import { routeLocalnet } from './host-settings.ts';
import type { NodeTable } from './node-table.ts';
import { PortClaims } from './port-claims.ts';
import { forwardsOf, forwardsOfRecord, hostPorts, type Forward } from './port-forwards.ts';

export interface HostPortTableOptions {
  readonly ctx: Ctx;
  readonly addon: Pick<Addon, 'batch' | 'forgetUdpFlows'>;
  readonly bridge: string;
  readonly table: NodeTable;
  readonly leases: readonly AddressLease[];
}

/** The host ports of pods: who has which, and how they come into the kernel and out of it. */
export class HostPortTable {
  readonly #options: HostPortTableOptions;
  readonly #claims = new PortClaims();
  /** localhost is let through to the bridge when the first pod with a host port comes, not before. */
  #localnet: Promise<void> | undefined;

  constructor(options: HostPortTableOptions) {
    this.#options = options;
    for (const { podId, portMappings = [] } of options.leases) this.#claims.restore(podId, hostPorts(portMappings));
  }

  /** Reserves the ports for the pod. @throws INVALID_ARGUMENT, FAILED_PRECONDITION */
  claim(podId: string, mappings: readonly PortMapping[]): void {
    if (mappings.length > 0) this.#claims.take(podId, hostPorts(mappings));
  }

  /** Of a pod that has them, whatever is known. */
  restore({ podId, portMappings = [] }: AddressLease): void {
    this.#claims.restore(podId, hostPorts(portMappings));
  }

  /** Before anything is written down or made. @throws FAILED_PRECONDITION for a port that would lead nowhere */
  check({ addresses, portMappings = [] }: AddressLease): void {
    forwardsOf(hostPorts(portMappings), addresses);
  }

  /** Frees what claim() took. */
  release(podId: string): void {
    this.#claims.release(podId);
  }

  /** After the bridge was made, which may be a new one. */
  async prepared(): Promise<void> {
    this.#localnet = undefined;
    if (!this.#claims.empty) await this.#throughLocalhost();
  }

  /** From when it ends, the ports lead to the pod. Nothing to be done for a pod without. */
  async open(ctx: Ctx, { podId, addresses, portMappings = [] }: AddressLease): Promise<void> {
    if (portMappings.length === 0) return;
    const forwards = forwardsOfRecord(hostPorts(portMappings), addresses);
    await raceSignal(Promise.all([this.#options.table.add(podId, forwards), this.#throughLocalhost()]), ctx.signal);
    await this.#forgetFlows(forwards);
  }

  /** From when it ends, they lead to no pod, and may be another's. */
  async close(ctx: Ctx, { podId, addresses, portMappings = [] }: AddressLease): Promise<void> {
    if (portMappings.length === 0) return;
    await raceSignal(this.#options.table.remove(podId), ctx.signal);
    await this.#forgetFlows(forwardsOfRecord(hostPorts(portMappings), addresses));
    this.#claims.release(podId);
  }

  #throughLocalhost(): Promise<void> {
    this.#localnet ??= routeLocalnet(this.#options.addon, this.#options.bridge).catch((error: unknown) => {
      this.#localnet = undefined;
      throw error;
    });
    return this.#localnet;
  }

  /** A flow that goes on would go on to where it went before. One that is not forgotten costs that flow, not the pod. */
  async #forgetFlows(forwards: readonly Forward[]): Promise<void> {
    const udp = new Set(forwards.filter(({ protocol }) => protocol === 'udp').map(({ hostPort }) => hostPort));
    if (udp.size === 0) return;
    try {
      await this.#options.addon.forgetUdpFlows([...udp]);
    } catch (error) {
      this.#options.ctx.log.warn(
        { ports: [...udp], error: messageOf(error) },
        'could not forget UDP flows of host ports',
      );
    }
  }
}

/** Where the ports of living pods lead, for the table's first write. What an old record has and cannot be, is passed over. */
export function forwardsOfLeases(leases: readonly AddressLease[]): ReadonlyMap<string, readonly Forward[]> {
  const all = leases.map(({ podId, addresses, portMappings = [] }) => {
    return [podId, forwardsOfRecord(hostPorts(portMappings), addresses)] as const;
  });
  return new Map(all.filter(([, forwards]) => forwards.length > 0));
}
