import path from 'node:path';
import type { Ctx } from '#base/ctx';
import { claimPod } from './claims.ts';
import { removeContainerNow } from './container-remove.ts';
import type { SandboxParts } from './parts.ts';
import type { Pod } from './pod.ts';
import { stopPodNow } from './pod-stop.ts';
import { together } from './together.ts';

/** Removes a pod with its containers; one that runs is stopped first. A pod that is gone: no error. */
export async function removePod(parts: SandboxParts, ctx: Ctx, id: string): Promise<void> {
  const pod = parts.pods.findPod(id);
  if (!pod) return;
  claimPod(parts, pod);
  await parts.operations.join(ctx, {
    key: `remove pod ${pod.id}`,
    verb: 'remove pod',
    deadlineMs: parts.timeouts.removeMs,
    run: (own) => removePodNow(parts, own.withFields({ podId: pod.id }), pod),
  });
}

export async function removePodNow(parts: SandboxParts, ctx: Ctx, pod: Pod): Promise<void> {
  await stopPodNow(parts, ctx, pod);
  ctx.stage('remove');
  await together([...pod.containers.values()].map((container) => removeContainerNow(parts, ctx, container)));
  await parts.files.removeTree(path.join(parts.podsDirectory, pod.id));
  await parts.pods.forgetPod(ctx, pod);
}
