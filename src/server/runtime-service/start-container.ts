import type { StartContainerRequest__Output } from '#cri-api/gen/runtime/v1/StartContainerRequest';
import type { StartContainerResponse } from '#cri-api/gen/runtime/v1/StartContainerResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';

export const startContainer: UnaryHandler<
  StartContainerRequest__Output,
  StartContainerResponse,
  RuntimeServiceDeps
> = async (ctx, request, { sandboxes }) => {
  await sandboxes.startContainer(ctx, request.container_id);
  return {};
};
