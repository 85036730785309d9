import type { StreamPodSandboxMetricsRequest__Output } from '#cri-api/gen/runtime/v1/StreamPodSandboxMetricsRequest';
import type { StreamPodSandboxMetricsResponse } from '#cri-api/gen/runtime/v1/StreamPodSandboxMetricsResponse';
import type { StreamHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { chunks } from '../chunks.ts';
import { toCriPodMetrics } from '../to-cri/metrics.ts';
import { filterReady } from './filters.ts';

export const streamPodSandboxMetrics: StreamHandler<
  StreamPodSandboxMetricsRequest__Output,
  StreamPodSandboxMetricsResponse,
  RuntimeServiceDeps
> = async function* (ctx, _request, { sandboxes }) {
  await sandboxes.stats.fresh(ctx, true);
  yield* chunks(
    filterReady(sandboxes, null),
    (pod) => toCriPodMetrics(pod, sandboxes.stats),
    (pod_sandbox_metrics) => ({ pod_sandbox_metrics }),
  );
};
