import type { PodSandboxStatusRequest__Output } from '#cri-api/gen/runtime/v1/PodSandboxStatusRequest';
import type { PodSandboxStatusResponse } from '#cri-api/gen/runtime/v1/PodSandboxStatusResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { toCriContainerStatus } from '../to-cri/container.ts';
import { podInfo } from '../to-cri/info.ts';
import { toCriPodStatus } from '../to-cri/pod.ts';
import { toInt64 } from '../safe-int.ts';

export const podSandboxStatus: UnaryHandler<
  PodSandboxStatusRequest__Output,
  PodSandboxStatusResponse,
  RuntimeServiceDeps
> = (_ctx, request, deps) => {
  const pod = deps.sandboxes.getPod(request.pod_sandbox_id);
  return {
    status: toCriPodStatus(pod),
    info: request.verbose ? podInfo(pod) : {},
    containers_statuses: pod.listed.map((container) => toCriContainerStatus(container, deps.images)),
    timestamp: toInt64(deps.clock.nowNs()),
  };
};
