import type { ReopenContainerLogRequest__Output } from '#cri-api/gen/runtime/v1/ReopenContainerLogRequest';
import type { ReopenContainerLogResponse } from '#cri-api/gen/runtime/v1/ReopenContainerLogResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';

export const reopenContainerLog: UnaryHandler<
  ReopenContainerLogRequest__Output,
  ReopenContainerLogResponse,
  RuntimeServiceDeps
> = async (ctx, request, { sandboxes }) => {
  await sandboxes.reopenContainerLog(ctx, request.container_id);
  return {};
};
