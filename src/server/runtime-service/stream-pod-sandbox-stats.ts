import type { StreamPodSandboxStatsRequest__Output } from '#cri-api/gen/runtime/v1/StreamPodSandboxStatsRequest';
import type { StreamPodSandboxStatsResponse } from '#cri-api/gen/runtime/v1/StreamPodSandboxStatsResponse';
import type { StreamHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { chunks } from '../chunks.ts';
import { toCriPodStats } from '../to-cri/stats.ts';
import { filterReady } from './filters.ts';

export const streamPodSandboxStats: StreamHandler<
  StreamPodSandboxStatsRequest__Output,
  StreamPodSandboxStatsResponse,
  RuntimeServiceDeps
> = async function* (ctx, request, { sandboxes }) {
  await sandboxes.stats.fresh(ctx);
  yield* chunks(
    filterReady(sandboxes, request.filter),
    (pod) => toCriPodStats(pod, sandboxes.stats),
    (pod_sandbox_stats) => ({ pod_sandbox_stats }),
  );
};
