import type { UpdatePodSandboxResourcesRequest__Output } from '#cri-api/gen/runtime/v1/UpdatePodSandboxResourcesRequest';
import type { UpdatePodSandboxResourcesResponse } from '#cri-api/gen/runtime/v1/UpdatePodSandboxResourcesResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';

export const updatePodSandboxResources: UnaryHandler<
  UpdatePodSandboxResourcesRequest__Output,
  UpdatePodSandboxResourcesResponse,
  RuntimeServiceDeps
> = async (ctx, request, { sandboxes }) => {
  const { pod_sandbox_id: id, overhead, resources } = request;
  await sandboxes.updatePod(ctx, id, { overhead, resources });
  return {};
};
