import type { Ctx } from '#base/ctx';
import type { AdoptedContainer, AdoptedPod, ExitInfo } from '#runtime/runtime';
import { acknowledge, losePause } from './exits.ts';
import type { SandboxParts } from './parts.ts';
import type { Container, Pod } from './pod.ts';
import { stopPod } from './pod-stop.ts';
import { exitOf, pauseDied, toExited, toNotReady, toRunning, toStopped, unseenExit } from './states.ts';

/** The pod's shim answered: what it says about processes is true. */
export async function reconcilePod(
  parts: SandboxParts,
  ctx: Ctx,
  pod: Pod,
  found: Pick<Extract<AdoptedPod, { alive: true }>, 'containers' | 'process'>,
): Promise<void> {
  const shim = found.containers;
  const byId = new Map(shim.map((entry) => [entry.id, entry]));
  await Promise.all([
    ...pod.listed.map((container) => reconcileContainer(parts, ctx, container, byId.get(container.id))),
    ...shim
      .filter(({ id }) => !pod.containers.has(id))
      .map(({ id }) => parts.runtime.removeContainer(ctx, pod.id, id, strayCgroup(parts, pod, id))),
  ]);
  // Its stop was cut short: it ends now. A half-made pod is undone later.
  if (pod.status.state === 'notReady' && pod.status.reason !== pauseDied) await finishStop(parts, ctx, pod);
  if (found.process.pausePid === 0) await losePause(parts, pod);
}

function strayCgroup(parts: SandboxParts, pod: Pod, id: string): string {
  return `${pod.identity.config.linux?.cgroup_parent || parts.defaultCgroupParent}/${id}`;
}

async function reconcileContainer(
  parts: SandboxParts,
  ctx: Ctx,
  container: Container,
  entry: AdoptedContainer | undefined,
): Promise<void> {
  if (!entry) {
    const exit = unseenExit(137, parts.clock.nowNs(), 'ContainerDied', 'its shim does not know it any more');
    await parts.pods.changeContainer(ctx, container, (status) => toExited(status, exit));
    return;
  }
  switch (entry.state) {
    case 'created':
      return;
    case 'running':
      await parts.pods.changeContainer(ctx, container, (status) => toRunning(status, entry.startedAtNs, entry.pid));
      return;
    case 'exited':
      if (entry.exit) await exitedAway(parts, ctx, container, entry.exit);
  }
}

/** It ended while no berthd was there. */
async function exitedAway(parts: SandboxParts, ctx: Ctx, container: Container, exit: ExitInfo): Promise<void> {
  await parts.pods.changeContainer(ctx, container, (status) => toExited(status, exitOf(exit)));
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
      return parts.pods.changeContainer(ctx, container, (status) => toExited(status, exit));
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
 * What a stop that was cut short, or the old boot, left to do. CNI plugins may need a pod of this node for it, which
 * starts only when recovery has ended: nobody waits for them. A failure leaves the rest to the kubelet's stop.
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
  await parts.runtime.endPod(ctx, pod.id);
  if (pod.status.network) await parts.network.tearDown(ctx, pod.id, pod.status.network);
  await parts.pods.changePod(ctx, pod, toStopped);
}
