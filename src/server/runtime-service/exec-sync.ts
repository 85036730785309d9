import type { ExecSyncRequest__Output } from '#cri-api/gen/runtime/v1/ExecSyncRequest';
import type { ExecSyncResponse } from '#cri-api/gen/runtime/v1/ExecSyncResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { toSafeInt } from '../safe-int.ts';

export const execSync: UnaryHandler<ExecSyncRequest__Output, ExecSyncResponse, RuntimeServiceDeps> = async (
  ctx,
  request,
  { sandboxes },
) => {
  const seconds = toSafeInt('timeout', request.timeout);
  const result = await sandboxes.execSync(ctx, {
    containerId: request.container_id,
    command: request.cmd,
    timeoutMs: Math.max(0, seconds) * 1000,
  });
  return { stdout: result.stdout, stderr: result.stderr, exit_code: result.exitCode };
};
