import type { StopPodSandboxRequest__Output } from '#cri-api/gen/runtime/v1/StopPodSandboxRequest';
import type { StopPodSandboxResponse } from '#cri-api/gen/runtime/v1/StopPodSandboxResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';

export const stopPodSandbox: UnaryHandler<
  StopPodSandboxRequest__Output,
  StopPodSandboxResponse,
  RuntimeServiceDeps
> = async (ctx, request, { sandboxes }) => {
  await sandboxes.stopPod(ctx, request.pod_sandbox_id);
  return {};
};
