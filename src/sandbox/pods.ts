import type { Ctx } from '#base/ctx';
import { BerthError } from '#base/errors';
import { KeyedLock } from '#base/keyed-lock';
import type { Change, Collection, Store, WriteKind } from '#store/collection';
import { containerName, podName } from './identity.ts';
import type { Container, Pod } from './pod.ts';
import {
  containerRecords,
  podRecords,
  specRecords,
  type ContainerRecord,
  type ContainerStatus,
  type PodRecord,
  type PodStatus,
  type SpecRecord,
} from './records.ts';
import { containerTransitions, podTransitions, type Transition } from './states.ts';

export type OnTransition = (transition: Transition, of: Pod | Container) => void;

export interface Collections {
  readonly pods: Collection<PodRecord>;
  readonly containers: Collection<ContainerRecord>;
  readonly specs: Collection<SpecRecord>;
}

export interface ContainerChange {
  /** What the container runs by, written in the same batch. */
  readonly spec?: SpecRecord | undefined;
  /** Default: fact. */
  readonly kind?: WriteKind;
}

/**
 * All pods and containers, in memory, with their records below. Looking takes no lock and does no IO; every change goes
 * to the store first, then to memory, one after another for each pod and container. What has happened is in memory also
 * when the store cannot write it now.
 */
export class Pods {
  readonly collections: Collections;
  readonly #store: Store;
  readonly #locks = new KeyedLock();
  readonly #pods = new Map<string, Pod>();
  readonly #containers = new Map<string, Container>();
  readonly #podNames = new Map<string, Pod>();
  readonly #containerNames = new Map<string, Container>();

  readonly #tell: OnTransition;

  private constructor(store: Store, collections: Collections, tell: OnTransition) {
    this.#store = store;
    this.#tell = tell;
    this.collections = collections;
  }

  /** @param tell hears of every transition, after its record and memory were written */
  static async open(ctx: Ctx, store: Store, tell: OnTransition): Promise<Pods> {
    const collections = {
      pods: await store.open(ctx, podRecords),
      containers: await store.open(ctx, containerRecords),
      specs: await store.open(ctx, specRecords),
    };
    return new Pods(store, collections, tell);
  }

  // Looking: half-made ones are not seen.

