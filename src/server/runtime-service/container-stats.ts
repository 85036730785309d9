import type { ContainerStatsRequest__Output } from '#cri-api/gen/runtime/v1/ContainerStatsRequest';
import type { ContainerStatsResponse } from '#cri-api/gen/runtime/v1/ContainerStatsResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { toCriContainerStats } from '../to-cri/stats.ts';

export const containerStats: UnaryHandler<
  ContainerStatsRequest__Output,
  ContainerStatsResponse,
  RuntimeServiceDeps
> = async (ctx, request, { sandboxes }) => {
  const container = sandboxes.getContainer(request.container_id);
  await sandboxes.stats.fresh(ctx);
  return { stats: toCriContainerStats(container, sandboxes.stats) };
};
