import type { CreateContainerRequest__Output } from '#cri-api/gen/runtime/v1/CreateContainerRequest';
import type { CreateContainerResponse } from '#cri-api/gen/runtime/v1/CreateContainerResponse';
import { checkedContainerConfig } from '#sandbox/identity';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';

/** The pod's config in the request says what Berth knows from RunPodSandbox: it is not read. */
export const createContainer: UnaryHandler<
  CreateContainerRequest__Output,
  CreateContainerResponse,
  RuntimeServiceDeps
> = async (ctx, request, { sandboxes }) => {
  const config = checkedContainerConfig(request.config);
  return { container_id: await sandboxes.createContainer(ctx, { podId: request.pod_sandbox_id, config }) };
};
