import type { Ctx } from '#base/ctx';
import { unattended } from '#base/unattended';
import type { AdoptedContainer, AnsweredPod, ExitInfo } from '#runtime/runtime';
import { removeContainerNow } from './container-remove.ts';
import { acknowledge, losePause } from './exits.ts';
import { announceEnd, type SandboxParts } from './parts.ts';
import { Container, type Pod } from './pod.ts';
import { endedWithPod, stopPod } from './pod-stop.ts';
import { insist, patiently } from './recovery-notes.ts';
import {
  asSeen,
  createFailed,
  type Exit,
  exitOf,
  isStopped,
  pauseDied,
  toExited,
  toNotReady,
  toRunning,
  unseenExit,
  withProcess,
} from './states.ts';

/** The pod's shim answered: what it says about processes is true. */
export async function reconcilePod(
  parts: SandboxParts,
  ctx: Ctx,
  pod: Pod,
  { process, containers: shim }: Pick<AnsweredPod, 'process' | 'containers'>,
): Promise<void> {
  if (pod.rebuilt) await parts.pods.changePod(ctx, pod, (status) => withProcess(status, process));
  const byId = new Map(shim.map((entry) => [entry.id, entry]));
  await Promise.all([
    ...pod.listed.map((container) => reconcileContainer(parts, ctx, container, byId.get(container.id))),
    ...[...pod.containers.values()]
      .filter(({ visible }) => !visible)
      .map((container) => reconcileHalfMade(parts, ctx, container, byId.get(container.id))),
    ...shim
      .filter(({ id }) => !pod.containers.has(id) && !parts.pods.untouched.containers.has(id))
      .map(({ id }) => endUnknown(parts, pod, id)),
  ]);
  // Its stop was cut short: it ends now. A half-made pod is undone later.
  if (pod.status.state === 'notReady' && pod.status.reason !== pauseDied) await finishStop(parts, ctx, pod);
  if (process.pausePid === 0) await losePause(parts, pod);
}

/** No record and no document: nobody can say whose it is, so that nobody could ever stop it. */
async function endUnknown(parts: SandboxParts, pod: Pod, id: string): Promise<void> {
  const what = `container ${id} of pod ${pod.id}`;
  const work = insist(parts, `end ${what}`, async (own) => {
    await parts.runtime.endContainer(own, pod.id, id);
    parts.notes.ended(what);
    announceEnd(parts, id, pod);
    own.log.error({ podId: pod.id, containerId: id }, 'ended a container that neither a record nor a document knows');
  });
  await patiently(parts, work);
}

/** One that runs was started by somebody who knows it: the store has lost its newest records. Others are undone later. */
async function reconcileHalfMade(
  parts: SandboxParts,
  ctx: Ctx,
  container: Container,
  entry: AdoptedContainer | undefined,
): Promise<void> {
  if (entry?.state === 'running') await believe(parts, ctx, container, entry);
}

async function reconcileContainer(
  parts: SandboxParts,
  ctx: Ctx,
  container: Container,
  entry: AdoptedContainer | undefined,
): Promise<void> {
  parts.lostOutput.adopted(container, entry?.logBytesDropped ?? 0);
  // It was not whole, or was on its way out: its process is no more. What a newer berthd wrote is not deleted for that.
  const isNewer = parts.store.newer.some(({ key }) => key === `container/${container.id}`);
  if (!entry && container.rebuilt && !isNewer) return undo(parts, ctx, container);
  if (!entry) {
    const exit = unseenExit(137, parts.clock.nowNs(), 'ContainerDied', 'its shim does not know it any more');
    return ended(parts, ctx, container, exit);
  }
  if (entry.state === 'exited') {
    if (entry.exit) await exitedAway(parts, ctx, container, entry.exit);
    return;
  }
  if (container.status.reason === createFailed) return undo(parts, ctx, container);
  if (entry.state === 'created' && container.status.state === 'created') return;
  if (entry.state === 'running' && container.status.state === 'created') {
    await parts.pods.changeContainer(ctx, container, (status) => toRunning(status, entry.startedAtNs, entry.pid));
    return;
  }
  if (entry.state !== container.status.state) await believe(parts, ctx, container, entry);
}

/** The record says what cannot be: that it has ended, or began, and the shim has its process as it is. */
async function believe(parts: SandboxParts, ctx: Ctx, container: Container, entry: AdoptedContainer): Promise<void> {
  const { id, identity, encoded, made, status } = container;
  ctx.log.error({ containerId: id, record: status.state, shim: entry.state }, 'the record of a container is wrong');
  await parts.pods.restoreContainer(ctx, new Container(id, identity, encoded, made, asSeen(status, entry)));
}

