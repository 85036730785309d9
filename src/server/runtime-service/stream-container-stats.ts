import type { StreamContainerStatsRequest__Output } from '#cri-api/gen/runtime/v1/StreamContainerStatsRequest';
import type { StreamContainerStatsResponse } from '#cri-api/gen/runtime/v1/StreamContainerStatsResponse';
import type { StreamHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { chunks } from '../chunks.ts';
import { toCriContainerStats } from '../to-cri/stats.ts';
import { filterRunning } from './filters.ts';

export const streamContainerStats: StreamHandler<
  StreamContainerStatsRequest__Output,
  StreamContainerStatsResponse,
  RuntimeServiceDeps
> = async function* (ctx, request, { sandboxes }) {
  await sandboxes.stats.fresh(ctx);
  yield* chunks(
    filterRunning(sandboxes, request.filter),
    (container) => toCriContainerStats(container, sandboxes.stats),
    (container_stats) => ({ container_stats }),
  );
};
