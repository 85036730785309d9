import type { RunPodSandboxRequest__Output } from '#cri-api/gen/runtime/v1/RunPodSandboxRequest';
import type { RunPodSandboxResponse } from '#cri-api/gen/runtime/v1/RunPodSandboxResponse';
import { checkedPodConfig } from '#sandbox/identity';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';

export const runPodSandbox: UnaryHandler<
  RunPodSandboxRequest__Output,
  RunPodSandboxResponse,
  RuntimeServiceDeps
> = async (ctx, request, { sandboxes }) => {
  const config = checkedPodConfig(request.config);
  return { pod_sandbox_id: await sandboxes.runPod(ctx, { config, runtimeHandler: request.runtime_handler }) };
};
