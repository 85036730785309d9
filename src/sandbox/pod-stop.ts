import type { Ctx } from '#base/ctx';
import { raceSignal } from '#base/deadline';
import { messageOf } from '#base/errors';
import { claimPod } from './claims.ts';
import { stopContainerNow } from './container-stop.ts';
import { type SandboxParts, untilAnswered } from './parts.ts';
import type { Pod } from './pod.ts';
import { isStopped, toExited, toNotReady, toStopped, unseenExit } from './states.ts';
import { together } from './together.ts';

/** Ends everything in the pod and gives its network back. A pod that is gone or stopped: no error. */
export async function stopPod(parts: SandboxParts, ctx: Ctx, id: string): Promise<void> {
  const pod = parts.pods.findPod(id);
  if (!pod) return;
  claimPod(parts, pod);
  await parts.operations.join(ctx, {
    key: `stop pod ${pod.id}`,
    verb: 'stop pod',
    deadlineMs: parts.timeouts.removeMs,
    run: (own) => stopPodNow(parts, own.withFields({ podId: pod.id }), pod),
  });
}

export async function stopPodNow(parts: SandboxParts, ctx: Ctx, pod: Pod): Promise<void> {
  await endUnreachable(parts, ctx, pod);
  await untilAnswered(ctx, pod);
  using _held = await parts.locks.acquire(pod.id, ctx.signal);
  if (isStopped(pod.status)) return;
  pod.stopping = true;
  try {
    ctx.stage('stop containers');
    await pod.timeline.measure('stop containers', () => killContainers(parts, ctx, pod));
    ctx.stage('end');
    await pod.timeline.measure('end', () => endPod(parts, ctx, pod));
    // Whoever was making a container fails now, and undoes it.
    await raceSignal(Promise.allSettled(pod.creates), ctx.signal);
    await endUnseen(parts, ctx, pod);
    await parts.pods.changePod(ctx, pod, toStopped);
  } catch (error) {
    // Some of it may be gone: it is no pod to make containers in, and its next stop or removal does the rest.
    await parts.pods
      .changePod(ctx, pod, (status) => toNotReady(status, 'StopFailed', messageOf(error)))
      .catch((cause: unknown) => ctx.log.warn({ err: cause }, 'could not write that a stop failed'));
    throw error;
  } finally {
    pod.stopping = false;
  }
}

/** Nobody can ask such a shim to end. Once it is killed recovery finds it dead, with what it has written, and kills the rest. */
async function endUnreachable(parts: SandboxParts, ctx: Ctx, pod: Pod): Promise<void> {
  if (!pod.silent || !pod.unreachable) return;
  ctx.stage('kill the shim');
  await parts.runtime.killSilent(ctx, pod.id);
  pod.unreachable = false;
}

async function killContainers(parts: SandboxParts, ctx: Ctx, pod: Pod): Promise<void> {
  await together(pod.listed.map((container) => stopContainerNow(parts, ctx, container, 0)));
}

/** Ends pause and the shim, and tears the network down: CNI plugins want the namespace, the built-in network does not. */
async function endPod(parts: SandboxParts, ctx: Ctx, pod: Pod): Promise<void> {
  const { network } = pod.status;
  const tearDown = async (): Promise<void> => {
    if (network) await parts.network.tearDown(ctx, pod.id, network);
  };
  const end = (): Promise<void> => parts.runtime.endPod(ctx, pod.id);
  if (network?.mode === 'cni') {
    await tearDown();
    await end();
  } else {
    await together([end(), tearDown()]);
  }
}

/** What is told of a container whose exit nobody reported. */
export const endedWithPod = 'it ended with its pod';

/** The pod has no process any more: a container whose exit nobody reported is gone all the same. */
async function endUnseen(parts: SandboxParts, ctx: Ctx, pod: Pod): Promise<void> {
  const left = pod.listed.filter((container) => container.status.state !== 'exited');
  await together(
    left.map(async (container) => {
      const exit = unseenExit(137, parts.clock.nowNs(), 'ContainerDied', endedWithPod);
      await parts.pods.changeContainer(ctx, container, (status) => toExited(status, exit));
    }),
  );
}
