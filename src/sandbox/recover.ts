import type { Ctx } from '#base/ctx';
import { unattended } from '#base/unattended';
import type { AdoptedPod, AnsweredPod, LostPod } from '#runtime/runtime';
import { removeContainerNow } from './container-remove.ts';
import { type SandboxParts, untilAnswered } from './parts.ts';
import { findCutRemovals, type CutRemovals } from './cut-removals.ts';
import type { Pod } from './pod.ts';
import { removePodNow } from './pod-remove.ts';
import { reconcileLost, reconcilePod, reconcileRebooted, reconcileStopped } from './reconcile.ts';
import { attempt, insist, patiently } from './recovery-notes.ts';
import { isOfThisBoot, readSources, restoreNetworks } from './sources.ts';
import { asSeen, isStopped } from './states.ts';
import { endStrays, heldImages, removeStrays } from './strays.ts';

/**
 * Brings the table in line with the machine after a start: docs/reconcile.md has the table. No single record makes it
 * fail: what cannot be read is made again from the documents beside the shims, what cannot be set right is logged and stays
 * for its stop or removal.
 */
export async function recover(parts: SandboxParts, ctx: Ctx): Promise<void> {
  ctx.stage('read records and documents');
  parts.store.everythingIsOpen(ctx);
  const documents = await readSources(parts, ctx);
  const cut = await findCutRemovals(parts);
  await restoreNetworks(parts, ctx, documents);
  // Before anything is undone: what that releases may be what others run on.
  await attempt(ctx, 'hold the images of containers', () => parts.images.holdLeases(ctx, heldImages(parts, documents)));
  // Shims that do not answer have the same second: nothing holds up the start longer.
  using _start = parts.notes.start();
  ctx.stage('adopt shims');
  await adoptPods(parts, ctx);
  ctx.stage('finish removals');
  await patiently(parts, finishRemovals(parts, cut));
  ctx.stage('undo the half-made');
  await patiently(parts, undoHalfMade(parts));
  await attempt(ctx, 'use the pod CIDRs again', () => parts.podCidrs.restore(ctx));
  ctx.stage('remove strays');
  await attempt(ctx, 'remove strays', () => removeStrays(parts, ctx, documents));
  // Looking at every process of the machine takes its time, and finds something only after a berthd that died at its worst.
  const looking = insist(parts, 'look for processes that no container has', (own) => endStrays(parts, own));
  unattended(parts.log, 'looking for processes that no container has', looking);
}

/** Pods of this boot have a shim or lost it; those of an earlier boot, and those that are stopped, have nothing. */
async function adoptPods(parts: SandboxParts, ctx: Ctx): Promise<void> {
  const stopped = parts.pods.allPods().filter((pod) => isStopped(pod.status));
  const present = parts.pods.allPods().filter((pod) => !isStopped(pod.status));
  const rebooted = present.filter((pod) => !isOfThisBoot(parts, pod));
  const ours = present.filter((pod) => isOfThisBoot(parts, pod));
  const known = ours
    .flatMap((pod) => [...pod.containers.values()])
    .map(({ id, podId, made }) => ({ id, podId, cgroupPath: made.cgroupPath }));
  const adopted = await parts.runtime.adopt(
    ctx,
    ours.map((pod) => pod.id),
    known,
  );
  const byId = new Map(ours.map((pod) => [pod.id, pod]));
  await Promise.all([
    ...adopted.map((found) =>
      attempt(ctx, `reconcile pod ${found.podId}`, async () => {
        const pod = byId.get(found.podId);
        if (pod) await takeOver(parts, ctx, pod, found);
      }),
    ),
    ...stopped.map((pod) => attempt(ctx, `reconcile pod ${pod.id}`, () => reconcileStopped(parts, pod))),
    ...rebooted.map((pod) => attempt(ctx, `reconcile pod ${pod.id}`, () => reconcileRebooted(parts, ctx, pod))),
  ]);
}

async function takeOver(parts: SandboxParts, ctx: Ctx, pod: Pod, found: AdoptedPod): Promise<void> {
  if (found.shim !== 'silent') return reconcile(parts, ctx, pod, found);
  await Promise.all(
    [...pod.containers.values()]
      .filter(({ id, rebuilt }) => rebuilt && found.busy.has(id))
      .map((container) => {
        const { createdAtNs: startedAtNs } = container.status;
        const seen = { id: container.id, state: 'running', pid: 0, startedAtNs } as const;
        return parts.pods.changeContainer(ctx, container, (status) => asSeen(status, seen));
      }),
  );
  pod.silentPid = found.shimPid;
  pod.unreachable = found.unreachable;
  pod.silent = found.later
    .then((later) => reconcile(parts, ctx, pod, later))
    .catch((error: unknown) =>
      ctx.log.error({ err: error, podId: pod.id }, 'could not take over a pod that was silent'),
    )
    .finally(() => {
      pod.silent = undefined;
      pod.unreachable = false;
    });
}

async function reconcile(parts: SandboxParts, ctx: Ctx, pod: Pod, found: AnsweredPod | LostPod): Promise<void> {
  if (found.shim === 'answers') await reconcilePod(parts, ctx, pod, found);
  else await reconcileLost(parts, ctx, pod, found);
}

/** What the shims know all the same, or what still has to be stopped, is left to whoever removes it. */
async function finishRemovals(parts: SandboxParts, { pods, containers }: CutRemovals): Promise<void> {
  const ended = containers.filter(({ status }) => status.state === 'exited');
  // One whose network plugins have to give back waits for no program here: its stop, or its next removal, does it.
  const stopped = pods.filter(({ status }) => status.state === 'notReady' && status.network?.mode !== 'cni');
  const finish = (what: string, isThere: () => boolean, remove: (own: Ctx) => Promise<void>): Promise<void> =>
    insist(parts, `finish the removal of ${what}`, remove, isThere);
  await Promise.all([
    ...ended.map((container) =>
      finish(
        `container ${container.id}`,
        () => parts.pods.container(container.id) === container,
        (own) => removeContainerNow(parts, own, container),
      ),
    ),
    ...stopped.map((pod) =>
      finish(
        `pod ${pod.id}`,
        () => parts.pods.pod(pod.id) === pod,
        (own) => removePodNow(parts, own, pod),
      ),
    ),
  ]);
}

/** Whoever made them has gone with the old berthd: nobody knows their ids. */
async function undoHalfMade(parts: SandboxParts): Promise<void> {
  const pods = parts.pods.allPods().filter((pod) => !pod.visible);
  const containers = parts.pods.allContainers().filter((container) => !container.visible);
  await Promise.all([
    ...pods.map((pod) => insist(parts, `undo half-made pod ${pod.id}`, (own) => removePodNow(parts, own, pod))),
    ...containers.map((container) =>
      insist(parts, `undo half-made container ${container.id}`, async (own) => {
        // Its shim may say first that it runs.
        await untilAnswered(own, parts.pods.pod(container.podId));
        if (parts.pods.container(container.id) === container) await removeContainerNow(parts, own, container);
      }),
    ),
  ]);
}
