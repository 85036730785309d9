import type { UpdateContainerResourcesRequest__Output } from '#cri-api/gen/runtime/v1/UpdateContainerResourcesRequest';
import type { UpdateContainerResourcesResponse } from '#cri-api/gen/runtime/v1/UpdateContainerResourcesResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';

export const updateContainerResources: UnaryHandler<
  UpdateContainerResourcesRequest__Output,
  UpdateContainerResourcesResponse,
  RuntimeServiceDeps
> = async (ctx, request, { sandboxes }) => {
  await sandboxes.updateContainer(ctx, request.container_id, request.linux);
  return {};
};
