import type { AttachRequest__Output } from '#cri-api/gen/runtime/v1/AttachRequest';
import type { AttachResponse } from '#cri-api/gen/runtime/v1/AttachResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';

export const attach: UnaryHandler<AttachRequest__Output, AttachResponse, RuntimeServiceDeps> = (
  _ctx,
  { container_id, stdin, stdout, stderr, tty },
  { sandboxes, streams },
) => {
  const request = sandboxes.checkAttach({ containerId: container_id, stdin, stdout, stderr, tty });
  return { url: streams.urlOf({ kind: 'attach', request }) };
};
