import type { PodSandboxStatsRequest__Output } from '#cri-api/gen/runtime/v1/PodSandboxStatsRequest';
import type { PodSandboxStatsResponse } from '#cri-api/gen/runtime/v1/PodSandboxStatsResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { toCriPodStats } from '../to-cri/stats.ts';

export const podSandboxStats: UnaryHandler<
  PodSandboxStatsRequest__Output,
  PodSandboxStatsResponse,
  RuntimeServiceDeps
> = async (ctx, request, { sandboxes }) => {
  const pod = sandboxes.getPod(request.pod_sandbox_id);
  await sandboxes.stats.fresh(ctx);
  return { stats: toCriPodStats(pod, sandboxes.stats) };
};
