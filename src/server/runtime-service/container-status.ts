import type { ContainerStatusRequest__Output } from '#cri-api/gen/runtime/v1/ContainerStatusRequest';
import type { ContainerStatusResponse } from '#cri-api/gen/runtime/v1/ContainerStatusResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { toCriContainerStatus } from '../to-cri/container.ts';
import { containerInfo } from '../to-cri/info.ts';

export const containerStatus: UnaryHandler<
  ContainerStatusRequest__Output,
  ContainerStatusResponse,
  RuntimeServiceDeps
> = (_ctx, request, { sandboxes, images }) => {
  const container = sandboxes.getContainer(request.container_id);
  return {
    status: toCriContainerStatus(container, images),
    info: request.verbose ? containerInfo(container, sandboxes.factsOf(container)) : {},
  };
};
