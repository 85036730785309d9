import { chmod, mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import type { Clock } from '#base/clock';
import type { Ctx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import { toBerthError } from '#base/errors';
import type { IdSource } from '#base/ids';
import { KeyedLock } from '#base/keyed-lock';
import type { Logger } from '#base/log';
import type { Metrics } from '#base/metrics';
import type { ImageStore } from '#images/image-store';
import type { Files } from '#linux/files';
import type { LinuxContainerResources__Output } from '#cri-api/gen/runtime/v1/LinuxContainerResources';
import type { PodNetwork } from '#network/pod-network';
import type { ExecResult, Runtime } from '#runtime/runtime';
import type { OciSpec } from '#runtime/spec/oci';
import type { Attachment, RunningExec, TerminalSize } from '#runtime/streams';
import type { Behind, Store } from '#store/collection';
import { attach, checkAttach, type AttachRequest } from './attach.ts';
import { claimContainer, claimPod } from './claims.ts';
import { createContainer } from './container-create.ts';
import { removeContainer } from './container-remove.ts';
import { startContainer } from './container-start.ts';
import { stopContainer } from './container-stop.ts';
import { updateContainer } from './container-update.ts';
import { ContainerEvents, type EventSubscription } from './events.ts';
import { checkExec, exec, type ExecRequest } from './exec.ts';
import { execSync, type ExecSyncRequest } from './exec-sync.ts';
import { followRuntime } from './exits.ts';
import type { ContainerIdentity, IdentityCodec, PodIdentity } from './identity.ts';
import { LostOutput } from './lost-output.ts';
import { Operations } from './operations.ts';
import { announce, type SandboxParts, type SandboxTimeouts } from './parts.ts';
import type { Container, Pod } from './pod.ts';
import { removePod, removePodNow } from './pod-remove.ts';
import { runPod } from './pod-run.ts';
import { stopPod } from './pod-stop.ts';
import { type PodResources, updatePod } from './pod-update.ts';
import { nodeRecords, PodCidrs } from './pod-cidrs.ts';
import { Pods } from './pods.ts';
import { checkPortForward, dialPod, type PortForwardRequest } from './port-forward.ts';
import { recover } from './recover.ts';
import { RecoveryNotes } from './recovery-notes.ts';
import { reopenContainerLog } from './reopen-log.ts';
import { findSpec } from './specs.ts';
import { LayerUsages } from './stats-layers.ts';
import { StatsSampler } from './stats-sampler.ts';
import { check, forget } from './strays.ts';
import { together } from './together.ts';

export interface SandboxesOptions {
  readonly store: Store;
  readonly runtime: Runtime;
  readonly images: ImageStore;
  readonly network: PodNetwork;
  readonly files: Files;
  readonly codec: IdentityCodec;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** /proc/sys/kernel/random/boot_id */
  readonly bootId: string;
  /** State that survives a reboot: `containers` and `pods` are made below it. */
  readonly root: string;
  readonly defaultCgroupParent: string;
  /** The node's. */
  readonly hostname: string;
  readonly timeouts: SandboxTimeouts;
  /** Between samples of what pods use that nobody asked for. */
  readonly statsIntervalMs?: number;
  /** The node's /etc, whose resolv.conf and hosts pods may take over. */
  readonly etcDirectory?: string;
  /** Handlers that RunPodSandbox accepts; "" is the default one. */
  readonly runtimeHandlers?: readonly string[];
  /** How long the result of a call whose caller went away waits for the retry. */
  readonly parkMs?: number;
}

const tenMinutes = 600_000;
const tenSeconds = 10_000;
/** How long an ending berthd waits for what callers have left behind. */
const settleMs = 2_000;

/** Pods and containers: what happens to them, and when. */
export class Sandboxes implements AsyncDisposable {
  readonly #parts: SandboxParts;
  readonly #following: Disposable;
  readonly #stopping: AbortController;

  private constructor(parts: SandboxParts, stopping: AbortController) {
    this.#parts = parts;
    this.#stopping = stopping;
    this.#following = followRuntime(parts);
  }

  /** Opens the tables; `recover` fills them. */
  static async open(ctx: Ctx, options: SandboxesOptions): Promise<Sandboxes> {
    const { root, metrics, log } = options;
    const stopping = new AbortController();
    const events = new ContainerEvents(metrics);
    const pods: Pods = await Pods.open(ctx, options.store, (transition, of) =>
      announce({ ...options, events, pods }, transition, of),
    );
    const containersDirectory = path.join(root, 'containers');
    const layers = new LayerUsages({ ...options, directory: containersDirectory });
    const parts: SandboxParts = {
      ...options,
      pods,
      podCidrs: new PodCidrs(await options.store.open(ctx, nodeRecords), options.network),
      operations: new Operations({ log, metrics, parkMs: options.parkMs ?? tenMinutes }),
      events,
      stats: new StatsSampler({ ...options, pods, layers, intervalMs: options.statsIntervalMs ?? tenSeconds }),
      notes: new RecoveryNotes(),
      unknownSeccomp: metrics.counter(
        'seccomp_unknown_fields_total',
        'Fields of seccomp profiles of containers that this version does not know.',
      ),
      lostOutput: new LostOutput({ log, metrics }),
      locks: new KeyedLock(),
      stopping: stopping.signal,
      containersDirectory,
      podsDirectory: path.join(root, 'pods'),
      etcDirectory: options.etcDirectory ?? '/etc',
      runtimeHandlers: options.runtimeHandlers ?? ['', 'berth'],
    };
    await makeDirectories(parts);
    metrics.gaugeOf('pods', 'Pods that berthd knows', () => parts.pods.listPods().length);
    metrics.gaugeOf('containers', 'Containers that berthd knows', () => parts.pods.listContainers().length);
    const { store } = options;
    metrics.gaugeOf(
      'store_records_waiting',
      'Records that wait because the state disk cannot be written',
      () => store.behind?.records ?? 0,
    );
    metrics.gaugeOf(
      'store_waiting_seconds',
      'For how long the state disk has not taken every record',
      () => (store.behind?.sinceMs ?? 0) / 1000,
    );
    return new Sandboxes(parts, stopping);
  }

  /** Before the first call: adopts what runs, undoes what is half-made. Never fails for one pod. */
  async recover(ctx: Ctx): Promise<void> {
    await recover(this.#parts, ctx);
    this.#parts.stats.start();
  }

  runPod(ctx: Ctx, identity: PodIdentity): Promise<string> {
    return runPod(this.#parts, ctx, identity);
  }

  stopPod(ctx: Ctx, id: string): Promise<void> {
    return stopPod(this.#parts, ctx, id);
  }

  removePod(ctx: Ctx, id: string): Promise<void> {
    return removePod(this.#parts, ctx, id);
  }

  createContainer(ctx: Ctx, identity: ContainerIdentity): Promise<string> {
    return createContainer(this.#parts, ctx, identity);
  }

  startContainer(ctx: Ctx, id: string): Promise<void> {
    return startContainer(this.#parts, ctx, id);
  }

  stopContainer(ctx: Ctx, id: string, graceMs: number): Promise<void> {
    return stopContainer(this.#parts, ctx, id, graceMs);
  }

  /** Changes the limits that are asked for, all or none. @throws FAILED_PRECONDITION for one that has ended */
  updateContainer(ctx: Ctx, id: string, asked: LinuxContainerResources__Output | null): Promise<void> {
    return updateContainer(this.#parts, ctx, id, asked);
  }

  /** Notes limits that the kubelet sets itself. */
  updatePod(ctx: Ctx, id: string, asked: PodResources): Promise<void> {
    return updatePod(this.#parts, ctx, id, asked);
  }

  removeContainer(ctx: Ctx, id: string): Promise<void> {
    return removeContainer(this.#parts, ctx, id);
  }

  execSync(ctx: Ctx, request: ExecSyncRequest): Promise<ExecResult> {
    return execSync(this.#parts, ctx, request);
  }

  // Conversations: what can be refused is refused by the check, at once; the rest when the client has connected.

  checkExec(request: ExecRequest): ExecRequest {
    return checkExec(this.#parts, request);
  }

  exec(ctx: Ctx, request: ExecRequest, size?: TerminalSize): Promise<RunningExec> {
    return exec(this.#parts, ctx, request, size);
  }

  checkAttach(request: AttachRequest): AttachRequest {
    return checkAttach(this.#parts, request);
  }

  attach(ctx: Ctx, request: AttachRequest): Promise<Attachment> {
    return attach(this.#parts, ctx, request);
  }

  checkPortForward(request: PortForwardRequest): PortForwardRequest {
    return checkPortForward(this.#parts, request);
  }

  dialPod(ctx: Ctx, podId: string, port: number): Promise<Duplex> {
    return dialPod(this.#parts, ctx, podId, port);
  }

  reopenContainerLog(ctx: Ctx, id: string): Promise<void> {
    return reopenContainerLog(this.#parts, ctx, id);
  }

  /** The ranges of pod addresses that the kubelet gave its node. Throws INVALID_ARGUMENT. */
  usePodCidr(ctx: Ctx, cidrs: string): Promise<void> {
    return this.#parts.podCidrs.use(ctx, cidrs);
  }

  /** What pods and containers use. */
  get stats(): StatsSampler {
    return this.#parts.stats;
  }

  // Looking: from memory, without a lock, whatever else goes on.

  listPods(): readonly Pod[] {
    return this.#parts.pods.listPods();
  }

  listContainers(): readonly Container[] {
    return this.#parts.pods.listContainers();
  }

  /** Undefined when there is none of that id or prefix. */
  findPod(id: string): Pod | undefined {
    return this.#parts.pods.findPod(id);
  }

  findContainer(id: string): Container | undefined {
    return this.#parts.pods.findContainer(id);
  }

  /** For a status: whoever asks knows the pod, so that it is not undone as unclaimed. Throws NOT_FOUND. */
  getPod(id: string): Pod {
    const pod = this.#parts.pods.getPod(id);
    claimPod(this.#parts, pod);
    return pod;
  }

  /** As getPod. */
  getContainer(id: string): Container {
    const container = this.#parts.pods.getContainer(id);
    claimContainer(this.#parts, container);
    return container;
  }

  /** What the container runs by; undefined when its record is lost. */
  findSpec(container: Container): OciSpec | undefined {
    return findSpec(this.#parts, container);
  }

  /** For `inspect`: the spec, and where the writable layer lies. */
  factsOf(container: Container): { readonly spec: OciSpec | undefined; readonly upper: string } {
    const upper = path.join(this.#parts.containersDirectory, container.id, 'upper');
    return { spec: this.findSpec(container), upper };
  }

  /** What the state disk cannot take just now; undefined when it has everything. */
  get behind(): Behind | undefined {
    return this.#parts.store.behind;
  }

  subscribe(): EventSubscription {
    return this.#parts.events.subscribe();
  }

  /** What lies on the machine that no record owns. */
  check(ctx: Ctx): Promise<readonly string[]> {
    return check(this.#parts, ctx);
  }

  /** The owner has seen what recovery set aside and ended. */
  forget(ctx: Ctx): Promise<readonly string[]> {
    return forget(this.#parts, ctx);
  }

  /** Removes every pod: for a berthd that is to leave nothing behind. */
  async removeAll(ctx: Ctx): Promise<void> {
    await together(this.#parts.pods.allPods().map((pod) => removePodNow(this.#parts, ctx, pod)));
  }

  /** Waits a moment for what is under way, and lets go; pods live on. What is cut here is set right by recovery. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    this.#parts.stats[Symbol.dispose]();
    using patience = new Deadline(settleMs, 'waiting for operations');
    await this.#parts.operations.settle(patience.signal).catch(() => undefined);
    this.#following[Symbol.dispose]();
  }
}

async function makeDirectories(parts: SandboxParts): Promise<void> {
  try {
    await mkdir(parts.containersDirectory, { recursive: true, mode: 0o700 });
    // A container's root may write its pod's files, and make one of them a set-uid program: nobody else gets there. They
    // are mounted by descriptors that the node's root has opened, also for a pod with users of its own.
    await mkdir(parts.podsDirectory, { recursive: true, mode: 0o700 });
    await chmod(parts.podsDirectory, 0o700);
  } catch (error) {
    throw toBerthError(error, `make ${parts.containersDirectory} and ${parts.podsDirectory}`);
  }
}