async function undo(parts: SandboxParts, ctx: Ctx, container: Container): Promise<void> {
  // There is no end to wait for.
  const exit = unseenExit(137, parts.clock.nowNs(), createFailed, 'its process is no more');
  await parts.pods.changeContainer(ctx, container, (status) => toExited(status, exit));
  const work = insist(parts, `undo half-made container ${container.id}`, (own) =>
    removeContainerNow(parts, own, container),
  );
  // Calls to a pod that was silent, as this one is, wait until the table is right.
  if (!parts.pods.pod(container.podId)?.silent) await patiently(parts, work);
}

async function ended(parts: SandboxParts, ctx: Ctx, container: Container, exit: Exit): Promise<void> {
  await parts.pods.changeContainer(ctx, container, (status) => toExited(status, exit));
}

/** It ended while no berthd was there. */
async function exitedAway(parts: SandboxParts, ctx: Ctx, container: Container, exit: ExitInfo): Promise<void> {
  await ended(parts, ctx, container, exitOf(exit));
  await acknowledge(parts, container);
}

/** The pod has no shim any more; what the shim wrote before it went is all there is to know. */
export async function reconcileLost(
  parts: SandboxParts,
  ctx: Ctx,
  pod: Pod,
  { reason, exits }: { readonly reason: string; readonly exits: ReadonlyMap<string, ExitInfo> },
): Promise<void> {
  if (!pod.visible) return;
  const message = `the pod lost its shim: ${reason}`;
  await Promise.all(
    pod.listed.map((container) => {
      const seen = exits.get(container.id);
      const exit = seen ? exitOf(seen) : unseenExit(137, parts.clock.nowNs(), 'ShimDied', message);
      return ended(parts, ctx, container, exit);
    }),
  );
  if (pod.status.state === 'notReady') await finishStop(parts, ctx, pod);
  else await parts.pods.changePod(ctx, pod, (status) => toNotReady(status, 'ShimDied', message));
}

/** The machine was started anew: nothing of the pod runs, and its namespaces went with the old boot. */
export async function reconcileRebooted(parts: SandboxParts, ctx: Ctx, pod: Pod): Promise<void> {
  if (!pod.visible) return;
  const message = 'the node was rebooted';
  const exit = unseenExit(255, parts.clock.nowNs(), 'NodeRebooted', message);
  await Promise.all(
    pod.listed.map((container) => parts.pods.changeContainer(ctx, container, (status) => toExited(status, exit))),
  );
  await parts.pods.changePod(ctx, pod, (status) => toNotReady(status, 'NodeRebooted', message));
  await finishStop(parts, ctx, pod);
}

/**
 * What a stop that was cut short, or the old boot, left to do. It may have failed for processes that hang in the kernel, and
 * then hangs again: recovery waits a moment at most, the pod as long as it takes. CNI plugins may need a pod of this node,
 * which starts only when recovery has ended: nobody waits for them, and a failure leaves the rest to the kubelet's stop.
 */
async function finishStop(parts: SandboxParts, ctx: Ctx, pod: Pod): Promise<void> {
  if (pod.status.network?.mode === 'cni') {
    stopPod(parts, ctx, pod.id).catch((error: unknown) => {
      ctx.log.warn(
        { err: error, podId: pod.id },
        'could not give back the network of a stopped pod; its next stop will',
      );
    });
    return;
  }
  const needed = (): boolean => !isStopped(pod.status);
  const work = insist(parts, `finish the stop of pod ${pod.id}`, (own) => stopPod(parts, own, pod.id), needed);
  // The stop of a pod that was silent begins when its table is right, which it is after this.
  if (pod.silent) unattended(parts.log, 'finishing a stop', work);
  else await patiently(parts, work);
}

/**
 * A pod that is stopped has no process and no shim that could tell of one. An older berthd could write that it is and leave
 * its containers running: nobody could stop or remove them.
 */
export async function reconcileStopped(parts: SandboxParts, pod: Pod): Promise<void> {
  const left = pod.listed.filter(({ status }) => status.state !== 'exited');
  const ends = left.map((container) =>
    insist(parts, `end container ${container.id} of a stopped pod`, async (own) => {
      await parts.runtime.removeContainer(own, pod.id, container.id, container.made.cgroupPath);
      await ended(parts, own, container, unseenExit(137, parts.clock.nowNs(), 'ContainerDied', endedWithPod));
    }),
  );
  await patiently(
    parts,
    Promise.all(ends).then(() => undefined),
  );
}
