import type { ListContainerStatsRequest__Output } from '#cri-api/gen/runtime/v1/ListContainerStatsRequest';
import type { ListContainerStatsResponse } from '#cri-api/gen/runtime/v1/ListContainerStatsResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { toCriContainerStats } from '../to-cri/stats.ts';
import { filterRunning } from './filters.ts';

export const listContainerStats: UnaryHandler<
  ListContainerStatsRequest__Output,
  ListContainerStatsResponse,
  RuntimeServiceDeps
> = async (ctx, request, { sandboxes }) => {
  await sandboxes.stats.fresh(ctx);
  const containers = filterRunning(sandboxes, request.filter);
  return { stats: containers.map((container) => toCriContainerStats(container, sandboxes.stats)) };
};
