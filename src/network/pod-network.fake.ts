import type { Ctx } from '#base/ctx';
import { BerthError } from '#base/errors';
import { shortId } from '#base/ids';
import { Fd } from '#linux/fd';
import type {
  NetworkMode,
  NetworkRequest,
  NetworkStatus,
  PodNetwork,
  PodNetworkRecord,
  RestoredNetwork,
} from './pod-network.ts';

/** A network without a kernel: addresses count upwards, namespaces are numbers that no system call should see. */
export class FakePodNetwork implements PodNetwork {
  mode: NetworkMode = 'builtin';
  readonly records = new Map<string, PodNetworkRecord>();
  /** Numbers of namespaces that were taken and not closed. */
  readonly openNamespaces = new Set<number>();
  current: NetworkStatus = { ready: true, reason: '', message: '' };
  /** What useSubnets was told last. */
  subnets: readonly string[] = [];
  /** Every setUp that was asked for. */
  readonly requests: NetworkRequest[] = [];
  failNextSetUp: Error | undefined;
  failNextTearDown: Error | undefined;
  /** What the next teardowns wait for. */
  beforeTearDown: Promise<void> | undefined;
  #nextFd = 1_000_000;
  #nextHost = 2;

  status(): NetworkStatus {
    return this.current;
  }

  async takeNamespace(ctx: Ctx): Promise<Fd> {
    ctx.signal.throwIfAborted();
    const number = (this.#nextFd += 1);
    this.openNamespaces.add(number);
    return new Fd(number, (fd) => void this.openNamespaces.delete(fd));
  }

  async setUp(ctx: Ctx, request: NetworkRequest): Promise<PodNetworkRecord> {
    const { podId, netns } = request;
    this.requests.push(request);
    ctx.signal.throwIfAborted();
    if (!netns.open) throw new BerthError('INTERNAL', 'the namespace was closed');
    const failure = this.failNextSetUp;
    this.failNextSetUp = undefined;
    if (failure !== undefined) throw failure;
    if (this.records.has(podId)) throw new BerthError('ALREADY_EXISTS', `pod ${podId} already has a network`);
    const host = this.#nextHost;
    this.#nextHost += 1;
    const record: PodNetworkRecord = {
      mode: this.mode,
      addresses: [`10.200.${host >> 8}.${host & 0xff}`, `fd00::${host.toString(16)}`],
      hostInterface: `bv${shortId(podId)}`,
    };
    this.records.set(podId, record);
    return record;
  }

  async tearDown(_ctx: Ctx, podId: string, record: PodNetworkRecord): Promise<void> {
    await this.beforeTearDown;
    const failure = this.failNextTearDown;
    this.failNextTearDown = undefined;
    if (failure !== undefined) throw failure;
    if (record.mode !== this.mode) throw new BerthError('INTERNAL', `pod ${podId} has a network of another mode`);
    this.records.delete(podId);
  }

  memo(podId: string): string {
    return JSON.stringify(this.records.get(podId) ?? null);
  }

  async restore(_ctx: Ctx, { podId, record }: RestoredNetwork, memo: string): Promise<void> {
    if (memo !== '') JSON.parse(memo);
    this.records.set(podId, record);
  }

  async keepOnly(ctx: Ctx, podIds: ReadonlySet<string>): Promise<readonly string[]> {
    const strays = await this.strays(ctx, podIds);
    for (const podId of [...this.records.keys()]) if (!podIds.has(podId)) this.records.delete(podId);
    return strays;
  }

  async useSubnets(_ctx: Ctx, cidrs: readonly string[]): Promise<void> {
    if (!cidrs.every((cidr) => cidr.includes('/')))
      throw new BerthError('INVALID_ARGUMENT', `not subnets: ${cidrs.join()}`);
    this.subnets = cidrs;
  }

  async strays(_ctx: Ctx, podIds: ReadonlySet<string>): Promise<readonly string[]> {
    return [...this.records]
      .filter(([podId]) => !podIds.has(podId))
      .map(([podId, { addresses }]) => `address ${addresses.join(', ')} of pod ${shortId(podId)}`);
  }
}
