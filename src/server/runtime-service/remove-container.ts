import type { RemoveContainerRequest__Output } from '#cri-api/gen/runtime/v1/RemoveContainerRequest';
import type { RemoveContainerResponse } from '#cri-api/gen/runtime/v1/RemoveContainerResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';

export const removeContainer: UnaryHandler<
  RemoveContainerRequest__Output,
  RemoveContainerResponse,
  RuntimeServiceDeps
> = async (ctx, request, { sandboxes }) => {
  await sandboxes.removeContainer(ctx, request.container_id);
  return {};
};
