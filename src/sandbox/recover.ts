import type { Ctx } from '#base/ctx';
import { messageOf } from '#base/errors';
import type { AdoptedPod } from '#runtime/runtime';
import { removeContainerNow } from './container-remove.ts';
import type { SandboxParts } from './parts.ts';
import { findCutRemovals, type CutRemovals } from './cut-removals.ts';
import { Container, Pod } from './pod.ts';
import { removePodNow } from './pod-remove.ts';
import { reconcileLost, reconcilePod, reconcileRebooted } from './reconcile.ts';
import { isStopped } from './states.ts';
import { removeStrays } from './strays.ts';

/**
 * Brings the table in line with the machine after a start: docs/reconcile.md has the table. No single record makes it
 * fail: what cannot be read is moved aside, what cannot be set right is logged and stays for its stop or removal.
 */
export async function recover(parts: SandboxParts, ctx: Ctx): Promise<void> {
  ctx.stage('read records');
  await readPods(parts, ctx);
  await readContainers(parts, ctx);
  const cut = await findCutRemovals(parts);
  ctx.stage('adopt shims');
  await adoptPods(parts, ctx);
  ctx.stage('finish removals');
  await finishRemovals(parts, ctx, cut);
  ctx.stage('undo the half-made');
  await undoHalfMade(parts, ctx);
  await attempt(ctx, 'use the pod CIDRs again', () => parts.podCidrs.restore(ctx));
  ctx.stage('remove strays');
  await attempt(ctx, 'remove strays', () => removeStrays(parts, ctx));
}

async function readPods(parts: SandboxParts, ctx: Ctx): Promise<void> {
  const { pods } = parts.pods.collections;
  for (const record of pods.values()) {
    const { id } = record;
    try {
      const identity = parts.codec.decodePod(Buffer.from(record.identity, 'base64'));
      parts.pods.enterPod(new Pod(id, identity, record.identity, record.status));
    } catch (error) {
      await attempt(ctx, `quarantine pod ${id}`, () => parts.store.quarantine(ctx, pods, id, messageOf(error)));
    }
  }
}

async function readContainers(parts: SandboxParts, ctx: Ctx): Promise<void> {
  const { containers } = parts.pods.collections;
  for (const record of containers.values()) {
    const { id } = record;
    try {
      const identity = parts.codec.decodeContainer(Buffer.from(record.identity, 'base64'));
      if (!parts.pods.pod(identity.podId)) throw new Error(`its pod ${identity.podId} is not in the store`);
      const container = new Container(id, identity, record.identity, record.made, record.status);
      // Whoever had it started may have waited for the answer of the berthd that has gone.
      container.startUntold = record.status.state !== 'exited';
      parts.pods.enterContainer(container);
    } catch (error) {
      await attempt(ctx, `quarantine container ${id}`, () =>
        parts.store.quarantine(ctx, containers, id, messageOf(error)),
      );
    }
  }
  const ownerless = parts.pods.collections.specs.values().filter(({ id }) => !parts.pods.container(id));
  for (const { id } of ownerless) {
    await attempt(ctx, `delete spec ${id}`, () => parts.pods.collections.specs.delete(ctx, id));
  }
}

/** Pods of this boot have a shim or lost it; those of an earlier boot have nothing. */
async function adoptPods(parts: SandboxParts, ctx: Ctx): Promise<void> {
  const present = parts.pods.allPods().filter((pod) => !isStopped(pod.status));
  const rebooted = present.filter((pod) => parts.pods.collections.pods.bootId(pod.id) !== parts.bootId);
  const ours = present.filter((pod) => !rebooted.includes(pod));
  const known = ours
    .flatMap((pod) => [...pod.containers.values()])
    .map(({ id, podId, made }) => ({ id, podId, cgroupPath: made.cgroupPath }));
  const adopted = await parts.runtime.adopt(
    ctx,
    ours.map((pod) => pod.id),
    known,
  );
  await Promise.all([
    ...adopted.map((found) => attempt(ctx, `reconcile pod ${found.podId}`, () => reconcile(parts, ctx, found))),
    ...rebooted.map((pod) => attempt(ctx, `reconcile pod ${pod.id}`, () => reconcileRebooted(parts, ctx, pod))),
  ]);
}

async function reconcile(parts: SandboxParts, ctx: Ctx, found: AdoptedPod): Promise<void> {
  const pod = parts.pods.pod(found.podId);
  if (!pod) return;
  if (found.alive) await reconcilePod(parts, ctx, pod, found);
  else await reconcileLost(parts, ctx, pod, found);
}

/** What the shims know all the same, or what still has to be stopped, is left to whoever removes it. */
async function finishRemovals(parts: SandboxParts, ctx: Ctx, { pods, containers }: CutRemovals): Promise<void> {
  const ended = containers.filter(({ status }) => status.state === 'exited');
  // One whose network plugins have to give back waits for no program here: its stop, or its next removal, does it.
  const stopped = pods.filter(({ status }) => status.state === 'notReady' && status.network?.mode !== 'cni');
  await Promise.all([
    ...ended.map((container) =>
      attempt(ctx, `finish the removal of container ${container.id}`, () => removeContainerNow(parts, ctx, container)),
    ),
    ...stopped.map((pod) => attempt(ctx, `finish the removal of pod ${pod.id}`, () => removePodNow(parts, ctx, pod))),
  ]);
}

/** Whoever made them has gone with the old berthd: nobody knows their ids. */
async function undoHalfMade(parts: SandboxParts, ctx: Ctx): Promise<void> {
  const pods = parts.pods.allPods().filter((pod) => !pod.visible);
  const containers = parts.pods.allContainers().filter((container) => !container.visible);
  await Promise.all([
    ...pods.map((pod) => attempt(ctx, `undo half-made pod ${pod.id}`, () => removePodNow(parts, ctx, pod))),
    ...containers.map((container) =>
      attempt(ctx, `undo half-made container ${container.id}`, () => removeContainerNow(parts, ctx, container)),
    ),
  ]);
}

async function attempt(ctx: Ctx, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    ctx.log.error({ err: error, what }, 'recovery could not set this right; it goes on');
  }
}
