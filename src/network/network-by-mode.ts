import type { Ctx } from '#base/ctx';
import { Rollback } from '#base/rollback';
import type { Addon } from '#linux/addon';
import type { Fd } from '#linux/fd';
import { writeInterfaceSettings } from './interface-settings.ts';
import type { NetworkTimer } from './network-timer.ts';
import type {
  NetworkMode,
  NetworkRequest,
  NetworkStatus,
  PodNetwork,
  PodNetworkRecord,
  RestoredNetwork,
} from './pod-network.ts';

/** A network with a life of its own. */
export interface NetworkMaker extends PodNetwork, AsyncDisposable {
  /** For a daemon that leaves the machine. */
  removeAll(ctx: Ctx): Promise<void>;
}

export interface NetworkByModeOptions {
  /** The one the config names: it connects new pods. */
  readonly current: NetworkMaker;
  /** The one that made pods before the config was changed, while there are any. */
  readonly former: NetworkMaker | undefined;
  /** Opens it after all, for pods that its own records do not know any more. */
  readonly openFormer: () => NetworkMaker;
  readonly timer: NetworkTimer;
  readonly addon: Pick<Addon, 'writeNetSettings'>;
}

/** The network of the config for new pods; each pod is torn down by the one that made it. */
export class NetworkByMode implements NetworkMaker {
  readonly #current: NetworkMaker;
  readonly #all: NetworkMaker[];
  readonly #openLate: () => NetworkMaker;
  readonly #timer: NetworkTimer;
  readonly #addon: Pick<Addon, 'writeNetSettings'>;

  constructor({ current, former, openFormer, timer, addon }: NetworkByModeOptions) {
    this.#current = current;
    this.#all = former ? [current, former] : [current];
    this.#openLate = openFormer;
    this.#timer = timer;
    this.#addon = addon;
  }

  get mode(): NetworkMode {
    return this.#current.mode;
  }

  status(): NetworkStatus {
    return this.#current.status();
  }

  takeNamespace(ctx: Ctx): Promise<Fd> {
    return this.#current.takeNamespace(ctx);
  }

  async setUp(ctx: Ctx, request: NetworkRequest): Promise<PodNetworkRecord> {
    const record = await this.#timer.measure('ADD', () => this.#current.setUp(ctx, request));
    const { podId, netns, sysctls } = request;
    const rollback = new Rollback();
    rollback.push(`network of pod ${podId}`, (cleanup) => this.tearDown(cleanup, podId, record));
    try {
      await writeInterfaceSettings(this.#addon, netns.number, sysctls);
      rollback.commit();
      return record;
    } catch (error) {
      await rollback.rollBack(ctx);
      throw error;
    }
  }

  async tearDown(ctx: Ctx, podId: string, record: PodNetworkRecord): Promise<void> {
    const maker = this.#all.find(({ mode }) => mode === record.mode);
    // A maker is opened whenever it has anything of any pod.
    if (maker === undefined) return;
    await this.#timer.measure('DEL', () => maker.tearDown(ctx, podId, record));
  }

  memo(podId: string): string {
    return this.#current.memo(podId);
  }

  async restore(ctx: Ctx, pod: RestoredNetwork, memo: string): Promise<void> {
    const maker = this.#all.find(({ mode }) => mode === pod.record.mode) ?? this.#openFormer();
    await maker.restore(ctx, pod, memo);
  }

  async keepOnly(ctx: Ctx, podIds: ReadonlySet<string>): Promise<readonly string[]> {
    return (await Promise.all(this.#all.map((maker) => maker.keepOnly(ctx, podIds)))).flat();
  }

  useSubnets(ctx: Ctx, cidrs: readonly string[]): Promise<void> {
    return this.#current.useSubnets(ctx, cidrs);
  }

  async strays(ctx: Ctx, podIds: ReadonlySet<string>): Promise<readonly string[]> {
    return (await Promise.all(this.#all.map((maker) => maker.strays(ctx, podIds)))).flat();
  }

  #openFormer(): NetworkMaker {
    const former = this.#openLate();
    this.#all.push(former);
    return former;
  }

  async removeAll(ctx: Ctx): Promise<void> {
    for (const maker of this.#all) await maker.removeAll(ctx);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#all.map((maker) => maker[Symbol.asyncDispose]()));
  }
}
