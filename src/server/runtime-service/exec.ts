import type { ExecRequest__Output } from '#cri-api/gen/runtime/v1/ExecRequest';
import type { ExecResponse } from '#cri-api/gen/runtime/v1/ExecResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';

export const exec: UnaryHandler<ExecRequest__Output, ExecResponse, RuntimeServiceDeps> = (
  _ctx,
  { container_id, cmd, stdin, stdout, stderr, tty },
  { sandboxes, streams },
) => {
  const request = sandboxes.checkExec({ containerId: container_id, command: cmd, stdin, stdout, stderr, tty });
  return { url: streams.urlOf({ kind: 'exec', request }) };
};
