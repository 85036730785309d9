import type { PodNetworkRecord } from '#network/pod-network';
import type { AdoptedContainer, ExitInfo, PodProcess } from '#runtime/runtime';
import type { ContainerReason, PodReason } from './reasons.ts';
import type { ContainerStatus, PodStatus } from './records.ts';

//   pod:        creating ──▶ ready ──▶ notReady ──▶ (removed)
//                   └──── undo failed ────┘
//
//   container:  creating ──▶ created ──▶ running ──▶ exited ──▶ (removed)
//                               └─────────────────────┘
//
// Every change of a status is one of these functions. Each gives the next status, or undefined when there is nothing to
// change: a late or doubled message of a shim is not an error. Removed means that there is no record any more; half-made
// (creating) pods and containers are seen by nobody but recovery.

/** What listeners are told of. */
export type Transition = 'created' | 'started' | 'stopped' | 'deleted';

/** What a pod's change is to listeners, in order: each once, whatever else of its status changes. */
export function podTransitions(before: PodStatus, after: PodStatus): readonly Transition[] {
  if (before.state === after.state) return [];
  if (after.state === 'ready') return ['created', 'started'];
  // One that could not be made was never created to anybody.
  return before.state === 'ready' ? ['stopped'] : [];
}

/** As podTransitions. */
export function containerTransitions(before: ContainerStatus, after: ContainerStatus): readonly Transition[] {
  if (before.state === after.state) return [];
  switch (after.state) {
    case 'creating':
      return [];
    case 'created':
      return ['created'];
    case 'running':
      return ['started'];
    case 'exited':
      return before.state === 'creating' ? [] : ['stopped'];
  }
}

export function newPod(createdAtNs: bigint): PodStatus {
  return { state: 'creating', createdAtNs, reason: '', message: '' };
}

export function toReady(
  status: PodStatus,
  process: PodProcess,
  network: PodNetworkRecord | undefined,
): PodStatus | undefined {
  if (status.state !== 'creating') return undefined;
  const { pausePid, shimPid } = process;
  return { ...status, state: 'ready', process: { pausePid, shimPid }, ...(network ? { network } : {}) };
}

/** A pod that its document tells of: ready when it was whole, else as half-made as it was. */
export function rebuiltPod(createdAtNs: bigint, ready: { readonly network?: PodNetworkRecord } | undefined): PodStatus {
  const status = newPod(createdAtNs);
  if (!ready) return status;
  const process = { pausePid: 0, shimPid: 0 };
  return { ...status, state: 'ready', process, ...(ready.network && { network: ready.network }) };
}

/** Who its processes are is the shim's to say. */
export function withProcess(status: PodStatus, { pausePid, shimPid }: PodProcess): PodStatus | undefined {
  return status.process ? { ...status, process: { pausePid, shimPid } } : undefined;
}

/** The pod cannot run containers any more; what there is to clean up stays named. */
export function toNotReady(status: PodStatus, reason: PodReason, message: string): PodStatus | undefined {
  if (status.state === 'notReady') return undefined;
  return { ...status, state: 'notReady', reason, message };
}

/** The pod could not be made, and not undone either. */
export function toFailed(status: PodStatus, message: string, network: PodNetworkRecord | undefined): PodStatus {
  const process = { pausePid: 0, shimPid: 0 };
  return { ...status, state: 'notReady', process, ...(network ? { network } : {}), reason: createFailed, message };
}

/** Nothing of the pod runs any more, and its network is given back. */
export function toStopped(status: PodStatus): PodStatus | undefined {
  if (isStopped(status)) return undefined;
  const { network: _network, process: _process, ...rest } = status;
  return { ...rest, state: 'notReady', reason: status.reason || stopped };
}

export function isStopped(status: PodStatus): boolean {
  return status.state === 'notReady' && !status.network && !status.process;
}

/** The reason of a pod that could not be made. */
export const createFailed = 'CreateFailed' satisfies PodReason & ContainerReason;

const stopped: PodReason = 'Stopped';

/** The reason of a pod whose namespaces are held by nobody. */
export const pauseDied = 'PauseDied' satisfies PodReason;

export function newContainer(createdAtNs: bigint): ContainerStatus {
  return {
    state: 'creating',
    createdAtNs,
    startedAtNs: 0n,
    finishedAtNs: 0n,
    exitCode: 0,
    reason: '',
    message: '',
    pid: 0,
    warnings: [],
  };
}

export function toCreated(
  status: ContainerStatus,
  made: { readonly pid: number; readonly warnings: readonly string[] },
): ContainerStatus | undefined {
  if (status.state !== 'creating') return undefined;
  return { ...status, state: 'created', pid: made.pid, warnings: made.warnings };
}

export function toRunning(status: ContainerStatus, startedAtNs: bigint, pid = status.pid): ContainerStatus | undefined {
  if (status.state !== 'created') return undefined;
  return { ...status, state: 'running', startedAtNs, pid };
}

export function toExited(status: ContainerStatus, exit: Exit): ContainerStatus | undefined {
  if (status.state === 'exited') return undefined;
  return {
    ...status,
    state: 'exited',
    startedAtNs: status.startedAtNs || exit.startedAtNs,
    finishedAtNs: exit.finishedAtNs,
    exitCode: exit.exitCode,
    reason: exit.reason,
    message: exit.message,
  };
}

/** What the shim says of a process that is there: the record cannot be true, or was lost. */
export function asSeen(status: ContainerStatus, seen: AdoptedContainer): ContainerStatus {
  const { pid } = seen;
  const { createdAtNs, warnings, resources } = status;
  const living: ContainerStatus = {
    ...newContainer(createdAtNs),
    ...{ state: 'created', pid, warnings },
    ...(resources && { resources }),
  };
  return seen.state === 'created' ? living : { ...living, state: 'running', startedAtNs: seen.startedAtNs };
}

/** execve failed. The shim may have reported the exit before the answer to start: its reason is the worse one. */
export function toStartFailed(status: ContainerStatus, exit: Exit): ContainerStatus | undefined {
  if (status.state === 'exited' && status.reason === exit.reason) return undefined;
  const base: ContainerStatus = { ...status, state: 'created' };
  return toExited(base, status.state === 'exited' ? { ...exit, finishedAtNs: status.finishedAtNs } : exit);
}

/** Limits are changed only while there is somebody whom they bind. */
export function withResources(
  status: ContainerStatus,
  resources: NonNullable<ContainerStatus['resources']>,
): ContainerStatus | undefined {
  return status.state === 'created' || status.state === 'running' ? { ...status, resources } : undefined;
}

/** How a container ended, with why, in the words of the kubelet. */
export interface Exit {
  readonly exitCode: number;
  readonly startedAtNs: bigint;
  readonly finishedAtNs: bigint;
  readonly reason: ContainerReason;
  readonly message: string;
}

export function exitOf(info: ExitInfo): Exit {
  const { exitCode, startedAtNs, finishedAtNs } = info;
  const reason: ContainerReason = info.oomKilled ? 'OOMKilled' : exitCode === 0 ? 'Completed' : 'Error';
  const message = info.oomKilled ? 'a process was killed because the memory limit was reached' : '';
  return { exitCode, startedAtNs, finishedAtNs, reason, message };
}

/** A container whose end nobody saw: 137 for a kill, 255 when not even that is known. */
export function unseenExit(exitCode: 137 | 255, finishedAtNs: bigint, reason: ContainerReason, message: string): Exit {
  return { exitCode, startedAtNs: 0n, finishedAtNs, reason, message };
}
