import type { ListPodSandboxMetricsRequest__Output } from '#cri-api/gen/runtime/v1/ListPodSandboxMetricsRequest';
import type { ListPodSandboxMetricsResponse } from '#cri-api/gen/runtime/v1/ListPodSandboxMetricsResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { toCriPodMetrics } from '../to-cri/metrics.ts';
import { filterReady } from './filters.ts';

export const listPodSandboxMetrics: UnaryHandler<
  ListPodSandboxMetricsRequest__Output,
  ListPodSandboxMetricsResponse,
  RuntimeServiceDeps
> = async (ctx, _request, { sandboxes }) => {
  await sandboxes.stats.fresh(ctx, true);
  return { pod_metrics: filterReady(sandboxes, null).map((pod) => toCriPodMetrics(pod, sandboxes.stats)) };
};
