import type { ListPodSandboxStatsRequest__Output } from '#cri-api/gen/runtime/v1/ListPodSandboxStatsRequest';
import type { ListPodSandboxStatsResponse } from '#cri-api/gen/runtime/v1/ListPodSandboxStatsResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { toCriPodStats } from '../to-cri/stats.ts';
import { filterReady } from './filters.ts';

export const listPodSandboxStats: UnaryHandler<
  ListPodSandboxStatsRequest__Output,
  ListPodSandboxStatsResponse,
  RuntimeServiceDeps
> = async (ctx, request, { sandboxes }) => {
  await sandboxes.stats.fresh(ctx);
  return { stats: filterReady(sandboxes, request.filter).map((pod) => toCriPodStats(pod, sandboxes.stats)) };
};
