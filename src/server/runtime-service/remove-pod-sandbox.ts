import type { RemovePodSandboxRequest__Output } from '#cri-api/gen/runtime/v1/RemovePodSandboxRequest';
import type { RemovePodSandboxResponse } from '#cri-api/gen/runtime/v1/RemovePodSandboxResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';

export const removePodSandbox: UnaryHandler<
  RemovePodSandboxRequest__Output,
  RemovePodSandboxResponse,
  RuntimeServiceDeps
> = async (ctx, request, { sandboxes }) => {
  await sandboxes.removePod(ctx, request.pod_sandbox_id);
  return {};
};