  listPods(): Pod[] {
    return [...this.#pods.values()].filter((pod) => pod.visible);
  }

  listContainers(): Container[] {
    return [...this.#containers.values()].filter((container) => container.visible);
  }

  /** By id or by a prefix that only one pod has. Throws INVALID_ARGUMENT for an ambiguous or empty one. */
  findPod(id: string): Pod | undefined {
    const pod = find(this.#pods, id, 'pod');
    return pod?.visible ? pod : undefined;
  }

  findContainer(id: string): Container | undefined {
    const container = find(this.#containers, id, 'container');
    return container?.visible ? container : undefined;
  }

  /** @throws NOT_FOUND */
  getPod(id: string): Pod {
    const pod = this.findPod(id);
    if (!pod) throw new BerthError('NOT_FOUND', `pod ${id} not found`);
    return pod;
  }

  /** @throws NOT_FOUND */
  getContainer(id: string): Container {
    const container = this.findContainer(id);
    if (!container) throw new BerthError('NOT_FOUND', `container ${id} not found`);
    return container;
  }

  // Also half-made ones, for those who make them and for recovery.

  podNamed(name: string): Pod | undefined {
    return this.#podNames.get(name);
  }

  containerNamed(podId: string, name: string): Container | undefined {
    return this.#containerNames.get(`${podId}/${name}`);
  }

  pod(id: string): Pod | undefined {
    return this.#pods.get(id);
  }

  container(id: string): Container | undefined {
    return this.#containers.get(id);
  }

  allPods(): Pod[] {
    return [...this.#pods.values()];
  }

  allContainers(): Container[] {
    return [...this.#containers.values()];
  }

  /**
   * Of a newer berthd, and not even their documents can be read here: left alone, whatever they are. Their ids are nobody
   * else's.
   */
  readonly untouched = { pods: new Set<string>(), containers: new Set<string>() };

  // Changing.

  /** A new pod, half-made: its name is taken at once, its record written when the promise ends. */
  async addPod(ctx: Ctx, pod: Pod): Promise<void> {
    this.enterPod(pod);
    try {
      await this.collections.pods.put(ctx, pod.id, podRecord(pod, pod.status));
    } catch (error) {
      this.#dropPod(pod);
      throw error;
    }
  }

  async addContainer(ctx: Ctx, container: Container): Promise<void> {
    this.enterContainer(container);
    try {
      await this.collections.containers.put(ctx, container.id, containerRecord(container, container.status));
    } catch (error) {
      this.#dropContainer(container);
      throw error;
    }
  }

  /**
   * Changes a pod's status: `next` gets the present one and gives the new one, or undefined for no change.
   *
   * @param kind what it is when the disk is full: that something has happened, unless the caller can still undo it
   * @returns whether it changed
   */
  async changePod(
    ctx: Ctx,
    pod: Pod,
    next: (status: PodStatus) => PodStatus | undefined,
    kind: WriteKind = 'fact',
  ): Promise<boolean> {
    using _held = await this.#locks.acquire(pod.id);
    const status = next(pod.status);
    if (!status || this.#pods.get(pod.id) !== pod) return false;
    await this.collections.pods.put(ctx, pod.id, podRecord(pod, status), kind);
    const transitions = podTransitions(pod.status, status);
    pod.status = status;
    for (const transition of transitions) this.#tell(transition, pod);
    return true;
  }

  /** As changePod. */
  async changeContainer(
    ctx: Ctx,
    container: Container,
    next: (status: ContainerStatus) => ContainerStatus | undefined,
    { spec, kind = 'fact' }: ContainerChange = {},
  ): Promise<boolean> {
    using _held = await this.#locks.acquire(container.id);
    const status = next(container.status);
    if (!status || this.#containers.get(container.id) !== container) return false;
    const { containers, specs } = this.collections;
    const record = containerRecord(container, status);
    if (spec) {
      await this.#store.transaction(ctx, [put(containers, container.id, record), put(specs, container.id, spec)], kind);
    } else {
      await containers.put(ctx, container.id, record, kind);
    }
    const transitions = containerTransitions(container.status, status);
    container.status = status;
    if (status.state === 'exited') container.exited.resolve();
    for (const transition of transitions) this.#tell(transition, container);
    return true;
  }

  /** It is gone; one that is not known, because it was never written, is none. */
  async forgetPod(ctx: Ctx, pod: Pod): Promise<void> {
    using _held = await this.#locks.acquire(pod.id);
    if (this.#pods.get(pod.id) !== pod) return;
    await this.collections.pods.delete(ctx, pod.id);
    this.#dropPod(pod);
    if (pod.visible) this.#tell('deleted', pod);
  }

  async forgetContainer(ctx: Ctx, container: Container): Promise<void> {
    using _held = await this.#locks.acquire(container.id);
    if (this.#containers.get(container.id) !== container) return;
    const { containers, specs } = this.collections;
    await this.#store.transaction(ctx, [remove(containers, container.id), remove(specs, container.id)], 'fact');
    this.#dropContainer(container);
    if (container.visible) this.#tell('deleted', container);
  }

  /** A pod whose record is lost or wrong: known from now on, also when it cannot be recorded now. */
  async restorePod(ctx: Ctx, pod: Pod): Promise<void> {
    this.enterPod(pod);
    await this.collections.pods.put(ctx, pod.id, podRecord(pod, pod.status), 'fact');
  }

  async restoreContainer(ctx: Ctx, container: Container): Promise<void> {
    this.enterContainer(container);
    await this.collections.containers.put(ctx, container.id, containerRecord(container, container.status), 'fact');
  }

  /** Puts a pod of the store into memory. */
  enterPod(pod: Pod): void {
    this.#pods.set(pod.id, pod);
    this.#podNames.set(podName(pod.identity.config), pod);
  }

  enterContainer(container: Container): void {
    this.#containers.set(container.id, container);
    this.#containerNames.set(`${container.podId}/${containerName(container.identity.config)}`, container);
    this.#pods.get(container.podId)?.containers.set(container.id, container);
    if (container.status.state === 'exited') container.exited.resolve();
  }

  #dropPod(pod: Pod): void {
    this.#pods.delete(pod.id);
    const name = podName(pod.identity.config);
    if (this.#podNames.get(name) === pod) this.#podNames.delete(name);
  }

  #dropContainer(container: Container): void {
    this.#containers.delete(container.id);
    const name = `${container.podId}/${containerName(container.identity.config)}`;
    if (this.#containerNames.get(name) === container) this.#containerNames.delete(name);
    this.#pods.get(container.podId)?.containers.delete(container.id);
    // Whoever waits for its end has waited long enough.
    container.exited.resolve();
  }
}

const podRecord = (pod: Pod, status: PodStatus): PodRecord => ({ id: pod.id, identity: pod.encoded, status });

const containerRecord = (container: Container, status: ContainerStatus): ContainerRecord => ({
  id: container.id,
  podId: container.podId,
  identity: container.encoded,
  made: container.made,
  status,
});

function put<T>(collection: Collection<T>, id: string, value: T): Change {
  return { op: 'put', collection: collection as Collection<unknown>, id, value };
}

function remove<T>(collection: Collection<T>, id: string): Change {
  return { op: 'delete', collection: collection as Collection<unknown>, id };
}

/** People paste the 13 digits that tools show. */
function find<T>(all: ReadonlyMap<string, T>, id: string, kind: string): T | undefined {
  const exact = all.get(id);
  if (exact || id.length >= 64) return exact;
  if (id === '') throw new BerthError('INVALID_ARGUMENT', `the ${kind} id is empty`);
  let found: T | undefined;
  for (const [other, value] of all) {
    if (!other.startsWith(id)) continue;
    if (found) throw new BerthError('INVALID_ARGUMENT', `more than one ${kind} has an id that begins with ${id}`);
    found = value;
  }
  return found;
}
