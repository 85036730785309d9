import type { Ctx } from '#base/ctx';
import type { LinuxContainerResources__Output } from '#cri-api/gen/runtime/v1/LinuxContainerResources';
import { claimPod } from './claims.ts';
import type { SandboxParts } from './parts.ts';
import { checkResourceLimits } from './request-limits.ts';

export interface PodResources {
  readonly overhead: LinuxContainerResources__Output | null;
  readonly resources: LinuxContainerResources__Output | null;
}

/** Notes a pod's new limits. The kubelet sets them itself: the pod's group is its own. */
export async function updatePod(parts: SandboxParts, ctx: Ctx, id: string, asked: PodResources): Promise<void> {
  const pod = parts.pods.getPod(id);
  claimPod(parts, pod);
  const { overhead, resources } = asked;
  checkResourceLimits(overhead);
  checkResourceLimits(resources);
  const noted = { ...(overhead ? { overhead } : {}), ...(resources ? { resources } : {}) };
  await parts.pods.changePod(ctx, pod, (status) => ({ ...status, ...noted }), 'change');
}
