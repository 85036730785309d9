import type { UpdateRuntimeConfigRequest__Output } from '#cri-api/gen/runtime/v1/UpdateRuntimeConfigRequest';
import type { UpdateRuntimeConfigResponse } from '#cri-api/gen/runtime/v1/UpdateRuntimeConfigResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';

/** A kubelet tells the node's ranges of pod addresses: new pods get theirs there. */
export const updateRuntimeConfig: UnaryHandler<
  UpdateRuntimeConfigRequest__Output,
  UpdateRuntimeConfigResponse,
  RuntimeServiceDeps
> = async (ctx, request, { sandboxes }) => {
  await sandboxes.usePodCidr(ctx, request.runtime_config?.network_config?.pod_cidr ?? '');
  return {};
};
