import type { Clock } from '#base/clock';
import { createCtx, type Ctx } from '#base/ctx';
import { Deadline, raceSignal } from '#base/deadline';
import { BerthError } from '#base/errors';
import type { IdSource } from '#base/ids';
import type { KeyedLock } from '#base/keyed-lock';
import type { Logger } from '#base/log';
import type { CounterMetric, Metrics } from '#base/metrics';
import type { ImageStore } from '#images/image-store';
import type { Files } from '#linux/files';
import type { PodNetwork } from '#network/pod-network';
import type { Runtime } from '#runtime/runtime';
import { silentShim, unreachableShim } from '#runtime/shim/shim-watch';
import type { Store } from '#store/collection';
import type { ContainerEvents } from './events.ts';
import type { IdentityCodec } from './identity.ts';
import type { LostOutput } from './lost-output.ts';
import type { Operations } from './operations.ts';
import type { Container, ContainerView, Pod, PodView } from './pod.ts';
import type { PodCidrs } from './pod-cidrs.ts';
import type { Pods } from './pods.ts';
import type { RecoveryNotes } from './recovery-notes.ts';
import type { Transition } from './states.ts';
import type { StatsSampler } from './stats-sampler.ts';

/** How long Berth's own operations may take, whoever waits for them. */
export interface SandboxTimeouts {
  readonly runPodMs: number;
  readonly createContainerMs: number;
  readonly startContainerMs: number;
  readonly removeMs: number;
  readonly killMs: number;
  /** For a volume's path to answer. */
  readonly volumeMs: number;
}

/** What the verbs work with. */
export interface SandboxParts {
  readonly pods: Pods;
  readonly podCidrs: PodCidrs;
  readonly store: Store;
  readonly runtime: Runtime;
  readonly images: ImageStore;
  readonly network: PodNetwork;
  readonly files: Files;
  readonly codec: IdentityCodec;
  readonly operations: Operations;
  readonly events: ContainerEvents;
  readonly stats: StatsSampler;
  readonly notes: RecoveryNotes;
  readonly lostOutput: LostOutput;
  /** One verb at a time on a container. */
  readonly locks: KeyedLock;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Fields of seccomp profiles that nobody knows. */
  readonly unknownSeccomp: CounterMetric<never>;
  readonly bootId: string;
  /** Aborts when berthd shuts down; pods go on. */
  readonly stopping: AbortSignal;
  /** `<root>/containers`: the writable layers. */
  readonly containersDirectory: string;
  /** `<root>/pods`: what pods see in /etc. */
  readonly podsDirectory: string;
  /** The node's /etc. */
  readonly etcDirectory: string;
  readonly defaultCgroupParent: string;
  /** The node's, for pods on its network and pods that name none. */
  readonly hostname: string;
  /** Handlers that RunPodSandbox accepts; "" is the default one. */
  readonly runtimeHandlers: readonly string[];
  readonly timeouts: SandboxTimeouts;
}

/** A context for work that nobody waits for, on a deadline of its own. */
export function background(parts: SandboxParts, what: string, ms: number): Disposable & { readonly ctx: Ctx } {
  const deadline = new Deadline(ms, what);
  const ctx = createCtx({ signal: deadline.signal, log: parts.log, requestId: what.replaceAll(' ', '-') });
  return { ctx, [Symbol.dispose]: () => deadline[Symbol.dispose]() };
}

/** Tells the listeners of a transition. `Pods` alone calls it, right after the record was written. */
export function announce(
  parts: Pick<SandboxParts, 'events' | 'pods' | 'clock'>,
  type: Transition,
  of: Pod | Container,
): void {
  parts.events.publish(() => {
    const pod = 'podId' in of ? parts.pods.pod(of.podId) : of;
    return {
      id: of.id,
      type,
      createdAtNs: parts.clock.nowNs(),
      pod: pod && podSnapshot(pod),
      containers: pod ? pod.listed.map(containerSnapshot) : [],
    };
  });
}

/** The end of something of which only the id is known. */
export function announceEnd(parts: SandboxParts, id: string, pod: Pod | undefined): void {
  parts.events.publish(() => ({
    ...{ id, type: 'deleted', createdAtNs: parts.clock.nowNs() },
    pod: pod && podSnapshot(pod),
    containers: pod ? pod.listed.map(containerSnapshot) : [],
  }));
}

/**
 * Waits for the shim of a pod that was silent when berthd started.
 *
 * @throws UNAVAILABLE when `ctx` ends first, and at once when nobody can reach that shim any more
 */
export async function untilAnswered(ctx: Ctx, pod: Pod | undefined): Promise<void> {
  if (!pod?.silent) return;
  if (pod.unreachable) throw new BerthError('UNAVAILABLE', unreachableShim(pod.id, pod.silentPid));
  try {
    await raceSignal(pod.silent, ctx.signal);
  } catch (cause) {
    throw new BerthError('UNAVAILABLE', silentShim(pod.id, pod.silentPid, 'since berthd started'), { cause });
  }
}

const podSnapshot = ({ id, identity, status }: PodView): PodView => ({ id, identity, status });

const containerSnapshot = ({ id, podId, identity, made, status }: ContainerView): ContainerView => ({
  id,
  podId,
  identity,
  made,
  status,
});
