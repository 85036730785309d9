import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '#base/clock';
import type { Ctx } from '#base/ctx';
import { Deadline, raceSignal } from '#base/deadline';
import { BerthError, messageOf, toBerthError } from '#base/errors';
import { shortId } from '#base/ids';
import { Rollback } from '#base/rollback';
import { unattended } from '#base/unattended';
import type { NetworkConfig } from '#config/slices';
import type { Fd } from '#linux/fd';
import type {
  AddressBook,
  AddressLease,
  NetworkRequest,
  NetworkStatus,
  PodNetwork,
  PodNetworkRecord,
  RestoredNetwork,
} from '../pod-network.ts';
import { addressesOf, AddressPools, type PodAddress } from './address-pool.ts';
import { BridgeHost, type NetworkAddon } from './bridge-host.ts';
import { FirewallWatch } from './firewall-watch.ts';
import { forwardsOfLeases, HostPortTable } from './host-port-table.ts';
import { hasIpv6 } from './host-settings.ts';
import { macFor } from './mac.ts';
import { NetnsPool } from './netns-pool.ts';
import { NodeTable } from './node-table.ts';
import { hostLinkName, LinkSweeper, podLinks } from './pod-links.ts';
import type { RunTool } from './run-tool.ts';
import { parseSubnet, type Subnet } from './subnet.ts';

export interface BuiltinNetworkOptions {
  /** For work nobody waits for; its signal ends with the daemon. */
  readonly ctx: Ctx;
  readonly addon: NetworkAddon;
  readonly run: RunTool;
  readonly addresses: AddressBook;
  readonly config: NetworkConfig;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** How long the kernel has to remove a pod's link before it is done by hand. */
  readonly sweepDelayMs?: number;
}

type State =
  | { readonly kind: 'new' }
  | { readonly kind: 'preparing'; readonly done: Promise<Prepared> }
  | { readonly kind: 'ready'; readonly done: Promise<Prepared> }
  | { readonly kind: 'failed'; readonly error: unknown; readonly atMs: number }
  | { readonly kind: 'removed' };

interface Prepared {
  readonly mtu: number | undefined;
}

const retryMs = 5000;
const containerInterface = 'eth0';

/** A bridge, a veth pair per pod, addresses from our own book, masquerade and host ports by nftables. */
export class BuiltinNetwork implements PodNetwork, AsyncDisposable {
  readonly mode = 'builtin';
  readonly #options: BuiltinNetworkOptions;
  readonly #table: NodeTable;
  readonly #ports: HostPortTable;
  readonly #host: BridgeHost;
  readonly #namespaces: NetnsPool;
  readonly #sweeper: LinkSweeper;
  readonly #firewalls: FirewallWatch;
  /** Leases that may not be in the book yet. */
  readonly #connecting = new Map<string, AddressLease>();
  /** Of pods that were not connected, and could not be undone either: nobody else knows them. */
  readonly #unfreed = new Map<string, (ctx: Ctx) => Promise<void>>();
  #triedMs = Number.NEGATIVE_INFINITY;
  #pools: AddressPools;
  /** All that pods may have addresses of: those of the config, and what useSubnets gave. */
  #subnets: readonly Subnet[];
  #state: State = { kind: 'new' };
  #lastPreparation: Promise<Prepared> | undefined;
  #ipv6Missing = false;

  constructor(options: BuiltinNetworkOptions) {
    const { ctx, addon, config, addresses } = options;
    this.#options = options;
    this.#subnets = [config.ipv4Subnet, config.ipv6Subnet].filter((text) => text !== '').map(parseSubnet);
    this.#pools = AddressPools.of(this.#subnets, addresses.all());
    const leases = addresses.all();
    this.#table = new NodeTable(options, forwardsOfLeases(leases));
    this.#ports = new HostPortTable({ ctx, addon, bridge: config.bridge, table: this.#table, leases });
    this.#host = new BridgeHost({ addon, table: this.#table, config });
    this.#firewalls = new FirewallWatch(options);
    this.#namespaces = new NetnsPool({ ctx, addon, size: config.poolSize });
    this.#sweeper = new LinkSweeper({ ctx, addon, bridge: config.bridge, delayMs: options.sweepDelayMs ?? 5000 });
  }

  /** Begins the preparation in the background, so that the first pod does not wait for it. */
  start(): void {
    this.#prepareInBackground();
  }

