import type { StopContainerRequest__Output } from '#cri-api/gen/runtime/v1/StopContainerRequest';
import type { StopContainerResponse } from '#cri-api/gen/runtime/v1/StopContainerResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { toSafeInt } from '../safe-int.ts';

export const stopContainer: UnaryHandler<
  StopContainerRequest__Output,
  StopContainerResponse,
  RuntimeServiceDeps
> = async (ctx, request, { sandboxes }) => {
  const seconds = toSafeInt('timeout', request.timeout);
  await sandboxes.stopContainer(ctx, request.container_id, Math.max(0, seconds) * 1000);
  return {};
};
