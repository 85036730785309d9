import type { PortForwardRequest__Output } from '#cri-api/gen/runtime/v1/PortForwardRequest';
import type { PortForwardResponse } from '#cri-api/gen/runtime/v1/PortForwardResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';

export const portForward: UnaryHandler<PortForwardRequest__Output, PortForwardResponse, RuntimeServiceDeps> = (
  _ctx,
  { pod_sandbox_id, port },
  { sandboxes, streams },
) => {
  const request = sandboxes.checkPortForward({ podId: pod_sandbox_id, ports: port });
  return { url: streams.urlOf({ kind: 'portforward', request }) };
};