  /** Bridge, forwarding and masquerade; done once, also by the first pod. After a failure the next call tries again. */
  async prepare(ctx: Ctx): Promise<void> {
    await raceSignal(this.#prepared(), ctx.signal);
  }

  /** Never blocks; looks after itself: a failed preparation is tried again, firewalls of others are looked for. */
  status(): NetworkStatus {
    const state = this.#state;
    const { log } = this.#options.ctx;
    if (state.kind === 'failed' && this.#since(state.atMs) > retryMs) this.#prepareInBackground();
    if (this.#unfreed.size > 0 && this.#since(this.#triedMs) > retryMs)
      unattended(log, 'freeing networks', this.#freeUnfreed());
    if (state.kind === 'ready') this.#firewalls.lookNowAndThen();
    switch (state.kind) {
      case 'ready':
        return { ready: true, reason: '', message: this.#message() };
      case 'failed':
        return notReady('NetworkPreparationFailed', messageOf(state.error));
      case 'removed':
        return notReady('NetworkRemoved', 'the built-in network was removed');
      case 'new':
      case 'preparing':
        return notReady('NetworkNotPrepared', `bridge ${this.#options.config.bridge} is being set up`);
    }
  }

  async takeNamespace(ctx: Ctx): Promise<Fd> {
    return this.#namespaces.take(ctx);
  }

  async setUp(ctx: Ctx, request: NetworkRequest): Promise<PodNetworkRecord> {
    const { podId } = request;
    ctx.stage('network');
    const { mtu } = await raceSignal(this.#prepared(), ctx.signal);
    if (this.#connecting.has(podId) || this.#options.addresses.get(podId) !== undefined) {
      throw new BerthError('ALREADY_EXISTS', `pod ${podId} already has a network`, { details: { podId } });
    }
    try {
      return await this.#connect(ctx, request, mtu);
    } catch (error) {
      throw toBerthError(error, `connect pod ${podId} to bridge ${this.#options.config.bridge}`);
    } finally {
      this.#connecting.delete(podId);
      this.#namespaces.refill();
    }
  }

  async tearDown(ctx: Ctx, podId: string, record: PodNetworkRecord): Promise<void> {
    if (record.mode !== this.mode) {
      throw new BerthError('INTERNAL', `pod ${podId} has a network of mode ${record.mode}, not ${this.mode}`);
    }
    await this.#free(ctx, this.#leaseOf(podId, record.addresses));
    if (record.hostInterface === hostLinkName(podId)) this.#sweeper.add(record.hostInterface);
  }

  /** The pod's record and its ports tell all. */
  memo(): string {
    return '';
  }

  async restore(ctx: Ctx, { podId, record, portMappings }: RestoredNetwork): Promise<void> {
    const { addresses } = record;
    const lease: AddressLease = portMappings.length === 0 ? { podId, addresses } : { podId, addresses, portMappings };
    // Also one that is in the book: another's row may say that it has this address.
    this.#pools.restore(addresses, podId);
    if (isDeepStrictEqual(this.#options.addresses.get(podId), lease)) return;
    ctx.log.warn({ podId, addresses }, 'the address lease of a pod was lost, and is made again');
    this.#ports.restore(lease);
    await this.#options.addresses.put(ctx, lease);
    await this.#ports.open(ctx, lease);
  }

  async keepOnly(ctx: Ctx, podIds: ReadonlySet<string>): Promise<readonly string[]> {
    const leases = this.#strayLeases(podIds);
    const freed: string[] = [];
    const attempt = async (text: string, work: () => Promise<void>): Promise<void> => {
      try {
        await work();
        freed.push(text);
      } catch (error) {
        ctx.log.warn({ err: error }, `could not free ${text}`);
      }
    };
    await Promise.all(leases.map((lease) => attempt(leaseText(lease), () => this.#free(ctx, lease))));
    for (const name of await this.#strayLinks(podIds, leases)) {
      await attempt(linkText(name), () => this.#options.addon.deleteLink(name));
    }
    const foreign = await this.#table.foreign(ctx);
    if (foreign.length > 0) await this.#table.clean();
    freed.push(...foreign);
    return freed;
  }

  async strays(ctx: Ctx, podIds: ReadonlySet<string>): Promise<readonly string[]> {
    const foreign = await this.#table.foreign(ctx);
    const leases = this.#strayLeases(podIds);
    const links = await this.#strayLinks(podIds, leases);
    return [...leases.map(leaseText), ...links.map(linkText), ...foreign];
  }

  /** Pods that have addresses keep them. FAILED_PRECONDITION when one has the address the bridge would need. */
  async useSubnets(ctx: Ctx, cidrs: readonly string[]): Promise<void> {
    const subnets = cidrs.map(parseSubnet);
    if (new Set(subnets.map(({ family }) => family)).size < subnets.length) {
      throw new BerthError('INVALID_ARGUMENT', `more than one subnet of a family: ${cidrs.join(', ')}`);
    }
    const present = this.#pools.subnets;
    const news = subnets.filter(({ text }) => present.every((other) => other.text !== text));
    if (news.length === 0) return;
    const leases = [...this.#options.addresses.all(), ...this.#connecting.values()];
    const pools = this.#pools.with(news, leases);
    const gateways = new Set(pools.gateways.map(({ address }) => address));
    const holder = leases.find(({ addresses }) => addresses.some((address) => gateways.has(address)));
    if (holder !== undefined) {
      throw new BerthError(
        'FAILED_PRECONDITION',
        `pod ${holder.podId} has the first address of ${cidrs.join(', ')}, which the bridge needs: remove that pod first`,
      );
    }
    this.#pools = pools;
    this.#subnets = [...this.#subnets, ...news];
    if (this.#state.kind !== 'removed') this.#state = { kind: 'new' };
    await this.prepare(ctx);
  }

  /** Deletes bridge and nftables table, for a daemon that leaves the machine. Forwarding stays on: others may use it. */
  async removeAll(ctx: Ctx): Promise<void> {
    const state = this.#state;
    this.#state = { kind: 'removed' };
    await this[Symbol.asyncDispose]();
    if (state.kind === 'preparing') await state.done.catch(() => undefined);
    await raceSignal(this.#host.remove(), ctx.signal);
  }

  /** Pods keep their network. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#namespaces[Symbol.asyncDispose](), this.#sweeper[Symbol.asyncDispose]()]);
  }

  /** A failure is logged where it is noted, and shows in the status. */
  #prepareInBackground(): void {
    this.#prepared().catch(() => undefined);
  }

  /** The one preparation that everybody waits for; under a context of its own, not of whoever came first. */
  #prepared(): Promise<Prepared> {
    const state = this.#state;
    if (state.kind === 'preparing' || state.kind === 'ready') return state.done;
    if (state.kind === 'removed') throw new BerthError('UNAVAILABLE', 'the built-in network was removed');
    const done = this.#prepareAfter(this.#lastPreparation);
    this.#lastPreparation = done;
    this.#state = { kind: 'preparing', done };
    const settle = (next: State): void => {
      if (this.#state.kind === 'preparing' && this.#state.done === done) this.#state = next;
    };
    done.then(
      () => {
        settle({ kind: 'ready', done });
        this.#namespaces.refill();
        this.#firewalls.look();
      },
      (error: unknown) => {
        settle({ kind: 'failed', error, atMs: this.#options.clock.monotonicMs() });
        this.#options.ctx.log.warn({ err: error }, 'could not prepare the built-in network; it will be tried again');
      },
    );
    return done;
  }

  async #prepareAfter(before: Promise<unknown> | undefined): Promise<Prepared> {
    await before?.catch(() => undefined);
    const { ctx, addon, clock, config } = this.#options;
    const startMs = clock.monotonicMs();
    try {
      if (this.#pools.subnets.some(({ family }) => family === 6) && !(await hasIpv6(addon))) {
        this.#ipv6Missing = true;
        this.#pools = this.#pools.without(6);
      }
      if (this.#pools.subnets.length === 0) {
        throw new BerthError('UNAVAILABLE', 'this kernel has no IPv6 and network.ipv4_subnet is empty');
      }
      const mtu = await this.#host.prepare(this.#pools, this.#subnets);
      await this.#ports.prepared();
      ctx.log.info({ bridge: config.bridge, mtu, ms: clock.monotonicMs() - startMs }, 'built-in network is ready');
      return { mtu };
    } catch (error) {
      throw toBerthError(error, `set up bridge ${config.bridge}`);
    }
  }

  /** Writing the lease, making the link and opening ports need nothing of each other: they go at the same time. */
  async #connect(ctx: Ctx, request: NetworkRequest, mtu: number | undefined): Promise<PodNetworkRecord> {
    ctx.signal.throwIfAborted();
    const { podId } = request;
    const { addon, config, addresses: book } = this.#options;
    const { taken, lease } = this.#take(request);
    this.#connecting.set(podId, lease);
    const hostInterface = hostLinkName(podId);
    const stored = book.put(ctx, lease);
    const attached = (async () =>
      addon.attachVeth({
        netnsFd: request.netns.number,
        hostName: hostInterface,
        containerName: containerInterface,
        bridge: config.bridge,
        mac: macFor(lease.addresses[0] ?? '', podId),
        ...(mtu === undefined ? {} : { mtu }),
        addresses: taken.map(({ cidr }) => cidr),
        gateways: addressesOf(this.#pools.gateways),
      }))();
    const opened = this.#ports.open(ctx, lease);
    const rollback = new Rollback();
    const free = async (undo: Ctx): Promise<void> => {
      // Neither can be called back once it runs.
      const [, link] = await raceSignal(Promise.allSettled([stored, attached, opened]), undo.signal);
      if (link.status === 'fulfilled') await addon.deleteLink(hostInterface);
      await this.#free(undo, lease);
    };
    rollback.push(`network of pod ${podId}`, free);
    try {
      await raceSignal(Promise.all([stored, attached, opened]), ctx.signal);
      rollback.commit();
    } catch (error) {
      if ((await rollback.rollBack(ctx)).length > 0) this.#unfreed.set(podId, free);
      throw error;
    }
    return { mode: this.mode, addresses: lease.addresses, hostInterface };
  }

  /** Addresses and host ports, all or none. */
  #take({ podId, portMappings }: NetworkRequest): {
    readonly taken: readonly PodAddress[];
    readonly lease: AddressLease;
  } {
    this.#ports.claim(podId, portMappings);
    let addresses: readonly string[] = [];
    try {
      const taken = this.#pools.take(podId);
      addresses = addressesOf(taken);
      const lease = portMappings.length === 0 ? { podId, addresses } : { podId, addresses, portMappings };
      this.#ports.check(lease);
      return { taken, lease };
    } catch (error) {
      this.#pools.release(addresses, podId);
      this.#ports.release(podId);
      throw error;
    }
  }

  /** The book knows the host ports; the record, also when the book does not know the pod any more, the addresses. */
  #leaseOf(podId: string, addresses: readonly string[]): AddressLease {
    const lease = this.#options.addresses.get(podId);
    return lease === undefined ? { podId, addresses } : { ...lease, addresses };
  }

  /** Ports first: they must not lead to an address that is another pod's already. */
  async #free(ctx: Ctx, lease: AddressLease): Promise<void> {
    const { podId, addresses } = lease;
    await this.#ports.close(ctx, lease);
    await this.#options.addresses.delete(ctx, podId);
    this.#pools.release(addresses, podId);
  }

  /** Otherwise a port would stay taken by a pod that never was. */
  async #freeUnfreed(): Promise<void> {
    const { ctx, clock } = this.#options;
    this.#triedMs = clock.monotonicMs();
    for (const [podId, free] of [...this.#unfreed]) {
      this.#unfreed.delete(podId);
      using deadline = new Deadline(2 * retryMs, `free the network of pod ${podId}`, ctx.signal);
      try {
        await free(ctx.detach(deadline.signal));
      } catch (error) {
        this.#unfreed.set(podId, free);
        ctx.log.debug({ err: error, podId }, 'could not free the network of a pod that was not made');
      }
    }
  }

  #strayLeases(podIds: ReadonlySet<string>): readonly AddressLease[] {
    return this.#options.addresses.all().filter(({ podId }) => !podIds.has(podId) && !this.#connecting.has(podId));
  }

  /** Not those of pods that came while we were looking, nor those the kernel is just removing. */
  async #strayLinks(podIds: ReadonlySet<string>, strayLeases: readonly AddressLease[]): Promise<readonly string[]> {
    const links = await podLinks(this.#options.addon, this.#options.config.bridge);
    const gone = new Set(strayLeases.map(({ podId }) => podId));
    const living = this.#options.addresses.all().filter(({ podId }) => !gone.has(podId));
    const known = new Set(
      [...podIds, ...this.#connecting.keys(), ...living.map(({ podId }) => podId)].map(hostLinkName),
    );
    return links.filter((name) => !known.has(name) && !this.#sweeper.expects(name));
  }

  #message(): string {
    const ipv6 = this.#ipv6Missing ? 'this kernel has no IPv6: pods get IPv4 only' : '';
    return [ipv6, this.#firewalls.warning].filter((text) => text !== '').join('; ');
  }

  #since(ms: number): number {
    return this.#options.clock.monotonicMs() - ms;
  }
}

function notReady(reason: string, message: string): NetworkStatus {
  return { ready: false, reason, message };
}

function leaseText({ podId, addresses }: AddressLease): string {
  return `address ${addresses.join(', ')} of pod ${shortId(podId)}`;
}

function linkText(name: string): string {
  return `link ${name}`;
}
